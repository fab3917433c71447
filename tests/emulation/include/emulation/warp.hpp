// Warp operations, each over one gathering of the lanes' values.
#pragma once

#include <cstring>

#include "emulation/lane.hpp"

namespace emulation {

template <typename T>
T value_of(const Gathered& all, unsigned lane) {
    T value;
    std::memcpy(&value, all.of(lane), sizeof(T));
    return value;
}

inline unsigned own_lane() { return current->rank % 32; }

/// Combines the values of all lanes of the mask in ascending order.
template <typename T, typename F>
T reduce(unsigned mask, T value, F combine, const Place& where) {
    const Gathered all(mask, &value, sizeof(T), where);
    bool first = true;
    T result{};
    for (unsigned lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) {
            const T other = value_of<T>(all, lane);
            result = first ? other : combine(result, other);
            first = false;
        }
    return result;
}

template <typename T, typename F>
T shuffle(unsigned mask, T value, int width, F source, const Place& where) {
    static_assert(sizeof(T) <= 16);
    if (width < 1 || width > 32 || (width & (width - 1)) != 0)
        lane_fault("shuffle with a width that is no power of two", where);
    const Gathered all(mask, &value, sizeof(T), where);
    const unsigned own = own_lane(), first = own / static_cast<unsigned>(width) * static_cast<unsigned>(width);
    const int at = source(static_cast<int>(own - first));
    return at < 0 || at >= width ? value : value_of<T>(all, first + static_cast<unsigned>(at));
}

}  // namespace emulation

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, emulation::Place where = emulation::Place::current()) {
    return emulation::shuffle(
        mask, value, width, [=](int) { return lane & (width - 1); }, where);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 emulation::Place where = emulation::Place::current()) {
    return emulation::shuffle(
        mask, value, width, [=](int own) { return own - static_cast<int>(delta); }, where);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   emulation::Place where = emulation::Place::current()) {
    return emulation::shuffle(
        mask, value, width, [=](int own) { return own + static_cast<int>(delta); }, where);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  emulation::Place where = emulation::Place::current()) {
    return emulation::shuffle(
        mask, value, width, [=](int own) { return own ^ bits; }, where);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, emulation::Place where = emulation::Place::current()) {
    const emulation::Gathered all(mask, nullptr, 0, where);
}
inline unsigned __ballot_sync(unsigned mask, int value, emulation::Place where = emulation::Place::current()) {
    return emulation::reduce(
        mask, value ? 1u << emulation::own_lane() : 0u, [](unsigned a, unsigned b) { return a | b; }, where);
}
inline int __any_sync(unsigned mask, int value, emulation::Place where = emulation::Place::current()) {
    return __ballot_sync(mask, value, where) != 0;
}
inline int __all_sync(unsigned mask, int value, emulation::Place where = emulation::Place::current()) {
    return __ballot_sync(mask, value, where) == mask;
}
template <typename T>
unsigned __match_any_sync(unsigned mask, T value, emulation::Place where = emulation::Place::current()) {
    const emulation::Gathered all(mask, &value, sizeof(T), where);
    unsigned equal = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        if ((mask >> lane & 1) && emulation::value_of<T>(all, lane) == value) equal |= 1u << lane;
    return equal;
}
/// Only the calling lane is known to be converged.
inline unsigned __activemask() { return 1u << emulation::own_lane(); }

template <typename T>
T __reduce_add_sync(unsigned mask, T value, emulation::Place where = emulation::Place::current()) {
    return emulation::reduce(
        mask, value, [](T a, T b) { return a + b; }, where);
}
template <typename T>
T __reduce_min_sync(unsigned mask, T value, emulation::Place where = emulation::Place::current()) {
    return emulation::reduce(
        mask, value, [](T a, T b) { return b < a ? b : a; }, where);
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value, emulation::Place where = emulation::Place::current()) {
    return emulation::reduce(
        mask, value, [](T a, T b) { return a < b ? b : a; }, where);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, emulation::Place where = emulation::Place::current()) {
    return emulation::reduce(
        mask, value, [](unsigned a, unsigned b) { return a & b; }, where);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, emulation::Place where = emulation::Place::current()) {
    return emulation::reduce(
        mask, value, [](unsigned a, unsigned b) { return a | b; }, where);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, emulation::Place where = emulation::Place::current()) {
    return emulation::reduce(
        mask, value, [](unsigned a, unsigned b) { return a ^ b; }, where);
}
