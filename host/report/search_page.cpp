// The report of a search (host/report/search_page.hpp).
#include "host/report/search_page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "host/report/chart.hpp"
#include "host/report/html.hpp"

namespace pdadmm {
namespace {

using Cells = std::vector<std::string>;

constexpr std::size_t most_rows = 20;
constexpr std::size_t seconds = 0, bytes = 1, parameters = 3, flops = 4;  // in Costs

/// The last row of every trial, which has its figure.
std::vector<const TrialRow*> last_rows(const std::vector<TrialRow>& rows) {
    std::map<int, const TrialRow*> last;
    for (const TrialRow& row : rows) last[row.trial] = &row;
    std::vector<const TrialRow*> found;
    for (const auto& [trial, row] : last) found.push_back(row);
    return found;
}

/// The place of a setting along its axis; choices are spread a little, so that dots do not hide each other. NaN where
/// the row does not have the setting.
double place_of(const TrialRow& row, const Dimension& dimension) {
    const auto found = std::find_if(row.settings.begin(), row.settings.end(),
                                    [&](const auto& setting) { return setting.first == dimension.name; });
    if (found == row.settings.end()) return NAN;
    if (dimension.kind != Dimension::Kind::choice) return std::stod(found->second);
    const auto choice = std::find(dimension.choices.begin(), dimension.choices.end(), found->second);
    return static_cast<double>(choice - dimension.choices.begin()) + 0.04 * (row.trial * 7 % 11 - 5);
}

/// Trials as dots at `x`: whole trainings, those that were stopped before or broke a limit, and the winner.
template <typename X>
std::vector<Curve> dots_of(const SearchRecord& search, X&& x) {
    std::vector<Curve> curves(3);
    const char* labels[] = {"trained wholly", "stopped before, or beyond a limit", "winner"};
    for (std::size_t k = 0; k < curves.size(); ++k) {
        curves[k].label = labels[k];
        curves[k].dots = true;
    }
    for (const TrialRow* row : last_rows(search.rows)) {
        const double at = x(*row);
        if (std::isnan(at) || std::isnan(row->figure)) continue;
        Curve& curve = curves[row->trial == search.winner.trial ? 2 : row->can_win() ? 0 : 1];
        curve.x.push_back(at);
        curve.y.push_back(row->figure);
    }
    return curves;
}

std::string slices_of(const SearchRecord& search) {
    std::string text = "<h2>By setting</h2>\n<div class=\"charts\">\n";
    for (const Dimension& d : search.space.dimensions()) {
        std::vector<std::string> names = d.choices;
        std::replace(names.begin(), names.end(), std::string(), std::string("none"));
        text += figure_of(Chart{d.name,
                                d.name,
                                "validation " + search.metric,
                                false,
                                dots_of(search, [&](const TrialRow& row) { return place_of(row, d); }),
                                {},
                                d.logarithmic,
                                names});
    }
    return text +
           "</div>\n<p class=\"muted\">A dot a trial, at the best figure that it reached. The preset's trial has no "
           "settings of its own, and is not shown.</p>\n";
}

/// Figure against a cost, and the trials that none beats in both.
Chart front_chart(const SearchRecord& search, std::size_t cost, const std::string& title, const std::string& x_label) {
    Chart chart{title, x_label, "validation " + search.metric, false, {}, {}, true, {}};
    chart.curves = dots_of(search, [&](const TrialRow& row) { return row.costs[cost]; });
    Curve front;
    front.label = "none is better and cheaper";
    for (const TrialRow* row : front_of(search.rows, cost)) {
        if (!front.y.empty()) {  // steps: between two trials the cheaper one is what there is
            front.x.push_back(row->costs[cost]);
            front.y.push_back(front.y.back());
        }
        front.x.push_back(row->costs[cost]);
        front.y.push_back(row->figure);
    }
    chart.curves.push_back(front);
    return chart;
}

/// The best figure so far over whole trainings spent.
Chart course_of(const SearchRecord& search) {
    Curve best;
    best.label = "best so far";
    std::map<int, double> shares;
    double spent = 0, figure = NAN;
    for (const TrialRow& row : search.rows) {
        spent += row.share - shares[row.trial];
        shares[row.trial] = row.share;
        if (!row.can_win()) continue;
        if (!(row.figure <= figure)) figure = row.figure;
        best.x.push_back(spent);
        best.y.push_back(figure);
    }
    return {"Best so far", "trainings spent", "validation " + search.metric, false, {best}, {}, false, {}};
}

std::string settings_text(const Settings& settings) {
    if (settings.empty()) return "the preset's";
    std::vector<std::string> words;
    for (const auto& [name, value] : settings) words.push_back(name + "=" + value);
    return fmt::format("{}", fmt::join(words, " "));
}

std::string trials_of(const SearchRecord& search) {
    std::vector<const TrialRow*> rows = last_rows(search.rows);
    const auto rank = [](const TrialRow* row) { return std::isnan(row->figure) ? -INFINITY : row->figure; };
    std::stable_sort(rows.begin(), rows.end(), [&](auto* a, auto* b) { return rank(a) > rank(b); });
    std::vector<Cells> cells;
    for (const TrialRow* row : rows) {
        if (cells.size() == most_rows) break;
        cells.push_back({std::to_string(row->trial), std::isnan(row->figure) ? "" : fmt::format("{:.4f}", row->figure),
                         row->beyond > 0 ? row->state + ", beyond a limit" : row->state, std::to_string(row->epochs),
                         std::isnan(row->costs[seconds]) ? "" : seconds_text(row->costs[seconds]),
                         bytes_text(row->costs[bytes]), number_text(row->costs[parameters]),
                         settings_text(row->settings)});
    }
    return "<h2>Trials</h2>\n" + table(fmt::format("The best {} of {}", cells.size(), rows.size()),
                                       {"trial", "validation " + search.metric, "state", "epochs", "training",
                                        "bytes a border and iteration", "parameters", "settings"},
                                       cells);
}

std::string finding(const SearchRecord& search) {
    const std::size_t trials = last_rows(search.rows).size();
    std::string text = fmt::format("<p class=\"lead\">Validation {} <strong>{:.3f}</strong> by trial {} of {}",
                                   escaped(search.metric), search.winner.figure, search.winner.trial, trials);
    const auto preset = std::find_if(search.rows.begin(), search.rows.end(), [](const TrialRow& row) {
        return row.settings.empty() && !std::isnan(row.figure);
    });
    if (preset != search.rows.end()) text += fmt::format("; {:.3f} with the preset's settings", preset->figure);
    text += ".</p>\n";
    if (!std::isnan(search.test))
        text += fmt::format(
            "<p>Its test {} is {:.3f}. The best of {} trials on the same validation nodes: their figure "
            "flatters it, and the test figure was looked at once.</p>\n",
            escaped(search.metric), search.test, trials);
    return text;
}

}  // namespace

std::string search_page(const SearchRecord& search, const std::string& program) {
    std::string body = finding(search) + "<h2>Course and cost</h2>\n<div class=\"charts\">\n" +
                       figure_of(course_of(search)) +
                       figure_of(front_chart(search, seconds, "Figure and time", "seconds of training")) +
                       figure_of(front_chart(search, bytes, "Figure and messages", "bytes a border and iteration")) +
                       figure_of(front_chart(search, parameters, "Figure and size", "weights and biases")) +
                       figure_of(front_chart(search, flops, "Figure and work", "flops of all epochs")) + "</div>\n";
    body += slices_of(search) + trials_of(search);
    body += fmt::format(
        "<h2>Winner</h2>\n<p>Train it with: <code>pdadmm train --config {}/winner.toml</code></p>\n"
        "<p><button type=\"button\" class=\"script-only\" data-copies=\"config\">Copy</button></p>\n"
        "<pre id=\"config\" tabindex=\"0\" aria-label=\"winner.toml\">{}</pre>\n",
        escaped(search.folder), escaped(search.config_toml));
    return page(search.title, body, fmt::format("{}; {}", search.folder, program));
}

}  // namespace pdadmm
