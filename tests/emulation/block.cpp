#include "tests/emulation/block.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/emulation/grid.hpp"
#include "tests/emulation/shared_memory.hpp"

namespace emulation {
namespace {

std::string place(const Place& where) {
    const std::string file = where.file_name();
    return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
}

std::string triple(uint3 v) {
    std::string text = "(";
    for (const unsigned x : {v.x, v.y, v.z}) text.append(text.size() > 1 ? ", " : "").append(std::to_string(x));
    return text.append(")");
}

bool same(const Place& a, const Place& b) {
    return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

}  // namespace

Block::Block(Grid& grid, Seat& seat, uint3 index, Team* cluster, unsigned rank, Team* whole)
    : grid_(grid), seat_(seat), index_(index), rank_(rank), count_(grid.lanes()) {
    ways_[static_cast<int>(Scope::cluster)].team = cluster;
    ways_[static_cast<int>(Scope::grid)].team = whole;
    meetings_.resize((count_ + 31) / 32);
    ended_.assign(meetings_.size(), 0);
    if (count_ % 32 != 0) ended_.back() = ~0u << count_ % 32;  // lanes that never were
    seat.lanes.resize(std::max(seat.lanes.size(), count_));
    const dim3 block = grid.kernel().block;
    for (unsigned rank_of = 0; rank_of < count_; ++rank_of) {
        Lane& lane = seat.lanes[rank_of];
        lane = {};
        lane.thread = {rank_of % block.x, rank_of / block.x % block.y, rank_of / (block.x * block.y)};
        lane.rank = rank_of;
        lane.block = this;
        runnable_.push_back(&lane);
    }
}

void Block::run() {
    const std::size_t shared = grid_.kernel().shared_bytes;
    poison_shared_memory(shared);
    blockIdx = index_;
    blockDim = grid_.kernel().block;
    gridDim = grid_.kernel().grid;
    if (Team* cluster = team(Scope::cluster)) cluster->set_memory(rank_, thread_local_block());
    const std::function<void()> body = [this] { work(); };
    while (finished_ < count_ && !grid_.failed()) {
        if (runnable_.empty()) {
            if (!wait_outside()) report_stuck();
            continue;
        }
        if (spins_ > 2 * runnable_.size()) {
            spins_ = 0;
            grid_.pause();
        }
        next_ = draw();
        if (!next_->fiber) next_->fiber = &seat_.fibers.take();
        Fiber& fiber = *next_->fiber;
        current = next_;
        threadIdx = next_->thread;
        fiber.resume(&body);
        if (fiber.idle) seat_.fibers.give_back(fiber);
        if (!fiber.stack_intact()) grid_.fail("stack overflow in a kernel");
    }
    current = nullptr;
    if (grid_.failed()) seat_.fibers.reset();
    if (!grid_.failed() && !shared_memory_intact(shared)) grid_.fail("write behind the dynamic shared memory");
    for (Way& way : ways_)
        if (way.team) way.team->leave(way.phase);
    if (team(Scope::cluster)) poison_shared_memory(shared);  // a neighbour that still reads it is wrong
}

// On a fiber: runs lanes as long as the next one is fresh, so that kernels without barriers hardly switch.
void Block::work() {
    for (Lane* lane = next_; lane;) {
        Fiber* const fiber = lane->fiber;
        grid_.kernel().body();
        lane = current;
        ended_[lane->rank / 32] |= 1u << lane->rank % 32;
        spins_ = 0;
        ++finished_;
        lane = nullptr;
        if (runnable_.empty() || grid_.failed()) return;
        const std::uint32_t at = seat_.dice.below(runnable_.size());
        if (runnable_[at]->fiber) return;
        lane = runnable_[at];
        runnable_[at] = runnable_.back();
        runnable_.pop_back();
        lane->fiber = fiber;
        current = lane;
        threadIdx = lane->thread;
    }
}

Lane* Block::draw() {
    std::swap(runnable_[seat_.dice.below(runnable_.size())], runnable_.back());
    Lane* lane = runnable_.back();
    runnable_.pop_back();
    return lane;
}

void Block::suspend() { current->fiber->suspend(); }

void Block::yield() {
    ++spins_;
    ready(current);
    suspend();
}

void Block::note(const std::string& what, const Place& where) {
    grid_.fail(what + " at " + place(where) + ", block " + triple(index_) + ", thread " + triple(current->thread));
}

void Block::stop() {
    for (;;) suspend();
}

int Block::barrier(Vote vote, bool value, const Place& where) {
    if (at_barrier_.empty()) {
        barrier_place_ = where;
        votes_ = 0;
    } else if (!same(barrier_place_, where)) {
        note("block barrier that other threads wait for at " + place(barrier_place_), where);
        stop();
    }
    Lane* const lane = current;
    spins_ = 0;
    votes_ += value ? 1 : 0;
    at_barrier_.push_back(lane);
    if (at_barrier_.size() < count_) {
        suspend();
        return lane->state;
    }
    const int total = static_cast<int>(count_);
    const int result = vote == Vote::count ? votes_
                       : vote == Vote::all ? votes_ == total
                       : vote == Vote::any ? votes_ > 0
                                           : 0;
    for (Lane* other : at_barrier_) {
        other->state = result;
        ready(other);
    }
    at_barrier_.clear();
    suspend();  // so that the last to come is not always the first to go on
    return result;
}

Meeting* Block::join(unsigned mask, const void* value, std::size_t bytes, const Place& where) {
    Lane* const lane = current;
    const unsigned warp = lane->rank / 32, own = lane->rank % 32;
    if (!(mask >> own & 1)) {
        note("warp operation whose mask leaves the calling lane out", where);
        stop();
    }
    if (const unsigned gone = mask & ended_[warp]) {
        note("warp operation whose mask names lane " + std::to_string(std::countr_zero(gone)) + ", which has ended",
             where);
        stop();
    }
    auto& open = meetings_[warp];
    auto found = std::find_if(open.begin(), open.end(), [&](const auto& m) { return m->mask == mask; });
    if (found == open.end()) {
        if (spare_.empty()) spare_.push_back(std::make_unique<Meeting>());
        open.push_back(std::move(spare_.back()));
        spare_.pop_back();
        found = open.end() - 1;
        Meeting& fresh = **found;
        fresh.mask = mask;
        fresh.arrived = fresh.readers = 0;
        fresh.bytes = bytes;
        fresh.where = where;
        std::memset(fresh.values, 0xFF, sizeof(fresh.values));
    }
    Meeting& meeting = **found;
    if (meeting.bytes != bytes) {
        note("warp operation unlike that of other lanes at " + place(meeting.where), where);
        stop();
    }
    if (bytes > 0) std::memcpy(meeting.values[own], value, bytes);
    meeting.waiting[own] = lane;
    meeting.arrived |= 1u << own;
    ++meeting.readers;
    spins_ = 0;
    if (meeting.arrived == mask) {
        for (unsigned other = 0; other < 32; ++other)
            if (mask >> other & 1) ready(meeting.waiting[other]);
        closed_.push_back(std::move(*found));
        open.erase(found);
    }
    suspend();
    return &meeting;
}

void Block::leave(Meeting* meeting) {
    if (--meeting->readers > 0) return;
    const auto found = std::find_if(closed_.begin(), closed_.end(), [&](const auto& m) { return m.get() == meeting; });
    spare_.push_back(std::move(*found));
    closed_.erase(found);
}

unsigned Block::arrive(Scope scope, const Place& where) {
    Way& way = ways_[static_cast<int>(scope)];
    if (!way.team) {
        note(scope == Scope::grid ? "grid barrier in a kernel that was not launched cooperatively"
                                  : "cluster operation without a cluster",
             where);
        stop();
    }
    const unsigned phase = way.phase;
    way.where = where;
    if (++way.arrived == count_) {
        way.arrived = 0;
        ++way.phase;
        way.team->arrive();
    }
    return phase;
}

void Block::wait(Scope scope, unsigned phase, const Place& where) {
    Way& way = ways_[static_cast<int>(scope)];
    if (!way.team) {
        note("wait for a team of blocks that is none", where);
        stop();
    }
    if (way.phase > phase && way.team->passed(phase)) return;
    spins_ = 0;
    way.where = where;
    way.waiting.emplace_back(current, phase);
    suspend();
}

// No lane can run: waits for other blocks, if that is what the lanes wait for.
bool Block::wait_outside() {
    for (Way& way : ways_) {
        if (way.waiting.empty()) continue;
        const unsigned phase = way.waiting.front().second;
        if (way.phase <= phase) continue;  // lanes of this very block are missing
        if (!way.team->wait(phase)) {
            grid_.fail("a block ended before the barrier at " + place(way.where) + " that others wait for");
            return true;
        }
        const auto free =
            std::partition(way.waiting.begin(), way.waiting.end(), [&](const auto& w) { return w.second != phase; });
        std::for_each(free, way.waiting.end(), [&](const auto& w) { ready(w.first); });
        way.waiting.erase(free, way.waiting.end());
        return true;
    }
    return false;
}

void Block::report_stuck() {
    std::string text = "threads that wait for ever:";
    const auto of = [&](std::size_t lanes) {
        return std::to_string(lanes) + " of " + std::to_string(count_) + " threads";
    };
    if (!at_barrier_.empty())
        text += " " + of(at_barrier_.size()) + " at the block barrier at " + place(barrier_place_) + ";";
    for (const auto& warp : meetings_)
        for (const auto& m : warp) text += " " + of(m->readers) + " at the warp operation at " + place(m->where) + ";";
    for (const Way& way : ways_)
        if (way.arrived > 0) text += " " + of(way.arrived) + " at the barrier over blocks at " + place(way.where) + ";";
    text += " " + of(finished_) + " have ended; block " + triple(index_);
    grid_.fail(text);
}

}  // namespace emulation
