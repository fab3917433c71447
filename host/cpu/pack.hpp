// Eight doubles that instructions work on at once, with the arithmetic of a double in every lane: a formula written as
// a template (elementary.hpp, prox.hpp) gives each lane the bits of the scalar.
#pragma once

#include <bit>

#include "pdadmm/elementary.hpp"

namespace pdadmm {

struct Pack {
    static constexpr int width = 8;
    using Numbers = double __attribute__((vector_size(width * sizeof(double))));
    using Signed = long long __attribute__((vector_size(width * sizeof(double))));
    using Unsigned = unsigned long long __attribute__((vector_size(width * sizeof(double))));
    Numbers lanes;

    Pack() = default;
    Pack(Numbers values) : lanes(values) {}
    Pack(double value) : lanes(Numbers{} + value) {}
    /// The first `count` of `values`, at most `width`, and zeros.
    template <typename T>
    static Pack of(const T* values, int count) {
        Pack pack = 0.0;
        for (int lane = 0; lane < count; ++lane) pack.set(lane, static_cast<double>(values[lane]));
        return pack;
    }
    double operator[](int lane) const { return lanes[lane]; }
    void set(int lane, double value) { lanes[lane] = value; }

    friend Pack operator+(Pack a, Pack b) { return a.lanes + b.lanes; }
    friend Pack operator-(Pack a, Pack b) { return a.lanes - b.lanes; }
    friend Pack operator*(Pack a, Pack b) { return a.lanes * b.lanes; }
    friend Pack operator/(Pack a, Pack b) { return a.lanes / b.lanes; }
    friend Pack operator-(Pack a) { return -a.lanes; }
    Pack& operator+=(Pack b) { return *this = *this + b; }
    Pack& operator*=(Pack b) { return *this = *this * b; }
};

/// What a comparison of packs gives: all bits of a lane, or none.
struct PackMask {
    Pack::Signed lanes;
    friend PackMask operator&&(PackMask a, PackMask b) { return {a.lanes & b.lanes}; }
    friend PackMask operator||(PackMask a, PackMask b) { return {a.lanes | b.lanes}; }
    PackMask operator!() const { return {~lanes}; }
};
inline PackMask operator<(Pack a, Pack b) { return {a.lanes < b.lanes}; }
inline PackMask operator>(Pack a, Pack b) { return {a.lanes > b.lanes}; }
inline PackMask operator==(Pack a, Pack b) { return {a.lanes == b.lanes}; }

inline Pack choose(PackMask first, Pack a, Pack b) { return first.lanes ? a.lanes : b.lanes; }
inline bool all(PackMask mask) {
    for (int lane = 0; lane < Pack::width; ++lane)
        if (!mask.lanes[lane]) return false;
    return true;
}

template <>
struct Bits<Pack> {
    static Pack::Unsigned of(Pack x) { return std::bit_cast<Pack::Unsigned>(x.lanes); }
    static Pack number(Pack::Unsigned bits) { return std::bit_cast<Pack::Numbers>(bits); }
    static Pack::Unsigned upper(Pack::Unsigned bits) {
        return std::bit_cast<Pack::Unsigned>(std::bit_cast<Pack::Signed>(bits) >> 52);
    }
};

}  // namespace pdadmm
