// Runs as tables for a terminal and as JSON. What people named is made printable here.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/registry/run_entry.hpp"

namespace pdadmm {

/// Rows of cells under a header, in columns; numbers to the right.
std::string aligned(const std::vector<std::vector<std::string>>& rows);

/// A line a run, newest first; folders relative to `beside`.
std::string table_of(const std::vector<RunEntry>& runs, const std::filesystem::path& beside);
/// All that is known of one run.
std::string description_of(const RunEntry& run);

/// What differs between runs, a row an option, fact or figure: name, then a value a run ("" where it has none).
std::vector<std::vector<std::string>> differences(const std::vector<RunEntry>& runs);

nlohmann::ordered_json to_json(const RunEntry& run);

/// 2026-11-29 21:03, of the local calendar; "" of 0.
std::string date_text(double seconds_since_1970);
/// A share in four digits, and a whole number; "" of none.
std::string share_text(double value);
std::string whole_text(double value);
/// "admm", "admm pq 4", "adam".
std::string method_of(const RunEntry& run);

}  // namespace pdadmm
