// Augmentation of graphs larger than memory: the bits of host/data/augmentation.hpp within a given memory, from a
// folder on disk, and restartable.
//
//   edges  -> graph on disk       disk_graph.hpp         a counting sort in as many passes as memory asks for
//   features -> panels on disk    features_on_disk.hpp
//   for every slab of features    slab_worker.hpp        X of the slab in memory, graph streamed, result streamed:
//     for every hop                                      only nodes within reach of a node that is kept
//   kept nodes -> X.npy           assembly.cpp
//
// Every step ends in a manifest (manifest.hpp); a command that ended in any way is given again and goes on. What a
// column of X is depends on nothing but the graph and that column, so slabs, threads, memory and GPUs change no bit.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/data/augmented_folder.hpp"
#include "host/large/graph_source.hpp"
#include "host/large/hop_line.hpp"
#include "host/large/large_plan.hpp"

namespace pdadmm {

/// Nodes whose X is wanted.
enum class KeptNodes { split, labelled, all };

struct LargeOptions {
    AugmentOptions augment;
    KeptNodes nodes = KeptNodes::split;
    std::uint64_t memory = 0;  // bytes
    int threads = 1;
    std::string folder;
    std::vector<std::string> arguments{};       // the options of pdadmm train that mean the same
    StoredAs stored = StoredAs::working;        // values of X
    std::vector<int> devices{};                 // GPUs that take slabs side by side; none: the processor
    Index block_entries = usual_block_entries;  // of the graph's rows that go to a GPU at a time (a test lowers it)
};

struct LargeResult {
    Index rows = 0, inputs = 0;
    bool stopped = false;  // in between; the same command goes on
};

/// Writes what host/data/augmented_folder.hpp reads.
/// Throws DeviceError where the memory is too small, naming the least that works; UsageError where the folder holds
/// another augmentation or something else; OutputError where it cannot be written, has no room, or another command
/// writes it; DataError where a part of it or the source is damaged.
LargeResult augment_on_disk(const GraphSource& source, const Split& split, const LargeOptions& options,
                            const LargeWatch& watch);

/// What the GPUs of those numbers have free. Throws DeviceError where one cannot be used.
DeviceSize size_of_devices(const std::vector<int>& devices);

/// The plan of such a run, with entries of the graph as the source states them.
LargePlan plan_of(const GraphSource& source, const Split& split, const LargeOptions& options);
/// The nodes of a choice, ascending.
std::vector<std::int32_t> kept_nodes(const Dataset& description, const Split& split, KeptNodes choice);
/// Their rows of X: of a split train, val, test, each in its order, so that training reads X where it lies; else as
/// they are.
std::vector<std::int32_t> rows_of_nodes(std::span<const std::int32_t> nodes, const Split& split, KeptNodes choice);

}  // namespace pdadmm
