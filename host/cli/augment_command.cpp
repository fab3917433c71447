// pdadmm augment: X into a file or the cache, by way of memory; or into a folder, by way of disk.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "host/cli/commands.hpp"
#include "host/cli/large_command.hpp"
#include "host/cli/on_disk.hpp"
#include "host/cli/option_table.hpp"
#include "host/cli/parse.hpp"
#include "host/cli/train_options.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/augmentation.hpp"
#include "host/data/augmented_folder.hpp"
#include "host/data/split.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

/// Rows of X as (node, class, part): int64, part 0, 1, 2 for train, val, test.
std::vector<std::byte> rows_npy(const Split& split, const AugmentedNodes& nodes) {
    std::vector<std::int64_t> rows;
    std::int64_t part = 0;
    for (const auto* ids : {&split.train, &split.val, &split.test}) {
        for (const std::int32_t id : *ids) rows.insert(rows.end(), {id, nodes.labels[rows.size() / 3], part});
        ++part;
    }
    return format_npy(std::span<const std::int64_t>(rows), {nodes.nodes(), 3});
}

/// Options that mean nothing together with what --out names.
void refuse_mixture(const Given& given, bool on_disk, const std::string& out) {
    if (on_disk && given.contains("--rows"))
        throw UsageError("--rows: with a folder, expected a file in --out; nodes.npy and labels.npy are in the folder");
    if (on_disk) return;
    for (const char* option : {"--memory", "--nodes", "--store", "--devices"})
        if (given.contains(option))
            throw UsageError(fmt::format("{}: with {}, expected a folder in --out; give --out FOLDER", option,
                                         out.empty() ? "no --out" : "the file " + printable(out)));
}

}  // namespace

int augment_command(const std::vector<std::string>& arguments) {
    TrainOptions o;
    LargeChoice large;
    std::string rows;
    const Command line{
        "pdadmm augment",
        "Compute the augmented features of the nodes of a split, and keep them for later runs or write them",
        "pdadmm augment --dataset physics --hops 5 --out physics-x.npy"};
    const Options files{
        {"--out,-o",
         &large.out,
         "FILE.npy: X, one row a node (train, val, test), one column an input; or FOLDER: X made on disk within "
         "--memory, for graphs larger than memory; default: the cache only",
         {.named = true}},
        {"--rows",
         &rows,
         "FILE.npy: of each row of X its node, its class and its part (0 train, 1 val, 2 test)",
         {.named = true}}};
    const std::optional<Given> given =
        parse_options(line, joined({data_table(o), files, large_options(large)}), arguments);
    if (!given) return 0;
    require_one_split(o);
    const bool on_disk = large.plan || !large.shape.empty() || names_folder(large.out);
    refuse_mixture(*given, on_disk, large.out);
    if (on_disk) return large_command(o, large);
    for (const auto& [option, file] : {std::pair{"--out", &large.out}, std::pair{"--rows", &rows}})
        if (!file->empty() && !file->ends_with(".npy"))
            throw UsageError(fmt::format("{}: {}, expected a name ending in .npy", option, printable(*file)));
    const auto place = [](const std::string& file) {
        return std::filesystem::weakly_canonical(std::filesystem::absolute(file));
    };
    if (!rows.empty() && !large.out.empty() && place(rows) == place(large.out))
        throw UsageError(
            fmt::format("--rows: {}, the file of --out too, expected another one; name one for each", printable(rows)));
    const auto backend = make_backend(o.backend, [](const std::string& text) { put_note(text); });
    const Dataset dataset = or_advise_disk(o, [&] { return load_dataset(o.dataset, load_options(o)); });
    for (const std::string& text : dataset.notes) put_note(fmt::format("{}: {}", dataset.name, text));
    if (!rows.empty() && dataset.multi_label())
        throw UsageError("--rows: with several labels a node, expected one class a node; leave it out");
    const Split split = make_split(dataset, o.split, o.split_seed);
    const AugmentOptions options = augment_options(o);
    const auto began = std::chrono::steady_clock::now();
    const AugmentedNodes nodes = or_advise_disk(o, [&] {
        return augment_cached(*backend, dataset, split, options, augment_cache_folder(o),
                              [](const std::string& text) { put_note(text); });
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (!large.out.empty()) {
        const std::string prefix = prefix_of_X(StoredAs::working, nodes.nodes(), nodes.inputs);
        write_file_atomically(large.out, {std::as_bytes(std::span(prefix)), std::as_bytes(nodes.values())});
    }
    if (!rows.empty()) write_file_atomically(rows, rows_npy(split, nodes));
    put_result(fmt::format("{}: {} inputs of {} nodes ({}), {:.2f} s\n", dataset.name, nodes.inputs, nodes.nodes(),
                           to_string(options), seconds));
    return 0;
}

}  // namespace pdadmm
