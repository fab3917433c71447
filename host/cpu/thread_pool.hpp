// Threads of the CPU backend: one job at a time, cut into numbered tasks that any thread may take.
//
// An iteration of a small network is a few hundred jobs of microseconds, so idle threads first spin, but only for about
// the length of one job, then sleep: a machine that is shared with other programs is not slowed down by spinning, and
// neither is the run (with libgomp's spinning it was thirty times slower beside another busy process).
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "host/cpu/subnormals.hpp"
#include "pdadmm/types.hpp"

namespace pdadmm {

class ThreadPool {
public:
    /// `threads` counts the caller; `at_start` runs once in every other thread.
    explicit ThreadPool(int threads, void (*at_start)() = nullptr);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    /// work(t) for t = 0 .. tasks - 1, in any order and by any thread; returns when all are done. `work` must not
    /// throw; in it subnormal numbers count as zero. One thread at a time may call this.
    template <typename F>
    void run(Index tasks, F&& work) {
        const FlushSubnormals flushed;
        if (workers_.empty() || tasks <= 1) {
            for (Index t = 0; t < tasks; ++t) work(t);
            return;
        }
        using Job = std::remove_reference_t<F>;
        run_job(
            tasks, [](const void* job, Index task) { (*const_cast<Job*>(static_cast<const Job*>(job)))(task); }, &work);
    }

private:
    using Call = void (*)(const void*, Index);
    void run_job(Index tasks, Call call, const void* work);
    void serve(void (*at_start)());
    bool take_task();

    // The ticket is (job number << 32 | next task). It is closed before a job's fields change, so that a thread which
    // has read fields of another job cannot take a task of it: its exchange of the ticket fails.
    static constexpr std::uint64_t closed = 0xffffffffu;
    std::atomic<std::uint64_t> ticket_{closed};
    std::atomic<Index> tasks_{0}, done_{0};
    std::atomic<Call> call_{nullptr};
    std::atomic<const void*> work_{nullptr};
    std::atomic<bool> stop_{false};
    std::vector<std::thread> workers_;
};

}  // namespace pdadmm
