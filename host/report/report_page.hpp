// The report of runs: one page of HTML that loads nothing. Of one run its finding, accuracy, curves, residuals by
// layer, bytes, time and configuration; of several the same figures side by side.
#pragma once

#include <string>
#include <vector>

#include "host/report/run_record.hpp"

namespace pdadmm {

/// `program` is what wrote the page: version and build.
std::string report_page(const std::vector<RunRecord>& runs, const std::string& program);

}  // namespace pdadmm
