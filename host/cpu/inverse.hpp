// Inverses of regularised Gram matrices on the CPU, formed in double by Cholesky factorisation (design 2, `block`).
#pragma once

#include "host/cpu/thread_pool.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

constexpr Index inverse_tile =
    256;  // rows of a tile; up to here a matrix is one tile, and layers are inverted side by side

/// F = (nu F + ridge_of(kappa) I)^-1 of one symmetric matrix with at most inverse_tile rows, whose lower triangle is
/// read; `scratch` holds F.size() values. False, with F NaN, where it is not positive definite.
bool invert_small(Mat F, double nu, double kappa, double* scratch);

/// The same for any size, in fixed tiles by all threads of `pool`, so that bits do not depend on their number. `ridge`,
/// if not null, becomes what was added to the diagonal.
bool invert_regularised(ThreadPool& pool, Mat F, double nu, double kappa, double* scratch, double* ridge);

/// Backend::push_through of a stack: by X'X where `by_columns`, else by X X'. `scratch` holds push_through_scratch
/// values. ridges[layer] is what was added to the diagonal; NaN, as that layer of Y is, where there is no inverse.
void push_through(ThreadPool& pool, CMat X, bool by_columns, double nu, double kappa, double* scratch, Mat Y,
                  double* ridges);
Index push_through_scratch(CMat X, bool by_columns);

}  // namespace pdadmm
