// Files of a folder as members (host/data/graph_folder.hpp).
#include "host/data/graph_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "host/console/printable.hpp"
#include "host/data/edge_list.hpp"
#include "host/data/graph_roles.hpp"
#include "host/data/graphsaint.hpp"
#include "host/format/csv.hpp"
#include "host/format/matrix_market.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

RawCsr read_mtx(const fs::path& path, std::uint64_t max_bytes, const std::string& shown, const std::string& folder) {
    TextFile file(path);
    MatrixMarket m = read_matrix_market(file, max_bytes);
    RawEdges edges{.name = shown,
                   .data_name = m.pattern ? "" : shown,
                   .counted_by = shown,
                   .rows = m.rows,
                   .cols = m.cols,
                   .ids = std::move(m.row),
                   .pairs = false,
                   .data = std::move(m.values),
                   .max_bytes = max_bytes};
    edges.ids.insert(edges.ids.end(), m.col.begin(), m.col.end());
    return compressed_rows(edges, folder);
}

/// Features are real, labels may be NaN, everything else counts nodes.
CsvNumbers numbers_of(const std::string& name) {
    const std::optional<Role> role = role_of(name);
    if (role == Role::features || role == Role::edge_weights || role == Role::edge_features) return CsvNumbers::single;
    return role == Role::labels ? CsvNumbers::wide : CsvNumbers::whole;
}

/// Regular files, in the order of their names.
std::vector<fs::path> files_of(const fs::path& folder) {
    std::vector<fs::path> files;
    std::error_code failed;
    for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed))
        if (std::error_code ignored; at->is_regular_file(ignored)) files.push_back(at->path());
    if (failed) throw DataError(fmt::format("{}: cannot be read: {}", printable_path(folder), failed.message()));
    std::sort(files.begin(), files.end());
    return files;
}

struct FolderReader {
    fs::path folder;
    std::uint64_t max_bytes;
    std::vector<GraphMember> members{};

    /// Adds what one file holds; `below` is its folder as messages show it.
    void add(const fs::path& path, const std::string& below) {
        const std::string file = path.filename().string(), shown = below + printable(file);
        std::string stem = file;
        const auto cut = [&](std::string_view ending) {
            if (!stem.ends_with(ending) || stem.size() == ending.size()) return false;
            stem.resize(stem.size() - ending.size());
            return true;
        };
        const std::uint64_t most = max_bytes;
        const bool named = [&] {
            const std::string plain = file.substr(0, file.find('.'));
            return role_of(plain) || speaks_of_split(plain);
        }();
        if (cut(".npz")) {
            const auto npz = std::make_shared<const NpzFile>(path, most);
            for (GraphMember& member : members_of(npz, printable_path(path), stem)) {
                member.shown = fmt::format("{}: {}", shown, member.shown);
                members.push_back(std::move(member));
            }
        } else if (cut(".mtx.gz") || cut(".mtx")) {
            const std::string where = printable_path(folder);
            members.push_back({stem, shown, {}, [=] { return read_mtx(path, most, shown, where); }});
        } else if (named && cut(".npy")) {
            members.push_back(
                {stem, shown, [=] { return read_npy(path, most); }, {}, [=] { return stream_npy(path); }});
        } else if (named && (cut(".csv.gz") || cut(".csv"))) {
            members.push_back({stem,
                               shown,
                               [=] {
                                   TextFile text(path);
                                   return read_csv(text, numbers_of(stem), most);
                               },
                               {}});
            if (numbers_of(stem) == CsvNumbers::whole) members.back().stream = [=] { return stream_csv(path); };
        }
    }

    void add_all(const fs::path& below, const std::string& shown) {
        for (const fs::path& path : files_of(below)) add(path, shown);
    }
};

/// Folders that other tools read, by a file in them.
void refuse_other_forms(const fs::path& folder, const std::vector<fs::path>& files) {
    for (const fs::path& path : files) {
        const std::string file = path.filename().string();
        std::string command;
        if (file.starts_with("ind.") && file.ends_with(".graph"))
            command = fmt::format("--planetoid {} {}", printable_path(folder),
                                  printable(std::string_view(file).substr(4, file.size() - 10)));
        if (!command.empty())
            throw DataError(fmt::format("{}: holds {}, expected arrays; make a bundle with: python3 data/prepare.py {}",
                                        printable_path(folder), printable(file), command));
    }
}

/// The one folder below split/ of an OGB data set; "" where there is none.
fs::path split_folder(const fs::path& folder) {
    std::vector<fs::path> kinds;
    std::error_code failed;
    for (fs::directory_iterator at(folder / "split", failed), end; !failed && at != end; at.increment(failed))
        if (std::error_code ignored; at->is_directory(ignored)) kinds.push_back(at->path());
    std::sort(kinds.begin(), kinds.end());
    if (kinds.size() > 1) {
        std::vector<std::string> names;
        for (const fs::path& kind : kinds) names.push_back(printable(kind.filename().string()));
        throw DataError(fmt::format("{}: {} kinds of split ({}), expected one; move the others away",
                                    printable_path(folder / "split"), kinds.size(), fmt::join(names, ", ")));
    }
    return kinds.empty() ? fs::path() : kinds.front();
}

}  // namespace

std::vector<GraphMember> members_of_folder(const fs::path& folder, std::uint64_t max_bytes) {
    FolderReader reader{folder, max_bytes};
    const std::vector<fs::path> files = files_of(folder);
    refuse_other_forms(folder, files);
    std::error_code ignored;
    if (fs::exists(folder / graphsaint_mark, ignored)) return members_of_graphsaint(folder, max_bytes);
    for (const fs::path& path : files) reader.add(path, "");
    if (fs::is_directory(folder / "raw", ignored)) {
        reader.add_all(folder / "raw", "raw/");
        if (const fs::path split = split_folder(folder); !split.empty())
            reader.add_all(split, fmt::format("split/{}/", printable(split.filename().string())));
    }
    if (reader.members.empty())
        throw DataError(
            fmt::format("{}: no file of a graph, expected features.npy, labels.npy and edges.npy, adj.npz or "
                        "adj.mtx (data/README.md)",
                        printable_path(folder)));
    return std::move(reader.members);
}

}  // namespace pdadmm
