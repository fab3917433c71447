// Any bytes as the files of a graph's folder, or as an archive on disk: DataError with one line, or a sound graph; and
// where it can be read piece by piece, the same graph or a refusal as well. Numbers, lengths and contents of files lie
// one after the other: a byte that names the file, two of the length, little endian, the content.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

#include <stdlib.h>

#include "host/data/bundle.hpp"
#include "host/data/edge_list.hpp"
#include "host/data/graph_folder.hpp"
#include "host/large/graph_source.hpp"
#include "pdadmm/error.hpp"
#include "tests/files/fuzz/folder_files.hpp"
#include "tests/files/fuzz/require.hpp"

using namespace pdadmm;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t budget = 1 << 26;
constexpr ReadOptions options{.split_index = 0, .unlabelled = 9};

/// A folder in memory where the system has one; it goes with the process.
struct Scratch {
    fs::path path;
    Scratch() {
        std::string name = fs::exists("/dev/shm") ? "/dev/shm/pdadmm-fuzz-XXXXXX" : "/tmp/pdadmm-fuzz-XXXXXX";
        const char* made = ::mkdtemp(name.data());
        PDADMM_FUZZ_REQUIRE(made);
        path = made;
    }
    ~Scratch() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
};

/// Writes the files; the path of the data set.
fs::path written(const std::uint8_t* data, std::size_t size) {
    static const Scratch scratch;
    const fs::path folder = scratch.path / "graph";
    fs::remove_all(folder);
    fs::create_directory(folder);
    bool archive = false;
    while (size >= 3) {
        const std::size_t number = data[0] % folder_files.size(),
                          length = std::min<std::size_t>(data[1] | data[2] << 8, size - 3);
        const fs::path file = folder / folder_files[number];
        archive = archive || number == 0;
        fs::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary)
            .write(reinterpret_cast<const char*>(data + 3), static_cast<std::streamsize>(length));
        data += 3 + length;
        size -= 3 + length;
    }
    return archive ? folder / folder_files[0] : folder;
}

template <typename Read>
auto accepted(Read read) -> std::optional<decltype(read())> {
    try {
        return read();
    } catch (const DataError& error) {
        PDADMM_FUZZ_REQUIRE(std::strchr(error.what(), '\n') == nullptr && std::strlen(error.what()) < 2000);
        return std::nullopt;
    }
}

/// A graph as the streamed reader gives it. No source: its form is read as a whole.
struct Pieces {
    std::unique_ptr<GraphSource> source;
    std::vector<std::int32_t> from, to;
    std::vector<float> weights, features;
};

Pieces pieces_of(const fs::path& path) {
    Pieces p;
    p.source = source_of_arrays(path, options, budget);
    if (!p.source) return p;
    p.source->edges([&](std::span<const StoredEdge> edges) {
        for (const StoredEdge& e : edges) {
            p.from.push_back(e.from);
            p.to.push_back(e.to);
            p.weights.push_back(e.weight);
        }
    });
    p.source->features([&](Index first, std::span<const float> rows) {
        PDADMM_FUZZ_REQUIRE(static_cast<std::size_t>(first * p.source->description().features.count) ==
                            p.features.size());
        p.features.insert(p.features.end(), rows.begin(), rows.end());
    });
    PDADMM_FUZZ_REQUIRE(p.from.size() == p.source->stored_edges());
    return p;
}

void require_same(const Dataset& d, Pieces p) {
    const Dataset& other = p.source->description();
    PDADMM_FUZZ_REQUIRE(other.nodes == d.nodes && other.classes == d.classes && other.labels == d.labels);
    PDADMM_FUZZ_REQUIRE(other.targets == d.targets && other.class_ids == d.class_ids);
    PDADMM_FUZZ_REQUIRE(other.stored_split.train == d.stored_split.train &&
                        other.split_fault.empty() == d.split_fault.empty());
    PDADMM_FUZZ_REQUIRE(other.features.count == d.features.count && p.features == d.features.dense);
    RawEdges edges{.name = "edges",
                   .data_name = "weights",
                   .counted_by = "x",
                   .rows = d.nodes,
                   .cols = d.nodes,
                   .ids = std::move(p.from),
                   .pairs = false,
                   .data = std::move(p.weights)};
    edges.ids.insert(edges.ids.end(), p.to.begin(), p.to.end());
    Index merged = 0;
    const Csr a = checked_csr(compressed_rows(edges, "fuzz"), "fuzz", Duplicates::largest, merged);
    PDADMM_FUZZ_REQUIRE(a.offsets == d.adjacency.offsets && a.columns == d.adjacency.columns);
    PDADMM_FUZZ_REQUIRE(a.values == d.adjacency.values);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fs::path path = written(data, size);
    const std::optional<Dataset> whole = accepted([&] {
        if (fs::is_directory(path)) return assemble_graph(members_of_folder(path, budget), "fuzz", "fuzz", options);
        return read_graph(NpzFile(path, budget), "fuzz", "fuzz", options);
    });
    if (whole) {
        PDADMM_FUZZ_REQUIRE(whole->nodes >= 1 && whole->nodes == static_cast<Index>(whole->labels.size()));
        PDADMM_FUZZ_REQUIRE(static_cast<Index>(whole->targets.size()) ==
                            (whole->multi_label() ? whole->nodes * whole->classes : 0));
    }
    std::optional<Pieces> pieces = accepted([&] { return pieces_of(path); });
    if (pieces && !pieces->source) return 0;
    PDADMM_FUZZ_REQUIRE(whole.has_value() == pieces.has_value());
    if (whole) require_same(*whole, std::move(*pieces));
    return 0;
}
