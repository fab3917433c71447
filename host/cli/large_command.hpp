// pdadmm augment into a folder: options and command.
#pragma once

#include <string>

#include "host/cli/option.hpp"
#include "host/cli/train_options.hpp"

namespace pdadmm {

/// As typed.
struct LargeChoice {
    std::string out, memory, nodes = "split", shape, store = "fp32", devices;
    bool plan = false;
};

/// Records of --memory, --nodes, --store, --devices, --plan and --shape.
Options large_options(LargeChoice& choice);

/// Whether --out means a folder: one that is there, or a name without an ending.
bool names_folder(const std::string& out);

/// Plans or runs; returns the exit code.
int large_command(const TrainOptions& options, const LargeChoice& choice);

/// Bytes of "512M", "1.5G" or "24GiB" (powers of 1024). Throws UsageError naming `option`.
std::uint64_t memory_size(const char* option, const std::string& text);

}  // namespace pdadmm
