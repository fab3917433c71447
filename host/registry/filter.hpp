// Conditions on runs as people type them: dataset=cora test>0.82 hidden!=100 folder~night. They become SQL whose text
// holds none of what was typed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/registry/sqlite.hpp"

namespace pdadmm {

struct Filter {
    std::string name, op, value;  // op: = != < <= > >= ~ (contains)
};

/// Throws UsageError where a word is no condition.
std::vector<Filter> parse_filters(const std::vector<std::string>& words);

/// A condition on `runs r`, and the values of its parameters from ?1 on.
struct Condition {
    std::string sql = "1";
    SqlValues values;
};
Condition condition_of(const std::vector<Filter>& filters);

/// The number that all of `text` is: what options are stored with, and compared by.
std::optional<double> finite_number(const std::string& text);

/// A fact of a run that has a column: state, dataset, seed, started, ...
bool is_fact(const std::string& name);

}  // namespace pdadmm
