// Options that are searched (host/cli/tune_space.hpp).
#include "host/cli/tune_space.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/cli/option_table.hpp"
#include "host/cli/option_text.hpp"
#include "host/cli/presets.hpp"
#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr double least_of_logarithms = 8;  // high over low, from which a range is searched by its logarithm

Dimension real_range(const char* name, double low, double high) {
    return {name, Dimension::Kind::number, low, high, true, {}};
}
Dimension whole_range(const char* name, double low, double high, bool logarithmic) {
    return {name, Dimension::Kind::whole, low, high, logarithmic, {}};
}
Dimension choice(const char* name, std::vector<std::string> choices) {
    return {name, Dimension::Kind::choice, 0, 1, false, std::move(choices)};
}

/// Of a first look at a graph; the presets lie within, but for their penalties by stage and absolute weight decay.
std::vector<Dimension> usual_space(bool admm) {
    std::vector<Dimension> space;
    if (admm)
        space = {choice("step", {"exact", "block"}),   choice("decay-to", {"zero", "identity"}),
                 real_range("rho", 1e-4, 10),          real_range("nu", 1e-4, 10),
                 real_range("weight-decay", 1e-3, 10), choice("bits", {"none", "8", "4", "2"})};
    else
        space = {real_range("learning-rate", 1e-4, 0.1),
                 real_range("weight-decay", 1e-6, 0.1),
                 {"dropout", Dimension::Kind::number, 0, 0.8, false, {}}};
    for (Dimension d : {whole_range("hops", 1, 16, true), choice("augment", {"gcn", "row", "gcn,high", "ppr:0.1"}),
                        choice("feature-norm", {"none", "row", "l2"}), whole_range("hidden", 16, 256, true),
                        whole_range("layers", 2, 10, false), choice("grow", {"", "2,5,10"})})
        space.push_back(std::move(d));
    return space;
}

bool contains(const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

/// The setting "bits" is two options: of no bits nothing is quantised.
bool is_typed(const TuneArguments& arguments, const std::string& key) {
    return contains(arguments.fixed, "--" + key) || (key == "bits" && contains(arguments.fixed, "--quantize"));
}

/// "rho=1e-4:10", "augment=gcn|row".
Dimension parsed(const std::string& entry, const Option& option) {
    const std::size_t equals = entry.find('=');
    const std::string name = entry.substr(0, equals), values = entry.substr(equals + 1);
    Dimension d{name, Dimension::Kind::choice, 0, 1, false, {}};
    const bool number_or_list = option.rules.choices.empty() && !option.is_flag();
    if (const std::size_t colon = values.find(':');
        number_or_list && colon != std::string::npos && values.find('|') == std::string::npos && name != "augment") {
        d.low = number("--search", values.substr(0, colon));
        d.high = number("--search", values.substr(colon + 1));
        d.kind = std::holds_alternative<int*>(option.value) || option.rules.whole ? Dimension::Kind::whole
                                                                                  : Dimension::Kind::number;
        d.logarithmic = d.low > 0 && d.high / d.low >= least_of_logarithms;
        return d;
    }
    for (std::size_t at = 0; at <= values.size();) {
        const std::size_t end = std::min(values.find('|', at), values.size());
        d.choices.push_back(values.substr(at, end - at));
        at = end + 1;
    }
    return d;
}

std::vector<Dimension> chosen_space(const TuneArguments& arguments) {
    TrainOptions defaults;
    const Options table = train_table(defaults);
    const std::vector<Dimension> usual = usual_space(arguments.base.options.optimizer == "admm");
    std::vector<Dimension> space;
    for (const std::string& entry : split_text(arguments.options.search, ' ')) {
        if (entry.empty()) continue;
        const std::string name = entry.substr(0, entry.find('='));
        const auto known = std::find_if(usual.begin(), usual.end(), [&](const Dimension& d) { return d.name == name; });
        const auto option = std::find_if(table.begin(), table.end(), [&](const Option& o) { return o.key() == name; });
        if (option == table.end() ||
            (option->rules.identity != Identity::part && option->rules.identity != Identity::extends) ||
            (entry == name && known == usual.end()))
            throw UsageError(
                fmt::format("--search: '{}', expected an option with its values, like rho=0.01:1, or one of {}",
                            printable(entry), [&] {
                                std::vector<std::string> names;
                                for (const Dimension& d : usual) names.push_back(d.name);
                                return fmt::format("{}", fmt::join(names, ", "));
                            }()));
        if (is_typed(arguments, name))
            throw UsageError(fmt::format("--search: {} with --{}, expected one of them; leave one out", name, name));
        space.push_back(entry == name ? *known : parsed(entry, *option));
    }
    return space;
}

bool searched(const Space& space, const std::string& name) {
    return std::any_of(space.dimensions().begin(), space.dimensions().end(),
                       [&](const Dimension& d) { return d.name == name; });
}

}  // namespace

Space search_space(const TuneArguments& arguments) {
    if (!arguments.options.search.empty()) return Space(chosen_space(arguments));
    std::vector<Dimension> space = usual_space(arguments.base.options.optimizer == "admm");
    std::erase_if(space, [&](const Dimension& d) { return is_typed(arguments, d.name); });
    return Space(std::move(space));
}

OptionTexts trial_options(const TuneArguments& arguments, const Space& space, const Settings& settings) {
    OptionTexts options;
    const auto unless_typed = [&](const std::string& key, const std::string& value) {
        if (!contains(arguments.fixed, "--" + key)) options.emplace_back(key, value);
    };
    for (const auto& [name, value] : settings)
        if (name == "step") {
            const std::vector<std::string> words = step_arguments(value);
            for (std::size_t i = 0; i + 1 < words.size(); i += 2) unless_typed(words[i].substr(2), words[i + 1]);
        }
    if (searched(space, "weight-decay") && arguments.base.options.optimizer == "admm" && !settings.empty())
        unless_typed("penalties", "relative");
    for (const auto& [name, value] : settings) {
        if (name != "bits") {
            options.emplace_back(name, value);
            continue;
        }
        options.emplace_back("quantize", value == "none" ? "none" : "pq");
        if (value != "none") options.emplace_back("bits", value);
    }
    return options;
}

}  // namespace pdadmm
