// Reading of a run's folder (host/report/run_record.hpp).
#include "host/report/run_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "host/store/run_directory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string text_of(const fs::path& path) { return read_text(path, std::numeric_limits<std::uint64_t>::max()); }

/// Of a run that may be going on.
std::string log_of(const fs::path& path) {
    const auto bytes = read_growing_file(path, std::numeric_limits<std::uint64_t>::max());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// null where there is no such file.
Json json_of(const fs::path& path) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return {};
    try {
        return Json::parse(text_of(path));
    } catch (const Json::exception& error) {
        throw DataError(fmt::format("{}: {}, expected what pdadmm train wrote; name another run", printable_path(path),
                                    printable(error.what(), 200)));
    }
}

std::vector<double> numbers(const Json& line, const char* key) {
    std::vector<double> values;
    if (const auto found = line.find(key); found != line.end() && found->is_array())
        for (const Json& value : *found) values.push_back(value.is_number() ? value.get<double>() : NAN);
    return values;
}

/// A last line without its end is one that a run is writing now, and is left out.
std::vector<MetricsRow> rows_of(const fs::path& path) {
    const std::string text = log_of(path);
    std::vector<MetricsRow> rows;
    for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                      text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
        if (!line.is_object() || !std::isfinite(figure(line, "epoch")))
            throw DataError(fmt::format("{}: line {}: no iteration, expected what pdadmm train wrote; name another run",
                                        printable_path(path), rows.size() + 1));
        MetricsRow row{{}, numbers(line, "layer_primal_residual"), numbers(line, "layer_linear_residual")};
        for (std::size_t k = 0; k < row_figures.size(); ++k) row.values[k] = figure(line, row_figures[k]);
        rows.push_back(std::move(row));
    }
    return rows;
}

/// The folders of seeds, by number; of one seed the run's folder itself.
std::vector<fs::path> folders_of(const fs::path& run) {
    std::vector<fs::path> folders;
    std::error_code ignored;
    for (const fs::path& seed : RunDirectory::seed_folders(run))
        if (fs::exists(seed / "metrics.jsonl", ignored)) folders.push_back(seed);
    return folders.empty() ? std::vector{run} : folders;
}

}  // namespace

std::string RunRecord::option(const std::string& key) const {
    const Json& config = seeds.front().config;
    if (!config.is_object() || !config.contains(key)) return {};
    return config[key].is_string() ? config[key].get<std::string>() : config[key].dump();
}

SeedRecord read_seed(const std::string& folder) {
    const fs::path path(folder);
    std::error_code ignored;
    const bool begun = !fs::is_empty(path / "metrics.jsonl", ignored);
    return {json_of(path / "config.json"), json_of(path / "summary.json"),
            begun ? rows_of(path / "metrics.jsonl") : std::vector<MetricsRow>(),
            fs::exists(path / "confusion.csv", ignored) ? text_of(path / "confusion.csv") : ""};
}

RunRecord read_run(const std::string& folder) {
    const fs::path path(folder);
    std::error_code ignored;
    RunRecord run;
    run.folder = folder;
    run.name = (path.filename().empty() ? path.parent_path() : path).filename().string();
    for (const fs::path& seed : folders_of(path)) {
        if (!fs::exists(seed / "config.json", ignored) || !fs::exists(seed / "metrics.jsonl", ignored))
            throw DataError(
                fmt::format("{}: no config.json and metrics.jsonl, expected the folder of a run; name what "
                            "pdadmm train --out wrote",
                            printable_path(seed)));
        run.seeds.push_back(read_seed(seed.string()));
        if (run.seeds.back().rows.empty())
            throw DataError(fmt::format("{}: no iteration yet, expected some; wait or name another run",
                                        printable_path(seed / "metrics.jsonl")));
    }
    if (fs::exists(path / "config.toml", ignored)) run.config_toml = text_of(path / "config.toml");
    return run;
}

double figure(const MetricsRow& row, std::string_view key) {
    const auto found = std::find(row_figures.begin(), row_figures.end(), key);
    return found == row_figures.end() ? NAN : row.values[static_cast<std::size_t>(found - row_figures.begin())];
}

double training_seconds(const MetricsRow& row) {
    double sum = 0;
    for (const char* key : {"seconds", "setup_seconds"})
        if (const double seconds = figure(row, key); seconds > 0) sum += seconds;  // not where the line has none
    return sum;
}

double figure(const Json& object, const std::string& key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number() ? found->get<double>() : NAN;
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

MeanSd mean_sd(const std::vector<double>& values) {
    if (values.empty()) return {NAN, NAN};
    double sum = 0, square = 0;
    for (const double v : values) sum += v;
    const double n = static_cast<double>(values.size()), mean = sum / n;
    for (const double v : values) square += (v - mean) * (v - mean);
    return {mean, values.size() > 1 ? std::sqrt(square / (n - 1)) : NAN};
}

std::string to_string(const MeanSd& m) {
    if (!std::isfinite(m.mean)) return {};
    return std::isfinite(m.sd) ? fmt::format("{:.3f} ± {:.3f}", m.mean, m.sd) : fmt::format("{:.3f}", m.mean);
}

std::string metric_of(const RunRecord& run) {
    for (const SeedRecord& seed : run.seeds)
        if (seed.summary.is_object() && seed.summary.contains("metric") && seed.summary["metric"].is_string())
            return seed.summary["metric"];
    return "accuracy";
}

std::string metric_part(const RunRecord& run, const char* part) {
    return metric_of(run) == "accuracy" ? part : fmt::format("{}_metric", part);
}

std::vector<double> accuracies(const RunRecord& run, const char* part, const char* set) {
    std::vector<double> values;
    const std::string key = metric_part(run, part);
    for (const SeedRecord& seed : run.seeds)
        if (seed.summary.is_object() && seed.summary.contains(key) && seed.summary[key].is_object())
            if (const double value = figure(seed.summary[key], set); std::isfinite(value)) values.push_back(value);
    return values;
}

}  // namespace pdadmm
