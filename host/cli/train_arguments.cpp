// Layers of the arguments of `pdadmm train` (host/cli/train_arguments.hpp).
#include "host/cli/train_arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "host/cli/commands.hpp"
#include "host/cli/config_file.hpp"
#include "host/cli/option_table.hpp"
#include "host/cli/option_text.hpp"
#include "host/cli/owners.hpp"
#include "host/cli/presets.hpp"
#include "host/console/printable.hpp"
#include "host/data/augmented_folder.hpp"
#include "host/store/checkpoint_store.hpp"
#include "host/store/run_directory.hpp"
#include "pdadmm/error.hpp"
#include "pdadmm/node_ranges.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

std::optional<GivenOptions> parse_layer(const Command& command, const std::vector<std::string>& words,
                                        const Options& own = {}) {
    GivenOptions layer;
    std::optional<Given> given = parse_options(command, joined({train_table(layer.options), own}), words);
    if (!given) return std::nullopt;
    layer.given = std::move(*given);
    return layer;
}

/// A layer that is no command line, and cannot ask for help.
GivenOptions parse_words(const std::vector<std::string>& words) {
    return parse_layer(train_line(), words).value_or(GivenOptions{});
}

GivenOptions parse_file(const std::string& path) {
    TrainOptions defaults;
    std::vector<std::string> known;
    for (const Option& option : train_table(defaults))
        if (option.rules.in_files) known.push_back(option.long_name());
    return parse_words(config_arguments(read_config_file(path), path, known));
}

/// `below` with what `above` gives in its place.
GivenOptions layered(GivenOptions below, GivenOptions above) {
    const Options to = train_table(below.options), from = train_table(above.options);
    for (std::size_t i = 0; i < to.size(); ++i)
        if (above.has(from[i].long_name())) assign(to[i].value, from[i].value);
    for (const auto& [name, text] : above.given) below.given[name] = text;
    return below;
}

/// --seed of a preset or file gives way to --seeds of the command line.
void drop_seed(GivenOptions& layer) {
    layer.options.seed.clear();
    layer.given.erase("--seed");
}

void refuse_together(const GivenOptions& typed, const std::string& option, std::initializer_list<const char*> others) {
    for (const char* other : others)
        if (typed.has(option) && typed.has(other))
            throw UsageError(fmt::format("{}: with {}, expected one of them; leave one out", other, option));
}

bool means_something(const Option& option, const std::string& optimizer) {
    return option.rules.method == Method::any || (option.rules.method == Method::admm) == (optimizer == "admm");
}

/// Refuses options that were typed or stand in a file but mean nothing to the optimizer; a preset has none of them.
void refuse_foreign(GivenOptions given) {
    const std::string optimizer = given.options.optimizer;
    for (const Option& option : train_table(given.options))
        if (given.has(option.long_name()) && !means_something(option, optimizer))
            throw UsageError(fmt::format("{}: with --optimizer {}, expected {}; leave it out", option.long_name(),
                                         optimizer,
                                         optimizer == "admm" ? "one of backpropagation, such as adam" : "admm"));
}

/// An option that means something only where another one has one of these values.
struct Condition {
    const char *option, *of;
    std::vector<std::string> values;
};

const std::vector<Condition>& conditions() {
    static const std::vector<std::string> quantised{"p", "pq"}, workers{"elastic", "leader"},
        gradients{"pipeline", "data"};
    static const std::vector<Condition> all{{"--bits", "--quantize", quantised},
                                            {"--scale", "--quantize", quantised},
                                            {"--codec", "--quantize", quantised},
                                            {"--levels", "--quantize", quantised},
                                            {"--momentum", "--optimizer", {"momentum", "nesterov"}},
                                            {"--grid", "--parallel", gradients},
                                            {"--node-ranges", "--parallel", gradients},
                                            {"--exchange-every", "--parallel", workers},
                                            {"--pull", "--parallel", workers},
                                            {"--exchange-all-every", "--parallel", {"leader"}},
                                            {"--groups", "--parallel", {"leader"}}};
    return all;
}

/// Refuses typed options that would change nothing beside the others; files may have them, since config.toml has all.
void refuse_idle(const GivenOptions& typed, TrainOptions o) {
    const Options table = train_table(o);
    for (const Condition& c : conditions()) {
        const std::string value = text_of(record(table, c.of).value);
        if (typed.has(c.option) && std::find(c.values.begin(), c.values.end(), value) == c.values.end())
            throw UsageError(fmt::format("{}: with {} {}, expected {} {}; add it or leave {} out", c.option, c.of,
                                         value, c.of, fmt::join(c.values, " or "), c.option));
    }
    if (!typed.has("--grow")) return;
    for (const double layers : number_list("--grow", o.grow, 2, 100000))
        if (layers > o.layers)
            throw UsageError(fmt::format("--grow: {} layers, expected at most the {} of --layers; give more --layers",
                                         layers, o.layers));
}

/// Options that a run's configuration may lack because they came later.
GivenOptions later_layer(const std::string& optimizer) {
    TrainOptions defaults;
    std::vector<std::string> words;
    for (const Option& option : train_table(defaults))
        if (*option.rules.before != 0 && means_something(option, optimizer))
            words.push_back(option.long_name() + "=" + option.rules.before);
    return parse_words(words);
}

/// config.toml of the run in a folder; on the machine of an owner whose part of it alone is there, that of the part.
std::string config_of_run(const fs::path& folder) {
    std::error_code ignored;
    std::string found = (folder / "config.toml").string();
    if (fs::exists(found, ignored)) return found;
    for (int owner = 2; owner <= NodeRanges::most; ++owner)
        if (const fs::path of_owner = folder / RunDirectory::owner_name(owner) / "config.toml";
            fs::exists(of_owner, ignored))
            return of_owner.string();
    return found;
}

/// The configuration of the run that --resume names.
GivenOptions options_of_run(const GivenOptions& typed) {
    const TrainOptions& o = typed.options;
    const std::string config = config_of_run(resume_source(o.resume).run_folder);
    std::error_code ignored;
    if (!fs::exists(config, ignored))
        throw UsageError(
            fmt::format("--resume: {}: no run of pdadmm train, expected a folder with config.toml; name the --out of a "
                        "run",
                        printable_path(o.resume)));
    GivenOptions kept = parse_file(config);
    if (typed.has("--seed") || typed.has("--seeds")) {
        if (chosen_seeds(kept.options) != chosen_seeds(o))
            throw DataError(fmt::format(
                "{}: run has seeds={}, this command {}, expected the same; resume without that option",
                printable_path(o.resume), kept.options.seed.empty() ? kept.options.seeds : kept.options.seed,
                o.seed.empty() ? o.seeds : o.seed));
        drop_seed(kept);
    }
    GivenOptions later = later_layer(kept.options.optimizer);
    return layered(std::move(later), std::move(kept));
}

/// What X in an augmented folder was made with; nothing of other data sets.
GivenOptions options_of_folder(const std::string& dataset) {
    if (!is_augmented_folder(dataset)) return {};
    const std::vector<std::string> words = read_augmented_record(dataset).arguments;
    for (const std::string& word : words)
        if (const auto known = augment_option_names();
            std::find(known.begin(), known.end(), word.substr(0, word.find('='))) == known.end())
            throw DataError(fmt::format("{}: {}: option {}, expected {}; make it anew", printable_path(dataset),
                                        augmented_record_name, printable(word), fmt::join(known, ", ")));
    return parse_words(words);
}

/// Preset and configuration file of a new run.
GivenOptions options_below(const GivenOptions& typed) {
    GivenOptions file;
    if (!typed.options.config.empty()) {
        file = parse_file(typed.options.config);
        refuse_together(file, "--seeds", {"--seed"});
    }
    if (typed.has("--seeds")) drop_seed(file);
    const GivenOptions wanted = layered(file, typed);
    refuse_foreign(wanted);
    const TrainOptions& o = wanted.options;
    const std::string data = described_data(o);
    const PresetSubject subject{o.optimizer, data, o.split, o.hidden};
    return layered(layered(parse_words(preset_arguments(o.preset, subject)), options_of_folder(data)), std::move(file));
}

bool decides_result(const Option& option, const TrainOptions& o) {
    switch (option.rules.identity) {
        case Identity::part:
        case Identity::extends:
            return means_something(option, o.optimizer);
        case Identity::of_workers:
            return has_workers(o);  // each has weights of its own
        case Identity::of_pipeline:
            return means_something(option, o.optimizer) && o.parallel == "pipeline";
        default:
            return false;
    }
}

/// As typed where it was given; micro-batches and ranks as what they stand for.
OptionTexts identity_of(GivenOptions all) {
    const TrainOptions& o = all.options;
    OptionTexts identity;
    for (const Option& option : train_table(all.options)) {
        if (!decides_result(option, o)) continue;
        const std::string name = option.long_name();
        identity.emplace_back(option.key(), name == "--micro-batches" ? std::to_string(micro_batches(o))
                                            : name == "--ranks"       ? std::to_string(rank_count(o.ranks))
                                            : all.has(name)           ? all.given[name]
                                                                      : text_of(option.value));
    }
    return identity;
}

}  // namespace

const Command& train_line() {
    static const Command line{
        "pdadmm train",
        "Train a GA-MLP by pdADMM-G, by pdADMM-G-Q with --quantize, or by backpropagation with --optimizer",
        "pdadmm train --dataset cora --preset fast --seeds 5 --out runs/cora"};
    return line;
}

std::optional<TrainArguments> parse_train(const Command& command, const std::vector<std::string>& arguments,
                                          const Options& own) {
    const std::optional<GivenOptions> typed = parse_layer(command, arguments, own);
    if (!typed) return std::nullopt;
    refuse_together(*typed, "--seeds", {"--seed"});
    refuse_together(*typed, "--resume", {"--out", "--config", "--preset", "--overwrite"});
    TrainArguments all{
        layered(typed->options.resume.empty() ? options_below(*typed) : options_of_run(*typed), *typed), {}, {}};
    all.launch = launch_from_environment(current_environment(), all.options.ranks.rendezvous);
    all.options.ranks.launched = all.launch.size;
    settle_owners(all, typed->given);
    refuse_foreign(all);
    if (all.options.resume.empty()) refuse_idle(*typed, all.options);
    settle_grid(all.options);
    if (all.options.overwrite && all.options.out.empty())
        throw UsageError("--overwrite: without --out, expected the folder to overwrite; add --out DIR");
    if (typed->has("--registry") && all.options.registry != "off" && all.options.out.empty() &&
        all.options.resume.empty())
        throw UsageError("--registry: without --out, expected a run's folder, which it lists; add --out DIR");
    all.identity = identity_of(all);
    return all;
}

TrainArguments with_options(const TrainArguments& arguments, const OptionTexts& options) {
    std::vector<std::string> words;
    for (const auto& [key, value] : options) words.push_back(fmt::format("--{}={}", key, value));
    TrainArguments all{layered(arguments, parse_words(words)), {}, arguments.launch};
    all.identity = identity_of(all);
    return all;
}

std::string config_toml(const TrainArguments& arguments, const std::vector<std::uint64_t>& seeds) {
    std::string text = "# written by " + version_line() + "; use it with: pdadmm train --config FILE\n";
    for (const auto& [key, value] : arguments.identity) text += config_line(key, value);
    text += seeds.size() == 1 ? config_line("seed", std::to_string(seeds[0]))
                              : config_line("seeds", fmt::format("{}", fmt::join(seeds, ",")));
    TrainOptions o = arguments.options;
    for (const Option& option : train_table(o))
        if (const std::string value = text_of(option.value); option.rules.identity == Identity::kept && !value.empty())
            text += config_line(option.key(), value);
    return text;
}

OptionTexts agreed_options(TrainOptions o) {
    OptionTexts agreed;
    for (const Option& option : train_table(o))
        if (option.rules.agreed) agreed.emplace_back(option.key(), text_of(option.value));
    return agreed;
}

OptionTexts later_options() {
    TrainOptions defaults;
    OptionTexts later;
    for (const Option& option : train_table(defaults))
        if (*option.rules.before != 0) later.emplace_back(option.key(), option.rules.before);
    return later;
}

std::vector<std::string> extending_options(TrainOptions o) {
    std::vector<std::string> extending;
    for (const Option& option : train_table(o))
        if (option.rules.identity == Identity::extends && !(option.key() == "epochs" && o.rate_schedule == "cosine"))
            extending.push_back(option.key());
    return extending;
}

}  // namespace pdadmm
