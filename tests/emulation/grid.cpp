#include "tests/emulation/grid.hpp"

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "tests/emulation/crew.hpp"
#include "tests/emulation/shared_memory.hpp"
#include "tests/emulation/team.hpp"

namespace emulation {

namespace {
constexpr unsigned most_idle_rounds = 100000;  // of a block whose lanes all wait, where no other block runs
}

uint3 Grid::index(std::size_t block) const {
    const dim3 g = kernel_.grid;
    return {static_cast<unsigned>(block % g.x), static_cast<unsigned>(block / g.x % g.y),
            static_cast<unsigned>(block / (std::size_t{g.x} * g.y))};
}

std::string Grid::run() {
    if (kernel_.cooperative)
        run_at_once();
    else if (kernel_.clustered)
        run_clusters();
    else
        run_one_by_one();
    return fault_;
}

void Grid::fail(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (failed_) return;
    fault_ = kernel_name(kernel_.entry) + ": " + what;
    failed_ = true;
    if (break_up_) break_up_();
}

void Grid::pause() {
    if (kernel_.cooperative || kernel_.clustered) {
        if (++pauses_ % 64 == 0)
            std::this_thread::sleep_for(std::chrono::microseconds(20));
        else
            std::this_thread::yield();
    } else if (++pauses_ > most_idle_rounds) {
        fail("all threads of a block wait for another block, but the launch does not make sure that it runs");
    }
}

void Grid::run_one_by_one() {
    run_crew(1, kernel_.entry, [this](Seat& seat, unsigned) {
        seat.dice = Dice(dice_.next());
        for (const std::uint32_t block : dice_.order(blocks())) {
            if (failed()) return;
            pauses_ = 0;
            Block(*this, seat, index(block), nullptr, 0, nullptr).run();
        }
    });
}

void Grid::run_clusters() {
    const dim3 g = kernel_.grid, c = kernel_.cluster;
    const dim3 clusters(g.x / c.x, g.y / c.y, g.z / c.z);
    for (const std::uint32_t number : dice_.order(std::size_t{clusters.x} * clusters.y * clusters.z)) {
        if (failed()) return;
        const unsigned cx = number % clusters.x, cy = number / clusters.x % clusters.y,
                       cz = number / (clusters.x * clusters.y);
        Team team(c.x * c.y * c.z);
        break_up_ = [&team] { team.break_up(); };
        const std::uint64_t seed = dice_.next();
        const std::vector<std::uint32_t> order = dice_.order(team.size());
        run_crew(team.size(), kernel_.entry, [&](Seat& seat, unsigned member) {
            const unsigned rank = order[member];
            seat.dice = Dice(seed + rank);
            const uint3 at{cx * c.x + rank % c.x, cy * c.y + rank / c.x % c.y, cz * c.z + rank / (c.x * c.y)};
            Block(*this, seat, at, &team, rank, nullptr).run();
        });
        const std::lock_guard lock(mutex_);
        break_up_ = nullptr;
    }
}

void Grid::run_at_once() {
    const dim3 g = kernel_.grid, c = kernel_.cluster;
    const dim3 clusters(g.x / c.x, g.y / c.y, g.z / c.z);
    Team whole(static_cast<unsigned>(blocks()));
    std::vector<std::unique_ptr<Team>> teams;
    for (std::size_t k = 0; kernel_.clustered && k < std::size_t{clusters.x} * clusters.y * clusters.z; ++k)
        teams.push_back(std::make_unique<Team>(c.x * c.y * c.z));
    break_up_ = [&] {
        whole.break_up();
        for (const auto& team : teams) team->break_up();
    };
    const std::uint64_t seed = dice_.next();
    const std::vector<std::uint32_t> order = dice_.order(blocks());
    run_crew(whole.size(), kernel_.entry, [&](Seat& seat, unsigned member) {
        const std::uint32_t block = order[member];
        seat.dice = Dice(seed + block);
        const uint3 at = index(block);
        const std::size_t cluster = (std::size_t{at.z / c.z} * clusters.y + at.y / c.y) * clusters.x + at.x / c.x;
        const unsigned rank = at.z % c.z * c.x * c.y + at.y % c.y * c.x + at.x % c.x;
        Block(*this, seat, at, teams.empty() ? nullptr : teams[cluster].get(), rank, &whole).run();
    });
    const std::lock_guard lock(mutex_);
    break_up_ = nullptr;
}

// What device code calls (emulation/lane.hpp).
void lane_fault(const char* what, const Place& where) {
    current->block->note(what, where);
    current->block->stop();
}
void yield() { current->block->yield(); }
void maybe_yield() { current->block->maybe_yield(); }
int block_barrier(Vote vote, bool value, const Place& where) { return current->block->barrier(vote, value, where); }

Gathered::Gathered(unsigned mask, const void* value, std::size_t bytes, const Place& where)
    : meeting_(current->block->join(mask, value, bytes, where)), mask_(mask) {}
Gathered::~Gathered() { current->block->leave(meeting_); }
const void* Gathered::of(unsigned lane) const { return meeting_->values[mask_ >> lane % 32 & 1 ? lane % 32 : 32]; }

unsigned scope_arrive(Scope scope, const Place& where) { return current->block->arrive(scope, where); }
void scope_wait(Scope scope, unsigned phase, const Place& where) { current->block->wait(scope, phase, where); }
uint3 cluster_dim() {
    const dim3 c = current->block->grid().kernel().cluster;
    return {c.x, c.y, c.z};
}
uint3 cluster_block_index() {
    const dim3 c = current->block->grid().kernel().cluster;
    return {blockIdx.x % c.x, blockIdx.y % c.y, blockIdx.z % c.z};
}
unsigned cluster_block_rank() { return current->block->cluster_rank(); }
void* cluster_map(const void* address, unsigned rank) {
    Team* team = current->block->team(Scope::cluster);
    const auto offset = static_cast<const std::byte*>(address) - thread_local_block();
    if (!team) return thread_local_block() + offset;  // a cluster of one block
    std::byte* memory = team->memory(rank);
    if (!memory) lane_fault("shared memory of a block of the cluster that has not started", Place::current());
    return memory + offset;
}
bool launched_cooperatively() { return current->block->grid().kernel().cooperative; }

}  // namespace emulation
