// The "libraries" of a machine without a GPU (library_calls.hpp): the CPU backend itself. A test runs the whole
// benchmark on this, so that its cases, floors and files are known to work before a GPU is lent; its figures mean
// nothing.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "bench/gpu/library_calls.hpp"

namespace pdadmm::bench {

std::unique_ptr<Backend> open_backend(Math, bool, bool) { return make_backend("cpu", {1, 0}); }
std::vector<std::pair<std::string, std::string>> device_facts() {
    return {{"device", "none: a test of the benchmark on the CPU"}};
}
std::size_t device_memory() { return std::size_t{1} << 40; }
void wait() {}

void draw(Mat a, std::uint64_t seed) {
    std::mt19937_64 bits(seed);
    for (Index l = 0; l < a.batch; ++l)
        for (Index j = 0; j < a.cols; ++j)
            for (Index i = 0; i < a.rows; ++i)
                a.data[l * a.stride + j * a.ld + i] =
                    static_cast<real>(2 * static_cast<double>(bits() >> 11) * 0x1p-53 - 1);
}

void draw_columns(const Index* offsets, Index rows, Index cols, double power, std::int32_t* columns) {
    std::mt19937_64 bits(1);
    for (Index row = 0; row < rows; ++row)
        for (Index k = offsets[row]; k < offsets[row + 1]; ++k) {
            const double u = (static_cast<double>(k - offsets[row]) + static_cast<double>(bits() >> 11) * 0x1p-53) /
                             static_cast<double>(offsets[row + 1] - offsets[row]);
            columns[k] = static_cast<std::int32_t>(
                std::min(cols - 1, static_cast<Index>(static_cast<double>(cols) * std::pow(u, power))));
        }
}

Call copy_call(const void* from, void* to, std::size_t bytes) {
    return [=] { std::memcpy(to, from, bytes); };
}
Call product_call(Trans ta, Trans tb, CMat A, CMat B, Mat C, Math math, Choice) {
    return [=, backend = std::shared_ptr<Backend>(open_backend(math))] { backend->gemm(ta, tb, 1, A, B, 0, C); };
}
Call hop_call(int, const CsrView& a, CMat X, Mat Y) {
    return [=, backend = std::shared_ptr<Backend>(open_backend(Math::fp32))] { backend->spmm(a, X, Y); };
}
std::string tf32_rounding() { return "keeps all bits"; }
double graph_node_seconds(int) { return 1e-6; }

}  // namespace pdadmm::bench
