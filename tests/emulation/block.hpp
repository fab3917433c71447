// One block of a grid: a scheduler that resumes its lanes in random order, and the barriers between them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulation/lane.hpp"
#include "tests/emulation/dice.hpp"
#include "tests/emulation/fiber.hpp"
#include "tests/emulation/team.hpp"

namespace emulation {

class Grid;

/// A gathering of lanes of one warp.
struct Meeting {
    unsigned mask = 0, arrived = 0, readers = 0;
    std::size_t bytes = 0;
    Place where;
    alignas(16) unsigned char values[33][16];  // the last row stands for lanes outside of the mask
    std::array<Lane*, 32> waiting{};
};

/// What a thread of the operating system keeps from block to block.
struct Seat {
    explicit Seat(std::uint64_t seed) : dice(seed) {}
    FiberPool fibers;
    std::vector<Lane> lanes;
    Dice dice;
};

class Block {
public:
    /// `cluster` and `whole` are null where the grid has none or does not run at once.
    Block(Grid& grid, Seat& seat, uint3 index, Team* cluster, unsigned rank, Team* whole);
    void run();

    /// A fault of the running lane: it must stop() then. Two steps, because stop() never comes back to free its
    /// caller's text.
    void note(const std::string& what, const Place& where);
    [[noreturn]] void stop();
    void yield();
    void maybe_yield() {
        if (seat_.dice.below(8) == 0) yield();
    }
    int barrier(Vote vote, bool value, const Place& where);
    Meeting* join(unsigned mask, const void* value, std::size_t bytes, const Place& where);
    void leave(Meeting* meeting);
    unsigned arrive(Scope scope, const Place& where);
    void wait(Scope scope, unsigned phase, const Place& where);
    Team* team(Scope scope) const { return ways_[static_cast<int>(scope)].team; }
    unsigned cluster_rank() const { return rank_; }
    Grid& grid() const { return grid_; }

private:
    struct Way {  // to the blocks of a team
        Team* team = nullptr;
        unsigned arrived = 0, phase = 0;  // lanes in this phase; phases that this block has completed
        std::vector<std::pair<Lane*, unsigned>> waiting;
        Place where;
    };
    void work();
    void suspend();
    void ready(Lane* lane) { runnable_.push_back(lane); }
    Lane* draw();
    bool wait_outside();
    void report_stuck();

    Grid& grid_;
    Seat& seat_;
    uint3 index_;
    unsigned rank_;
    std::size_t count_, finished_ = 0, spins_ = 0;
    std::vector<Lane*> runnable_;
    std::vector<Lane*> at_barrier_;
    Place barrier_place_;
    int votes_ = 0;
    Lane* next_ = nullptr;
    std::vector<std::vector<std::unique_ptr<Meeting>>> meetings_;  // of each warp, open ones
    std::vector<unsigned> ended_;                                  // of each warp, lanes that run no more
    std::vector<std::unique_ptr<Meeting>> closed_, spare_;
    std::array<Way, 2> ways_;
};

}  // namespace emulation
