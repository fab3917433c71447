// Made-up graphs: the contextual stochastic block model, so that the program can be tried, tested and timed without a
// file.
//
// Node i has a class y_i and features x_i = m_{y_i} + noise * e_i, where e_i has unit variance in every coordinate and
// the class means m_c have a length of about 1.75 whatever the number of features. nodes * degree / 2 edges are drawn:
// one end uniformly, the other from the same class with probability `homophily`, else from the other classes; with an
// exponent, ends are drawn so that numbers of neighbours follow a power law (k neighbours in proportion to k^-exponent;
// (exponent - 1) / (exponent - 2) is rounded to eighths). With the
// defaults one node's features alone tell its class about half of the time, the means over two hops nine times in ten.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "pdadmm/dataset.hpp"

namespace pdadmm {

struct SbmSpec {
    Index nodes = 2000, classes = 5, features = 64;
    double degree = 6;  // mean number of neighbours aimed at; repeated draws are merged
    double homophily = 0.7, noise = 1;
    double exponent = 0;  // of the power law of neighbours; 0: none
    std::uint64_t seed = 0;
};

/// Parses `sbm` or `sbm:nodes=2000,classes=5,...`; keys are the members of SbmSpec, each at most once. Throws
/// UsageError, listing the keys and their ranges.
SbmSpec parse_sbm(const std::string& text);

/// The text that parse_sbm turns into `spec`, with every key; the name of the data set.
std::string to_string(const SbmSpec& spec);

/// Symmetric, without self loops, dense features, balanced classes, and a stored split: 20 nodes per class (at most
/// half of a class) for training, then at most 500 (a third of the rest) for validation and 1000 for testing. Uses
/// integer draws of mt19937_64, sums, products and square roots only: the same bits with every compiler and C library.
/// O(nodes * features + edges).
Dataset make_sbm(const SbmSpec& spec);

/// The graph of make_sbm part by part: labels are held, edges and features are made anew whenever they are asked for.
class SbmStream {
public:
    explicit SbmStream(const SbmSpec& spec);

    const SbmSpec& spec() const { return spec_; }
    /// Every edge drawn, once, in the order drawn; repeated ones too.
    void edges(const std::function<void(std::int32_t, std::int32_t)>& take) const;
    /// Rows of features from node `first` on, a chunk at a time.
    void features(const std::function<void(Index first, std::span<const float> rows)>& take) const;
    /// Labels, classes, the stored split and the number of features, with no edge and no feature.
    Dataset description() const;

private:
    SbmSpec spec_;
    std::vector<std::int32_t> labels_;
    std::vector<std::vector<std::int32_t>> members_;  // of each class
};

}  // namespace pdadmm
