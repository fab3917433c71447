// Whom a long computation talks to, and the line that says how far a long step is.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

namespace pdadmm {

struct LargeWatch {
    std::function<void(const std::string&)> note = [](const std::string&) {};  // a line that stays
    std::function<void(const std::string&)> live = [](const std::string&) {};  // ten times a second at most, any thread
    std::function<bool()> stopped = [] { return false; };                      // any thread
};

/// Thrown where the watch says so.
struct Stopped {};

/// Draws at most ten times a second, whoever of the threads comes.
class HopLine {
public:
    explicit HopLine(std::function<void(const std::string&)> draw) : draw_(std::move(draw)) {}

    /// text() is called only where it is drawn.
    template <typename Text>
    void tick(const Text& text) {
        const std::unique_lock<std::mutex> lock(order_, std::try_to_lock);
        const auto now = std::chrono::steady_clock::now();
        if (!lock || now - drawn_ < std::chrono::milliseconds(100)) return;
        drawn_ = now;
        draw_(text());
    }

private:
    std::function<void(const std::string&)> draw_;
    std::mutex order_;
    std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace pdadmm
