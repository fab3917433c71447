// trials.jsonl: what the trials of a search showed, a line for every time that one was trained or refused.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/store/folder.hpp"
#include "host/tune/search.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

struct TrialRow {
    int trial = 0, bracket = 0;
    double share = 1;        // of its epochs, up to which it was trained
    std::string state, why;  // "done", "paused", "diverged", "failed"; of a failure its words
    Settings settings;
    double figure = 0;  // of the validation nodes, the best so far; NaN where there is none
    Index epochs = 0;
    Costs costs{};
    double beyond = 0;  // of the limits: excess()

    bool can_win() const { return state == "done" && beyond <= 0 && figure == figure; }
    Outcome outcome() const { return {figure, costs}; }
};

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

/// The row with the best figure among those that can win, the first of equal ones; null where there is none.
const TrialRow* winner_of(const std::vector<TrialRow>& rows);

}  // namespace pdadmm
