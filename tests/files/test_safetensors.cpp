// The safetensors reader and writer: one test case for every rule of the format, and exact round trips.
#include "host/format/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "pdadmm/error.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

namespace {

using Bytes = std::vector<std::byte>;

Bytes file(const std::string& header, std::size_t data, std::uint64_t told = ~0ull) {
    const std::uint64_t size = told == ~0ull ? header.size() : told;
    Bytes out(8 + header.size() + data);
    std::memcpy(out.data(), &size, 8);
    std::memcpy(out.data() + 8, header.data(), header.size());
    return out;
}

/// The message a file is refused with, "" when it is read.
std::string refusal(const Bytes& bytes) {
    try {
        parse_safetensors(bytes, "m.safetensors");
    } catch (const DataError& error) {
        const std::string message = error.what();
        EXPECT_THAT(message, testing::StartsWith("m.safetensors: "));
        EXPECT_LT(message.size(), 400u);
        for (const char c : message) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20) << message;
        return message;
    }
    return "";
}
std::string refusal(const std::string& header, std::size_t data) { return refusal(file(header, data)); }

/// A tensor's entry.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
    return '"' + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}
const std::string brace = "{";
const std::string sound_entry = entry("a", "F32", "[2]", "[0,8]");

std::string message_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST(Safetensors, AcceptedFiles) {
    EXPECT_EQ(refusal(brace + sound_entry + "}", 8), "");
    EXPECT_EQ(refusal(brace + sound_entry + "}       ", 8), "");
    EXPECT_EQ(refusal("{}", 0), "");
    EXPECT_EQ(refusal("{\"__metadata__\":{}}", 0), "");
    EXPECT_EQ(refusal("{\"__metadata__\":{\"k\":\"v\",\"\":\"\"}," + sound_entry + "}", 8), "");
    EXPECT_EQ(refusal(brace + entry("a", "F32", "[]", "[0,4]") + "}", 4), "");                        // one value
    EXPECT_EQ(refusal(brace + entry("a", "F32", "[0]", "[0,0]") + "}", 0), "");                       // no value
    EXPECT_EQ(refusal(brace + entry("b", "U8", "[3]", "[8,11]") + "," + sound_entry + "}", 11), "");  // any order
    EXPECT_EQ(refusal(brace + entry("e", "F64", "[3,0]", "[8,8]") + "," + sound_entry + "," +
                          entry("f", "I64", "[1]", "[8,16]") + "}",
                      16),
              "");
    EXPECT_EQ(refusal(brace + entry("Gr\xc3\xb6\xc3\x9f\x65", "U8", "[1,1,1,1,1,1,1,1]", "[0,1]") + "}", 1), "");
    const SafetensorsFile parsed =
        parse_safetensors(file(brace + entry("b", "U8", "[3]", "[8,11]") + "," + sound_entry + "}", 11), "m");
    EXPECT_EQ(parsed.tensors[0].name, "a");
    EXPECT_EQ(parsed.tensors[1].name, "b");
    EXPECT_EQ(parsed.at("b").bytes.size(), 3u);
    EXPECT_TRUE(parsed.has("a"));
    EXPECT_FALSE(parsed.has("c"));
    EXPECT_EQ(message_of([&] { parsed.at("c\x1b"); }), "m: no tensor 'c\\x1b'");
}

/// Headers, each with words of its refusal.
void expect_refusals(const std::vector<std::pair<std::string, const char*>>& cases) {
    for (const auto& [header, message] : cases)
        EXPECT_THAT(refusal(header, 8), HasSubstr(message)) << header.substr(0, 200);
}

TEST(Safetensors, RefusedJson) {
    const std::string deep(5000, '[');
    expect_refusals({
        {"", "expected a safetensors file"},
        {"  {}", "begin with '{'"},
        {"\xef\xbb\xbf{}", "begin with '{'"},
        {"[]", "begin with '{'"},
        {"{", "not JSON"},
        {"{}}", "not JSON"},
        {"{} x", "not JSON"},
        {"{}{}", "not JSON"},
        {"{}\0"s, "zero byte"},
        {"{\"a\0\":1}"s, "zero byte"},
        {"{/* */}", "not JSON"},
        {"{,}", "not JSON"},
        {"{\"a\":}", "not JSON"},
        {brace + sound_entry + ",}", "not JSON"},
        {"{\"a\":" + deep, "a list at key 'a'"},
        {"{\"a\":{\"shape\":[[2]]}}", "a list at key 'shape'"},
        {"{\"a\":{\"shape\":[{}]}}", "an object at key 'shape'"},
        {"{\"a\":{\"dtype\":{}}}", "an object at key 'dtype'"},
        {"{\"a\":{\"dtype\":[]}}", "a list at key 'dtype'"},
        {"{\"a\":{\"shape\":{}}}", "an object"},
        {"{\"__metadata__\":{\"k\":{}}}", "an object"},
        {"{\"__metadata__\":{\"k\":[]}}", "a list"},
        {"{\"__metadata__\":{\"k\":1}}", "the number 1"},
        {"{\"__metadata__\":{\"k\":null}}", "null"},
        {"{\"__metadata__\":{\"k\":true}}", "a boolean"},
        {"{\"__metadata__\":[]}", "a list"},
        {"{\"__metadata__\":\"x\"}", "the text 'x'"},
        {"{\"__metadata__\":{\"k\":\"v\",\"k\":\"v\"}}", "the same key twice"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", "the same key twice"},
        {"{\"a\":1}", "the number 1"},
        {"{\"a\":-1}", "the number -1"},
        {"{\"a\":1.5}", "the number 1.5"},
        {"{\"a\":null}", "null"},
        {"{\"a\":\"x\"}", "the text 'x'"},
        {"{\"a\":{}}", "lacks one of"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "lacks one of"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", "lacks one of"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", "lacks one of"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "the same key twice"},
        {"{\"a\":{\"shape\":[2],\"shape\":[2]}}", "the same key twice"},
        {"{\"a\":{\"data_offsets\":[0,8],\"data_offsets\":[0,8]}}", "the same key twice"},
        {"{\"a\":{\"strides\":[1]}}", "key 'strides'"},
        {"{\"a\":{\"shape\":\"2\"}}", "the text '2'"},
        {"{\"a\":{\"dtype\":3}}", "the number 3"},
        {brace + sound_entry + "," + sound_entry + "}", "the same key twice"},
        {brace + sound_entry + ",\"\\u0061\":{}}", "the same key twice"},
        {brace + entry("a", "F32", "[-2]", "[0,8]") + "}", "the number -2"},
        {brace + entry("a", "F32", "[2.0]", "[0,8]") + "}", "the number 2.0"},
        {brace + entry("a", "F32", "[2e0]", "[0,8]") + "}", "the number 2e0"},
        {brace + entry("a", "F32", "[\"2\"]", "[0,8]") + "}", "the text '2'"},
        {brace + entry("a", "F32", "[true]", "[0,8]") + "}", "a boolean"},
        {brace + entry("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") + "}", "more than 8 dimensions"},
        {brace + entry("a", "F32", "[9223372036854775808]", "[0,8]") + "}", "too large"},
        {brace + entry("a", "F32", "[18446744073709551616]", "[0,8]") + "}", "the number 18446744073709551616"},
        {brace + entry("a", "F32", "[4611686018427387906]", "[0,8]") + "}", "more bytes than can be counted"},
        {brace + entry("a", "F32", "[2305843009213693952]", "[0,8]") + "}", "more bytes than can be counted"},
        {brace + entry("a", "U8", "[4194305,4194305,211106198978564]", "[0,8]") + "}",
         "more bytes than can be counted"},
        {brace + entry("a", "F32", "[0,9223372036854775807]", "[0,0]") + "}", "more bytes than can be counted"},
        {brace + entry("a", "F32", "[2]", "[0]") + "}", "fewer than 2"},
        {brace + entry("a", "F32", "[2]", "[0,8,8]") + "}", "more than 2"},
        {brace + entry("a", "F32", "[2]", "[8,0]") + "}", "begins at byte 8"},
        {brace + entry("a", "F32", "[2]", "[0,18446744073709551615]") + "}", "cut off"},
        {brace + entry("a", "F32", "[2]", "[0,7]") + "}", "has 7 bytes, expected 8 for F32 (2)"},
        {brace + entry("a", "F32", "[2]", "[0,9]") + "}", "cut off"},
        {brace + entry("a", "F32", "[1]", "[0,8]") + "}", "has 8 bytes, expected 4"},
        {brace + entry("a", "F32", "[1]", "[0,4]") + "}", "8 bytes of data, expected 4"},
        {brace + entry("a", "F32", "[1]", "[4,8]") + "}", "begins at byte 4, expected 0"},
        {brace + entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[3]", "[5,8]") + "}",
         "begins at byte 5, expected 4"},
        {brace + entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[5]", "[3,8]") + "}",
         "begins at byte 3, expected 4"},
    });
}

TEST(Safetensors, RefusedTensors) {
    expect_refusals({
        {brace + sound_entry + "," + entry("b", "F32", "[2]", "[0,8]") + "}", "begins at byte 0, expected 8"},
        {brace + sound_entry + "," + entry("b", "F32", "[0]", "[4,4]") + "}", "begins at byte 4, expected 8"},
        {"{}", "8 bytes of data, expected 0"},
        {brace + entry("a", "F16", "[4]", "[0,8]") + "}", "dtype 'F16' is not read, expected F32, F64, I32, I64 or U8"},
        {brace + entry("a", "f32", "[2]", "[0,8]") + "}", "dtype 'f32'"},
        {brace + entry("a", "", "[2]", "[0,8]") + "}", "dtype ''"},
        {brace + entry("\xff", "F32", "[2]", "[0,8]") + "}", "not JSON"},
        {brace + entry("\\ud800", "F32", "[2]", "[0,8]") + "}", "not JSON"},
        {brace + entry("\x1b", "F32", "[2]", "[0,8]") + "}", "not JSON"},
        {brace + entry("\\u001b[2J", "F32", "[1]", "[0,8]") + "}", "tensor '\\x1b[2J'"},
    });
}

TEST(Safetensors, HeaderLength) {
    EXPECT_THAT(refusal(Bytes{}), HasSubstr("has 0 bytes"));
    EXPECT_THAT(refusal(Bytes(9)), HasSubstr("has 9 bytes"));
    EXPECT_THAT(refusal(file("{}", 0, 3)), HasSubstr("ends within its header"));
    EXPECT_THAT(refusal(file("{}", 0, ~0ull - 1)),
                HasSubstr("header of 18446744073709551614 bytes, expected at most 1048576"));
    EXPECT_THAT(refusal(file("{}", 0, (1 << 20) + 1)), HasSubstr("expected at most 1048576"));
    EXPECT_THAT(refusal(file("{}", 0, 0)), HasSubstr("begin with '{'"));
    EXPECT_EQ(refusal(file("{}" + std::string((1 << 20) - 2, ' '), 0)), "");
    std::string many = "{";
    for (int i = 0; i < 4097; ++i) {
        if (i > 0) many += ',';
        many += entry(std::to_string(i), "U8", "[0]", "[0,0]");
    }
    EXPECT_THAT(refusal(file(many + "}", 0)), HasSubstr("more than 4096 tensors"));
    const Bytes sound = file("{\"__metadata__\":{\"k\":\"v\"}," + sound_entry + "}", 8);
    for (std::size_t size = 0; size < sound.size(); ++size)
        EXPECT_NE(refusal(Bytes(sound.begin(), sound.begin() + static_cast<long>(size))), "") << size;
}

TEST(Safetensors, WrittenFilesAreReadBack) {
    PDADMM_SEEDED();
    std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
    SafetensorsFile content;
    content.metadata = {{"config", "{\"layers\": 10}\n"}, {"", "\x01 \xc3\xb6 \" \\"}};
    for (int i = 0; i < 50; ++i) {
        const Index rows = random() % 5, cols = random() % 7;
        const auto count = static_cast<std::size_t>(rows * cols);
        const std::string name = "layers." + std::to_string(i) + ".weight";
        switch (i % 5) {
            case 0:
                content.tensors.push_back(
                    Tensor::of(name, {rows, cols}, std::span<const float>(std::vector<float>(count, 0.1f))));
                break;
            case 1:
                content.tensors.push_back(
                    Tensor::of(name, {rows, cols}, std::span<const double>(std::vector<double>(count, 0.1))));
                break;
            case 2:
                content.tensors.push_back(Tensor::of(
                    name, {rows * cols}, std::span<const std::int32_t>(std::vector<std::int32_t>(count, -7))));
                break;
            case 3:
                content.tensors.push_back(Tensor::of(
                    name, {rows, 1, cols}, std::span<const std::int64_t>(std::vector<std::int64_t>(count, -7))));
                break;
            default:
                content.tensors.push_back(Tensor::of(
                    name, {rows, cols}, std::span<const std::uint8_t>(std::vector<std::uint8_t>(count, 200))));
                break;
        }
    }
    const Bytes bytes = format_safetensors(content);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    EXPECT_EQ(header % 8, 0u);
    EXPECT_EQ(bytes, format_safetensors(content));
    const SafetensorsFile back = parse_safetensors(bytes, "m");
    EXPECT_EQ(back.metadata, content.metadata);
    ASSERT_EQ(back.tensors.size(), content.tensors.size());
    for (const Tensor& tensor : content.tensors) {
        EXPECT_EQ(back.at(tensor.name).dtype, tensor.dtype);
        EXPECT_EQ(back.at(tensor.name).shape, tensor.shape);
        EXPECT_EQ(back.at(tensor.name).bytes, tensor.bytes);
    }
    EXPECT_EQ(format_safetensors(back), bytes);
    EXPECT_EQ(parse_safetensors(format_safetensors({}), "m").tensors.size(), 0u);
}

TEST(Safetensors, Conversions) {
    const std::vector<float> f = {1, -0.0f, 1e-45f, std::numeric_limits<float>::infinity()};
    EXPECT_EQ(Tensor::of("t", {4}, std::span<const float>(f)).as_float(), f);
    EXPECT_EQ(Tensor::of("t", {4}, std::span<const float>(f)).as_double()[2], 0x1p-149);
    const std::vector<double> d = {0.1, 1e300};
    const Tensor wide = Tensor::of("t", {2, 1}, std::span<const double>(d));
    EXPECT_EQ(wide.as_double(), d);
    EXPECT_EQ(message_of([&] { wide.as_float(); }),
              "tensor 't': value 1e+300 at position 1 is beyond what a 32-bit float holds");
    const std::vector<std::int32_t> i = {-1, 5};
    EXPECT_THAT(Tensor::of("t", {2}, std::span<const std::int32_t>(i)).as_index(), ElementsAre(-1, 5));
    const std::vector<std::uint8_t> u = {255};
    EXPECT_THAT(Tensor::of("t", {}, std::span<const std::uint8_t>(u)).as_index(), ElementsAre(255));
    EXPECT_EQ(message_of([&] { wide.as_index(); }), "tensor 't': dtype F64, expected I64, I32 or U8");
    const auto from_file = parse_safetensors(file(brace + entry("n", "I64", "[1]", "[0,8]") + "}", 8), "m.safetensors");
    EXPECT_EQ(message_of([&] { from_file.at("n").as_float(); }),
              "m.safetensors: tensor 'n': dtype I64, expected F32 or F64");
    EXPECT_NE(message_of([&] { Tensor::of("t", {3}, std::span<const float>(f)); }), "");
    EXPECT_NE(message_of([&] { Tensor::of("t", {-4}, std::span<const float>(f)); }), "");
}

TEST(Safetensors, UnwritableContent) {
    const std::vector<float> one = {1};
    const Tensor tensor = Tensor::of("a", {1}, std::span<const float>(one));
    const auto named = [&](const std::string& name) {
        Tensor t = tensor;
        t.name = name;
        return t;
    };
    Tensor wrong = tensor;
    wrong.shape = {2};
    Tensor half = tensor;
    half.dtype = "F16";
    for (const SafetensorsFile& content :
         {SafetensorsFile{{}, {tensor, tensor}}, SafetensorsFile{{}, {named("__metadata__")}},
          SafetensorsFile{{}, {named("\xff")}}, SafetensorsFile{{{"k", "\xff"}}, {}},
          SafetensorsFile{{{"k", std::string(1 << 20, 'x')}}, {}}, SafetensorsFile{{}, {wrong}},
          SafetensorsFile{{}, {half}}})
        EXPECT_THROW(format_safetensors(content), Error);
}

// No byte of a header may be changed into a file that reads as other sizes than it holds: whatever is accepted covers
// the data.
TEST(Safetensors, ChangedHeadersStayConsistent) {
    const std::vector<double> values = {1, 2, 3};
    const Bytes sound = format_safetensors({{{"k", "v"}},
                                            {Tensor::of("a", {3}, std::span<const double>(values)),
                                             Tensor::of("b", {1, 2}, std::span<const double>(values).first(2))}});
    int accepted = 0;
    for (std::size_t at = 0; at < sound.size() - 40; ++at) {
        for (int mask = 1; mask < 256; ++mask) {
            Bytes changed = sound;
            changed[at] ^= static_cast<std::byte>(mask);
            try {
                std::size_t total = 0;
                for (const Tensor& tensor : parse_safetensors(changed, "m").tensors) total += tensor.bytes.size();
                ASSERT_EQ(total, 40u);
                ++accepted;
            } catch (const DataError&) {
            }
        }
    }
    EXPECT_GT(accepted, 0);  // other letters in names and texts
}
