// pdadmm augment and pdadmm info.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "host/cli/commands.hpp"
#include "host/cli/option_table.hpp"
#include "host/cli/parse.hpp"
#include "host/cli/train_options.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/augmentation.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"
#include "host/transport/mpi.hpp"
#include "host/transport/nccl.hpp"
#include "pdadmm/error.hpp"

#ifndef PDADMM_VERSION
#error "the build defines PDADMM_VERSION"
#endif

namespace pdadmm {
namespace {

void print_graph(const Dataset& d, const TrainOptions& o) {
    const GraphFacts& f = d.facts;
    put_result(fmt::format("data set         {}\n", d.name));
    put_result(fmt::format("nodes            {} ({} without neighbours)\n", d.nodes, f.isolated));
    put_result(fmt::format("edges            {} stored; {} duplicate, {} self loops, {}\n", f.stored_entries,
                           f.duplicates, f.self_loops, f.symmetric ? "symmetric" : "not symmetric"));
    const Csr a = propagation_operator(d.adjacency, {Norm::none, SelfLoops::none, false});
    put_result(fmt::format("                 {} directed edges after symmetrising, self loops left out\n", a.nnz()));
    put_result(
        fmt::format("features         {} ({})\n", d.features.count,
                    d.features.is_sparse() ? fmt::format("sparse, {} stored", d.features.sparse.nnz()) : "dense"));
    put_result(fmt::format("classes          {}\n", d.classes));
    for (const std::string& text : d.notes) put_result(fmt::format("note             {}\n", text));
    if (d.classes < 2) {  // fit for pdadmm predict
        put_result("split            none\n");
        put_result(fmt::format("digest           {}\n", dataset_digest(d)));
        return;
    }
    const Split split = make_split(d, o.split, o.split_seed);
    put_result(fmt::format("split            {}\n", described(split)));
    put_result(fmt::format("digest           {}\n", dataset_digest(d)));
}

void print_program() {
    put_result(fmt::format("{}\n", version_line()));
    for (const char* name : {"cpu", "cuda"}) {
        try {
            put_result(fmt::format("backend {:<8} {}\n", name, make_backend(name, {})->description()));
        } catch (const Error& error) {
            put_result(fmt::format("backend {:<8} {}\n", name, error.what()));
        }
    }
    put_result(fmt::format("transports       local{}{}\n", mpi_built() ? ", mpi" : "", nccl_built() ? ", nccl" : ""));
    put_result(fmt::format("data sets        {}\n", fmt::join(dataset_names(), ", ")));
    for (const std::string& name : dataset_names()) {
        try {
            put_result(fmt::format("  {:<14} {}\n", name, printable_path(find_dataset(name))));
        } catch (const DataError&) {
            put_result(fmt::format("  {:<14} not here; get it with: python3 data/prepare.py {}\n", name, name));
        }
    }
}

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

void require_one_split(const TrainOptions& o) {
    if (every_split(o)) throw UsageError("--split-index: all, expected the number of one split; only train takes all");
}

}  // namespace

std::string version_line() {
    return fmt::format("pdadmm {} ({}, {})", PDADMM_VERSION, sizeof(real) == 4 ? "fp32" : "fp64", PDADMM_COMPILER);
}

int augment_command(const std::vector<std::string>& arguments) {
    TrainOptions o;
    std::string out, rows;
    const Command line{
        "pdadmm augment",
        "Compute the augmented features of the nodes of a split, and keep them for later runs or write them",
        "pdadmm augment --dataset physics --hops 5 --out physics-x.npy"};
    const Options files{
        {"--out,-o", &out,
         "FILE.npy: X, one row a node (train, val, test), one column an input; default: the cache only"},
        {"--rows", &rows, "FILE.npy: of each row of X its node, its class and its part (0 train, 1 val, 2 test)"}};
    if (!parse_options(line, joined({data_table(o), files}), arguments)) return 0;
    for (const auto& [option, file] : {std::pair{"--out", &out}, std::pair{"--rows", &rows}})
        if (!file->empty() && !file->ends_with(".npy"))
            throw UsageError(fmt::format("{}: {}, expected a name ending in .npy", option, printable(*file)));
    require_one_split(o);
    const auto backend = make_backend(o.backend, [](const std::string& text) { put_note(text); });
    const Dataset dataset = load_dataset(o.dataset, load_options(o));
    for (const std::string& text : dataset.notes) put_note(fmt::format("{}: {}", dataset.name, text));
    const Split split = make_split(dataset, o.split, o.split_seed);
    const AugmentOptions options = augment_options(o);
    const auto began = std::chrono::steady_clock::now();
    const AugmentedNodes nodes = augment_cached(*backend, dataset, split, options, augment_cache_folder(o),
                                                [](const std::string& text) { put_note(text); });
    if (!out.empty())
        write_file_atomically(out, format_npy(std::span<const real>(nodes.X), {nodes.nodes(), nodes.inputs}));
    if (!rows.empty()) write_file_atomically(rows, rows_npy(split, nodes));
    put_result(fmt::format("{}: {} inputs of {} nodes ({}), {:.2f} s\n", dataset.name, nodes.inputs, nodes.nodes(),
                           to_string(options),
                           std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count()));
    return 0;
}

int info_command(const std::vector<std::string>& arguments) {
    TrainOptions o;
    std::string dataset;
    const Command line{"pdadmm info", "Facts about a data set, or about this program when none is named",
                       "pdadmm info --dataset photo"};
    const Options options{{"--dataset,-d", &dataset, "as in pdadmm train"},
                          {"--split", &o.split, "as in pdadmm train"},
                          {"--split-seed", &o.split_seed, "seed of a random split", {.range = from_zero}},
                          {"--split-index", &o.split_index, "which of several splits that the file holds"},
                          {"--unlabelled", &o.unlabelled, "as in pdadmm train"}};
    if (!parse_options(line, options, arguments)) return 0;
    require_one_split(o);
    dataset.empty() ? print_program() : print_graph(load_dataset(dataset, load_options(o)), o);
    return 0;
}

}  // namespace pdadmm
