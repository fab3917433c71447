#include "tests/emulation/crew.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "tests/emulation/grid.hpp"

namespace emulation {
namespace {

constexpr int default_deadline_seconds = 120;

class Crew {
public:
    ~Crew() {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        wake_.notify_all();
        for (std::thread& thread : threads_) thread.join();
    }

    void run(unsigned count, const void* kernel, const std::function<void(Seat&, unsigned)>& work) {
        std::unique_lock lock(mutex_);
        while (threads_.size() < count) {
            const auto rank = static_cast<unsigned>(threads_.size());
            threads_.emplace_back([this, rank, round = round_] { serve(rank, round); });
        }
        work_ = &work;
        count_ = left_ = count;
        ++round_;
        wake_.notify_all();
        const char* seconds = std::getenv("PDADMM_EMULATION_DEADLINE");
        const std::chrono::seconds deadline(seconds ? std::atoi(seconds) : default_deadline_seconds);
        if (done_.wait_for(lock, deadline, [this] { return left_ == 0; })) return;
        std::fprintf(stderr, "emulated device: %s does not end, expected an end within %lld s\n",
                     kernel_name(kernel).c_str(), static_cast<long long>(deadline.count()));
        std::abort();
    }

private:
    void serve(unsigned rank, unsigned long long seen) {
        Seat seat(rank + 1);
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return ending_ || (round_ != seen && rank < count_); });
            if (ending_) return;
            seen = round_;
            const auto* work = work_;
            lock.unlock();
            (*work)(seat, rank);
            lock.lock();
            if (--left_ == 0) done_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> threads_;
    const std::function<void(Seat&, unsigned)>* work_ = nullptr;
    unsigned count_ = 0, left_ = 0;
    unsigned long long round_ = 0;
    bool ending_ = false;
};

}  // namespace

void run_crew(unsigned count, const void* kernel, const std::function<void(Seat&, unsigned)>& work) {
    static Crew crew;
    crew.run(count, kernel, work);
}

}  // namespace emulation
