// Small graphs as .npz archives in memory, one member at a time, so that a test can damage exactly one thing.
#pragma once

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "host/data/bundle.hpp"
#include "tests/support/zip_writer.hpp"

namespace graph_npz {

using Members = std::map<std::string, zip::Bytes>;  // name without .npy

/// A .npy file of any dtype: `bytes` are the values as the dtype stores them.
inline zip::Bytes npy(const std::string& dtype, const std::string& shape, const void* bytes, std::size_t size) {
    std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype, shape);
    while ((10 + header.size() + 1) % 64 != 0) header += ' ';
    header += '\n';
    std::string text = std::string("\x93NUMPY\x01\x00", 8);
    text += static_cast<char>(header.size() & 255);
    text += static_cast<char>(header.size() >> 8);
    text += header;
    zip::Bytes out(text.size() + size);
    std::memcpy(out.data(), text.data(), text.size());
    if (size > 0) std::memcpy(out.data() + text.size(), bytes, size);
    return out;
}

/// `values` converted to T, as dtype; rank 1.
template <typename T>
zip::Bytes vector_npy(const std::string& dtype, const std::vector<double>& values) {
    std::vector<T> converted;
    for (const double v : values) converted.push_back(static_cast<T>(v));
    return npy(dtype, fmt::format("({},)", values.size()), converted.data(), converted.size() * sizeof(T));
}
inline zip::Bytes ints(const std::vector<double>& values) { return vector_npy<std::int64_t>("<i8", values); }
inline zip::Bytes floats(const std::vector<double>& values) { return vector_npy<float>("<f4", values); }
inline zip::Bytes table(pdadmm::Index rows, pdadmm::Index cols, const std::vector<float>& values) {
    return npy("<f4", fmt::format("({}, {})", rows, cols), values.data(), values.size() * sizeof(float));
}

/// A sound bundle: path 0-1-2-3, node 4 alone, node 5 with a self loop; 3 sparse features; classes 0 1 0 1 -1 0.
inline Members bundle() {
    return {{"pdadmm_bundle", ints({1})},
            {"adj_indptr", ints({0, 1, 3, 5, 6, 6, 7})},
            {"adj_indices", ints({1, 0, 2, 1, 3, 2, 5})},
            {"adj_shape", ints({6, 6})},
            {"attr_indptr", ints({0, 1, 2, 4, 4, 4, 5})},
            {"attr_indices", ints({0, 1, 0, 2, 2})},
            {"attr_data", floats({1, 1, 2, 0.5, 3})},
            {"attr_shape", ints({6, 3})},
            {"labels", ints({0, 1, 0, 1, -1, 0})},
            {"train_idx", ints({0, 1})},
            {"val_idx", ints({2})},
            {"test_idx", ints({3, 5})}};
}

/// The same graph with dense features.
inline Members dense_bundle() {
    Members m = bundle();
    for (const char* name : {"attr_indptr", "attr_indices", "attr_data", "attr_shape"}) m.erase(name);
    m["features"] = table(6, 3, {1, 0, 0, 0, 1, 0, 2, 0, 0.5f, 0, 0, 0, 0, 0, 0, 0, 0, 3});
    return m;
}

inline zip::Bytes archive(const Members& members) {
    std::vector<zip::Member> list;
    for (const auto& [name, bytes] : members) list.push_back(zip::member(name + ".npy", bytes));
    return zip::write(list);
}

inline pdadmm::Dataset read(const Members& members, const pdadmm::ReadOptions& options = {}) {
    const zip::Bytes bytes = archive(members);
    return pdadmm::read_graph(pdadmm::NpzFile::from_memory(bytes, "g.npz", 1 << 24), "g.npz", "g", options);
}

/// The message with which `action` ends in an error of type E; "" without one. One line, and printable.
template <typename E>
std::string refusal(const std::function<void()>& action) {
    try {
        action();
    } catch (const E& error) {
        const std::string message = error.what();
        for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << message;
        return message;
    }
    return "";
}

}  // namespace graph_npz
