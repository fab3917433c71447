// The CPU backend's threads: every task exactly once, job after job, for any number of threads, also when jobs follow
// each other faster than threads wake and when threads have gone to sleep in between. The thread sanitizer build runs
// it too.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "host/cpu/thread_pool.hpp"

namespace pdadmm {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceInEveryJob) {
    for (const int threads : {1, 2, 3, 8}) {
        ThreadPool pool(threads);
        ASSERT_EQ(pool.threads(), threads);
        for (Index job = 0; job < 3000; ++job) {
            const Index tasks = job % 23;
            std::vector<Index> seen(static_cast<std::size_t>(tasks), 0);  // plain memory: tasks may not share an entry
            pool.run(tasks, [&](Index task) { seen[static_cast<std::size_t>(task)] += job + 1; });
            for (const Index value : seen) ASSERT_EQ(value, job + 1) << threads << " threads, job " << job;
        }
    }
}

TEST(ThreadPool, SubnormalNumbersAreZeroInTheWorkAlone) {
    volatile float small = 1e-30f, factor = 1e-12f;
    ASSERT_GT(small * factor, 0);  // where other code runs they are kept
    volatile float subnormal = small * factor;
    for (const int threads : {1, 4}) {
        ThreadPool pool(threads);
        std::vector<float> products(64, 1), sums(64, 1);
        pool.run(64, [&](Index task) {
            products[static_cast<std::size_t>(task)] = small * factor;
            sums[static_cast<std::size_t>(task)] = (subnormal + 0) * 1e20f;
        });
        for (const auto& results : {products, sums})
            for (const float value : results) EXPECT_EQ(value, 0) << threads << " threads";
        EXPECT_GT(small * factor, 0);
    }
}

TEST(ThreadPool, ResultsAreVisibleWhenRunReturns) {
    ThreadPool pool(4);
    std::vector<double> values(64, 1);
    for (int job = 0; job < 2000; ++job)
        pool.run(64, [&](Index task) {
            values[static_cast<std::size_t>(task)] += values[static_cast<std::size_t>(task)] > 1e6 ? -1e6 : 1;
        });
    for (const double value : values) EXPECT_EQ(value, 2001);
}

TEST(ThreadPool, WakesSleepingThreads) {
    ThreadPool pool(3);
    for (int job = 0; job < 20; ++job) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));  // longer than they spin
        std::atomic<int> count{0};
        pool.run(7, [&](Index) { ++count; });
        ASSERT_EQ(count.load(), 7);
    }
}

TEST(ThreadPool, StartsAndEndsWithoutAJob) {
    for (int k = 0; k < 50; ++k) {
        std::atomic<int> started{0};
        static std::atomic<int>* counter;
        counter = &started;
        {
            ThreadPool pool(4, [] { ++*counter; });
        }
        EXPECT_EQ(started.load(), 3);
    }
}

}  // namespace
}  // namespace pdadmm
