// From kept powers to X, row by row, and the files of the folder beside it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "host/data/augmented_folder.hpp"
#include "host/large/manifest.hpp"

namespace pdadmm {

/// Writes X.npy (rows, inputs) into `folder` from the kept powers in `work`, whose node k has row places[k]; the digest
/// of its rows, as they are stored, is returned. progress(rows done).
std::string assemble_X(const Folder& folder, const Folder& work, const std::vector<SlabPower>& kept,
                       std::span<const std::int32_t> places, Index features, const AugmentOptions& options,
                       StoredAs stored, const std::function<void(Index)>& progress);

/// Writes nodes, labels and the split's rows; `nodes` are kept, ascending, and have the rows `places`. Nodes of the
/// split that are not kept are left out.
void write_rows(const Folder& folder, const Dataset& description, const Split& split,
                std::span<const std::int32_t> nodes, std::span<const std::int32_t> places);

}  // namespace pdadmm
