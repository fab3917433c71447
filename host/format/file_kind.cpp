// Signatures of the formats in which people keep graphs (host/format/file_kind.hpp).
#include "host/format/file_kind.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "host/format/file.hpp"
#include "host/format/text_file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr const char* save_arrays = "and save its arrays with numpy.savez (data/README.md)";
constexpr const char* into_folder =
    "put it beside the others into a folder, named features, labels, edges or adj, and name the folder "
    "(data/README.md)";

/// A zip archive as torch.save writes it: the first member is NAME/data.pkl.
bool is_torch(std::string_view head) {
    constexpr std::size_t name_at = 30;
    if (!head.starts_with("PK\x03\x04") || head.size() < name_at) return false;
    const std::size_t length = static_cast<unsigned char>(head[26]) | static_cast<unsigned char>(head[27]) << 8;
    return head.substr(name_at, length).ends_with("/data.pkl");
}

}  // namespace

std::optional<ForeignKind> foreign_kind(std::span<const std::byte> head) {
    const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
    if (is_torch(text)) return ForeignKind{"a PyTorch file", "make a bundle with: python3 data/prepare.py pyg FILE"};
    if (text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5)
        return ForeignKind{"a Python pickle",
                           "make a bundle with data/prepare.py (Planetoid's files, PyTorch Geometric's, DGL's or "
                           "networkx's objects)"};
    if (text.starts_with("\x89HDF\r\n\x1a\n"))
        return ForeignKind{"an HDF5 file", std::string("open it with h5py ") + save_arrays};
    if (text.starts_with("PAR1"))
        return ForeignKind{"a Parquet file", std::string("read it with pandas ") + save_arrays};
    if (text.starts_with("MATLAB 5.0"))
        return ForeignKind{"a MATLAB file", std::string("read it with scipy.io.loadmat ") + save_arrays};
    if (text.starts_with("version https://git-lfs"))
        return ForeignKind{"a Git LFS pointer, not the file itself", "fetch that with: git lfs pull"};
    if (text.starts_with("\x93NUMPY")) return ForeignKind{"a single .npy array", into_folder};
    if (text.starts_with("%%MatrixMarket")) return ForeignKind{"a Matrix Market file", into_folder};
    if (text.starts_with("\x1f\x8b"))
        return ForeignKind{"a gzip file", std::string("unpack it, or where it holds a table "
                                                      "or matrix ") +
                                              into_folder};
    const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n\xEF\xBB\xBF"), text.size());
    const std::string words = lower(text.substr(begin, 16));
    if (words.starts_with("<!doctype") || words.starts_with("<html"))
        return ForeignKind{"an HTML page, perhaps that of an error", "download the file itself"};
    const bool printable_text = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) >= 0x20 || c == '\t' || c == '\r' || c == '\n';
    });
    if (printable_text && text.find('\n') != std::string_view::npos &&
        text.find_first_of(",\t ") != std::string_view::npos)
        return ForeignKind{"a text file", "make a bundle of an edge list with: python3 data/prepare.py edges FILE"};
    return std::nullopt;
}

void refuse_foreign_kind(const std::filesystem::path& path) {
    const InputFile file(path);
    std::vector<std::byte> head(std::min<std::uint64_t>(kind_bytes, file.size()));
    file.read_at(0, head);
    if (const std::optional<ForeignKind> found = foreign_kind(head))
        throw DataError(
            fmt::format("{}: is {}, expected an .npz archive; {}", file.name(), found->kind, found->advice));
}

}  // namespace pdadmm
