#include "tests/emulation/fiber.hpp"

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {
namespace {

constexpr std::size_t most_fibers = 1024;  // lanes of a block
constexpr std::size_t canary_bytes = 64;
constexpr int canary = 0xA5;
constexpr auto intact = [] {
    std::array<unsigned char, canary_bytes> bytes{};
    bytes.fill(canary);
    return bytes;
}();

// The address sanitizer must be told of every change of stack.
void leave_stack([[maybe_unused]] void** fake, [[maybe_unused]] const void* bottom,
                 [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(fake, bottom, bytes);
#endif
}
void enter_stack([[maybe_unused]] void* fake, [[maybe_unused]] const void** bottom,
                 [[maybe_unused]] std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, bottom, bytes);
#endif
}

}  // namespace

void Fiber::resume(const std::function<void()>* work) {
    if (!own_) reset();
    work_ = work;
    void* fake = nullptr;
    leave_stack(&fake, stack_, stack_bytes);
    own_ = boost::context::detail::jump_fcontext(own_, this).fctx;
    enter_stack(fake, nullptr, nullptr);
}

void Fiber::suspend() {
    void* fake = nullptr;
    leave_stack(&fake, thread_stack_, thread_stack_bytes_);
    thread_ = boost::context::detail::jump_fcontext(thread_, nullptr).fctx;
    enter_stack(fake, &thread_stack_, &thread_stack_bytes_);
}

void Fiber::enter(boost::context::detail::transfer_t from) {
    Fiber& self = *static_cast<Fiber*>(from.data);
    self.thread_ = from.fctx;
    enter_stack(nullptr, &self.thread_stack_, &self.thread_stack_bytes_);
    for (;;) {
        self.idle = false;
        (*self.work_)();
        self.idle = true;
        self.suspend();
    }
}

void Fiber::reset() {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack_, stack_bytes);  // redzones of frames that are never left
#endif
    std::memset(stack_, canary, canary_bytes);
    own_ = boost::context::detail::make_fcontext(stack_ + stack_bytes, stack_bytes, &Fiber::enter);
    idle = true;
}

bool Fiber::stack_intact() const { return std::memcmp(stack_, intact.data(), canary_bytes) == 0; }

FiberPool::~FiberPool() {
    if (arena_) munmap(arena_, most_fibers * stack_bytes);
}

// One mapping for all stacks, without guard pages: hundreds of blocks at once would exceed the kernel's number of
// mappings.
Fiber& FiberPool::take() {
    if (idle_.empty()) {
        if (!arena_) {
            void* memory = mmap(nullptr, most_fibers * stack_bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (memory == MAP_FAILED) throw std::bad_alloc();
            arena_ = static_cast<std::byte*>(memory);
        }
        all_.push_back(std::make_unique<Fiber>(arena_ + all_.size() * stack_bytes));
        return *all_.back();
    }
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return *fiber;
}

void FiberPool::reset() {
    idle_.clear();
    for (const auto& fiber : all_) {
        if (!fiber->idle) fiber->reset();
        idle_.push_back(fiber.get());
    }
}

}  // namespace emulation
