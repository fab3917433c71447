// Threads of the CPU backend (host/cpu/thread_pool.hpp).
#include "host/cpu/thread_pool.hpp"

#include <sched.h>

namespace pdadmm {
namespace {

constexpr int idle_spins = 2000;  // some tens of microseconds: about one job of a small network

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads, void (*at_start)()) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, at_start] { serve(at_start); });
}

ThreadPool::~ThreadPool() {
    stop_.store(true);
    ticket_.fetch_add(std::uint64_t{1} << 32);
    ticket_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::take_task() {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    const auto task = static_cast<Index>(ticket & 0xffffffffu);
    const Call call = call_.load(std::memory_order_acquire);
    const void* work = work_.load(std::memory_order_acquire);
    if (task >= tasks_.load(std::memory_order_acquire)) return false;
    if (!ticket_.compare_exchange_strong(ticket, ticket + 1, std::memory_order_acq_rel))
        return true;  // another thread was faster: look again
    call(work, task);
    done_.fetch_add(1, std::memory_order_release);
    return true;
}

void ThreadPool::run_job(Index tasks, Call call, const void* work) {
    const std::uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
    ticket_.store((job << 32) | closed, std::memory_order_seq_cst);
    done_.store(0, std::memory_order_seq_cst);
    tasks_.store(tasks, std::memory_order_seq_cst);
    call_.store(call, std::memory_order_seq_cst);
    work_.store(work, std::memory_order_seq_cst);
    ticket_.store((job + 1) << 32, std::memory_order_seq_cst);
    ticket_.notify_all();
    while (take_task()) {
    }
    for (int spins = 0; done_.load(std::memory_order_acquire) < tasks; ++spins) {
        relax();
        if (spins % idle_spins == idle_spins - 1)
            sched_yield();  // whoever holds the last task may be waiting for this processor
    }
}

void ThreadPool::serve(void (*at_start)()) {
    const FlushSubnormals flushed;
    if (at_start) at_start();
    while (!stop_.load(std::memory_order_acquire)) {
        while (take_task()) {
        }
        const std::uint64_t seen = ticket_.load(std::memory_order_acquire);
        int spins = 0;
        while (spins < idle_spins && ticket_.load(std::memory_order_acquire) == seen) {
            relax();
            ++spins;
        }
        if (spins == idle_spins && !stop_.load(std::memory_order_acquire))
            ticket_.wait(seen, std::memory_order_acquire);
    }
}

}  // namespace pdadmm
