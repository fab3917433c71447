// The report of runs (host/report/report_page.hpp).
#include "host/report/report_page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "host/report/chart.hpp"
#include "host/report/confusion.hpp"
#include "host/report/html.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;
using Cells = std::vector<std::string>;

constexpr std::size_t most_points = 300, most_columns = 160;

/// "pdADMM-G-Q, pq at 4 bits" or "adam".
std::string method_of(const RunRecord& run) {
    if (run.option("optimizer") != "admm") return run.option("optimizer");
    const std::string tensors = run.option("quantize");
    if (tensors.empty() || tensors == "none") return "pdADMM-G";
    return fmt::format("pdADMM-G-Q, {} {}", tensors == "pq" ? "p and q" : tensors,
                       run.option("codec") == "grid" ? "on a grid" : "at " + run.option("bits") + " bits");
}

std::string network_of(const RunRecord& run) {
    const std::string grown = run.option("grow");
    return fmt::format("{}: {}, {} layers of {} neurons{}", run.option("dataset"), method_of(run), run.option("layers"),
                       run.option("hidden"), grown.empty() ? "" : ", grown in stages of " + grown);
}

std::string over_seeds(const RunRecord& run) {
    return run.seeds.size() > 1 ? fmt::format(", mean ± sd over {} seeds", run.seeds.size()) : "";
}

/// Of the rows of a seed.
double sum_of(const SeedRecord& seed, const char* key) {
    double sum = 0;
    for (const MetricsRow& row : seed.rows)
        if (const double v = figure(row, key); std::isfinite(v)) sum += v;
    return sum;
}

double mean_of(const RunRecord& run, const char* key) {
    std::vector<double> sums;
    for (const SeedRecord& seed : run.seeds) sums.push_back(sum_of(seed, key));
    return mean_sd(sums).mean;
}

/// Of iterations, and of the set-up of stages before them.
double mean_training_seconds(const RunRecord& run) { return mean_of(run, "seconds") + mean_of(run, "setup_seconds"); }

double last_objective(const RunRecord& run) {
    std::vector<double> values;
    for (const SeedRecord& seed : run.seeds) values.push_back(figure(seed.rows.back(), "objective"));
    return mean_sd(values).mean;
}

/// One sentence with the result.
std::string finding(const RunRecord& run) {
    const std::vector<double> best = accuracies(run, "best", "test"), last = accuracies(run, "last", "test");
    const std::string metric = escaped(metric_of(run));
    if (!best.empty())
        return fmt::format("Test {0} <strong>{1}</strong> at the best validation {0}{2}.", metric,
                           to_string(mean_sd(best)), over_seeds(run));
    if (!last.empty())
        return fmt::format("Test {} <strong>{}</strong> of the last iterate{}.", metric, to_string(mean_sd(last)),
                           over_seeds(run));
    return fmt::format("Not done: objective <strong>{}</strong> after {} iterations.", number_text(last_objective(run)),
                       run.seeds.back().rows.size());
}

std::string cost(const RunRecord& run) {
    return fmt::format("{} of training and {} of messages between layers{}.", seconds_text(mean_training_seconds(run)),
                       bytes_text(mean_of(run, "bytes")), run.seeds.size() > 1 ? " a seed" : "");
}

/// Of all seeds together, over test nodes, or validation nodes where a split has no others.
std::string classes_of(const RunRecord& run) {
    for (const auto& [set, name] : {std::pair{"test", "Test"}, std::pair{"val", "Validation"}}) {
        ConfusionCounts sum;
        for (const SeedRecord& seed : run.seeds)
            if (!add(sum, read_confusion(seed.confusion, set))) return {};
        const std::string title =
            fmt::format("{} nodes by the best model{}", name, run.seeds.size() > 1 ? ", all seeds together" : "");
        if (const std::string text = section_of(sum, title); !text.empty()) return text;
    }
    return {};
}

// Curves

/// Mean and range of a figure over seeds, at the iterations that all have it for. `x_key`: "epoch", or "seconds",
/// summed.
Curve curve(const RunRecord& run, const std::string& label, const std::string& key,
            const std::string& x_key = "epoch") {
    std::map<double, std::vector<std::pair<double, double>>> found;  // by iteration: (x, y) of the seeds
    for (const SeedRecord& seed : run.seeds) {
        double seconds = 0;
        for (const MetricsRow& row : seed.rows) {
            seconds += training_seconds(row);
            const double y = figure(row, key), epoch = figure(row, "epoch");
            if (std::isfinite(y)) found[epoch].emplace_back(x_key == "seconds" ? seconds : epoch, y);
        }
    }
    std::erase_if(found, [&](const auto& entry) { return entry.second.size() < run.seeds.size(); });
    std::vector<const std::vector<std::pair<double, double>>*> all;
    for (const auto& [epoch, values] : found) all.push_back(&values);
    Curve c{label, {}, {}, {}, {}};
    for (const std::size_t i : thinned(all.size(), most_points)) {
        std::vector<double> x, y;
        for (const auto& [at, value] : *all[i]) x.push_back(at), y.push_back(value);
        c.x.push_back(mean_sd(x).mean);
        c.y.push_back(mean_sd(y).mean);
        if (y.size() > 1) {
            c.low.push_back(*std::min_element(y.begin(), y.end()));
            c.high.push_back(*std::max_element(y.begin(), y.end()));
        }
    }
    return c;
}

std::vector<double> stage_starts(const SeedRecord& seed) {
    std::vector<double> starts;
    for (std::size_t i = 1; i < seed.rows.size(); ++i)
        if (figure(seed.rows[i], "stage") > figure(seed.rows[i - 1], "stage"))
            starts.push_back(figure(seed.rows[i], "epoch"));
    return starts;
}

std::string curves_of(const RunRecord& run) {
    const std::vector<double> marks = stage_starts(run.seeds.front());
    const Chart charts[] = {
        {"Objective", "iteration", "L_rho", true, {curve(run, "objective", "objective")}, marks},
        {"Accuracy",
         "iteration",
         "share of nodes",
         false,
         {curve(run, "train", "train_accuracy"), curve(run, "validation", "val_accuracy"),
          curve(run, "test", "test_accuracy")},
         marks},
        {"Residuals",
         "iteration",
         "norm",
         true,
         {curve(run, "|p - q|", "primal_residual"), curve(run, "|z - W p - b|", "linear_residual")},
         marks},
        {"Penalties", "iteration", "", true, {curve(run, "rho", "rho"), curve(run, "nu", "nu")}, marks}};
    std::string text = "<h2>How it went</h2>\n<div class=\"charts\">\n";
    for (const Chart& chart : charts) text += figure_of(chart);
    if (Curve train = curve(run, "train", "train_micro_f1"); !train.x.empty())
        text += figure_of(
            {"Micro-F1",
             "iteration",
             "of all labels",
             false,
             {std::move(train), curve(run, "validation", "val_micro_f1"), curve(run, "test", "test_micro_f1")},
             marks});
    text += "</div>\n<p class=\"muted\">";
    if (run.seeds.size() > 1) text += "Lines: mean over seeds; bands: their range. ";
    if (!marks.empty()) text += "Dotted: layers were added. ";
    return text +
           "<span class=\"script-only\">Point at a curve, or focus it and use the arrow keys, for its "
           "values.</span></p>\n";
}

// Residuals by layer

/// Rows are layers (or borders), columns the evaluated iterations of a seed.
HeatMap heat_map(const SeedRecord& seed, std::vector<double> MetricsRow::*of_layers, const std::string& title) {
    std::vector<const MetricsRow*> with;
    std::size_t most = 0;
    for (const MetricsRow& row : seed.rows)
        if (!(row.*of_layers).empty()) {
            with.push_back(&row);
            most = std::max(most, (row.*of_layers).size());
        }
    HeatMap map{title, "iteration", "layers", "norm", {}, std::vector<std::vector<double>>(most)};
    for (const std::size_t i : thinned(with.size(), most_columns)) {
        map.x.push_back(figure(*with[i], "epoch"));
        const std::vector<double>& values = with[i]->*of_layers;
        for (std::size_t r = 0; r < most; ++r) map.rows[r].push_back(r < values.size() ? values[r] : NAN);
    }
    return map;
}

std::string residuals_of(const RunRecord& run) {
    const SeedRecord& seed = run.seeds.front();
    const std::string maps =
        figure_of(heat_map(seed, &MetricsRow::layer_primal_residual, "|p - q| behind each layer")) +
        figure_of(heat_map(seed, &MetricsRow::layer_linear_residual, "|z - W p - b| of each layer"));
    if (maps.empty()) return {};
    return fmt::format(
        "<h2>Residuals by layer</h2>\n<p class=\"muted\">At the iterations that were evaluated{}; layer 1 is "
        "on top.</p>\n{}",
        run.seeds.size() > 1 ? ", first seed" : "", maps);
}

// Tables

std::string accuracy_of(const RunRecord& run) {
    std::vector<Cells> rows;
    for (const SeedRecord& seed : run.seeds) {
        if (!seed.summary.is_object()) continue;
        Cells row{seed.summary.contains("seed") ? seed.summary["seed"].dump() : ""};
        for (const char* part : {"best", "last"}) {
            const std::string key = metric_part(run, part);
            for (const char* set : {"train", "val", "test"}) {
                const double v = seed.summary.contains(key) ? figure(seed.summary[key], set) : NAN;
                row.push_back(std::isfinite(v) ? fmt::format("{:.4f}", v) : "");
            }
        }
        row.push_back(seed.summary.contains("best_epoch") ? seed.summary["best_epoch"].dump() : "");
        row.push_back(number_text(figure(seed.summary, "objective")));
        rows.push_back(row);
    }
    if (rows.empty()) return {};
    if (rows.size() > 1) {
        Cells row{"mean ± sd"};
        for (const char* part : {"best", "last"})
            for (const char* set : {"train", "val", "test"})
                row.push_back(to_string(mean_sd(accuracies(run, part, set))));
        row.insert(row.end(), {"", number_text(last_objective(run))});
        rows.push_back(row);
    }
    const std::string metric = metric_of(run);
    return fmt::format("<h2>{}</h2>\n", metric == "accuracy" ? "Accuracy" : escaped(metric)) +
           table(fmt::format("At the best validation {}, and of the last iterate", metric),
                 {"seed", "train, best validation", "validation, best", "test, best validation", "train, last",
                  "validation, last", "test, last", "best iteration", "objective"},
                 rows);
}

/// Iterations, time and messages, a growth stage a row.
std::string costs_of(const RunRecord& run) {
    const SeedRecord& seed = run.seeds.front();
    std::vector<Cells> rows;
    const double all = sum_of(seed, "seconds") + sum_of(seed, "setup_seconds");
    for (std::size_t begin = 0, end; begin < seed.rows.size(); begin = end) {
        double seconds = 0, bytes = 0, setup = 0;
        std::vector<double> each;
        for (end = begin;
             end < seed.rows.size() && figure(seed.rows[end], "stage") == figure(seed.rows[begin], "stage"); ++end) {
            each.push_back(figure(seed.rows[end], "seconds"));
            seconds += training_seconds(seed.rows[end]);
            setup += training_seconds(seed.rows[end]) - each.back();
            bytes += figure(seed.rows[end], "bytes");
        }
        std::nth_element(each.begin(), each.begin() + static_cast<std::ptrdiff_t>(each.size() / 2), each.end());
        const double median = each[each.size() / 2];
        rows.push_back({number_text(figure(seed.rows[begin], "stage") + 1),
                        number_text(figure(seed.rows[begin], "layers")), std::to_string(end - begin),
                        seconds_text(seconds), seconds_text(setup), fmt::format("{:.0f} %", 100 * seconds / all),
                        number_text(1e3 * median), bytes_text(bytes / static_cast<double>(end - begin)),
                        bytes_text(bytes)});
    }
    return fmt::format(
        "<h2>Where time and bytes went</h2>\n{}<p class=\"muted\">Reading, augmentation and evaluation are "
        "not in these times. Bytes: what ranks sent; of one rank, what a split after every layer would "
        "send.</p>\n",
        table(fmt::format("By growth stage{}", run.seeds.size() > 1 ? ", first seed" : ""),
              {"stage", "layers", "iterations", "time", "of it set-up", "share", "ms an iteration, median",
               "bytes an iteration", "bytes"},
              rows));
}

std::string configuration_of(const RunRecord& run) {
    return fmt::format(
        "<h2>Configuration</h2>\n<p>The same again: <code>pdadmm train --config {}/config.toml</code></p>\n"
        "<p><button type=\"button\" class=\"script-only\" data-copies=\"config\">Copy</button></p>\n"
        "<pre id=\"config\" tabindex=\"0\" aria-label=\"config.toml\">{}</pre>\n",
        escaped(run.folder), escaped(run.config_toml));
}

// Several runs

/// Options in which runs differ, beside their seeds.
std::vector<std::string> differences(const std::vector<RunRecord>& runs) {
    std::set<std::string> keys;
    for (const RunRecord& run : runs)
        if (run.seeds.front().config.is_object())
            for (const auto& [key, value] : run.seeds.front().config.items()) keys.insert(key);
    std::erase_if(keys, [&](const std::string& key) {
        return key == "seed" || std::all_of(runs.begin(), runs.end(),
                                            [&](const RunRecord& r) { return r.option(key) == runs[0].option(key); });
    });
    return {keys.begin(), keys.end()};
}

std::string name_of(const RunRecord& run, const std::vector<RunRecord>& runs) {
    const auto alike = std::count_if(runs.begin(), runs.end(), [&](const RunRecord& r) { return r.name == run.name; });
    return alike > 1 ? run.folder : run.name;
}

/// The run with the best validation accuracy, and how far the next is.
std::string comparison(const std::vector<RunRecord>& runs) {
    std::vector<std::pair<double, const RunRecord*>> ranked;
    for (const RunRecord& run : runs)
        if (const auto v = accuracies(run, "best", "val"); !v.empty()) ranked.emplace_back(mean_sd(v).mean, &run);
    if (ranked.empty()) return "No run has a validation accuracy.";
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    const RunRecord& best = *ranked[0].second;
    std::string text = fmt::format(
        "<strong>{}</strong> has the best validation accuracy, {:.3f}; its test accuracy is {}.",
        escaped(name_of(best, runs)), ranked[0].first, to_string(mean_sd(accuracies(best, "best", "test"))));
    if (ranked.size() > 1)
        text += fmt::format(" {} follows with {:.3f} and {}.", escaped(name_of(*ranked[1].second, runs)),
                            ranked[1].first, to_string(mean_sd(accuracies(*ranked[1].second, "best", "test"))));
    return text;
}

std::string side_by_side(const std::vector<RunRecord>& runs) {
    std::vector<Cells> rows, settings;
    for (const RunRecord& run : runs)
        rows.push_back({name_of(run, runs), to_string(mean_sd(accuracies(run, "best", "val"))),
                        to_string(mean_sd(accuracies(run, "best", "test"))),
                        to_string(mean_sd(accuracies(run, "last", "test"))), std::to_string(run.seeds.size()),
                        std::to_string(run.seeds.front().rows.size()), seconds_text(mean_training_seconds(run)),
                        bytes_text(mean_of(run, "bytes")), number_text(last_objective(run))});
    std::string text = "<h2>Results</h2>\n" + table("Mean ± sd over seeds",
                                                    {"run", "validation, best", "test, best validation", "test, last",
                                                     "seeds", "iterations", "training", "messages", "objective"},
                                                    rows);
    Cells header{"option"};
    for (const RunRecord& run : runs) header.push_back(name_of(run, runs));
    for (const std::string& key : differences(runs)) {
        settings.push_back({key});
        for (const RunRecord& run : runs) settings.back().push_back(run.option(key));
    }
    text += "<h2>Settings that differ</h2>\n";
    text += settings.empty() ? "<p>None.</p>\n" : table("The others are alike", header, settings);
    const auto all = [&](const char* key, const char* x) {
        std::vector<Curve> curves;
        for (const RunRecord& run : runs) curves.push_back(curve(run, name_of(run, runs), key, x));
        return curves;
    };
    text += "<h2>How they went</h2>\n<div class=\"charts\">\n";
    for (const Chart& chart :
         {Chart{"Validation accuracy", "iteration", "share of nodes", false, all("val_accuracy", "epoch"), {}},
          Chart{"Validation accuracy over time",
                "seconds of training",
                "share of nodes",
                false,
                all("val_accuracy", "seconds"),
                {}},
          Chart{"Objective", "iteration", "L_rho", true, all("objective", "epoch"), {}},
          Chart{"Residual", "iteration", "|p - q|", true, all("primal_residual", "epoch"), {}}})
        text += figure_of(chart);
    return text +
           "</div>\n<p class=\"muted\">Lines: mean over seeds; bands: their range. Chosen by validation alone: test "
           "accuracies say how the choice turned out.</p>\n";
}

}  // namespace

std::string report_page(const std::vector<RunRecord>& runs, const std::string& program) {
    std::string title, body;
    if (runs.size() == 1) {
        const RunRecord& run = runs.front();
        title = network_of(run);
        body = fmt::format("<p class=\"lead\">{}</p>\n<p>{}</p>\n", finding(run), cost(run)) + accuracy_of(run) +
               classes_of(run) + curves_of(run) + residuals_of(run) + costs_of(run) + configuration_of(run);
    } else {
        title = fmt::format("{} runs side by side", runs.size());
        body = fmt::format("<p class=\"lead\">{}</p>\n", comparison(runs)) + side_by_side(runs);
    }
    std::vector<std::string> folders;
    for (const RunRecord& run : runs) folders.push_back(run.folder);
    return page(title, body, fmt::format("{}; {}", fmt::join(folders, ", "), program));
}

}  // namespace pdadmm
