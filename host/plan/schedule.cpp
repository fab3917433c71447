// Schedules, event by event (host/plan/schedule.hpp).
#include "host/plan/schedule.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace pdadmm {
namespace {

constexpr int first = 100, counted = 100;  // iterations: after the first the ranks follow each other steadily

}  // namespace

double iteration_seconds(std::span<const RankStages> ranks, std::span<const BorderSeconds> borders) {
    const std::size_t count = ranks.size();
    constexpr double never = -std::numeric_limits<double>::infinity();
    std::vector<double> now(count, 0), q_sent(count, never), p_sent(count);
    double begun = 0;
    for (int iteration = 0; iteration < first + counted; ++iteration) {
        for (std::size_t k = 0; k < count; ++k) {
            now[k] += ranks[k].begin;
            if (k > 0) now[k] = std::max(now[k], q_sent[k - 1] + borders[k - 1].q);
            if (k + 1 < count) now[k] = std::max(now[k], q_sent[k] + borders[k].q);
            now[k] += ranks[k].update_p;
            p_sent[k] = now[k];
        }
        for (std::size_t k = 0; k < count; ++k) {
            now[k] += ranks[k].under_p;
            if (k + 1 < count) now[k] = std::max(now[k], p_sent[k + 1] + borders[k].p);
            if (k > 0) now[k] = std::max(now[k], p_sent[k] + borders[k - 1].p);
            now[k] += ranks[k].close;
        }
        q_sent = now;
        if (iteration == first - 1) begun = *std::max_element(now.begin(), now.end());
    }
    return (*std::max_element(now.begin(), now.end()) - begun) / counted;
}

double summed_seconds(std::span<const SummedWork> parts, double link_free) {
    double now = 0;
    std::vector<double> summed;
    for (const SummedWork& part : parts) {
        now += part.before;
        if (part.sums > 0) link_free = std::max(link_free, now) + part.sums;
        summed.push_back(part.sums > 0 ? link_free : now);
    }
    for (std::size_t i = 0; i < parts.size(); ++i) now = std::max(now, summed[i]) + parts[i].after;
    return now;
}

double pipeline_seconds(std::span<const double> work, std::span<const double> message, int micro_batches) {
    const auto batches = static_cast<std::size_t>(micro_batches);
    std::vector<double> arrived(batches, 0), busy;
    for (std::size_t rank = 0; rank < work.size(); ++rank) {
        double now = 0;
        for (double& batch : arrived)
            batch = now = std::max(now, batch + (rank > 0 ? message[rank - 1] : 0)) + work[rank] / 3 / micro_batches;
        busy.push_back(now);
    }
    std::fill(arrived.begin(), arrived.end(), busy.back());
    for (std::size_t rank = work.size(); rank-- > 0;) {
        double now = busy[rank];
        for (double& batch : arrived)
            batch = now = std::max(now, batch + (rank + 1 < work.size() ? message[rank] : 0)) +
                          work[rank] * 2 / 3 / micro_batches;
    }
    return arrived.back();
}

}  // namespace pdadmm
