// Clock, ceilings and bare products of the GPU benchmark (session.hpp).
#include "bench/gpu/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/rounds.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(const Call& call, int repeats) {
    wait();
    const auto began = Clock::now();
    for (int i = 0; i < repeats; ++i) call();
    wait();
    return std::chrono::duration<double>(Clock::now() - began).count() / repeats;
}

}  // namespace

Session::Session(Report& of, bool is_quick, double seconds)
    : report(of),
      quick(is_quick),
      deadline_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

void Session::attempt(const std::string& group, const std::string& name, std::optional<Target> target,
                      const std::function<void()>& body) {
    if (!time_is_left()) return report.missing(group, name, "no time left (--seconds)", target);
    try {
        body();
    } catch (const Error& error) {
        report.missing(group, name, error.what(), target);
    }
}

std::vector<double> Session::side_by_side(const std::vector<Call>& calls) const {
    const double round_seconds = quick ? 0.002 : 0.02;
    constexpr int most_repeats = 2000;
    std::vector<int> repeats;
    for (const Call& call : calls) {
        seconds_of(call, 2);  // algorithms, scratch and modules
        const double once = seconds_of(call, 2);
        repeats.push_back(std::clamp(static_cast<int>(round_seconds / std::max(once, 1e-7)), 1, most_repeats));
    }
    std::vector<std::vector<double>> taken(calls.size());
    for (int round = 0; round < rounds(); ++round)
        for (std::size_t i = 0; i < calls.size(); ++i) taken[i].push_back(seconds_of(calls[i], repeats[i]));
    std::vector<double> medians;
    for (std::vector<double>& t : taken) medians.push_back(median(std::move(t)));
    return medians;
}

double Session::product_seconds(Trans ta, Trans tb, Index m, Index n, Index k, Index layers, Math math) {
    const auto [known, fresh] = products_.try_emplace({ta, tb, m, n, k, layers, math}, 0);
    if (!fresh) return known->second;
    const auto backend = open_backend(math);
    const Stack A(*backend, ta == Trans::no ? m : k, ta == Trans::no ? k : m, layers, 1),
        B(*backend, tb == Trans::no ? k : n, tb == Trans::no ? n : k, layers, 2), C(*backend, m, n, layers, 3);
    known->second = side_by_side({product_call(ta, tb, A.view, B.view, C.view, math, Choice::same)})[0];
    return known->second;
}

Stack::Stack(Backend& backend, Index rows, Index cols, Index layers, std::uint64_t seed)
    : memory(backend, rows * cols * layers), view{memory.data(), rows, cols, rows, layers, rows * cols} {
    wait();  // for the backend's own clearing of new memory
    draw(view, seed << 40);
}

const char* name_of(Math math) {
    constexpr const char* names[] = {"fp32", "tf32", "bf16"};
    return names[static_cast<int>(math)];
}

void measure_ceilings(Session& s) {
    const auto backend = open_backend(Math::fp32);
    const Index reals = s.quick ? Index{1} << 22 : Index{1} << 30;
    const Stack from(*backend, 1024, reals / 1024, 1, 1), to(*backend, 1024, reals / 1024, 1, 2);
    const auto bytes = static_cast<std::size_t>(reals) * sizeof(real);
    s.copy_bytes_per_second =
        2 * static_cast<double>(bytes) / s.side_by_side({copy_call(from.view.data, to.view.data, bytes)})[0];
    s.report.add({"ceiling", "device copy, read and written", 1e-9 * s.copy_bytes_per_second, "GB/s"});
    s.attempt("ceiling", "kernel to kernel in a graph", {}, [&] {
        s.report.add({"ceiling", "kernel to kernel in a graph", 1e6 * graph_node_seconds(1000), "us"});
    });
    s.attempt("ceiling", "TF32 of the library", {}, [&] {
        const std::string does = tf32_rounding();
        s.report.fact("TF32 of the library", does);
        fmt::print("{:<10} the library's TF32 {} (multiplied by the identity)\n", "ceiling", does);
    });
}

}  // namespace pdadmm::bench
