// Numbers and texts as bytes of the control channel. Ranks run one build, so numbers travel as they lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace pdadmm {

inline void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
    const std::size_t held = out.size();
    out.resize(held + bytes.size());  // not insert: GCC 12 warns inside it of an overflow that is none
    if (!bytes.empty()) std::memcpy(out.data() + held, bytes.data(), bytes.size());
}

template <typename T>
requires(std::is_arithmetic_v<T>) void pack(std::vector<std::byte>& out, T value) {
    append(out, std::as_bytes(std::span(&value, 1)));
}

inline void pack_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
    pack(out, static_cast<std::uint64_t>(bytes.size()));
    append(out, bytes);
}

inline void pack_text(std::vector<std::byte>& out, std::string_view text) {
    pack_bytes(out, std::as_bytes(std::span(text)));
}

/// Reads back what was packed. Bytes that end too early make good() false and all further values zero or empty.
class Unpacking {
public:
    explicit Unpacking(std::span<const std::byte> bytes) : rest_(bytes) {}

    template <typename T>
    requires(std::is_arithmetic_v<T>) T number() {
        T value{};
        const auto bytes = take(sizeof value);
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    std::span<const std::byte> bytes() { return take(number<std::uint64_t>()); }
    std::string text() {
        const auto held = bytes();
        return {reinterpret_cast<const char*>(held.data()), held.size()};
    }

    bool good() const { return good_; }
    bool done() const { return rest_.empty(); }

private:
    std::span<const std::byte> take(std::uint64_t count) {
        if (count > rest_.size()) {
            good_ = false;
            rest_ = {};
            return {};
        }
        const auto taken = rest_.first(static_cast<std::size_t>(count));
        rest_ = rest_.subspan(static_cast<std::size_t>(count));
        return taken;
    }

    std::span<const std::byte> rest_;
    bool good_ = true;
};

}  // namespace pdadmm
