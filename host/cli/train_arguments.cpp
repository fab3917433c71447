// Layers of the arguments of `pdadmm train` (host/cli/train_arguments.hpp).
#include "host/cli/train_arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "host/cli/commands.hpp"
#include "host/cli/config_file.hpp"
#include "host/cli/parse.hpp"
#include "host/cli/presets.hpp"
#include "host/console/printable.hpp"
#include "host/store/checkpoint_store.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

TrainArguments parse_once(const std::vector<std::string>& arguments, std::vector<std::string>* known = nullptr,
                          int launched = 1) {
    TrainArguments parsed;
    parsed.options.ranks.launched = launched;
    CLI::App app("Train a GA-MLP by pdADMM-G, by pdADMM-G-Q with --quantize, or by backpropagation with --optimizer");
    describe(app, "pdadmm train", "pdadmm train --dataset cora --preset fast --seeds 5 --out runs/cora");
    declare_train_options(app, parsed.options);
    if (known)
        for (const CLI::Option* option : app.get_options()) known->push_back(option->get_name());
    parsed.help = !parse_arguments(app, arguments);
    parsed.resolved = resolved_options(app, parsed.options);
    for (const CLI::Option* option : app.get_options())
        if (option->count() > 0) parsed.given.push_back(option->get_name());
    return parsed;
}

void refuse_together(const TrainArguments& typed, const std::string& option,
                     std::initializer_list<const char*> others) {
    for (const char* other : others)
        if (typed.has(option) && typed.has(other))
            throw UsageError(fmt::format("{}: with {}, expected one of them; leave one out", other, option));
}

/// Refuses options that were typed or stand in a file but mean nothing to the optimizer; a preset has none of them.
void refuse_foreign(const TrainArguments& given) {
    const std::string& optimizer = given.options.optimizer;
    if (const std::string option = foreign_option(optimizer, given.given); !option.empty())
        throw UsageError(fmt::format("{}: with --optimizer {}, expected {}; leave it out", option, optimizer,
                                     optimizer == "admm" ? "gd, adadelta, adagrad or adam" : "admm"));
}

/// Adds to a run's configuration the options that it does not record because they came later.
void add_later_options(const std::string& optimizer, std::vector<std::string>& layered) {
    for (const auto& [name, value] : later_options()) {
        const std::string option = "--" + name;
        const bool recorded = std::any_of(layered.begin(), layered.end(),
                                          [&](const std::string& token) { return token.starts_with(option + "="); });
        if (!recorded && foreign_option(optimizer, {option}).empty()) layered.push_back(option + "=" + value);
    }
}

/// --seed of a preset or file gives way to --seeds of the command line.
void drop_seed(std::vector<std::string>& layered) {
    std::erase_if(layered, [](const std::string& token) { return token.starts_with("--seed="); });
}

}  // namespace

TrainArguments parse_train(const std::vector<std::string>& arguments) {
    std::vector<std::string> known;
    TrainArguments typed = parse_once(arguments, &known);
    if (typed.help) return typed;
    for (const auto& [option, value] :
         {std::pair("--out", &typed.options.out), std::pair("--resume", &typed.options.resume),
          std::pair("--config", &typed.options.config)})
        if (typed.has(option) && value->empty())
            throw UsageError(fmt::format("{}: nothing, expected a path; see pdadmm train --help", option));
    refuse_together(typed, "--seeds", {"--seed"});
    refuse_together(typed, "--resume", {"--out", "--config", "--preset", "--overwrite"});
    std::vector<std::string> layered;
    const TrainOptions& o = typed.options;
    if (!o.resume.empty()) {
        const std::string config = (fs::path(resume_source(o.resume).run_folder) / "config.toml").string();
        std::error_code ignored;
        if (!fs::exists(config, ignored))
            throw UsageError(fmt::format(
                "--resume: {}: no run of pdadmm train, expected a folder with config.toml; name the --out of a run",
                printable_path(o.resume)));
        layered = config_arguments(read_config_file(config), config, known);
        const TrainOptions kept = parse_once(layered).options;
        add_later_options(kept.optimizer, layered);
        if (typed.has("--seed") || typed.has("--seeds")) {
            if (chosen_seeds(kept) != chosen_seeds(o))
                throw DataError(
                    fmt::format("{}: run has seeds={}, this command {}, expected the same; resume without that option",
                                printable_path(o.resume), kept.seed.empty() ? kept.seeds : kept.seed,
                                o.seed.empty() ? o.seeds : o.seed));
            drop_seed(layered);
        }
    } else {
        if (!o.config.empty()) {
            layered = config_arguments(read_config_file(o.config), o.config, known);
            refuse_together(parse_once(layered), "--seeds", {"--seed"});
        }
        if (typed.has("--seeds")) drop_seed(layered);
        std::vector<std::string> both = layered;
        both.insert(both.end(), arguments.begin(), arguments.end());
        const TrainArguments wanted = parse_once(both);
        refuse_foreign(wanted);
        const TrainOptions& t = wanted.options;
        const auto preset = preset_arguments(t.preset, {t.optimizer, t.dataset, t.split, t.hidden});
        layered.insert(layered.begin(), preset.begin(), preset.end());
    }
    layered.insert(layered.end(), arguments.begin(), arguments.end());
    const RankChoice ranks = parse_once(layered).options.ranks;
    TrainArguments parsed =
        parse_once(layered, nullptr, launch_from_environment(current_environment(), ranks.rendezvous).size);
    refuse_foreign(parsed);
    if (parsed.options.overwrite && parsed.options.out.empty())
        throw UsageError("--overwrite: without --out, expected the folder to overwrite; add --out DIR");
    return parsed;
}

std::string config_toml(const TrainArguments& parsed, const std::vector<std::uint64_t>& seeds) {
    std::string text = "# written by " + version_line() + "; use it with: pdadmm train --config FILE\n";
    for (const auto& [name, value] : parsed.resolved) text += config_line(name, value);
    text += seeds.size() == 1 ? config_line("seed", std::to_string(seeds[0]))
                              : config_line("seeds", fmt::format("{}", fmt::join(seeds, ",")));
    text += config_line("checkpoint-every", std::to_string(parsed.options.checkpoint_every));
    return text;
}

}  // namespace pdadmm
