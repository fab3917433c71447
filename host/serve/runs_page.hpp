// The page of all runs: those that run now with their curves, the best of each data set, and a table that leads to
// reports of single runs and of several side by side (host/report/report_page.hpp).
#pragma once

#include <string>
#include <vector>

#include "host/registry/run_entry.hpp"

namespace pdadmm {

/// `runs` fit `conditions`, as typed; newest first, with their history where they are running. `fault`: what is wrong
/// with the conditions, "" where nothing is.
std::string runs_page(const std::vector<RunEntry>& runs, const std::string& conditions, const std::string& fault,
                      const std::string& program);

/// A page that says only this.
std::string message_page(const std::string& text);

}  // namespace pdadmm
