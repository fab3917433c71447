// Names of data sets, where their files may lie, and what to tell who lacks them.
#include "host/data/dataset_reader.hpp"
#include "host/machine/paths.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "host/console/printable.hpp"
#include "host/data/bundle.hpp"
#include "host/data/graph_folder.hpp"
#include "host/data/graphsaint.hpp"
#include "host/data/sbm.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/format/file_kind.hpp"
#include "host/format/npz.hpp"
#include "host/format/text_file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

struct BuiltIn {
    std::string_view name, alias;
    std::string_view upstream;  // published file that is this data set, read directly; empty: bundle only
    bool planetoid;             // made from ind.NAME.* files
    Index nodes, features, classes;
};

// Shchur's collection also has a cora.npz (other node order) and a citeseer.npz (3,312 nodes): not these data sets.
constexpr std::array<BuiltIn, 26> kBuiltIn{{
    {"cora", "planetoid-cora", "", true, 2708, 1433, 7},
    {"pubmed", "planetoid-pubmed", "", true, 19717, 500, 3},
    {"citeseer", "planetoid-citeseer", "", true, 3327, 3703, 6},
    {"computers", "amazon-computers", "amazon_electronics_computers.npz", false, 13752, 767, 10},
    {"photo", "amazon-photo", "amazon_electronics_photo.npz", false, 7650, 745, 8},
    {"cs", "coauthor-cs", "ms_academic_cs.npz", false, 18333, 6805, 15},
    {"physics", "coauthor-physics", "ms_academic_phy.npz", false, 34493, 8415, 5},
    {"flickr", "graphsaint-flickr", "", false, 89250, 500, 7},
    {"arxiv", "ogbn-arxiv", "", false, 169343, 128, 40},
    {"products", "ogbn-products", "", false, 2449029, 100, 47},
    {"roman-empire", "roman_empire", "roman_empire.npz", false, 22662, 300, 18},
    {"amazon-ratings", "amazon_ratings", "amazon_ratings.npz", false, 24492, 300, 5},
    {"minesweeper", "minesweeper", "minesweeper.npz", false, 10000, 7, 2},
    {"tolokers", "tolokers", "tolokers.npz", false, 11758, 10, 2},
    {"questions", "questions", "questions.npz", false, 48921, 301, 2},
    {"actor", "film", "actor.npz", false, 7600, 932, 5},
    {"texas", "webkb-texas", "texas.npz", false, 183, 1703, 5},
    {"wisconsin", "webkb-wisconsin", "wisconsin.npz", false, 251, 1703, 5},
    {"cornell", "webkb-cornell", "cornell.npz", false, 183, 1703, 5},
    {"chameleon-filtered", "chameleon_filtered", "chameleon_filtered.npz", false, 890, 2325, 5},
    {"squirrel-filtered", "squirrel_filtered", "squirrel_filtered.npz", false, 2223, 2089, 5},
    {"cora-full", "cora_full", "cora_full.npz", false, 19793, 8710, 70},
    {"cora_ml", "cora-ml", "cora_ml.npz", false, 2995, 2879, 7},
    {"wiki-cs", "wikics", "", false, 11701, 300, 10},
    {"reddit", "graphsaint-reddit", "", false, 232965, 602, 41},
    {"mag", "ogbn-mag", "", false, 736389, 128, 349},
}};

const BuiltIn* find_built_in(const std::string& text) {
    const std::string name = lower(text);
    const auto at = std::find_if(kBuiltIn.begin(), kBuiltIn.end(),
                                 [&](const BuiltIn& b) { return name == b.name || name == b.alias; });
    return at == kBuiltIn.end() ? nullptr : &*at;
}

bool is_recipe(const std::string& text) { return text == "sbm" || text.starts_with("sbm:"); }
bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

bool is_path(const std::string& text) {
    return text.find('/') != std::string::npos || lower(text).ends_with(".npz") || (!text.empty() && is_there(text));
}

std::vector<fs::path> environment_folders() {
    const char* value = std::getenv("PDADMM_DATA");
    return path_list(value ? value : "");
}

/// Folders that the user named, first; then the ones that are always searched.
std::vector<fs::path> search_folders(const LoadOptions& options) {
    std::vector<fs::path> folders = options.folders;
    for (fs::path& folder : environment_folders()) folders.push_back(std::move(folder));
    folders.emplace_back("data/bundles");
    if (fs::path cache = cache_folder(); !cache.empty()) folders.push_back(std::move(cache));
    return folders;
}

std::vector<std::string> candidates(const BuiltIn& b) {
    std::vector<std::string> files{fmt::format("{}.npz", b.name)};
    if (!b.upstream.empty()) {
        files.push_back(fmt::format("npz/{}", b.upstream));
        files.emplace_back(b.upstream);
    }
    if (b.alias.starts_with("graphsaint-")) files.push_back(fmt::format("{}/{}", b.name, graphsaint_mark));
    return files;
}

[[noreturn]] void fail_missing(const BuiltIn& b, const std::vector<fs::path>& folders) {
    std::string command = fmt::format("python3 data/prepare.py {}", b.name);
    if (b.planetoid)
        for (const fs::path& folder : folders)
            for (const fs::path& raw : {folder, folder / "planetoid"})
                if (is_there(raw / fmt::format("ind.{}.graph", b.name))) {
                    command = fmt::format("python3 data/prepare.py --planetoid {} {}", printable_path(raw), b.name);
                    break;
                }
    std::vector<std::string> searched;
    for (const fs::path& folder : folders) searched.push_back(printable_path(folder));
    throw DataError(fmt::format("{}: no {} in {}{}; get it with: {}", b.name, fmt::join(candidates(b), " or "),
                                fmt::join(searched, ", "),
                                std::getenv("PDADMM_DATA") ? "" : " (PDADMM_DATA is not set)", command));
}

fs::path find_built_in_file(const BuiltIn& b, const LoadOptions& options) {
    const std::vector<fs::path> folders = search_folders(options);
    for (const fs::path& folder : folders)
        for (const std::string& file : candidates(b))
            if (is_there(folder / file))
                return file.ends_with(graphsaint_mark) ? (folder / file).parent_path() : folder / file;
    fail_missing(b, folders);
}

void check_identity(const Dataset& d, const BuiltIn& b, const std::string& file) {
    if (d.nodes == b.nodes && d.features.count == b.features && d.classes == b.classes) return;
    throw DataError(
        fmt::format("{}: {} nodes, {} features, {} classes, expected {}, {}, {} for {}; to use another graph give its "
                    "path as ./NAME.npz",
                    file, d.nodes, d.features.count, d.classes, b.nodes, b.features, b.classes, b.name));
}

Dataset load_built_in(const BuiltIn& b, const NpzFile& npz, const fs::path& path, const ReadOptions& options) {
    const std::string file = printable_path(path);
    if (b.upstream.empty() && !is_bundle(npz))
        throw DataError(fmt::format(
            "{}: Shchur's file of that name is another data set than {}, expected a bundle; move it away and run: "
            "python3 data/prepare.py {}",
            file, b.name, b.name));
    Dataset d = read_graph(npz, file, std::string(b.name), options);
    check_identity(d, b, file);
    return d;
}

template <typename T>
std::string part(std::string_view name, const std::vector<T>& values) {
    return fmt::format("{} {} {}\n", name, values.size(), digest_hex(std::as_bytes(std::span(values))));
}

std::string part(std::string_view name, const Csr& m) {
    return fmt::format("{} {} {}\n", name, m.rows, m.cols) + part("offsets", m.offsets) + part("columns", m.columns) +
           part("values", m.values);
}

}  // namespace

std::vector<std::string> dataset_names() {
    std::vector<std::string> names;
    for (const BuiltIn& b : kBuiltIn) names.emplace_back(b.name);
    return names;
}

fs::path find_dataset(const std::string& name_or_path, const LoadOptions& options) {
    if (is_recipe(name_or_path)) return {};
    if (const BuiltIn* b = find_built_in(name_or_path)) return find_built_in_file(*b, options);
    if (is_path(name_or_path)) return name_or_path;
    throw UsageError(fmt::format(
        "data set {}: unknown, expected one of {}, the path of an .npz file or of a folder, or sbm:key=value,...",
        printable(name_or_path), fmt::join(dataset_names(), ", ")));
}

Dataset load_dataset(const std::string& name_or_path, const LoadOptions& options) {
    if (is_recipe(name_or_path)) {
        if (options.split_index != 0)
            throw UsageError(
                fmt::format("--split-index: {} for a made-up graph, expected a file with several splits; "
                            "leave it out",
                            options.split_index));
        return make_sbm(parse_sbm(name_or_path));
    }
    const fs::path path = find_dataset(name_or_path, options);
    const std::uint64_t max_bytes = options.max_bytes ? options.max_bytes : default_input_budget();
    const ReadOptions reading{options.binary_features, options.split_index, options.unlabelled};
    if (std::error_code ignored; fs::is_directory(path, ignored)) {
        const fs::path folder = path.has_filename() ? path : path.parent_path();
        const BuiltIn* b = find_built_in(name_or_path);
        Dataset d = assemble_graph(members_of_folder(folder, max_bytes), printable_path(folder),
                                   b ? std::string(b->name) : printable(folder.filename().string()), reading);
        if (b) check_identity(d, *b, printable_path(folder));
        return d;
    }
    refuse_foreign_kind(path);
    const NpzFile npz(path, max_bytes);
    if (const BuiltIn* b = find_built_in(name_or_path)) return load_built_in(*b, npz, path, reading);
    return read_graph(npz, printable_path(path), printable(path.stem().string()), reading);
}

std::string dataset_digest(const Dataset& d) {
    // Each array is hashed on its own and the lines are hashed together: no buffer of everything, no ambiguity of
    // lengths.
    return digest_hex(fmt::format("graph {} {} {}\n", d.nodes, d.classes, d.features.count) +
                      part("adjacency", d.adjacency) + part("sparse", d.features.sparse) +
                      part("dense", d.features.dense) + part("labels", d.labels));
}

}  // namespace pdadmm
