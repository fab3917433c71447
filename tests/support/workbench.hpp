// Where one operation of a backend is tried: its arguments in backend memory between guard bands of NaN, what they held
// before, and what is found wrong afterwards.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/reference.hpp"

namespace pdadmm {

/// Bytes of an image.
struct Span {
    std::size_t at, size;
};

/// Bytes in backend memory between guard bands.
class Slab {
public:
    Slab(Backend& backend, std::vector<unsigned char> image, std::vector<Span> payload, std::string name);
    unsigned char* data() const { return memory_.data(); }
    std::vector<unsigned char> read() const { return memory_.download(); }
    const std::vector<unsigned char>& before() const { return before_; }
    /// "" or what was written where nothing may be: outside the payload, or anywhere if `constant`.
    std::string damage() const;
    bool constant = true;  // until something is expected of it

private:
    Buffer<unsigned char> memory_;
    std::vector<unsigned char> before_;
    std::vector<Span> payload_;
    std::string name_;
};

/// A stack of matrices on the bench.
struct Stack {
    std::string name;
    Slab* slab = nullptr;
    Mat view;
    std::vector<reference::Array> before;  // a layer each
};

/// A row of scalars on the bench.
template <typename T>
struct Cells {
    Slab* slab = nullptr;
    T* data = nullptr;
    Index count = 0;
};

class Workbench {
public:
    Workbench(Backend& on, std::uint64_t seed) : backend(on), random(seed) {}

    Backend& backend;
    std::mt19937_64 random;
    std::vector<std::string> findings;
    double worst = 0;  // largest error over its bound

    double normal() { return std::normal_distribution<double>()(random); }
    /// Draws of N(0, scale^2) with some planted zeros. `gap`: rows between columns; `apart`: columns between layers.
    Stack stack(const std::string& name, Index rows, Index cols, Index batch, double scale = 1, Index gap = 0,
                Index apart = 1);
    Stack from(const std::string& name, const std::vector<reference::Array>& layers, Index gap = 0, Index apart = 1);
    template <typename T>
    Cells<T> cells(const std::string& name, const std::vector<T>& values);

    std::vector<reference::Array> read(Stack& s);  // now; expects writes to s
    template <typename T>
    std::vector<T> read(Cells<T>& c);

    /// Every |value - expected| <= units * epsilon * magnitude.
    void expect(Stack& s, const std::vector<reference::Array>& expected, const std::vector<reference::Array>& magnitude,
                double units);
    void expect(const std::string& what, double value, double expected, double bound);
    void expect_guards();
    /// All bytes of all arguments now.
    std::vector<std::vector<unsigned char>> image() const;

private:
    /// `bytes` of `values`, of which those in `payload` are stored, each between guards.
    Slab* put(const std::string& name, const unsigned char* values, std::size_t bytes, std::vector<Span> payload);
    std::vector<std::unique_ptr<Slab>> slabs_;
};

inline constexpr std::size_t guard_bytes = 256;    // before and after every argument
inline constexpr unsigned char guard_byte = 0xFF;  // a NaN, so that reading it shows too

template <typename T>
Cells<T> Workbench::cells(const std::string& name, const std::vector<T>& values) {
    const std::size_t bytes = values.size() * sizeof(T);
    Slab* slab = put(name, reinterpret_cast<const unsigned char*>(values.data()), bytes, {{0, bytes}});
    return {slab, reinterpret_cast<T*>(slab->data() + guard_bytes), static_cast<Index>(values.size())};
}

template <typename T>
std::vector<T> Workbench::read(Cells<T>& c) {
    c.slab->constant = false;
    std::vector<T> values(static_cast<std::size_t>(c.count));
    backend.download(c.data, values.data(), values.size() * sizeof(T));
    return values;
}

}  // namespace pdadmm
