// The registry's runs in the forms of other programs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/registry/run_entry.hpp"

namespace pdadmm {

/// A row a run: facts, then every figure and option that some run has. Columns of numbers hold numbers or nothing, so
/// that readers find the types that Parquet needs (pandas.read_csv, pyarrow.csv, duckdb).
std::string runs_csv(const std::vector<RunEntry>& runs);

/// The folder of MLflow's file store: `mlflow ui --backend-store-uri DIR` shows it. The experiment is "pdadmm"; options
/// are params, figures metrics, their history metrics named iteration/val and so on, facts tags; artifacts stay where
/// they are, in the run's folder. Checked with MLflow 2.22. `folder` must be missing or empty. Throws OutputError.
void export_mlflow(const std::vector<RunEntry>& runs, const std::filesystem::path& folder);

}  // namespace pdadmm
