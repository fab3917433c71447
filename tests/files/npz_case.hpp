// What the tests of the archive reader share: one sound archive, reading it from memory, and the message of a refusal.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "host/format/npz.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/zip_writer.hpp"

namespace npz_case {

inline constexpr std::uint64_t budget = 1 << 20;
inline const std::vector<float> values = {1, 2.5f, -3, 0, 1e-30f, 7};

inline zip::Bytes npy_of_values() { return pdadmm::format_npy(std::span<const float>(values), {6}); }
inline zip::Bytes npy_of_zeros(pdadmm::Index count) {
    return pdadmm::format_npy(std::span<const float>(std::vector<float>(static_cast<std::size_t>(count))), {count});
}
inline zip::Member sound(bool deflated = true) { return zip::member("a.npy", npy_of_values(), deflated); }

inline pdadmm::NpyArray read(const zip::Bytes& archive, std::string_view name = "a", std::uint64_t max_bytes = budget) {
    return pdadmm::NpzFile::from_memory(archive, "x.npz", max_bytes).read(name);
}

/// The message that reading "a" is refused with; "" when it is read. Checks what holds for every message.
inline std::string refusal(const zip::Bytes& archive, std::uint64_t max_bytes = budget) {
    try {
        read(archive, "a", max_bytes);
    } catch (const pdadmm::DataError& error) {
        const std::string message = error.what();
        EXPECT_THAT(message, testing::StartsWith("x.npz: "));
        for (const char c : message) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20) << message;
        EXPECT_LT(message.size(), 300u);
        return message;
    }
    return "";
}

}  // namespace npz_case
