// Operators of the augmentation (design 1): which blocks stand below H in X, each a polynomial of one propagation
// operator.
#pragma once

#include <string>
#include <vector>

#include "pdadmm/graph.hpp"

namespace pdadmm {

enum class Diffusion { gcn, row, high, ppr, heat };

struct AugmentOperator {
    Diffusion kind = Diffusion::gcn;
    double parameter = 0;  // alpha of ppr, t of heat
    friend bool operator==(const AugmentOperator&, const AugmentOperator&) = default;
};
using AugmentOperators = std::vector<AugmentOperator>;

/// The block sum_k coefficients[k] T^k H. T is D^-1 A without added self loops where `walk`, else the Ã that
/// GraphOptions describe.
struct DiffusionBlock {
    bool walk = false;
    std::vector<double> coefficients;  // the last is not 0
};

/// The blocks of X in order, H first, of powers below `hops`:
///   gcn    Ã^k                  k = 1 .. hops-1
///   row    (D^-1 A)^k           k = 1 .. hops-1
///   high   (I - Ã)^k            k = 1 .. hops-1
///   ppr    one block, hops-1 steps of z <- (1 - alpha) Ã z + alpha h from z = h (APPNP, arXiv 1810.05997, equation 4)
///   heat   one block, exp(-t) sum_k t^k / k! Ã^k (GDC, arXiv 1911.05485, equation 2), cut off at hops-1
std::vector<DiffusionBlock> diffusion_blocks(const AugmentOperators& operators, int hops);

/// The graph options of T in a block that walks.
GraphOptions walk_options(GraphOptions options);

/// A list such as "gcn,high,ppr:0.1,heat:3"; without its number ppr has alpha 0.1 and heat t 3. Throws UsageError that
/// begins with `what`.
AugmentOperators parse_operators(const std::string& what, const std::string& text);
/// Throws UsageError where `hops` is too small for one of them (nothing to diffuse) or too large (high: the signs of
/// its coefficients alternate, and rounding grows like 2^hops).
void check_hops(const AugmentOperators& operators, int hops);
/// The list that parse_operators reads.
std::string to_string(const AugmentOperators& operators);

}  // namespace pdadmm
