// The table of trials (host/cli/tune_table.hpp).
#include "host/cli/tune_table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "host/report/run_record.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

constexpr const char* table_name = "trials.jsonl";
constexpr std::size_t most_bytes = std::size_t{1} << 28;

double number_from(const Json& value) { return value.is_number() ? value.get<double>() : NAN; }

TrialRow row_from(const Json& json) {
    TrialRow row;
    row.trial = json.at("trial");
    row.bracket = json.at("bracket");
    row.share = json.at("share");
    row.state = json.at("state");
    row.why = json.value("why", "");
    for (const auto& [name, value] : json.at("settings").items()) row.settings.emplace_back(name, value);
    row.figure = number_from(json.at("figure"));
    row.epochs = json.at("epochs");
    for (std::size_t i = 0; i < cost_names.size(); ++i) row.costs[i] = number_from(json.at(cost_names[i]));
    row.beyond = json.at("beyond");
    return row;
}

}  // namespace

Json to_json(const TrialRow& row) {
    Json json{{"trial", row.trial},
              {"bracket", row.bracket},
              {"share", row.share},
              {"state", row.state},
              {"figure", number_or_null(row.figure)},
              {"epochs", row.epochs},
              {"beyond", row.beyond},
              {"settings", Json::object()}};
    if (!row.why.empty()) json["why"] = row.why;
    for (const auto& [name, value] : row.settings) json["settings"][name] = value;
    for (std::size_t i = 0; i < cost_names.size(); ++i) json[cost_names[i]] = number_or_null(row.costs[i]);
    return json;
}

TrialTable::TrialTable(const Folder& folder)
    : path_(folder.path_of(table_name)), file_(folder.open_append(table_name)) {
    if (::lseek(file_.get(), 0, SEEK_END) == 0) return;
    const std::string whole = read_text(path_, most_bytes);
    const std::string_view text(whole);
    std::size_t at = 0;
    for (std::size_t end; (end = text.find('\n', at)) != std::string_view::npos; at = end + 1) try {
            rows_.push_back(row_from(Json::parse(text.substr(at, end - at))));
        } catch (const Json::exception& error) {
            throw DataError(fmt::format("{}: line {}: {}, expected what pdadmm tune wrote; remove that line",
                                        printable_path(path_), rows_.size() + 1, printable(error.what(), 200)));
        }
    if (at < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(at)) != 0)
        throw_output_error(path_, "be cut back", errno);
}

const TrialRow* TrialTable::find(int trial, double share, const Settings& settings) const {
    const auto found = std::find_if(rows_.begin(), rows_.end(),
                                    [&](const TrialRow& row) { return row.trial == trial && row.share == share; });
    if (found == rows_.end()) return nullptr;
    Settings ordered = settings;
    std::sort(ordered.begin(), ordered.end());
    if (found->settings != ordered)
        throw DataError(
            fmt::format("{}: trial {} has other settings, expected those of this search and program; begin anew with "
                        "another --out",
                        printable_path(path_), trial));
    return &*found;
}

void TrialTable::append(const TrialRow& row) {
    const std::string line = to_json(row).dump() + "\n";
    if (const int error = write_all(file_.get(), std::as_bytes(std::span(line))))
        throw_output_error(path_, "be written", error);
    if (const int error = sync_file(file_.get())) throw_output_error(path_, "be written", error);
    rows_.push_back(row);
    std::sort(rows_.back().settings.begin(), rows_.back().settings.end());
}

}  // namespace pdadmm
