// Folders of owners, and what is told of them (host/cli/owners.hpp).
#include "host/cli/owners.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "host/cli/option_text.hpp"
#include "host/cli/run_identity.hpp"
#include "host/console/printable.hpp"
#include "host/data/augmented_folder.hpp"
#include "host/data/split.hpp"
#include "host/format/digest.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// One owner's nodes, on the rank that reads them.
struct Folder {
    Dataset dataset;
    Split split;
};

Folder read_folder(const std::string& folder, const TrainOptions& o) {
    if (!is_augmented_folder(folder))
        throw DataError(fmt::format("{}: no {}, expected the folder of an owner; make it with pdadmm augment --out {}/",
                                    printable_path(folder), augmented_record_name, printable_path(folder)));
    Folder found{read_augmented_folder(folder), {}};
    found.split = make_split(found.dataset, o.split, o.split_seed);
    if (found.split.train.empty())
        throw DataError(fmt::format("{}: no training node, expected some of every owner; name another folder",
                                    printable_path(folder)));
    return found;
}

/// What all ranks hear of it.
Json record_of(const Folder& folder, const TrainOptions& o) {
    const Dataset& d = folder.dataset;
    const AugmentedNodes nodes = describe_split(d, folder.split, augment_options(o));
    Json record{{"name", d.name},
                {"options", d.made->options},
                {"inputs", d.made->inputs},
                {"features", d.features.count},
                {"classes", d.classes},
                {"class_ids", d.class_ids},
                {"class_numbers", d.class_names.numbers},
                {"class_names", d.class_names.texts},
                {"counts", nodes.counts},
                {"data", dataset_digest(d)},
                {"split", split_digest(nodes, folder.split)}};
    if (o.class_weights != "none")
        record["class_counts"] =
            class_counts(std::span(nodes.labels).first(static_cast<std::size_t>(nodes.counts[0])), d.classes);
    return record;
}

std::string classes_of(const Json& record) {
    if (!record["class_names"].empty()) return record["class_names"].dump();
    if (!record["class_ids"].empty()) return record["class_ids"].dump();
    return record["classes"].dump();
}

/// Throws UsageError where an owner's X or classes are others than the first one's.
void require_alike(const std::string& folder, const Json& record, const std::string& first_folder, const Json& first) {
    for (const char* key : {"options", "features", "classes", "class_ids", "class_numbers", "class_names"}) {
        if (record[key] == first[key]) continue;
        const bool of_classes = std::string(key).starts_with("class");
        const auto shown = [&](const Json& r) {
            return of_classes           ? "classes " + printable(classes_of(r), 200)
                   : r[key].is_string() ? printable(r[key].get<std::string>())
                                        : fmt::format("{} {}", r[key].dump(), key);
        };
        throw CommonError(
            UsageError(fmt::format("--owners: {} has {}, expected {} as {}; {}", printable_path(folder), shown(record),
                                   shown(first), printable_path(first_folder),
                                   of_classes ? "give every owner's graph a node of every class, or leave it out"
                                              : "augment all with the same options, of the same features")));
    }
}

/// The nodes of several owners as those of one block: set by set, one owner after the other.
AugmentedNodes joined(const std::vector<AugmentedNodes>& parts) {
    AugmentedNodes all;
    all.inputs = parts.front().inputs;
    all.classes = parts.front().classes;
    std::vector<Index> at(parts.size());
    for (std::size_t set = 0; set < 3; ++set)
        for (std::size_t k = 0; k < parts.size(); ++k) {
            const AugmentedNodes& part = parts[k];
            const Index first = at[k], count = part.counts[set];
            const real* X = part.values().data() + first * part.inputs;
            all.X.insert(all.X.end(), X, X + count * part.inputs);
            all.labels.insert(all.labels.end(), part.labels.begin() + first, part.labels.begin() + first + count);
            all.counts[set] += count;
            at[k] += count;
        }
    return all;
}

/// Records of all owners, in order. Owner k is read by the ranks of block k's column; where the first of them cannot,
/// all ranks say why.
std::vector<Json> share_records(const std::vector<std::string>& folders, const TrainOptions& o,
                                const std::vector<int>& block_of, RankGroup& ranks, std::map<std::size_t, Folder>& here,
                                int blocks) {
    std::vector<Json> records;
    for (std::size_t k = 0; k < folders.size(); ++k) {
        Json own;
        if (ranks.holds_block(block_of[k], blocks)) {
            try {
                here[k] = read_folder(folders[k], o);
                own = record_of(here[k], o);
            } catch (const Error& error) {
                own = {{"error", error.what()}, {"code", static_cast<int>(error.code())}};
            }
        }
        const auto text = own.dump(-1, ' ', false, Json::error_handler_t::replace);
        records.push_back(Json::parse(ranks.share(text, block_of[k])));
        const Json& told = records.back();
        if (told.contains("error"))
            throw CommonError(Error(static_cast<ExitCode>(told["code"].get<int>()), told["error"].get<std::string>()));
        if (const std::string wanted = to_string(augment_options(o)); k == 0 && told["options"] != wanted)
            throw CommonError(UsageError(
                fmt::format("--owners: {} has {}, expected {} as given; leave those options out",
                            printable_path(folders[k]), printable(told["options"].get<std::string>()), wanted)));
        require_alike(folders[k], told, folders.front(), records.front());
    }
    return records;
}

std::string counts_line(const std::vector<Json>& records, const Dataset& common, int blocks) {
    std::vector<std::string> counts;
    for (const Json& record : records)
        counts.push_back(fmt::format("{}", fmt::join(record["counts"].get<std::array<Index, 3>>(), "/")));
    return fmt::format("{} owners of {} train/val/test nodes; {} classes, {} features; {}", records.size(),
                       fmt::join(counts, ", "), common.classes, common.features.count,
                       blocks == static_cast<int>(records.size())
                           ? "only sums over its nodes leave a rank"
                           : fmt::format("pooled: {} block{} of nodes read{} the rows of several", blocks,
                                         blocks == 1 ? "" : "s", blocks == 1 ? "s" : ""));
}

}  // namespace

std::vector<std::string> owner_folders(const TrainOptions& o) {
    if (o.owners.empty()) return {};
    std::vector<std::string> folders = split_text(o.owners, ',');
    if (folders.size() < 2 || std::any_of(folders.begin(), folders.end(), [](const auto& f) { return f.empty(); }))
        throw UsageError(fmt::format("--owners: '{}', expected two folders or more, like a/,b/; of one use --dataset",
                                     printable(o.owners)));
    std::vector<fs::path> known;
    for (const std::string& folder : folders) {
        const fs::path whole = fs::absolute(folder + "/").lexically_normal();
        if (std::find(known.begin(), known.end(), whole) != known.end())
            throw UsageError(fmt::format("--owners: {} twice, expected every folder once; name the other owner's",
                                         printable_path(folder)));
        known.push_back(whole);
    }
    return folders;
}

std::string described_data(const TrainOptions& o) {
    const std::vector<std::string> folders = owner_folders(o);
    const auto here =
        std::find_if(folders.begin(), folders.end(), [](const std::string& f) { return is_augmented_folder(f); });
    return folders.empty() ? o.dataset : here == folders.end() ? folders.front() : *here;
}

void settle_owners(GivenOptions& all, const Given& typed) {
    TrainOptions& o = all.options;
    const std::vector<std::string> folders = owner_folders(o);
    if (folders.empty()) return;
    for (const char* option : {"--dataset", "--node-ranges", "--split-index"})
        if (typed.contains(option))
            throw UsageError(fmt::format("{}: with --owners, expected one of them; leave one out", option));
    if (chooses_grid(o.ranks))
        throw UsageError(
            fmt::format("--grid: auto with --owners, expected 1x{}, a block of nodes an owner; leave it "
                        "out",
                        folders.size()));
    if (o.metric != "auto" && o.metric != "accuracy" && o.metric != "micro-f1")
        throw UsageError(fmt::format(
            "--metric: {} with --owners, expected accuracy; it needs the logits of all nodes in one place", o.metric));
    if (o.ranks.grid.empty()) o.ranks.grid = fmt::format("1x{}", folders.size());
    all.given.erase("--dataset");
    o.dataset = "owners";
}

void require_no_owners(const TrainOptions& o, const char* command) {
    if (!o.owners.empty())
        throw UsageError(fmt::format("--owners: with {}, expected --dataset; only train takes several", command));
}

OwnedNodes load_owners(const TrainOptions& o, const Grid& grid, RankGroup& ranks) {
    const std::vector<std::string> folders = owner_folders(o);
    if (ranks.backend().name() != "cpu")
        throw CommonError(UsageError(fmt::format("--owners: with the {} backend, expected the CPU's; add --backend cpu",
                                                 ranks.backend().name())));
    const auto owners = static_cast<Index>(folders.size());
    if (grid.nodes > owners)
        throw CommonError(
            UsageError(fmt::format("--grid: {} with {} owners, expected at most {} blocks of nodes; "
                                   "leave it out",
                                   to_string(grid), owners, owners)));
    std::vector<int> block_of;
    for (int block = 0; block < grid.nodes; ++block)
        block_of.insert(block_of.end(), static_cast<std::size_t>(NodeRange::share(owners, block, grid.nodes).count),
                        block);
    std::map<std::size_t, Folder> here;
    const std::vector<Json> records = share_records(folders, o, block_of, ranks, here, grid.nodes);
    OwnedNodes found;
    const Json& first = records.front();
    found.common.name = first["name"];
    found.common.classes = first["classes"];
    found.common.features.count = first["features"];
    found.common.class_ids = first["class_ids"].get<std::vector<std::int64_t>>();
    found.common.class_names = {first["class_numbers"], first["class_names"]};
    std::vector<std::array<Index, 3>> counts;
    std::vector<Index> of_classes(static_cast<std::size_t>(found.common.classes));
    for (const Json& record : records) {
        counts.push_back(record["counts"].get<std::array<Index, 3>>());
        found.data_digest += record["data"].get<std::string>();
        found.split_digest += record["split"].get<std::string>();
        for (std::size_t c = 0; record.contains("class_counts") && c < of_classes.size(); ++c)
            of_classes[c] += record["class_counts"][c].get<Index>();
    }
    found.data_digest = digest_hex(found.data_digest);
    found.split_digest = digest_hex(found.split_digest);
    found.line = counts_line(records, found.common, grid.nodes);
    std::vector<std::vector<AugmentedNodes>> parts(static_cast<std::size_t>(grid.nodes));
    for (auto& [k, folder] : here)
        parts[static_cast<std::size_t>(block_of[k])].push_back(
            augment_split(ranks.backend(), folder.dataset, folder.split, augment_options(o)));
    for (std::vector<AugmentedNodes>& of_block : parts) {
        AugmentedNodes& block = found.blocks.emplace_back();
        if (of_block.empty()) continue;
        block = of_block.size() == 1 ? std::move(of_block.front()) : joined(of_block);
        block.owners = counts;
        if (o.class_weights == "balanced") block.class_weights = balanced_weights(of_classes);
    }
    return found;
}

}  // namespace pdadmm
