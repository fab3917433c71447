// Summary and table over seeds (host/cli/train_report.hpp).
#include "host/cli/train_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "host/report/run_record.hpp"
#include "host/train/metric.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

constexpr std::array sets{"train", "val", "test"};

using FigureOf = std::array<double, 3> Evaluation::*;

MeanSd over_seeds(const std::vector<RunResult>& results, bool best, FigureOf figure, std::size_t set) {
    std::vector<double> values;
    for (const RunResult& r : results)
        if (!best || r.best) values.push_back(((best ? *r.best : r.last).*figure)[set]);
    return mean_sd(values);
}

Json summary_over_seeds(const std::vector<RunResult>& results, bool best, FigureOf figure) {
    Json json;
    for (std::size_t set = 0; set < 3; ++set) {
        const MeanSd m = over_seeds(results, best, figure, set);
        json[sets[set]] = {{"mean", number_or_null(m.mean)}, {"sd", number_or_null(m.sd)}};
    }
    return json;
}

std::string cell(double value) { return std::isnan(value) ? fmt::format("{:>8}", "-") : fmt::format("{:8.4f}", value); }

}  // namespace

Json summary_of(const std::vector<RunResult>& results) {
    Json json{{"runs", Json::array()}};
    double seconds = 0, setup = 0, epochs = 0;
    for (const RunResult& r : results) {
        json["runs"].push_back(to_json(r));
        seconds += r.seconds;
        setup += r.setup_seconds;
        epochs += static_cast<double>(r.epochs);
    }
    for (const bool best : {false, true}) {
        const std::string name = best ? "best_val" : "last";
        json[name] = summary_over_seeds(results, best, &Evaluation::accuracy);
        if (results.back().metric != Metric::accuracy)
            json[name + "_metric"] = summary_over_seeds(results, best, &Evaluation::metric);
    }
    json["ms_per_iteration"] = 1e3 * seconds / std::max(1.0, epochs);
    json["setup_seconds"] = setup / static_cast<double>(results.size());
    return json;
}

std::string table_of(const std::vector<RunResult>& results, double ms_per_iteration, double setup_seconds, int ranks) {
    const Metric metric = results.back().metric;
    std::string text = fmt::format("              last iterate         best validation {}{}\n", name_of(metric),
                                   metric == Metric::accuracy ? "" : fmt::format(", all in {}", name_of(metric)));
    text += "  seed    train     val    test    train     val    test  epoch   objective\n";
    for (const RunResult& r : results) {
        text += fmt::format("{:>6} ", r.seed);
        for (const double figure : r.last.metric) text += cell(figure);
        text += " ";
        for (std::size_t set = 0; set < 3; ++set) text += cell(r.best ? r.best->metric[set] : NAN);
        text += fmt::format("  {:>5}  {:10.4e}\n", r.best ? std::to_string(r.best_epoch) : "-", r.objective);
    }
    for (const bool sd : {false, true}) {
        if (results.size() < 2) break;
        text += fmt::format("{:>6} ", sd ? "sd" : "mean");
        for (const bool best : {false, true}) {
            for (std::size_t set = 0; set < 3; ++set) {
                const MeanSd m = over_seeds(results, best, &Evaluation::metric, set);
                text += cell(sd ? m.sd : m.mean);
            }
            text += best ? "\n" : " ";
        }
    }
    text += fmt::format("{:.3f} ms an iteration without evaluation, {:.3g} s of set-up before them", ms_per_iteration,
                        setup_seconds);
    const RunResult& r = results.back();
    if (r.epochs_here > 0)
        text += fmt::format("; {} {:.0f} bytes an iteration",
                            ranks == 1 ? "a split after every layer would send" : fmt::format("{} ranks sent", ranks),
                            static_cast<double>(r.bytes_here) / static_cast<double>(r.epochs_here));
    else if (r.epochs > 0)  // finished before, on a number of ranks that is not known
        text += fmt::format("; {:.0f} bytes an iteration between ranks or layers",
                            static_cast<double>(r.bytes) / static_cast<double>(r.epochs));
    if (const auto& border = results.back().border_bytes; !border.empty()) {
        const bool alike = std::all_of(border.begin(), border.end(), [&](std::uint64_t b) { return b == border[0]; });
        text += fmt::format("; in the last stage {} over each border",
                            alike ? fmt::format("{}", border[0]) : fmt::format("{}", fmt::join(border, ", ")));
    }
    return text + "\n";
}

}  // namespace pdadmm
