// Options of a search (host/cli/tune_options.hpp).
#include "host/cli/tune_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>

#include "host/cli/config_file.hpp"
#include "host/cli/option_table.hpp"
#include "host/cli/owners.hpp"
#include "host/console/printable.hpp"
#include "host/registry/run_registry.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

/// Options of train without a meaning here: trials are on one rank each, and their folders are the search's.
constexpr std::array of_train_alone{"--overwrite",     "--trace",           "--trace-iterations", "--ranks",
                                    "--grid",          "--placement",       "--devices",          "--transport",
                                    "--rendezvous",    "--peer-timeout",    "--check-replicas",   "--parallel",
                                    "--micro-batches", "--checkpoint-every"};
/// How a search is carried out; a search that goes on may have others.
constexpr std::array of_this_command{"--jobs", "--threads", "--quiet", "--json", "--blas", "--registry"};

template <typename List>
bool among(const List& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

const Command& tune_line() {
    static const Command line{
        "pdadmm tune",
        "Search settings by the validation nodes under limits; options of pdadmm train that are given are fixed, and "
        "the others are searched or come from its --preset or --config",
        "pdadmm tune --dataset cora --trials 30 --out runs/tuned"};
    return line;
}

std::vector<std::string> long_names(const Options& options) {
    std::vector<std::string> names;
    for (const Option& option : options) names.push_back(option.long_name());
    return names;
}

/// Own options, and below them those of train that are left.
Options whole_table(TuneOptions& tune, TrainOptions& train) {
    Options all = tune_table(tune);
    const std::vector<std::string> own = long_names(all);
    for (Option& option : train_table(train))
        if (!among(own, option.long_name()) && !among(of_train_alone, option.long_name()))
            all.push_back(std::move(option));
    return all;
}

std::vector<std::string> words_of_search(const std::string& folder) {
    const std::string file = (fs::path(folder) / tune_file).string();
    std::error_code ignored;
    if (!fs::exists(file, ignored))
        throw UsageError(
            fmt::format("--resume: {}: no search, expected a folder with {}; name the --out of pdadmm tune",
                        printable_path(folder), tune_file));
    TuneOptions tune;
    TrainOptions train;
    return config_arguments(read_config_file(file), file, long_names(whole_table(tune, train)));
}

double limit(double typed) { return typed > 0 ? typed : std::numeric_limits<double>::infinity(); }

}  // namespace

Limits TuneArguments::limits() const {
    return {limit(options.max_seconds), limit(options.max_bytes), limit(options.max_memory),
            limit(options.max_parameters), limit(options.max_flops)};
}

std::string TuneArguments::registry() const {
    const std::string& typed = base.options.registry;
    return typed.empty() ? registry_beside(folder).string() : typed;
}

Options tune_table(TuneOptions& o) {
    return {
        {"--method",
         &o.method,
         "admm: numbers by a surrogate and choices by sampling, in turns, with slacks for limits; halving: many trials "
         "begin, the best go on; random: all are trained whole; tpe: by Optuna, where python3 has it",
         {.choices = {"admm", "halving", "random", "tpe"}}},
        {"--trials",
         &o.trials,
         "whole trainings that the search may cost, the first one being that of the preset; halving shares their "
         "epochs among more trials",
         {.range = Range{1, 100000}}},
        {"--search", &o.search,
         "what to search, separated by blanks: names of options, with ranges or choices of your own, as in "
         "\"rho=1e-4:10 hops=2:16 augment=gcn|row layers\"; default: all that the method trains by"},
        {"--max-seconds",
         &o.max_seconds,
         "most seconds of training a trial; 0: any. A clock decides, so two searches may differ",
         {.range = from_zero}},
        {"--max-bytes",
         &o.max_bytes,
         "most bytes that an iteration sends over a border between layers; 0: any",
         {.range = from_zero}},
        {"--max-memory",
         &o.max_memory,
         "most bytes of memory of a training, augmented features among them; 0: any",
         {.range = from_zero}},
        {"--max-parameters", &o.max_parameters, "most weights and biases; 0: any", {.range = from_zero}},
        {"--max-flops",
         &o.max_flops,
         "most flops of a training, by count: products and factorisations of all its epochs; 0: any",
         {.range = from_zero}},
        {"--round",
         &o.round,
         "proposals between two looks at outcomes; whatever --jobs is, the same ones are made",
         {.range = Range{1, 1000}}},
        {"--jobs", &o.jobs, "trials at the same time, each with its share of --threads", {.range = Range{1, 256}}},
        {"--seed",
         &o.seed,
         "seed of the proposals and of every trial's first weights",
         {.range = Range{0, 4294967295.0}, .whole = true}},
        {"--seeds", &o.seeds, "train the winner again with these seeds, as pdadmm train has them"},
        {"--out,-o", &o.out, "folder of the search: a run folder a trial, trials.jsonl, winner.toml, report.html"},
        {"--resume", &o.resume, "folder of a search to go on with", {.in_files = false}},
        {"--quiet,-q", &o.quiet, "print the winner only"},
        {"--json", &o.json, "print the winner as JSON"}};
}

std::optional<TuneArguments> parse_tune(const std::vector<std::string>& arguments) {
    TuneArguments all;
    TuneOptions& tune = all.options;
    const auto asked = [&](const char* word) { return among(arguments, word); };
    if (asked("--help") || asked("-h") || asked("--help-markdown")) {
        parse_options(tune_line(), tune_table(tune), arguments);
        return std::nullopt;
    }
    TrainOptions train;
    Given given = *parse_options(tune_line(), whole_table(tune, train), arguments);
    all.resumes = given.contains("--resume");
    if (all.resumes) {
        for (const auto& [name, text] : given)
            if (name != "--resume" && !among(of_this_command, name))
                throw UsageError(
                    fmt::format("{}: with --resume, expected what the search began with; leave it out", name));
        std::vector<std::string> words = words_of_search(tune.resume);
        words.insert(words.end(), arguments.begin(), arguments.end());
        given = *parse_options(tune_line(), whole_table(tune, train), words);
    }
    all.folder = all.resumes ? tune.resume : tune.out;
    if (all.folder.empty())
        throw UsageError(fmt::format("{}: nothing, expected the folder of the search; see pdadmm tune --help",
                                     all.resumes ? "--resume" : "--out"));
    std::vector<std::string> words;
    const std::vector<std::string> own = long_names(tune_table(tune));
    for (const Option& option : whole_table(tune, train)) {
        const std::string name = option.long_name();
        if (!given.contains(name)) continue;
        if (!among(of_this_command, name) && name != "--out" && name != "--resume")
            all.file += config_line(option.key(), given[name]);
        if (among(own, name) || name == "--registry") continue;
        words.push_back(name + "=" + given[name]);
        all.fixed.push_back(name);
    }
    words.push_back("--seed=" + tune.seed);
    all.base = *parse_train(train_line(), words);
    require_one_split(all.base.options);
    require_no_owners(all.base.options, "tune");
    all.base.options.ranks.grid.clear();  // of a configuration file: each trial is on one rank
    if (given.contains("--registry")) all.base.options.registry = train.registry;  // train alone wants --out beside it
    if (all.base.launch.size > 1)
        throw UsageError(fmt::format("tune: {} processes, expected one; use --jobs for trials at the same time",
                                     all.base.launch.size));
    all.seed = chosen_seeds(all.base.options).front();
    return all;
}

}  // namespace pdadmm
