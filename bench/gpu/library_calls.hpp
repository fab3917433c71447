// What the GPU benchmark asks of the device and its libraries directly, beside the Backend interface that it measures:
// the ceilings. Implemented with CUDA (library_calls.cu), and on the CPU for a test of the benchmark itself
// (library_calls_cpu.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pdadmm/backend.hpp"

namespace pdadmm::bench {

/// Queues one piece of work on the device; owns what it needs.
using Call = std::function<void()>;

/// The backend that is measured. Throws DeviceError where there is none.
std::unique_ptr<Backend> open_backend(Math math, bool graphs = true, bool fused = false);
/// Name, driver and library versions of device 0, as pairs for the record.
std::vector<std::pair<std::string, std::string>> device_facts();
std::size_t device_memory();
/// Until the device has done all that was queued, on any stream.
void wait();

/// Uniform on [-1, 1): zeros and constants run faster than data does.
void draw(Mat a, std::uint64_t seed);
/// Columns of a synthetic graph: row i takes offsets[i+1] - offsets[i] of them, ascending, with density ~ x^(1/power -
/// 1).
void draw_columns(const Index* offsets, Index rows, Index cols, double power, std::int32_t* columns);

/// A device copy: bytes are read and written once each.
Call copy_call(const void* from, void* to, std::size_t bytes);
/// One bare library product C = op(A) op(B) with the heuristic's first choice: `same` under the backend's restriction
/// (no split-K), `free` without it. In bf16 `same` has operands in bf16, and `free` the library round fp32 ones.
enum class Choice { same, free };
Call product_call(Trans ta, Trans tb, CMat A, CMat B, Mat C, Math math, Choice choice);
/// One bare library SpMM, Y = X A', by its algorithm 1, 2 or 3, set up and preprocessed beforehand.
Call hop_call(int algorithm, const CsrView& a, CMat X, Mat Y);

/// "rounds", "truncates" or "keeps all bits": what a working-precision product in TF32 does to its input.
std::string tf32_rounding();
/// Seconds from one empty kernel to the next in a recorded chain of `count`.
double graph_node_seconds(int count);

}  // namespace pdadmm::bench
