// Fibers on which the lanes of a block run: a stack each, switched by hand. They never leave the thread that made them.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace emulation {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t stack_bytes = 256 << 10;  // redzones make frames larger
#else
inline constexpr std::size_t stack_bytes = 64 << 10;
#endif

class Fiber {
public:
    explicit Fiber(std::byte* stack) : stack_(stack) {}
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// From the thread: runs the fiber until it suspends. A fresh fiber calls `work` over and over, and suspends in
    /// between.
    void resume(const std::function<void()>* work);
    /// From the fiber: back to the thread.
    void suspend();
    /// Forgets what the fiber was doing; it is fresh again.
    void reset();
    bool idle = true;  // between two calls of `work`
    /// Whether the lowest bytes of the stack are as reset() left them.
    bool stack_intact() const;

private:
    static void enter(boost::context::detail::transfer_t from);
    std::byte* stack_;
    boost::context::detail::fcontext_t own_ = nullptr, thread_ = nullptr;
    const std::function<void()>* work_ = nullptr;
    const void* thread_stack_ = nullptr;  // for the address sanitizer
    std::size_t thread_stack_bytes_ = 0;
};

/// The fibers of one thread, made as they are needed.
class FiberPool {
public:
    FiberPool() = default;
    FiberPool(const FiberPool&) = delete;
    FiberPool& operator=(const FiberPool&) = delete;
    ~FiberPool();
    Fiber& take();
    void give_back(Fiber& fiber) { idle_.push_back(&fiber); }
    /// All fibers are idle again, whatever they were doing.
    void reset();

private:
    std::byte* arena_ = nullptr;
    std::vector<std::unique_ptr<Fiber>> all_;
    std::vector<Fiber*> idle_;
};

}  // namespace emulation
