// Slabs and hops, and what of them is done (host/large/slab_multiplication.hpp).
#include "host/large/slab_multiplication.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "host/large/large_plan.hpp"

namespace pdadmm {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

std::string time_left(double share, double seconds) {
    const double left = share > 0 ? seconds * (1 - share) / share : 0;
    return left < 90 ? fmt::format("{:.0f} s", left) : fmt::format("{:.0f} min", left / 60);
}

std::string part_name(const char* kind, const SlabPower& at) {
    return fmt::format("{}-{}-{}-{}", kind, at.first, at.chain, at.power);
}

SlabRange range_of(const SlabPower& at) { return {at.first, at.width}; }

/// The slabs that are not done: those that were begun, and what lies between them and those that are done, cut anew.
std::deque<SlabRange> slabs_to_do(const SlabManifest& manifest, Index widest) {
    std::vector<SlabRange> taken = manifest.done;
    for (const SlabPower& one : manifest.states) taken.push_back(range_of(one));
    std::sort(taken.begin(), taken.end(), [](const SlabRange& a, const SlabRange& b) { return a.first < b.first; });
    taken.push_back({manifest.features->padded(), 0});
    std::deque<SlabRange> slabs;
    for (const SlabPower& one : manifest.states) slabs.push_back(range_of(one));
    Index at = 0;
    for (const SlabRange& next : taken) {
        for (const Index width : slab_widths(next.first - at, widest)) {
            slabs.push_back({at, width});
            at += width;
        }
        at = next.first + next.width;
    }
    return slabs;
}

class SlabMultiplication {
public:
    SlabMultiplication(const SlabWork& work, Index widest) : work_(work), manifest_(work.manifest) {
        std::erase_if(manifest_.states, [&](const SlabPower& one) { return one.width > widest; });
        std::erase_if(manifest_.kept, [&](const SlabPower& one) { return !begun_or_done(range_of(one)); });
        slabs_ = slabs_to_do(manifest_, widest);
        write_manifest(work_.folder, manifest_);
    }

    void run(std::span<const std::unique_ptr<SlabWorker>> workers) {
        std::vector<std::thread> others;
        for (std::size_t k = 1; k < workers.size(); ++k)
            others.emplace_back([this, &worker = *workers[k]] { serve(worker); });
        serve(*workers[0]);
        for (std::thread& other : others) other.join();
        if (failure_) std::rethrow_exception(failure_);
        if (stopped_) throw Stopped{};
    }

private:
    bool begun_or_done(const SlabRange& slab) const {
        return std::find(manifest_.done.begin(), manifest_.done.end(), slab) != manifest_.done.end() ||
               std::any_of(manifest_.states.begin(), manifest_.states.end(),
                           [&](const SlabPower& one) { return range_of(one) == slab; });
    }

    /// Slab after slab, until there is none or one of the workers has ended otherwise.
    void serve(SlabWorker& worker) {
        try {
            while (const std::optional<SlabRange> slab = next_slab()) multiply(worker, *slab);
        } catch (const Stopped&) {
            stopped_ = true;
        } catch (...) {
            const std::lock_guard lock(order_);
            if (!failure_) failure_ = std::current_exception();
            stopped_ = true;
        }
    }

    std::optional<SlabRange> next_slab() {
        const std::lock_guard lock(order_);
        if (slabs_.empty() || stopped_) return {};
        const SlabRange slab = slabs_.front();
        slabs_.pop_front();
        return slab;
    }

    std::optional<SlabPower> state_of(const SlabRange& slab) {
        const std::lock_guard lock(order_);
        for (const SlabPower& one : manifest_.states)
            if (range_of(one) == slab) return one;
        return {};
    }

    void multiply(SlabWorker& worker, const SlabRange& slab) {
        const std::optional<SlabPower> begun = state_of(slab);
        for (Index chain = begun ? begun->chain : 0; chain < static_cast<Index>(work_.chains.size()); ++chain)
            follow_chain(worker, {slab.first, slab.width, chain, 0, {}}, begun);
        const std::lock_guard lock(order_);
        manifest_.done.push_back(slab);
        drop_state(slab);
        write_manifest(work_.folder, manifest_);
    }

    void drop_state(const SlabRange& slab) {
        std::erase_if(manifest_.states, [&](const SlabPower& one) { return range_of(one) == slab; });
    }

    bool has_kept(const SlabPower& at) {
        const std::lock_guard lock(order_);
        return std::any_of(manifest_.kept.begin(), manifest_.kept.end(), [&](const SlabPower& one) {
            return one.first == at.first && one.chain == at.chain && one.power == at.power;
        });
    }

    /// All powers of one operator over one slab, from the last one that the manifest has.
    void follow_chain(SlabWorker& worker, SlabPower at, const std::optional<SlabPower>& begun) {
        const BlockChain& chain = work_.chains[static_cast<std::size_t>(at.chain)];
        const Index last = static_cast<Index>(chain.powers) - 1;
        const std::uint64_t kept_record = static_cast<std::uint64_t>(at.width) * sizeof(real);
        std::optional<PartWriter> kept, state;
        if (begun && begun->chain == at.chain) {
            at.power = begun->power;
            worker.load_state(PartReader(work_.folder, begun->part), at.width);
        } else {
            worker.load_features(at.first, at.width);
            if (chain.takes(0) && !has_kept(at)) {
                kept.emplace(work_.folder, part_name("kept", at), kept_record);
                worker.keep(work_.kept, *kept);
                commit(at, &*kept, nullptr);
            }
        }
        while (++at.power <= last) {
            if (at.power == last && has_kept(at)) return;
            kept.reset();
            state.reset();
            if (chain.takes(static_cast<std::size_t>(at.power)))
                kept.emplace(work_.folder, part_name("kept", at), kept_record);
            if (at.power < last) state.emplace(work_.folder, part_name("state", at), state_record(at.width));
            hop(worker, {work_.kept, work_.reach, static_cast<int>(last - at.power)},
                {state ? &*state : nullptr, kept ? &*kept : nullptr}, at);
            const std::optional<Part> held = commit(at, kept ? &*kept : nullptr, state ? &*state : nullptr);
            if (held) worker.advance(PartReader(work_.folder, *held));
        }
    }

    /// Parts become part of the manifest before another worker's manifest would take them for left over. Returns that
    /// of the state.
    std::optional<Part> commit(SlabPower at, PartWriter* kept, PartWriter* state) {
        const std::lock_guard lock(order_);
        std::optional<Part> held;
        if (kept) {
            at.part = kept->commit();
            manifest_.kept.push_back(at);
        }
        if (state) {
            held = at.part = state->commit();
            drop_state(range_of(at));
            manifest_.states.push_back(at);
        }
        write_manifest(work_.folder, manifest_);
        return held;
    }

    void hop(SlabWorker& worker, const HopRows& rows, HopOutput out, const SlabPower& at) {
        const auto began = Clock::now();
        const Index nodes = work_.graph.graph().nodes;
        HopWatch watch;
        const auto text = [&](double share) {
            const double seconds = seconds_since(began);
            return fmt::format(
                "features {} to {}: hop {}, {:.0f} %, {:.2f} GB/s of graph, {:.2f} GB/s gathered", at.first,
                at.first + at.width - 1, at.power, 100 * share, static_cast<double>(watch.bytes_read) / 1e9 / seconds,
                static_cast<double>(watch.entries) * static_cast<double>(at.width) * sizeof(real) / 1e9 / seconds);
        };
        std::atomic<bool> ended{false};
        watch.stopped = [&] {
            const double share = static_cast<double>(watch.rows_done) / static_cast<double>(nodes);
            work_.live.tick([&] {
                return fmt::format("{}, {} left of this hop", text(share), time_left(share, seconds_since(began)));
            });
            if (stopped_ || work_.watch.stopped()) ended = true;
            return ended.load();
        };
        worker.hop(work_.operators[static_cast<std::size_t>(at.chain)], rows, out, watch);
        if (ended || work_.watch.stopped()) throw Stopped{};
        const std::lock_guard lock(order_);
        work_.watch.note(fmt::format("{}, {:.1f} s", text(1), seconds_since(began)));
    }

    const SlabWork& work_;
    SlabManifest& manifest_;
    std::mutex order_;  // of what follows, and of the manifest
    std::deque<SlabRange> slabs_;
    std::exception_ptr failure_;
    std::atomic<bool> stopped_{false};
};

}  // namespace

void multiply_slabs(const SlabWork& work, std::span<const std::unique_ptr<SlabWorker>> workers, Index widest) {
    SlabMultiplication(work, widest).run(workers);
}

}  // namespace pdadmm
