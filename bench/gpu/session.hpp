// What the parts of the GPU benchmark share: the report, the way time is taken, the ceilings, and the products' times
// alone.
//
// Time is the host's clock between two waits for the device, over enough repeats that a wait (about 10 microseconds)
// does not count, for our work and for the bare library's alike: a backend keeps its streams to itself, so events of
// ours would not be in order with its work. Works that are compared take turns, and each figure is a median over
// rounds.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "bench/gpu/library_calls.hpp"
#include "bench/gpu/report.hpp"

namespace pdadmm::bench {

class Session {
public:
    Session(Report& of, bool is_quick, double seconds);

    Report& report;
    const bool quick;  // sizes that need seconds, for trying the benchmark out
    double copy_bytes_per_second = 0;

    bool time_is_left() const { return std::chrono::steady_clock::now() < deadline_; }
    /// Runs a case; one that does not fit, fails or finds no time left becomes a figure that is missing, by `name` and
    /// `target`.
    void attempt(const std::string& group, const std::string& name, std::optional<Target> target,
                 const std::function<void()>& body);

    /// Median seconds of each call, taking turns.
    std::vector<double> side_by_side(const std::vector<Call>& calls) const;
    /// Median seconds of one bare product op(A) op(B), C of m x n from k, `layers` in one call; measured once.
    double product_seconds(Trans ta, Trans tb, Index m, Index n, Index k, Index layers, Math math);
    int rounds() const { return quick ? 3 : 7; }

private:
    std::chrono::steady_clock::time_point deadline_;
    std::map<std::tuple<Trans, Trans, Index, Index, Index, Index, Math>, double> products_;
};

/// A stack of random matrices in a backend's memory.
struct Stack {
    Buffer<real> memory;
    Mat view;
    Stack(Backend& backend, Index rows, Index cols, Index layers = 1, std::uint64_t seed = 1);
};

const char* name_of(Math math);

// The parts, in the order of a run: what most hangs on comes first.
void measure_ceilings(Session& s);
void measure_products(Session& s);
void measure_passes(Session& s);
void measure_small_networks(Session& s);
void measure_large_network(Session& s);
void measure_larger_networks(Session& s);
void measure_hops(Session& s);

}  // namespace pdadmm::bench
