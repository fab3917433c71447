// A worked example of tests/oracle (float64, written by make_oracle.py from the paper's equations) and its comparison
// with the program.
#pragma once

#include <string>
#include <vector>

#include "host/admm/solver.hpp"
#include "host/network/network.hpp"

namespace pdadmm {

struct OracleError {
    std::string where;  // "iteration 2, W of layer 3"
    double error = 0;   // max|x - ref| / max|ref|
};

/// Runs every iteration of the example at `path` and returns the largest error over all arrays and figures.
OracleError compare_with_oracle(Backend& backend, const std::string& path, FirstLayer first_layer, int most_stacked);

/// The *.json files of a folder, sorted.
std::vector<std::string> oracle_files(const std::string& folder);

}  // namespace pdadmm
