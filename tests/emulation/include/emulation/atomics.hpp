// Atomic operations, fences and waiting. Every operation may hand the thread to another lane first, so that results
// that depend on the order of atomics differ from run to run, and a loop over an atomic ends.
#pragma once

#include <atomic>
#include <thread>
#include <type_traits>

#include "emulation/lane.hpp"

namespace emulation {

/// T that the parameter of an atomic is converted to, not deduced from.
template <typename T>
using Plain = std::type_identity_t<T>;

template <typename T, typename F>
T update(T* at, F next) {
    maybe_yield();
    std::atomic_ref<T> cell(*at);
    T old = cell.load();
    while (!cell.compare_exchange_weak(old, next(old))) {
    }
    return old;
}

}  // namespace emulation

template <typename T>
T atomicAdd(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T old) { return static_cast<T>(old + x); });
}
template <typename T>
T atomicSub(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T old) { return static_cast<T>(old - x); });
}
template <typename T>
T atomicExch(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T) { return x; });
}
template <typename T>
T atomicMin(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T old) { return x < old ? x : old; });
}
template <typename T>
T atomicMax(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T old) { return old < x ? x : old; });
}
template <typename T>
T atomicAnd(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T old) { return old & x; });
}
template <typename T>
T atomicOr(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T old) { return old | x; });
}
template <typename T>
T atomicXor(T* at, emulation::Plain<T> x) {
    return emulation::update(at, [x](T old) { return old ^ x; });
}
template <typename T>
T atomicCAS(T* at, emulation::Plain<T> expected, emulation::Plain<T> x) {
    return emulation::update(at, [=](T old) { return old == expected ? x : old; });
}
inline unsigned atomicInc(unsigned* at, unsigned most) {
    return emulation::update(at, [most](unsigned old) { return old >= most ? 0 : old + 1; });
}
inline unsigned atomicDec(unsigned* at, unsigned most) {
    return emulation::update(at, [most](unsigned old) { return old == 0 || old > most ? most : old - 1; });
}

inline void __threadfence_block() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_system() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __nanosleep(unsigned) { emulation::yield(); }
