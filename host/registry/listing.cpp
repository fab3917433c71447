// Runs as tables and as JSON (host/registry/listing.hpp).
#include "host/registry/listing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <set>

#include "host/console/printable.hpp"
#include "host/report/html.hpp"
#include "host/report/run_record.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;

/// Columns of a terminal: printable() leaves one a character.
std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string shown_path(const fs::path& folder, const fs::path& beside) {
    const fs::path below = folder.lexically_relative(beside);
    return printable_path(below.empty() || below.native().starts_with("..") ? folder : below);
}

using Facts = std::vector<std::pair<std::string, std::string>>;

/// In the order in which they are shown.
Facts facts_of(const RunEntry& run) {
    return {{"folder", run.folder},
            {"id", run.origin.id},
            {"state", run.exit ? fmt::format("{}, exit {}", run.state, run.exit) : run.state},
            {"started", date_text(run.origin.started)},
            {"program", run.origin.program},
            {"build", run.origin.build},
            {"host", run.origin.host},
            {"processor", run.origin.processor}};
}

std::string value_of(const Facts& facts, const std::string& name) {
    for (const auto& [fact, value] : facts)
        if (fact == name) return value;
    return {};
}

}  // namespace

std::string date_text(double seconds_since_1970) {
    const auto seconds = static_cast<std::time_t>(seconds_since_1970);
    std::tm local{};
    char text[32];
    if (seconds <= 0 || !::localtime_r(&seconds, &local) ||
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local) == 0)
        return {};
    return text;
}

std::string share_text(double value) { return std::isfinite(value) ? fmt::format("{:.4f}", value) : ""; }
std::string whole_text(double value) { return std::isfinite(value) ? fmt::format("{:.0f}", value) : ""; }

std::string method_of(const RunEntry& run) {
    const std::string quantised = run.option("quantize");
    if (quantised.empty() || quantised == "none") return run.option("optimizer");
    return fmt::format("{} {} {}", run.option("optimizer"), quantised,
                       run.option("codec") == "grid" ? "grid" : run.option("bits"));
}

std::string aligned(const std::vector<Row>& rows) {
    if (rows.empty()) return {};
    const std::size_t columns = rows.front().size();
    std::vector<std::size_t> widths(columns);
    std::vector<bool> numbers(columns, true);
    for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::size_t c = 0; c < columns; ++c) {
            const std::string& cell = rows[r][c];
            widths[c] = std::max(widths[c], width_of(cell));
            if (r > 0 && cell.find_first_not_of("0123456789.-+e") != std::string::npos) numbers[c] = false;
        }
    std::string text;
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t c = 0; c < columns; ++c) {
            const std::string padding(widths[c] - width_of(row[c]), ' ');
            line += (c ? "  " : "") + (numbers[c] ? padding + row[c] : row[c] + padding);
        }
        text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return text;
}

std::string table_of(const std::vector<RunEntry>& runs, const fs::path& beside) {
    std::vector<Row> rows{{"id", "state", "data", "method", "layers", "seed", "val", "test", "iterations", "seconds",
                           "started", "folder"}};
    for (const RunEntry& run : runs)
        rows.push_back(
            {printable(run.origin.id.substr(0, 8)), printable(run.state), printable(run.option("dataset"), 24),
             printable(method_of(run), 24), printable(run.option("layers"), 8), printable(run.option("seed"), 12),
             share_text(run.figure("val")), share_text(run.figure("test")), whole_text(run.figure("iterations")),
             std::isfinite(run.figure("seconds")) ? fmt::format("{:.3g}", run.figure("seconds")) : "",
             date_text(run.origin.started), shown_path(run.folder, beside)});
    return aligned(rows);
}

std::string description_of(const RunEntry& run) {
    std::vector<Row> rows{{"", ""}};
    for (const auto& [name, value] : facts_of(run)) rows.push_back({name, printable(value, 200)});
    rows.push_back({"", ""});
    for (const auto& [name, value] : run.figures) rows.push_back({printable(name), fmt::format("{:.6g}", value)});
    rows.push_back({"", ""});
    for (const auto& [name, value] : run.options) rows.push_back({printable(name), printable(value, 200)});
    rows.push_back({"", ""});
    for (const auto& [name, bytes] : run.files)
        rows.push_back({printable(name), bytes_text(static_cast<double>(bytes))});
    for (const EvaluationEntry& e : run.evaluations) {
        rows.push_back({"", ""});
        rows.push_back({"evaluated", fmt::format("{} on {}", date_text(e.at), printable(e.dataset, 200))});
        for (const auto& [name, value] : e.figures) rows.push_back({printable(name), fmt::format("{:.6g}", value)});
    }
    const std::string text = aligned(rows);
    return text.substr(text.find('\n') + 1);
}

std::vector<Row> differences(const std::vector<RunEntry>& runs) {
    std::vector<Row> rows;
    const auto put = [&](const std::string& name, const auto& value) {
        Row row{name};
        for (const RunEntry& run : runs) row.push_back(value(run));
        if (std::any_of(row.begin() + 2, row.end(), [&](const std::string& cell) { return cell != row[1]; }))
            rows.push_back(std::move(row));
    };
    std::set<std::string> figures, options;
    for (const RunEntry& run : runs) {
        for (const auto& [name, value] : run.figures) figures.insert(name);
        for (const auto& [name, value] : run.options) options.insert(name);
    }
    for (const std::string& name : figures)
        put(name, [&](const RunEntry& run) {
            return std::isfinite(run.figure(name)) ? fmt::format("{:.6g}", run.figure(name)) : "";
        });
    for (const std::string& name : options) put(name, [&](const RunEntry& run) { return run.option(name); });
    for (const auto& [name, value] : facts_of(runs.front()))
        if (name != "id" && name != "folder")
            put(name, [&, fact = name](const RunEntry& run) { return value_of(facts_of(run), fact); });
    return rows;
}

Json to_json(const RunEntry& run) {
    Json json{{"id", run.origin.id},
              {"folder", run.folder},
              {"parent", run.parent},
              {"state", run.state},
              {"exit", run.exit},
              {"started", run.origin.started},
              {"changed", run.changed},
              {"program", run.origin.program},
              {"build", run.origin.build},
              {"host", run.origin.host},
              {"processor", run.origin.processor}};
    for (const auto& [name, value] : run.figures) json["figures"][name] = number_or_null(value);
    for (const auto& [name, value] : run.options) json["options"][name] = value;
    for (const HistoryPoint& p : run.history) json["history"][p.name].push_back({p.epoch, number_or_null(p.value)});
    for (const auto& [name, bytes] : run.files) json["files"][name] = bytes;
    for (const EvaluationEntry& e : run.evaluations) {
        Json one{{"at", e.at},
                 {"dataset", e.dataset},
                 {"data_digest", e.data_digest},
                 {"model", e.model},
                 {"program", e.program}};
        for (const auto& [name, value] : e.figures) one["figures"][name] = number_or_null(value);
        json["evaluations"].push_back(std::move(one));
    }
    return json;
}

}  // namespace pdadmm
