// trials.jsonl: what the trials of a search showed, a line for every time that one was trained or refused.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/store/folder.hpp"
#include "host/tune/trial.hpp"

namespace pdadmm {

nlohmann::json to_json(const TrialRow& row);

/// Rows in the order of trials and rounds, which is that of the search whatever ran at the same time.
class TrialTable {
public:
    /// Reads what is there; a line that was cut off is dropped. Throws DataError, OutputError.
    explicit TrialTable(const Folder& folder);

    const std::vector<TrialRow>& rows() const { return rows_; }
    /// The row of this training, or null. Throws DataError where it had other settings.
    const TrialRow* find(int trial, double share, const Settings& settings) const;
    void append(const TrialRow& row);

private:
    std::string path_;
    Descriptor file_;
    std::vector<TrialRow> rows_;
};

}  // namespace pdadmm
