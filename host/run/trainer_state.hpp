// A trainer's whole state as a checkpoint, and back: bit for bit.
#pragma once

#include "host/store/checkpoint_store.hpp"
#include "host/train/trainer.hpp"

namespace pdadmm {

/// Shards layer-01.. (tensors of Trainer::state, and of Trainer::best_weights where there are any), controls, and
/// model-best; `meta` gets the counters under "progress". Collective: rank 0 gets everything, over the transport, so
/// one process writes; the others nothing to save. Where nodes have owners every keeper gets all of its own nodes.
CheckpointData save_state(Trainer& solver);

/// Puts a checkpoint into a solver made with the same options and data. Throws DataError where names or shapes differ.
void load_state(Trainer& solver, const CheckpointData& checkpoint);

}  // namespace pdadmm
