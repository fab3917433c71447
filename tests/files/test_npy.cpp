// The .npy reader: every dtype, order and version gives the values that were stored; headers outside the grammar, sizes
// that do not match and everything that is not plain numbers are refused.
#include "host/format/npy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "pdadmm/error.hpp"

using namespace pdadmm;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

using Bytes = std::vector<std::byte>;

/// A file from its parts, with the header's length as `told` where given.
Bytes npy(const std::string& header, const std::string& data, int version = 1, std::uint64_t told = ~0ull) {
    const std::uint64_t size = told == ~0ull ? header.size() : told;
    std::string text = "\x93NUMPY";
    text += static_cast<char>(version);
    text += '\0';
    for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(size >> 8 * i);
    text += header + data;
    Bytes out(text.size());
    std::memcpy(out.data(), text.data(), text.size());
    return out;
}
std::string header(const std::string& descr, const std::string& shape, const std::string& order = "False") {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

/// The message a file is refused with, "" when it is accepted; both entry points must agree.
std::string refusal(const Bytes& file) {
    std::string by_span, by_move;
    try {
        parse_npy(std::span<const std::byte>(file), "x.npz: a.npy");
    } catch (const DataError& error) {
        by_span = error.what();
        EXPECT_THAT(by_span, testing::StartsWith("x.npz: a.npy: "));
        EXPECT_LT(by_span.size(), 250u);
        for (const char c : by_span) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20) << by_span;
    }
    try {
        parse_npy(Bytes(file), "x.npz: a.npy");
    } catch (const DataError& error) {
        by_move = error.what();
    }
    EXPECT_EQ(by_span, by_move);
    return by_span;
}
std::string header_refusal(const std::string& text, std::size_t data = 24) {
    return refusal(npy(text, std::string(data, '\0')));
}

/// Bytes of `values` as T, most significant byte first where `big`.
template <typename T>
std::string stored(const std::vector<int>& values, bool big) {
    std::string out;
    for (const int v : values) {
        const T value = static_cast<T>(v);
        char bytes[sizeof(T)];
        std::memcpy(bytes, &value, sizeof(T));
        if (big) std::reverse(bytes, bytes + sizeof(T));
        out.append(bytes, sizeof(T));
    }
    return out;
}

template <typename T>
void every_form(const std::string& kind) {
    SCOPED_TRACE(kind);
    const std::vector<int> rows = {1, 0, 1, 0, 0, 1}, columns = {1, 0, 0, 0, 1, 1};  // 2 x 3, by rows and by columns
    const int scale = kind == "b1" ? 1 : 100;
    const auto scaled = [&](std::vector<int> v) {
        for (int& x : v) x *= scale;
        return v;
    };
    for (const char order : {'<', '>'}) {
        for (const int version : {1, 2, 3}) {
            const Bytes c = npy(header(order + kind, "(2, 3)"), stored<T>(scaled(rows), order == '>'), version);
            const Bytes fortran =
                npy(header(order + kind, "(2, 3)", "True"), stored<T>(scaled(columns), order == '>'), version);
            const Bytes flat =
                npy(header(order + kind, "(6,)", "True"), stored<T>(scaled(rows), order == '>'), version);
            for (const Bytes& file : {c, fortran, flat}) {
                const NpyArray array = parse_npy(std::span<const std::byte>(file), "a");
                EXPECT_EQ(array.dtype, (sizeof(T) == 1 ? "|" : "<") + kind);
                EXPECT_EQ(array.bytes.size(), 6 * sizeof(T));
                const std::vector<int> expected = scaled(rows);
                EXPECT_EQ(array.as_index(), std::vector<Index>(expected.begin(), expected.end()));
                EXPECT_EQ(array.as_int32(), std::vector<std::int32_t>(expected.begin(), expected.end()));
                EXPECT_EQ(array.as_float(), std::vector<float>(expected.begin(), expected.end()));
                EXPECT_EQ(array.as_double(), std::vector<double>(expected.begin(), expected.end()));
            }
        }
    }
}

template <typename T>
NpyArray array_of(const std::string& dtype, const std::vector<T>& values) {
    NpyArray array{"f.npy", dtype, {static_cast<Index>(values.size())}, Bytes(values.size() * sizeof(T))};
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    return array;
}
template <typename Act>
std::string refused(Act act) {
    try {
        act();
    } catch (const DataError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST(Npy, EveryDtypeOrderVersionAndEndianness) {
    every_form<std::uint8_t>("b1");
    every_form<std::int8_t>("i1");
    every_form<std::uint8_t>("u1");
    every_form<std::int16_t>("i2");
    every_form<std::uint16_t>("u2");
    every_form<std::int32_t>("i4");
    every_form<std::uint32_t>("u4");
    every_form<std::int64_t>("i8");
    every_form<std::uint64_t>("u8");
    every_form<float>("f4");
    every_form<double>("f8");
}

TEST(Npy, AcceptedHeaders) {
    for (const std::string text : {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }\n",
                                   "{'descr':'<f4','fortran_order':False,'shape':(6,)}",
                                   "{\"shape\": (6,), \"fortran_order\": True, \"descr\": \"<f4\"}   \n",
                                   "  { 'shape' : ( 6 , ) , 'descr' : '=f4' , 'fortran_order' : False , } ",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': (6L,), }",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L)}",
                                   "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3,)}",
                                   "{'descr': '|u1', 'fortran_order': False, 'shape': (24,)}"}) {
        EXPECT_EQ(header_refusal(text), "") << text;
    }
    EXPECT_EQ(refusal(npy(header("<f4", "()"), std::string(4, '\0'))), "");
    EXPECT_EQ(refusal(npy(header("<f4", "(0,)"), "")), "");
    EXPECT_EQ(refusal(npy(header("<f4", "(5, 0)", "True"), "")), "");
    EXPECT_EQ(refusal(npy(header("<f4", "(0, 5)"), "")), "");
    const std::string padded = header("<f4", "(1,)") + std::string(65000, ' ');
    EXPECT_EQ(refusal(npy(padded, "1234", 2)), "");
    EXPECT_THAT(parse_npy(npy(header("<f4", "()"), std::string(4, '\0')), "a").shape, ElementsAre());
    EXPECT_EQ(parse_npy(npy(header("<f4", "()"), std::string(4, '\0')), "a").size(), 1);
}

TEST(Npy, RefusedHeaders) {
    const std::pair<std::string, const char*> cases[] = {
        {"", "expected '{'"},
        {"{", "quoted word"},
        {"{}", "lacks one of"},
        {"[]", "expected '{'"},
        {"{'descr': '<f4', 'fortran_order': False}", "lacks one of"},
        {"{'descr': '<f4', 'shape': (6,)}", "lacks one of"},
        {"{'shape': (6,), 'fortran_order': False}", "lacks one of"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", "'descr' stands twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'shape': (6,)}", "'shape' stands twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'fortran_order': False, 'shape': (6,)}", "stands twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': 1}", "key 'x'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)", "expected '}'"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (6,)}", "expected '}'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)} x", "goes on"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}}", "goes on"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,),,}", "quoted word"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (6,)}", "True or False"},
        {"{'descr': '<f4', 'fortran_order': false, 'shape': (6,)}", "True or False"},
        {"{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (6,)}", "True or False"},
        {"{'descr': '<f\\x34', 'fortran_order': False, 'shape': (6,)}", "escape"},
        {"{'descr': '<f4, 'fortran_order': False, 'shape': (6,)}", "dtype"},
        {"{'descr\n': '<f4', 'fortran_order': False, 'shape': (6,)}", "descr\\x0a"},
        {header("<f4", "6"), "expected '('"},
        {header("<f4", "(6)"), "',' after"},
        {header("<f4", "[6]"), "expected '('"},
        {header("<f4", "(6,"), "non-negative"},
        {header("<f4", "(-1,)"), "non-negative"},
        {header("<f4", "(+6,)"), "non-negative"},
        {header("<f4", "(True,)"), "non-negative"},
        {header("<f4", "(0x6,)"), "','"},
        {header("<f4", "(6.0,)"), "','"},
        {header("<f4", "(6e0,)"), "','"},
        {header("<f4", "(06,)"), "leading zeros"},
        {header("<f4", "(,)"), "non-negative"},
        {header("<f4", "(2,,3)"), "non-negative"},
        {header("<f4", "(2 3)"), "','"},
        {header("<f4", "(1, 2, 3)"), "more than 2"},
        {header("<f4", "(6LL,)"), "','"},
        {header("<f4", "(1000000000000000000,)"), "more than 18 digits"},
        {header("<f4", "(99999999999999999999999999,)"), "more than 18 digits"},
    };
    for (const auto& [text, message] : cases) EXPECT_THAT(header_refusal(text), HasSubstr(message)) << text;
}

TEST(Npy, RefusedDtypes) {
    EXPECT_EQ(header_refusal(header("|O", "(3,)")),
              "x.npz: a.npy: dtype '|O' (pickled objects) is not read; save a numeric array");
    const std::pair<const char*, const char*> cases[] = {
        {"<U5", "(text)"},          {"|S40", "(text)"},     {"|S0", "(text)"},        {"|V8", "(structured or raw)"},
        {"<c8", "(complex)"},       {"<c16", "(complex)"},  {"<f16", "is not read"},  {"<M8[ns]", "is not read"},
        {"<m8", "is not read"},     {"<f0", "is not read"}, {"<f", "is not read"},    {"f4", "is not read"},
        {"float32", "is not read"}, {"", "is not read"},    {"<", "is not read"},     {"<i3", "is not read"},
        {"<i16", "is not read"},    {"<b4", "is not read"}, {"|f4", "no byte order"}, {"<f44", "is not read"},
        {"<f4 ", "is not read"},    {"!f4", "is not read"}};
    for (const auto& [dtype, message] : cases)
        EXPECT_THAT(header_refusal(header(dtype, "(6,)")), HasSubstr(message)) << dtype;
    EXPECT_THAT(header_refusal("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (6,)}"),
                HasSubstr("structured dtype"));
    EXPECT_THAT(header_refusal("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (3,)}"),
                HasSubstr("structured dtype"));
}

TEST(Npy, SizesMustMatchExactly) {
    EXPECT_THAT(header_refusal(header("<f4", "(6,)"), 23),
                HasSubstr("23 bytes of data, expected 24 for shape (6,) of '<f4'"));
    EXPECT_NE(header_refusal(header("<f4", "(6,)"), 25), "");
    EXPECT_NE(header_refusal(header("<f4", "(6,)"), 5024), "");
    EXPECT_NE(header_refusal(header("<f4", "(0,)"), 4), "");
    EXPECT_NE(header_refusal(header("<f4", "()"), 0), "");
    // Products around 2^31, 2^32, 2^63 and 2^64, with 24 bytes of data.
    for (const char* shape : {"(2147483648,)", "(4294967296,)", "(65536, 65536)", "(1073741825, 4)",
                              "(4294967296, 1073741824)", "(999999999999999999,)", "(4294967296, 4294967296)",
                              "(4611686018427387, 1000)", "(999999999999999999, 999999999999999999)",
                              "(999999999999999999, 0)", "(536870912, 4294967296)", "(274177, 67280421310721)"})
        EXPECT_NE(header_refusal(header("<f8", shape)), "") << shape;
    EXPECT_EQ(refusal(npy(header("<f8", "(99999999999999999, 0)"), "")), "");
}

TEST(Npy, BrokenBeginnings) {
    EXPECT_THAT(refusal({}), HasSubstr("does not begin like a .npy"));
    const Bytes sound = npy(header("<f4", "(6,)"), std::string(24, '\0'));
    for (std::size_t size = 0; size < sound.size(); ++size)
        EXPECT_NE(refusal(Bytes(sound.begin(), sound.begin() + static_cast<long>(size))), "") << size;
    for (std::size_t at = 0; at < 8; ++at) {
        for (int mask = 1; mask < 256; ++mask) {
            Bytes changed = sound;
            changed[at] ^= static_cast<std::byte>(mask);
            EXPECT_NE(refusal(changed), "") << at;
        }
    }
    EXPECT_THAT(refusal(npy(header("<f4", "(1,)"), "1234", 4)), HasSubstr("version 4.0, expected 1.0, 2.0 or 3.0"));
    EXPECT_THAT(refusal(npy(header("<f4", "(1,)"), "1234", 2, 0xFFFFFFFF)),
                HasSubstr("header of 4294967295 bytes, expected at most 65536"));
    EXPECT_THAT(refusal(npy(header("<f4", "(1,)"), "1234", 2, 65536)), HasSubstr("ends within"));
    EXPECT_THAT(refusal(npy(header("<f4", "(1,)"), "1234", 1, 65535)), HasSubstr("ends within"));
    EXPECT_THAT(refusal(npy(header("<f4", "(1,)"), "1234", 1, 0)), HasSubstr("expected '{'"));
}

TEST(Npy, ConversionsCheckTheirRange) {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
    EXPECT_EQ(refused([&] {
                  array_of<double>("<f8", {1, 1e39}).as_float();
              }),
              "f.npy: value 1e+39 at position 1 is beyond what a 32-bit float holds");
    EXPECT_THAT(array_of<double>("<f8", {3.4028235e38, -3.4028235e38, 1e-50}).as_float(),
                ElementsAre(std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(), 0.0f));
    const std::vector<float> special = array_of<double>("<f8", {inf, -inf, nan}).as_float();
    EXPECT_TRUE(special[0] > 0 && std::isinf(special[0]) && std::isinf(special[1]) && std::isnan(special[2]));

    EXPECT_THAT(array_of<float>("<f4", {0, -3, 16777216}).as_index(), ElementsAre(0, -3, 16777216));
    EXPECT_EQ(refused([&] {
                  array_of<float>("<f4", {1, 2.5f}).as_index();
              }),
              "f.npy: value 2.5 at position 1 of dtype '<f4', expected a whole number");
    for (const double bad : {inf, -inf, nan, 1e300, 9.1e15, -9.1e15})
        EXPECT_NE(refused([&] { array_of<double>("<f8", {bad}).as_index(); }), "") << bad;
    EXPECT_THAT(array_of<double>("<f8", {9007199254740992.0}).as_index(), ElementsAre(9007199254740992));
    EXPECT_EQ(refused([&] { array_of<std::uint64_t>("<u8", {std::uint64_t{1} << 63}).as_index(); }),
              "f.npy: value 9223372036854775808 at position 0 of dtype '<u8', expected one that fits in 63 bits");
    EXPECT_THAT(array_of<std::int64_t>("<i8", {2147483647, -2147483648}).as_int32(),
                ElementsAre(2147483647, -2147483647 - 1));
    for (const std::int64_t bad : {std::int64_t{2147483648}, std::int64_t{-2147483649}, std::int64_t{1} << 40})
        EXPECT_THAT(refused([&] { array_of<std::int64_t>("<i8", {bad}).as_int32(); }), HasSubstr("fits in 32 bits"));
    EXPECT_THAT(refused([&] { array_of<std::uint32_t>("<u4", {4294967295}).as_int32(); }),
                HasSubstr("fits in 32 bits"));
    EXPECT_THAT(refused([&] { array_of<double>("<f8", {2147483648.0}).as_int32(); }), HasSubstr("fits in 32 bits"));
    EXPECT_THAT(refused([&] {
                    array_of<std::uint8_t>("|b1", {0, 1, 2}).as_index();
                }),
                HasSubstr("value 2 at position 2 of a bool array"));

    NpyArray inconsistent = array_of<float>("<f4", {1, 2});
    inconsistent.shape = {3};
    EXPECT_THROW(inconsistent.as_float(), Error);
}

TEST(Npy, HalfPrecision) {
    const std::vector<std::uint16_t> bits = {0x0000, 0x8000, 0x3C00, 0xC100, 0x0001, 0x03FF,
                                             0x0400, 0x7BFF, 0x3555, 0x7C00, 0xFC00, 0x7E01};
    const std::vector<float> values = array_of<std::uint16_t>("<f2", bits).as_float();
    EXPECT_THAT(std::vector<float>(values.begin(), values.begin() + 9),
                ElementsAre(0.0f, 0.0f, 1.0f, -2.5f, 0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, 65504.0f, 0x1.554p-2f));
    EXPECT_TRUE(std::signbit(values[1]));
    EXPECT_TRUE(std::isinf(values[9]) && values[9] > 0 && std::isinf(values[10]) && values[10] < 0);
    EXPECT_TRUE(std::isnan(values[11]));
    EXPECT_THAT(array_of<std::uint16_t>("<f2", {0x4200, 0xBC00, 0x7E00}).as_index(-7), ElementsAre(3, -1, -7));
}

TEST(Npy, ShortTextIsReadAsTextAlone) {
    EXPECT_EQ(parse_npy(npy(header("|S3", "()"), "csr"), "f.npy").as_text(), "csr");
    EXPECT_EQ(parse_npy(npy(header("|S5", "()"), std::string("ab\0\0\0", 5)), "f.npy").as_text(), "ab");
    const NpyArray two = parse_npy(npy(header("|S3", "(2,)", "True"), "csrcsc"), "f.npy");
    EXPECT_THAT(refused([&] { two.as_text(); }), HasSubstr("expected one short text"));
    EXPECT_EQ(refused([&] { two.as_index(); }), "f.npy: dtype '|S3' (text) is not read; save a numeric array");
    EXPECT_THAT(refused([&] { array_of<float>("<f4", {1}).as_text(); }), HasSubstr("expected one short text"));
}

TEST(Npy, ColumnsOfAnySizeBecomeRows) {
    for (const auto& [rows, cols] : {std::pair{1, 70}, {70, 1}, {31, 33}, {64, 32}, {100, 67}}) {
        std::vector<int> by_column, by_row;
        for (int col = 0; col < cols; ++col)
            for (int row = 0; row < rows; ++row) by_column.push_back(row * cols + col);
        for (int i = 0; i < rows * cols; ++i) by_row.push_back(i);
        const std::string shape = "(" + std::to_string(rows) + ", " + std::to_string(cols) + ")";
        const auto read = [&](const char* dtype, const std::string& bytes) {
            const std::vector<Index> all = parse_npy(npy(header(dtype, shape, "True"), bytes), "f.npy").as_index();
            return std::vector<int>(all.begin(), all.end());
        };
        EXPECT_EQ(read("<i2", stored<std::int16_t>(by_column, false)), by_row) << shape;
        EXPECT_EQ(read("<i4", stored<std::int32_t>(by_column, false)), by_row) << shape;
        EXPECT_EQ(read("<f8", stored<double>(by_column, false)), by_row) << shape;
    }
}

TEST(Npy, WrittenArraysAreReadBack) {
    const std::vector<float> f4 = {1, -2.5f, 1e-45f, 3, 4, 5};
    const std::vector<double> f8 = {1e300, -0.0, 3};
    const std::vector<std::int32_t> i4 = {-2147483647 - 1, 2147483647};
    const std::vector<std::int64_t> i8 = {std::numeric_limits<Index>::min(), std::numeric_limits<Index>::max()};
    const Bytes file = format_npy(std::span<const float>(f4), {2, 3});
    EXPECT_EQ((file.size() - 24) % 64, 0u);
    const NpyArray array = parse_npy(file, "a");
    EXPECT_THAT(array.shape, ElementsAre(2, 3));
    EXPECT_EQ(array.as_float(), f4);
    EXPECT_EQ(parse_npy(format_npy(std::span<const double>(f8), {3}), "a").as_double(), f8);
    EXPECT_EQ(parse_npy(format_npy(std::span<const std::int32_t>(i4), {2, 1}), "a").as_int32(), i4);
    EXPECT_EQ(parse_npy(format_npy(std::span<const std::int64_t>(i8), {1, 2}), "a").as_index(), i8);
    EXPECT_EQ(parse_npy(format_npy(std::span<const float>(), {0, 7}), "a").size(), 0);
    for (const std::vector<Index>& shape : {std::vector<Index>{}, {5}, {2, 2}, {1, 2, 3}, {-6}, {-2, -3}})
        EXPECT_THROW(format_npy(std::span<const float>(f4), shape), Error);
}

TEST(Npy, FromAFile) {
    const auto path = std::filesystem::path(testing::TempDir()) / ("pdadmm_" + std::to_string(getpid()) + ".npy");
    const std::vector<float> values = {1, 2, 3};
    const Bytes file = format_npy(std::span<const float>(values), {3});
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    EXPECT_EQ(read_npy(path, 1000).as_float(), values);
    EXPECT_THAT(refused([&] { read_npy(path, 10); }), HasSubstr("expected at most 10"));
    std::filesystem::remove(path);
}
