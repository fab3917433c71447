// Markdown of the options (host/cli/options_page.hpp).
#include "host/cli/options_page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "host/cli/option_table.hpp"
#include "host/cli/presets.hpp"
#include "host/cli/train_arguments.hpp"
#include "host/data/dataset_reader.hpp"

namespace pdadmm {
namespace {

/// Text in a cell of a table.
std::string cell(const std::string& text) {
    std::string escaped;
    for (const char c : text) {
        if (c == '|') escaped += '\\';
        escaped += c;
    }
    return escaped;
}
std::string code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

std::string range_words(const Range& range) {
    if (std::isinf(range.most)) return fmt::format("{} {}", range.open ? "above" : "from", range.least);
    return fmt::format("from {} to {}", range.least, range.most);
}

struct KindName {
    const char *one, *several;
};
KindName kind_of(const Option& option) {
    const bool text = std::holds_alternative<std::string*>(option.value);
    if (option.is_flag()) return {"flag", ""};
    if (text && !option.rules.range) return {"text", "texts"};
    if ((text && !option.rules.whole) || std::holds_alternative<double*>(option.value)) return {"number", "numbers"};
    return {"whole number", "whole numbers"};
}

/// "`sym`, `row`, `none`", "whole number from 1 to 64", "numbers from 0 to 1e+30".
std::string values_of(const Option& option) {
    const OptionRules& rules = option.rules;
    const std::string several = rules.list ? "list of " : "";
    if (!rules.choices.empty()) return fmt::format("{}`{}`", several, fmt::join(rules.choices, "`, `"));
    const auto [one, many] = kind_of(option);
    return fmt::format("{}{}{}", several, rules.list ? many : one,
                       rules.range ? fmt::format(" {}", range_words(*rules.range)) : "");
}

const char* identity_words(Identity identity) {
    switch (identity) {
        case Identity::part:
            return "yes";
        case Identity::extends:
            return "yes, `--resume` may change it";
        case Identity::of_workers:
            return "with `--parallel elastic` or `leader`";
        case Identity::of_pipeline:
            return "with `--parallel pipeline`";
        case Identity::seed:
            return "yes, of each seed's run";
        case Identity::kept:
            return "no, but kept for `--resume`";
        case Identity::none:
            return "no";
    }
    return "";
}

const char* method_words(Method method) {
    return method == Method::any ? "all" : method == Method::admm ? "`admm`" : "not `admm`";
}

/// Only `pdadmm train` makes runs, which have an identity and a method.
bool makes_runs(const Options& options) {
    return std::any_of(options.begin(), options.end(),
                       [](const Option& option) { return option.rules.identity == Identity::seed; });
}

std::string row_of(const Option& option, bool of_run) {
    std::string name = code(option.long_name());
    if (const std::size_t comma = option.name.find(','); comma != std::string::npos)
        name += fmt::format(" `{}`", option.name.substr(comma + 1));
    const std::string otherwise = option.rules.required ? "required"
                                  : option.is_flag()    ? ""
                                                        : code(text_of(option.value));
    std::string row = fmt::format("| {} | {} | {} |", name, values_of(option), otherwise);
    if (of_run)
        row += fmt::format(" {} | {} |", method_words(option.rules.method), identity_words(option.rules.identity));
    const std::string before =
        *option.rules.before == 0 ? "" : fmt::format("; runs from before it: `{}`", option.rules.before);
    return row + fmt::format(" {}{} |\n", cell(option.help), before);
}

/// Options without a headline first, then in the order of each group's last option.
std::vector<std::string> groups_of(const Options& options) {
    std::vector<std::string> groups;
    for (const Option& option : options) {
        std::erase(groups, option.group);
        groups.insert(option.group.empty() ? groups.begin() : groups.end(), option.group);
    }
    return groups;
}

/// A table a headline.
std::string tables_of(const Options& options, bool of_run) {
    std::string text;
    for (const std::string& group : groups_of(options)) {
        if (!group.empty()) text += fmt::format("### {}\n\n", group);
        text += of_run ? "| option | value | default | optimizer | identity | meaning |\n|---|---|---|---|---|---|\n"
                       : "| option | value | default | meaning |\n|---|---|---|---|\n";
        for (const Option& option : options)
            if (option.group == group) text += row_of(option, of_run);
        text += "\n";
    }
    return text;
}

/// Those that `pdadmm train` does not have.
Options beside_train(const Options& options) {
    TrainOptions defaults;
    const Options table = train_table(defaults);
    Options own;
    for (const Option& option : options)
        if (std::none_of(table.begin(), table.end(), [&](const Option& of) { return of.name == option.name; }))
            own.push_back(option);
    return own;
}

/// What the settings of a data set may depend on beside its name; the first is usual.
struct Variant {
    std::string words, split;
    int hidden;
};
const std::array variants{Variant{"", "auto", TrainOptions().hidden},
                          Variant{fmt::format(", `--hidden {}`", wide_hidden), "auto", wide_hidden},
                          Variant{", a split like `random:60%/20%/20%`", "random:60%/20%/20%", TrainOptions().hidden}};

/// What a preset makes of every option, in the order of the table: the text that it gives, or the default.
struct Settings {
    std::vector<std::string> texts;
    std::vector<bool> given;

    bool operator==(const Settings&) const = default;
};
/// Those of one data set, in each variant.
using Profile = std::array<Settings, variants.size()>;

Settings settings_of(const std::string& preset, const PresetSubject& subject) {
    TrainOptions options;
    const Options table = train_table(options);
    const Given given = parse_options(train_line(), table, preset_arguments(preset, subject)).value_or(Given{});
    Settings settings;
    for (const Option& option : table) {
        const auto found = given.find(option.long_name());
        settings.given.push_back(found != given.end());
        settings.texts.push_back(found != given.end() ? found->second : text_of(option.value));
    }
    return settings;
}

Profile profile_of(const std::string& preset, const std::string& optimizer, const std::string& dataset) {
    Profile profile;
    for (std::size_t i = 0; i < variants.size(); ++i)
        profile[i] = settings_of(preset, {optimizer, dataset, variants[i].split, variants[i].hidden});
    return profile;
}

/// As typed: what `settings` gives, or only what it has other than `usual`.
std::string words_of(const Settings& settings, const Settings* usual) {
    TrainOptions options;
    const Options table = train_table(options);
    std::vector<std::string> words;
    for (std::size_t i = 0; i < table.size(); ++i)
        if (usual ? settings.texts[i] != usual->texts[i] : settings.given[i])
            words.push_back(table[i].is_flag() && settings.texts[i] == "true"
                                ? table[i].long_name()
                                : fmt::format("{} {}", table[i].long_name(), settings.texts[i]));
    return fmt::format("{}", fmt::join(words, " "));
}

/// Rows of subjects and what is theirs alone; those with the same share one.
class PresetRows {
public:
    void put(const std::string& subject, const std::string& words) {
        const auto same =
            std::find_if(rows_.begin(), rows_.end(), [&](const auto& row) { return row.second == words; });
        if (same == rows_.end())
            rows_.emplace_back(subject, words);
        else
            same->first += "; " + subject;
    }
    std::string text() const {
        std::string text = rows_.empty() ? "" : "| data set | other settings |\n|---|---|\n";
        for (const auto& [subject, words] : rows_)
            text += fmt::format("| {} | {} |\n", subject, words.empty() ? "none" : code(words));
        return text.empty() ? "" : text + "\n";
    }

private:
    std::vector<std::pair<std::string, std::string>> rows_;
};

std::string preset_text(const std::string& preset, const std::string& optimizer) {
    const Profile any = profile_of(preset, optimizer, "");
    PresetRows rows;
    for (const std::string& dataset : dataset_names()) {
        const Profile own = profile_of(preset, optimizer, dataset);
        if (own == any) continue;
        for (std::size_t i = 0; i < variants.size(); ++i)
            if (i == 0 || own[i] != own[0]) rows.put(code(dataset) + variants[i].words, words_of(own[i], &any[0]));
    }
    for (std::size_t i = 1; i < variants.size(); ++i)
        if (any[i] != any[0]) rows.put(fmt::format("any other{}", variants[i].words), words_of(any[i], &any[0]));
    const std::string general = words_of(any[0], nullptr);
    return fmt::format("`--preset {} --optimizer {}`: {}\n\n", preset, optimizer,
                       general.empty() ? "nothing" : code(general)) +
           rows.text();
}

}  // namespace

std::string options_page_head() {
    return "# Options of pdadmm\n"
           "\n"
           "Written by `pdadmm help options` from the tables that the program itself works with "
           "([option_table.cpp](option_table.cpp)); a test compares. `pdadmm COMMAND --help` shows the same in a "
           "terminal.\n"
           "\n"
           "Of several values for an option of `pdadmm train` the command line's counts, then that of the file of "
           "`--config`, then the preset's, then the default. The key in such a file is the long name without its "
           "dashes: "
           "`weight-decay = 0.1`.\n"
           "\n";
}

std::string options_section(const Command& command, const Options& options) {
    std::string text = fmt::format("## {}\n\n{}.\n\n    {}\n\n", command.name, command.about, command.example);
    if (!command.options_of.empty()) {
        const Options own = beside_train(options);
        text +=
            fmt::format("Its options are those of `{}`{}.\n\n", command.options_of, own.empty() ? "" : ", and these");
        if (own.empty()) return text;
        return text + tables_of(own, false);
    }
    const bool of_run = makes_runs(options);
    if (of_run)
        text +=
            "\"Optimizer\": the values of `--optimizer` that the option means something to; the others refuse it. "
            "\"Identity\": whether the run's `config.json` and `config.toml` record it and `--resume` insists on "
            "it.\n\n";
    return text + tables_of(options, of_run);
}

std::string presets_section() {
    TrainOptions defaults;
    const Options table = train_table(defaults);
    std::string text = "### What presets set\n\nFor any data set, and in the tables what differs for some.\n\n";
    for (const std::string& preset : preset_names())
        for (const std::string& optimizer : record(table, "--optimizer").rules.choices)
            text += preset_text(preset, optimizer);
    return text;
}

}  // namespace pdadmm
