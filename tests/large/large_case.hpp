// What tests of graphs larger than memory begin with.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "host/data/sbm.hpp"
#include "host/format/npy.hpp"
#include "host/large/large_augmentation.hpp"

namespace pdadmm {

inline std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// A folder that goes with the test.
struct Scratch {
    std::filesystem::path path;
    Scratch() {
        std::string name =
            (std::filesystem::exists("/dev/shm") ? "/dev/shm/" : testing::TempDir()) + "pdadmm-large-XXXXXX";
        path = ::mkdtemp(name.data());
    }
    ~Scratch() { std::filesystem::remove_all(path); }
    std::string in(const std::string& name) const { return (path / name).string(); }
};

inline std::vector<real> read_X(const std::string& folder) {
    const std::vector<double> X = read_npy(folder + "/X.npy", std::uint64_t{1} << 32).as_double();
    return {X.begin(), X.end()};
}

/// The nodes whose X rows of a folder are.
inline std::vector<std::int32_t> nodes_of(const std::string& folder) {
    return read_npy(folder + "/nodes.npy", 1 << 20).as_int32();
}

inline AugmentOptions options_of(const GraphOptions& graph, int hops, const char* operators = "gcn",
                                 FeatureNorm norm = FeatureNorm::none) {
    return {graph, hops, norm, parse_operators("augment", operators)};
}

inline LargeOptions on_disk(const AugmentOptions& augment, const std::string& folder, KeptNodes nodes = KeptNodes::all,
                            int threads = 2) {
    return {augment, nodes, std::uint64_t{1} << 30, threads, folder};
}

/// A made-up graph of so many nodes and features.
inline SbmSpec sbm_of(Index nodes, Index features) {
    SbmSpec spec;
    spec.nodes = nodes;
    spec.features = features;
    return spec;
}

/// Asks for an end after so many questions.
inline LargeWatch stopped_after(int questions) {
    LargeWatch watch;
    watch.stopped = [left = questions]() mutable { return --left < 0; };
    return watch;
}

inline std::uint64_t least_memory(const GraphSource& source, const Split& split, const LargeOptions& options) {
    return plan_of(source, split, options).least_memory;
}

}  // namespace pdadmm
