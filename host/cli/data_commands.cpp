// pdadmm info.
#include <fmt/format.h>

#include <algorithm>

#include "host/cli/commands.hpp"
#include "host/cli/option_table.hpp"
#include "host/cli/parse.hpp"
#include "host/cli/train_options.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/data/dataset_reader.hpp"
#include "host/data/split.hpp"
#include "host/transport/mpi.hpp"
#include "host/transport/nccl.hpp"
#include "pdadmm/error.hpp"

#ifndef PDADMM_VERSION
#error "the build defines PDADMM_VERSION"
#endif

namespace pdadmm {
namespace {

/// "" where a node has one class.
std::string several_labels(const Dataset& d) {
    if (!d.multi_label()) return "";
    const auto known = std::count_if(d.labels.begin(), d.labels.end(), [](std::int32_t label) { return label >= 0; });
    const auto all = std::count(d.targets.begin(), d.targets.end(), 1);
    return fmt::format("; several labels a node, {:.2f} on average",
                       static_cast<double>(all) / static_cast<double>(std::max<std::ptrdiff_t>(1, known)));
}

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
    put_result(fmt::format("classes          {}{}\n", d.classes, several_labels(d)));
    for (const std::string& text : d.notes) put_result(fmt::format("note             {}\n", text));
    const bool splits = d.classes >= 2;  // else fit for pdadmm predict
    put_result(fmt::format("split            {}\n",
                           splits ? described(make_split(d, o.split, o.split_seed)) : std::string("none")));
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

}  // namespace

std::string version_line() {
    return fmt::format("pdadmm {} ({}, {})", PDADMM_VERSION, sizeof(real) == 4 ? "fp32" : "fp64", PDADMM_COMPILER);
}

int info_command(const std::vector<std::string>& arguments) {
    TrainOptions o;
    std::string dataset;
    const Command line{"pdadmm info", "Facts about a data set, or about this program when none is named",
                       "pdadmm info --dataset photo"};
    const Options options{{"--dataset,-d", &dataset, "as in pdadmm train", {.named = true}},
                          {"--split", &o.split, "as in pdadmm train"},
                          {"--split-seed", &o.split_seed, "seed of a random split", {.range = from_zero}},
                          {"--split-index", &o.split_index, "which of several splits that the file holds"},
                          {"--unlabelled", &o.unlabelled, "as in pdadmm train"}};
    const std::optional<Given> given = parse_options(line, options, arguments);
    if (!given) return 0;
    require_one_split(o);
    dataset.empty() ? print_program() : print_graph(load_dataset(dataset, load_options(o)), o);
    return 0;
}

}  // namespace pdadmm
