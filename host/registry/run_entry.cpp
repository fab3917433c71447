// Reading of a run's folder for the registry (host/registry/run_entry.hpp).
#include "host/registry/run_entry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "host/console/printable.hpp"
#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/report/chart.hpp"
#include "host/report/run_record.hpp"
#include "host/store/run_directory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t most_points = 300;
constexpr std::array sets{"train", "val", "test"};
constexpr std::array plain_figures{"train",     "val",     "test",  "last_train", "last_val",       "last_test",
                                   "objective", "seconds", "bytes", "iterations", "best_iteration", "best_layers"};

double seconds_of(fs::file_time_type time) {
    const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

Json status_of(const fs::path& folder) {
    try {
        return Json::parse(read_text(folder / "status.json", 1 << 16), nullptr, false);
    } catch (const DataError&) {
        return {};
    }
}

/// A status that tells of fewer iterations than there are is an earlier one's: what came after it ended without a word.
void take_state(RunEntry& run, double epochs) {
    if (RunDirectory::held(run.folder)) {
        run.state = "running";
        return;
    }
    run.state = "lost";
    const Json status = status_of(run.folder);
    if (!status.is_object() || figure(status, "iteration") < epochs) return;
    const std::string end = status.contains("end") && status["end"].is_string() ? status["end"].get<std::string>() : "";
    run.state = end == "done"                          ? "done"
                : (end == "signal" || end == "paused") ? "stopped"
                : end.empty()                          ? "lost"
                                                       : "failed";
    if (const double exit = figure(status, "exit"); exit >= 0 && exit < 256) run.exit = static_cast<int>(exit);
}

void put(RunEntry& run, const std::string& name, double value) {
    if (std::isfinite(value)) run.figures[name] = value;
}

void put_sets(RunEntry& run, const Json& summary, const char* part, const std::string& before,
              const std::string& after) {
    if (const auto found = summary.find(part); found != summary.end() && found->is_object())
        for (const char* set : sets) put(run, before + set + after, figure(*found, set));
}

void take_summary(RunEntry& run, const Json& summary) {
    put_sets(run, summary, "last", "last_", "");
    put_sets(run, summary, summary.contains("best") ? "best" : "last", "", "");
    if (const auto metric = summary.find("metric"); metric != summary.end() && metric->is_string()) {
        std::string name = "_" + metric->get<std::string>();
        std::replace(name.begin(), name.end(), '-', '_');
        put_sets(run, summary, summary.contains("best_metric") ? "best_metric" : "last_metric", "", name);
    }
    for (const auto& [key, name] : {std::pair{"objective", "objective"}, std::pair{"seconds", "seconds"},
                                    std::pair{"bytes", "bytes"}, std::pair{"epochs", "iterations"},
                                    std::pair{"best_epoch", "best_iteration"}, std::pair{"best_layers", "best_layers"}})
        put(run, name, figure(summary, key));
    if (const double setup = figure(summary, "setup_seconds"); setup > 0)
        put(run, "seconds", figure(summary, "seconds") + setup);
}

/// Of a run that has no summary: its newest figures, and those of its best validation accuracy so far.
void take_progress(RunEntry& run, const std::vector<MetricsRow>& rows) {
    double seconds = 0, bytes = 0, best = -INFINITY;
    for (const MetricsRow& row : rows) {
        seconds += training_seconds(row);
        bytes += std::max(0.0, figure(row, "bytes"));
        for (const char* set : sets) put(run, std::string("last_") + set, figure(row, std::string(set) + "_accuracy"));
        const double val = figure(row, "val_accuracy");
        if (!(val > best)) continue;
        best = val;
        for (const char* set : sets) put(run, set, figure(row, std::string(set) + "_accuracy"));
        put(run, "best_iteration", figure(row, "epoch"));
    }
    if (rows.empty()) return;
    put(run, "objective", figure(rows.back(), "objective"));
    put(run, "iterations", figure(rows.back(), "epoch"));
    put(run, "seconds", seconds);
    put(run, "bytes", bytes);
}

void take_history(RunEntry& run, const std::vector<MetricsRow>& rows) {
    std::vector<std::pair<const MetricsRow*, double>> evaluated;  // with the seconds until then
    double seconds = 0;
    for (const MetricsRow& row : rows) {
        seconds += training_seconds(row);
        if (std::any_of(sets.begin(), sets.end(),
                        [&](const char* set) { return std::isfinite(figure(row, std::string(set) + "_accuracy")); }))
            evaluated.emplace_back(&row, seconds);
    }
    for (const std::size_t i : thinned(evaluated.size(), most_points)) {
        const MetricsRow& row = *evaluated[i].first;
        const auto epoch = static_cast<std::int64_t>(figure(row, "epoch"));
        const auto add = [&](const std::string& name, double value) {
            if (std::isfinite(value)) run.history.push_back({name, epoch, value});
        };
        for (const char* set : sets) add(set, figure(row, std::string(set) + "_accuracy"));
        for (const char* name : {"objective", "primal_residual", "linear_residual"}) add(name, figure(row, name));
        add("seconds", evaluated[i].second);
    }
}

void take_files(RunEntry& run) {
    std::error_code error;
    for (fs::directory_iterator file(run.folder, error), end; !error && file != end; file.increment(error)) {
        std::error_code gone;
        const std::string name = file->path().filename().string();
        if (name == "lock" || name.starts_with(".tmp-")) continue;
        if (file->is_regular_file(gone)) {
            run.files[name] = file->file_size(gone);
            run.changed = std::max(run.changed, seconds_of(file->last_write_time(gone)));
        } else if (name == "checkpoints" && file->is_directory(gone)) {
            std::uint64_t& bytes = run.files[name];
            for (fs::recursive_directory_iterator part(file->path(), gone), last; !gone && part != last;
                 part.increment(gone))
                if (std::error_code lost; part->is_regular_file(lost)) bytes += part->file_size(lost);
        }
    }
}

}  // namespace

std::string RunEntry::option(const std::string& name) const {
    const auto found = options.find(name);
    return found == options.end() ? std::string() : found->second;
}

double RunEntry::figure(const std::string& name) const {
    const auto found = figures.find(name);
    return found == figures.end() ? NAN : found->second;
}

bool is_figure(std::string_view name) {
    if (std::find(plain_figures.begin(), plain_figures.end(), name) != plain_figures.end()) return true;
    return std::any_of(sets.begin(), sets.end(),
                       [&](const char* set) { return name.starts_with(std::string(set) + "_"); });
}

bool is_run(const fs::path& folder) {
    std::error_code ignored;
    return fs::is_regular_file(folder / "config.json", ignored) &&
           fs::is_regular_file(folder / "metrics.jsonl", ignored);
}

RunEntry read_entry(const fs::path& folder) {
    RunEntry run;
    fs::path whole = fs::absolute(folder).lexically_normal();
    if (!whole.has_filename()) whole = whole.parent_path();
    run.folder = whole.string();
    if (!is_run(whole))
        throw DataError(fmt::format(
            "{}: no config.json and metrics.jsonl, expected the folder of a run; name what pdadmm train --out wrote",
            printable_path(whole)));
    const SeedRecord record = read_seed(run.folder);
    if (!record.config.is_object())
        throw DataError(fmt::format("{}: no object, expected what pdadmm train wrote; remove that folder",
                                    printable_path(whole / "config.json")));
    for (const auto& [name, value] : record.config.items())
        run.options[name] =
            value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (RunDirectory::is_one_of_several(whole)) run.parent = whole.parent_path().string();
    take_state(run, record.rows.empty() ? 0 : figure(record.rows.back(), "epoch"));
    if (run.state == "done" && record.summary.is_object())
        take_summary(run, record.summary);
    else
        take_progress(run, record.rows);
    take_history(run, record.rows);
    take_files(run);
    run.origin = read_origin(run.folder);
    if (run.origin.id.empty()) {  // older than origin.json
        run.origin.id =
            digest_hex(record.config.dump(-1, ' ', false, Json::error_handler_t::replace) + run.folder).substr(0, 16);
        run.origin.started = run.changed;
    }
    return run;
}

}  // namespace pdadmm
