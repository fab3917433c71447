// Passes as they must not be written, and one as it must, for test_vector_code.py: all three do x -= step g.
#include "host/cpu/thread_pool.hpp"

namespace pdadmm::planted {

// The step is captured by reference, and read anew for every element: the loop's stores might change it.
void captured(ThreadPool& pool, const real* inverse, Index tasks, Index count, const real* g, real* x, double* sums) {
    const real step = *inverse;
    const auto block = [&](Index task) {
        const real* __restrict gs = g + task * count;
        real* __restrict xs = x + task * count;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (Index i = 0; i < count; ++i) {
            xs[i] -= step * gs[i];
            sum += static_cast<double>(xs[i]) * static_cast<double>(xs[i]);
        }
        return sum;
    };
    pool.run(tasks, [&](Index task) { sums[task] = block(task); });
}

void scalar(real step, Index count, const real* g, real* x) {  // x may be g, shifted
    for (Index i = 0; i < count; ++i) {
        x[i] -= step * g[i];
        if (x[i] > step) break;
    }
}

void vector(real step, Index count, const real* __restrict g, real* __restrict x) {
#pragma omp simd
    for (Index i = 0; i < count; ++i) x[i] -= step * g[i];
}

}  // namespace pdadmm::planted
