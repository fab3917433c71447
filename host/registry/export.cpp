// Runs in the forms of other programs (host/registry/export.hpp).
#include "host/registry/export.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "host/console/printable.hpp"
#include "host/format/csv.hpp"
#include "host/format/digest.hpp"
#include "host/registry/listing.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* experiment = "1";
enum MlflowStatus { mlflow_running = 1, mlflow_finished = 3, mlflow_failed = 4, mlflow_killed = 5 };

std::string number_cell(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

/// Thousands of small files that can be made again: not one by one made durable.
void write(const fs::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    if (!file.write(text.data(), static_cast<std::streamsize>(text.size())).flush())
        throw OutputError(fmt::format("{}: cannot be written: {}, expected room for MLflow's files; name another --out",
                                      printable_path(path), std::strerror(errno)));
}

void make_folders(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error)
        throw OutputError(
            fmt::format("{}: cannot be made: {}, expected a folder for MLflow's files; name another --out",
                        printable_path(folder), error.message()));
}

/// A text of YAML: strings of JSON are some.
std::string quoted(const std::string& text) { return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace); }

/// MLflow's names are files: letters, digits and _-. / and blanks.
std::string file_name(const std::string& name) {
    std::string safe;
    for (const char c : name)
        safe += std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '_';
    return safe.empty() || safe.find_first_not_of('.') == std::string::npos ? "_" + safe : safe;
}

/// Of a file: all but letters, digits, -._~ and / by their bytes.
std::string address_of(const fs::path& path) {
    std::string address = "file://";
    for (const char c : path.native()) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || std::strchr("-._~/", c))
            address += c;
        else
            fmt::format_to(std::back_inserter(address), "%{:02X}", byte);
    }
    return address;
}

std::int64_t milliseconds(double seconds) { return static_cast<std::int64_t>(std::llround(seconds * 1000)); }

MlflowStatus status_of(const std::string& state) {
    return state == "running"   ? mlflow_running
           : state == "done"    ? mlflow_finished
           : state == "stopped" ? mlflow_killed
                                : mlflow_failed;
}

void write_metrics(const RunEntry& run, const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const HistoryPoint& p : run.history) {
        const double at = run.origin.started;
        files["iteration/" + file_name(p.name)] += fmt::format("{} {} {}\n", milliseconds(at), p.value, p.epoch);
    }
    for (const auto& [name, value] : run.figures)
        files[file_name(name)] =
            fmt::format("{} {} {:.0f}\n", milliseconds(run.changed), value, std::max(0.0, run.figure("iterations")));
    if (!run.history.empty()) make_folders(folder / "iteration");
    for (const auto& [name, lines] : files) write(folder / name, lines);
}

void write_run(const RunEntry& run, const fs::path& of_experiment) {
    const std::string id = digest_hex(run.origin.id + run.folder);  // 32 hexadecimal digits, as MLflow wants them
    const fs::path folder = of_experiment / id;
    const fs::path shown = fs::path(run.folder).lexically_relative(fs::path(run.parent).parent_path());
    const std::string name = run.parent.empty() ? fs::path(run.folder).filename().string() : shown.string();
    for (const char* part : {"params", "metrics", "tags", "artifacts"}) make_folders(folder / part);
    const bool ended = run.state != "running";
    write(folder / "meta.yaml",
          fmt::format("artifact_uri: {}\nend_time: {}\nentry_point_name: ''\nexperiment_id: '{}'\nlifecycle_stage: "
                      "active\nrun_id: {}\nrun_name: {}\n"
                      "run_uuid: {}\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {}\nstatus: "
                      "{}\ntags: []\nuser_id: pdadmm\n",
                      quoted(address_of(run.folder)), ended ? std::to_string(milliseconds(run.changed)) : "null",
                      experiment, id, quoted(name), id, milliseconds(run.origin.started),
                      static_cast<int>(status_of(run.state))));
    for (const auto& [option, value] : run.options) write(folder / "params" / file_name(option), value);
    write_metrics(run, folder / "metrics");
    for (const auto& [tag, value] : {std::pair<const char*, std::string>{"mlflow.runName", name},
                                     {"mlflow.user", "pdadmm"},
                                     {"mlflow.source.name", run.origin.program},
                                     {"pdadmm.id", run.origin.id},
                                     {"pdadmm.state", run.state},
                                     {"pdadmm.folder", run.folder},
                                     {"pdadmm.build", run.origin.build},
                                     {"pdadmm.host", run.origin.host},
                                     {"pdadmm.processor", run.origin.processor}})
        write(folder / "tags" / tag, value);
}

}  // namespace

std::string runs_csv(const std::vector<RunEntry>& runs) {
    std::set<std::string> figures, options;
    for (const RunEntry& run : runs) {
        for (const auto& [name, value] : run.figures) figures.insert(name);
        for (const auto& [name, value] : run.options) options.insert(name);
    }
    std::string text = "id,folder,state,exit,started,changed,program,build,host,processor";
    const auto out = std::back_inserter(text);
    for (const std::string& name : figures) fmt::format_to(out, ",{}", csv_cell(name));
    for (const std::string& name : options) fmt::format_to(out, ",{}", csv_cell("option_" + name));
    text += "\n";
    for (const RunEntry& run : runs) {
        const RunOrigin& o = run.origin;
        fmt::format_to(out, "{},{},{},{},{},{},{},{},{},{}", csv_cell(o.id), csv_cell(run.folder), csv_cell(run.state),
                       run.exit, number_cell(o.started), number_cell(run.changed), csv_cell(o.program),
                       csv_cell(o.build), csv_cell(o.host), csv_cell(o.processor));
        for (const std::string& name : figures) fmt::format_to(out, ",{}", number_cell(run.figure(name)));
        for (const std::string& name : options) fmt::format_to(out, ",{}", csv_cell(run.option(name)));
        text += "\n";
    }
    return text;
}

void export_mlflow(const std::vector<RunEntry>& runs, const fs::path& folder) {
    std::error_code ignored;
    if (fs::exists(folder, ignored) && !fs::is_empty(folder, ignored))
        throw OutputError(fmt::format("{}: not empty, expected a new folder for MLflow's files; name another --out",
                                      printable_path(folder)));
    make_folders(folder / ".trash");
    const fs::path of_experiment = fs::absolute(folder) / experiment;
    make_folders(of_experiment);
    double first = INFINITY, last = 0;
    for (const RunEntry& run : runs) {
        first = std::min(first, run.origin.started);
        last = std::max(last, run.changed);
        write_run(run, of_experiment);
    }
    write(of_experiment / "meta.yaml",
          fmt::format("artifact_location: {}\ncreation_time: {}\nexperiment_id: '{}'\nlast_update_time: "
                      "{}\nlifecycle_stage: active\nname: pdadmm\n",
                      quoted(address_of(of_experiment)), milliseconds(std::isfinite(first) ? first : 0), experiment,
                      milliseconds(last)));
}

}  // namespace pdadmm
