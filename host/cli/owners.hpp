// Training on nodes of several owners (host/RANKS.md, "Owners"): a rank reads the folders of its own block of nodes
// alone. What the others hear of a folder before work is one record, without a row.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/cli/rank_session.hpp"
#include "host/cli/train_arguments.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// The folders that --owners names, in order; none without it. Throws UsageError: a single one, or one twice.
std::vector<std::string> owner_folders(const TrainOptions& options);

/// Where the options of X stand: --dataset, or of the owners' folders the first that is here.
std::string described_data(const TrainOptions& options);

/// Gives --grid and --dataset what they stand for beside --owners; nothing without it. Throws UsageError on options
/// that were given and mean nothing beside it.
void settle_owners(GivenOptions& all, const Given& typed);

/// Throws UsageError where owners are named to a command that reads one data set.
void require_no_owners(const TrainOptions& options, const char* command);

struct OwnedNodes {
    Dataset common;                      // what all owners have alike: features and classes; no node
    std::vector<AugmentedNodes> blocks;  // by number; one that no rank here works on is left empty
    std::string data_digest, split_digest;
    std::string line;  // for people
};

/// Reads the folders of the blocks of nodes that ranks of this process work on. Collective. Throws, on all ranks alike,
/// UsageError or DataError where a folder is none, or not like the first one.
OwnedNodes load_owners(const TrainOptions& options, const Grid& grid, RankGroup& ranks);

}  // namespace pdadmm
