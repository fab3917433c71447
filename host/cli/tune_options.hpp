// The options of `pdadmm tune`: its own, and those of `pdadmm train` that a search may have.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/cli/train_arguments.hpp"
#include "host/tune/limits.hpp"

namespace pdadmm {

inline constexpr const char* tune_file = "tune.toml";  // of a search: what --resume needs

struct TuneOptions {
    std::string method = "admm", search;
    int trials = 30, round = 5, jobs = 1;
    double max_seconds = 0, max_bytes = 0, max_memory = 0, max_parameters = 0, max_flops = 0;  // 0: any
    std::string seed = "0", seeds, out, resume;
    bool quiet = false, json = false;
};

struct TuneArguments {
    TuneOptions options;
    TrainArguments base;             // what every trial has that its settings do not say
    std::vector<std::string> fixed;  // options of train that were typed, by long name
    std::uint64_t seed = 0;          // of proposals and of every trial's first weights
    std::string folder;              // of the search
    std::string file;                // the text of tune_file
    bool resumes = false;

    Limits limits() const;
    /// The file that its runs are entered in, or off: by default beside the folder of the search.
    std::string registry() const;
};

/// Own options alone, as help and OPTIONS.md show them.
Options tune_table(TuneOptions& options);

/// Nothing after help. Throws UsageError, also where a search that goes on is asked for something else than before.
std::optional<TuneArguments> parse_tune(const std::vector<std::string>& arguments);

}  // namespace pdadmm
