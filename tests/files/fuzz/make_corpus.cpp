// Writes the seeds of the corpora: small sound files of every form that the readers know, and a few broken ones.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "host/format/npy.hpp"
#include "host/format/safetensors.hpp"
#include "tests/files/fuzz/folder_files.hpp"
#include "tests/support/zip_writer.hpp"

using namespace pdadmm;
using zip::Bytes;

namespace {

std::filesystem::path folder;

void put(const std::string& subject, const std::string& name, const Bytes& bytes) {
    std::filesystem::create_directories(folder / subject);
    std::ofstream(folder / subject / ("seed_" + name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Bytes npy(const std::string& descr, const std::string& shape, const std::string& order, std::size_t data,
          int version = 1) {
    const std::string header = "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
    Bytes out;
    zip::put(out, "\x93NUMPY");
    zip::put(out, static_cast<std::uint64_t>(version), 2);
    zip::put(out, header.size(), version == 1 ? 2 : 4);
    zip::put(out, header);
    for (std::size_t i = 0; i < data; ++i) out.push_back(static_cast<std::byte>(i * 37));
    return out;
}

void npy_seeds() {
    for (const char* kind : {"b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"}) {
        const auto item = static_cast<std::size_t>(kind[1] - '0');
        put("npy", std::string("little_") + kind,
            npy(std::string(item == 1 ? "|" : "<") + kind, "(3,)", "False", 3 * item));
        put("npy", std::string("big_fortran_") + kind, npy(std::string(">") + kind, "(2, 3)", "True", 6 * item, 2));
    }
    put("npy", "version_3", npy("<f4", "(2, 1)", "False", 8, 3));
    put("npy", "rank_0", npy("<i8", "()", "False", 8));
    put("npy", "empty", npy("<i8", "(0, 4)", "True", 0));
    put("npy", "python_2", npy("<i4", "(2L, 1L)", "False", 8));
    put("npy", "object", npy("|O", "(1,)", "False", 8));
    put("npy", "text", npy("<U4", "(1,)", "False", 16));
    put("npy", "half", npy("<f2", "(1,)", "False", 2));
    put("npy", "huge", npy("<f8", "(999999999999999999, 999999999999999999)", "False", 8));
}

void npz_seeds() {
    const std::vector<float> values = {1, 2, 3};
    const std::vector<std::int32_t> indices = {0, 1, 2};
    const zip::Member stored = zip::member("a.npy", format_npy(std::span<const float>(values), {3}));
    const zip::Member deflated = zip::member("b.npy", format_npy(std::span<const std::int32_t>(indices), {3}), true);
    const zip::Member zeros = zip::member("c.npy", npy("|u1", "(60000,)", "False", 0), true);
    put("npz", "none", zip::write({}));
    put("npz", "stored", zip::write({stored}));
    put("npz", "deflated", zip::write({deflated}));
    put("npz", "both", zip::write({stored, deflated, zip::member("notes.txt", zip::to_bytes("text"))}));
    put("npz", "too_short", zip::write({zeros}));
    for (const bool signature : {true, false})
        for (const int width : {4, 8})
            put("npz", "descriptor_" + std::to_string(width) + (signature ? "_signed" : ""),
                zip::write({zip::with_descriptor(deflated, signature, width),
                            zip::with_descriptor(stored, signature, width)}));
    put("npz", "zip64_end", zip::write({stored}, [](zip::End& e) { e.wide = true; }));
    put("npz", "zip64_end_plain", zip::write({stored}, [](zip::End& e) { e.wide = true, e.saturate = false; }));
    zip::Member wide = deflated;
    wide.local.extra = wide.central.extra = zip::zip64_extra({wide.central.unpacked, wide.central.packed});
    wide.local.packed = wide.local.unpacked = wide.central.packed = wide.central.unpacked = 0xFFFFFFFF;
    put("npz", "zip64_sizes", zip::write({wide}));
    zip::Member offset = deflated;
    zip::put(offset.central.extra, 0x00080001, 4);
    offset.offset_in_extra = true;
    put("npz", "zip64_offset", zip::write({offset}));
    put("npz", "comment", zip::write({stored}, [](zip::End& e) { e.comment = "a comment"; }));
    put("npz", "name_twice", zip::write({stored, stored}));
    zip::Member encrypted = stored;
    encrypted.local.flags = encrypted.central.flags = 1;
    put("npz", "encrypted", zip::write({encrypted}));
    zip::Member bomb = zip::member("a.npy", Bytes(2 << 20), true);
    bomb.local.unpacked = bomb.central.unpacked = 1000;
    put("npz", "bomb", zip::write({bomb}));
    put("npz", "over_budget", zip::write({zip::member("a.npy", Bytes(2 << 20), true)}));
}

void safetensors_seeds() {
    const std::vector<float> f4 = {1, 2, 3, 4};
    const std::vector<double> f8 = {1, 2};
    const std::vector<std::int32_t> i4 = {1, 2};
    const std::vector<std::int64_t> i8 = {1, 2};
    const std::vector<std::uint8_t> u1 = {1, 2, 3};
    put("safetensors", "nothing", format_safetensors({}));
    put("safetensors", "metadata", format_safetensors({{{"format", "pt"}, {"a\n", "\xc3\xb6\\"}}, {}}));
    put("safetensors", "every_dtype",
        format_safetensors({{{"k", "v"}},
                            {Tensor::of("layers.0.weight", {2, 2}, std::span<const float>(f4)),
                             Tensor::of("d", {2}, std::span<const double>(f8)),
                             Tensor::of("i", {2, 1}, std::span<const std::int32_t>(i4)),
                             Tensor::of("l", {1, 2}, std::span<const std::int64_t>(i8)),
                             Tensor::of("u", {3}, std::span<const std::uint8_t>(u1)),
                             Tensor::of("e", {0, 5}, std::span<const float>())}}));
    const auto raw = [](const std::string& name, const std::string& header, std::size_t data) {
        Bytes out;
        zip::put(out, header.size(), 8);
        zip::put(out, header);
        out.resize(out.size() + data);
        put("safetensors", name, out);
    };
    raw("any_order",
        R"({"b":{"data_offsets":[4,8],"shape":[1],"dtype":"F32"},"a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}} )",
        8);
    raw("hole", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3);
    raw("overflow", R"({"a":{"dtype":"U8","shape":[4194305,4194305,211106198978564],"data_offsets":[0,4]}})", 4);
    raw("deep", "{\"a\":" + std::string(500, '['), 0);
    raw("key_twice",
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
        2);
}

/// Archives that hold a graph of three nodes: as torch_geometric and the heterophilous graphs name their arrays, and
/// scipy's matrix beside features.
void graph_seeds() {
    const std::vector<float> x = {1, 0, 0, 1, 1, 1};
    const std::vector<std::int64_t> edges = {0, 1, 1, 2}, y = {0, 7, -1}, row = {0, 1}, shape = {3, 3}, ids = {0},
                                    indptr = {0, 1, 2, 2};
    const auto flat = [](const std::vector<std::int64_t>& v) {
        return format_npy(std::span<const std::int64_t>(v), {static_cast<Index>(v.size())});
    };
    const auto file = [](const std::string& name, const Bytes& bytes) { return zip::member(name + ".npy", bytes); };
    const auto raw = [](const std::string& descr, const std::string& extents, const std::string& data) {
        Bytes out = npy(descr, extents, "False", 0);
        zip::put(out, data);
        return out;
    };
    const zip::Member features = file("x", format_npy(std::span<const float>(x), {3, 2})), labels = file("y", flat(y));
    put("npz", "pyg",
        zip::write({features, labels, file("edge_index", format_npy(std::span<const std::int64_t>(edges), {2, 2})),
                    file("edge_weight", format_npy(std::span<const float>(x).first(2), {2, 1})),
                    file("train_mask", raw("|b1", "(3,)", std::string("\1\0\0", 3))),
                    file("test_mask", raw("|u1", "(3,)", std::string("\0\1\1", 3)))}));
    put("npz", "several_splits",
        zip::write({file("node_features", format_npy(std::span<const float>(x), {3, 2})), file("node_labels", flat(y)),
                    file("edges", format_npy(std::span<const std::int64_t>(edges), {2, 2})),
                    file("train_masks", raw("|b1", "(2, 3)", std::string("\1\0\0\0\1\0", 6))),
                    file("val_masks", raw("|b1", "(3, 2)", std::string("\0\1\1\0\0\0", 6)))}));
    for (const char* format : {"csr", "csc"})
        put("npz", std::string("scipy_") + format,
            zip::write({features, labels, file("indptr", flat(indptr)), file("indices", flat(row)),
                        file("shape", flat(shape)), file("format", raw("|S3", "()", format)),
                        file("train", flat(ids))}));
    put("npz", "scipy_coo",
        zip::write({features, file("row", flat(row)), file("col", flat(row)), file("shape", flat(shape)),
                    file("data", format_npy(std::span<const float>(x).first(2), {2})), file("split", flat(ids))}));
}

using Files = std::vector<std::pair<std::string_view, Bytes>>;

void put_folder(const std::string& name, const Files& files) {
    Bytes out;
    for (const auto& [file, bytes] : files) {
        const auto at = std::find(folder_files.begin(), folder_files.end(), file);
        if (at == folder_files.end()) throw std::runtime_error(std::string(file));
        zip::put(out, static_cast<std::uint64_t>(at - folder_files.begin()), 1);
        zip::put(out, bytes.size(), 2);
        zip::put(out, bytes);
    }
    put("folder", name, out);
}

Bytes floats(const std::string& shape, const std::vector<float>& values, const std::string& order = "False") {
    Bytes out = npy("<f4", shape, order, 0);
    zip::put(out, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
    return out;
}
Bytes ints(const std::string& shape, const std::vector<std::int32_t>& values, const std::string& order = "False") {
    Bytes out = npy("<i4", shape, order, 0);
    zip::put(out, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int32_t)});
    return out;
}
Bytes archive(const Files& members) {
    std::vector<zip::Member> out;
    for (const auto& [name, bytes] : members) out.push_back(zip::member(std::string(name) + ".npy", bytes, true));
    return zip::write(out);
}

/// One graph of three nodes in every form of a folder, and archives of the forms that are read piece by piece.
void folder_seeds() {
    const Bytes x = floats("(3, 2)", {1, 0, 0, 1, 1, 1}), y = ints("(3,)", {0, 1, -1}), train = ints("(2,)", {0, 1}),
                list = ints("(2, 3)", {0, 1, 2, 1, 2, 0}), pairs = ints("(3, 2)", {0, 1, 1, 2, 2, 0}),
                weights = floats("(3,)", {1, 2, 0.5F}), starts = ints("(4,)", {0, 1, 2, 3}),
                columns = ints("(3,)", {1, 2, 0}), shape = ints("(2,)", {3, 3}),
                two = ints("(3, 2)", {1, 1, 0, 1, -1, -1});
    const auto text = [](const std::string& words) { return zip::to_bytes(words); };
    const Bytes table = text("0,1\n1,2\n2,0\n"),
                matrix = text("%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 2\n");
    const Files nodes{{"features.npy", x}, {"labels.npy", y}, {"train_idx.npy", train}};
    const auto with = [&](Files files) {
        files.insert(files.begin(), nodes.begin(), nodes.end());
        return files;
    };
    put_folder("list", {{"graph.npz", archive({{"x", x}, {"y", y}, {"edge_index", list}, {"edge_weight", weights}})}});
    put_folder("pairs", {{"graph.npz", archive({{"x", x}, {"y", two}, {"edges", pairs}, {"train_idx", train}})}});
    const Files rows{{"features", x}, {"adj_indptr", starts}, {"adj_indices", columns}, {"adj_shape", shape}};
    for (const auto& [name, data] : {std::pair{"rows", weights}, {"rows_few", floats("(2,)", {1, 1})}}) {
        Files members = rows;
        members.emplace_back("adj_data", data);
        put_folder(name, {{"graph.npz", archive(members)}});
    }
    put_folder(
        "rows_scalar",
        {{"graph.npz",
          archive(
              {{"features", x}, {"adj_indptr", ints("()", {0})}, {"adj_indices", columns}, {"adj_shape", shape}})}});
    put_folder("arrays",
               with({{"edge_index.npy", list}, {"edge_weight.npy", weights}, {"num_nodes.npy", ints("()", {3})}}));
    put_folder("fortran", with({{"edges.npy", ints("(3, 2)", {0, 1, 2, 1, 2, 0}, "True")},
                                {"edge_weight.csv", text("1\n2\n3\n")}}));
    put_folder("table", with({{"edge.csv", table}, {"edge_weight.npy", weights}}));
    put_folder("table_few", with({{"edge.csv", table}, {"edge_weight.npy", floats("(2, 1)", {1, 2})}}));
    put_folder("table_many", with({{"edge.csv", table}, {"edge_weight.npy", floats("(4,)", {1, 2, 1, 1})}}));
    put_folder("table_of_two_rows", with({{"edge.csv", text("0,1,2\n1,2,0\n")}}));
    put_folder("table_of_two_pairs", with({{"edge_index.csv", text("0,1\n1,2\n")}}));
    put_folder("market", with({{"adj.mtx", matrix}}));
    put_folder("market_features",
               {{"x.mtx", text("%%MatrixMarket matrix coordinate real general\n3 2 2\n1 1 0.5\n3 2 1\n")},
                {"y.csv", text("0\n1\nnan\n")},
                {"edge.csv", table}});
    for (const char* format : {"csr", "csc"}) {
        Bytes word = npy("|S3", "()", "False", 0);
        zip::put(word, format);
        put_folder(std::string("scipy_") + format, with({{"adj.npz", archive({{"indptr", starts},
                                                                              {"indices", columns},
                                                                              {"data", weights},
                                                                              {"shape", shape},
                                                                              {"format", word}})}}));
    }
    put_folder("scipy_coo", with({{"adj.npz", archive({{"row", columns}, {"col", columns}, {"shape", shape}})}}));
    const Files saint{{"adj_full.npz", archive({{"indptr", starts}, {"indices", columns}, {"shape", shape}})},
                      {"feats.npy", x}};
    for (const auto& [name, map] :
         {std::pair{"saint", R"({"0": 0, "1": 1})"}, {"saint_several", R"({"0": [1, 0, 1], "2": [0, 0, 1]})"}}) {
        Files files = saint;
        files.emplace_back("class_map.json", text(map));
        files.emplace_back("role.json", text(R"({"tr": [0], "va": [], "te": [2]})"));
        put_folder(name, files);
    }
    const auto packed = [](const std::string& words) { return zip::gzip(words); };
    const Files split{{"split/time/train.csv.gz", packed("0\n")}, {"split/time/test.csv.gz", packed("1\n")}};
    Files tables = split, binary = split;
    for (auto& [file, words] : {std::pair{"raw/edge.csv.gz", "0,1\n1,2\n2,0\n"},
                                {"raw/node-feat.csv.gz", "1,0\n0,1\n1,1\n"},
                                {"raw/node-label.csv.gz", "0\n1\nnan\n"},
                                {"raw/num-node-list.csv.gz", "3\n"}})
        tables.emplace_back(file, packed(words));
    put_folder("ogb", tables);
    binary.emplace_back("raw/data.npz",
                        archive({{"edge_index", list}, {"node_feat", x}, {"num_nodes_list", ints("(1,)", {3})}}));
    binary.emplace_back("raw/node-label.csv.gz", packed("0\n1\nnan\n"));
    put_folder("ogb_binary", binary);
}

void text_seeds() {
    const std::string market = "%%MatrixMarket matrix coordinate ";
    const auto plain = [](const std::string& name, char kind, const std::string& text) {
        put("text", name, zip::to_bytes(kind + text));
    };
    plain("general", '\0', market + "real general\n% a comment\n3 4 2\n1 4 0.5\n3 1 -2\n");
    plain("symmetric", '\0', market + "pattern symmetric\r\n3 3 3\r\n2 1\r\n3 3\r\n3 2\r\n");
    plain("complex", '\0', market + "complex general\n1 1 1\n1 1 1 0\n");
    plain("promised", '\0', market + "integer general\n2 2 9223372036854775807\n1 1 1\n");
    plain("whole", '\1',
          "\xEF\xBB\xBF"
          "1,2\r\n3,4\r\n");
    plain("single", '\2', "1,2.5,-3e-2\n4, 5 ,\n");
    plain("wide", '\3', "0\nnan\n1e300\n\n");
    plain("ragged", '\1', "1,2\n3\n");
    plain("quoted", '\2', "1,\"2,3\"\n");
    Bytes packed = zip::to_bytes("\1");
    zip::put(packed, zip::gzip("1,2\n3,4\n"));
    zip::put(packed, zip::gzip("5,6\n"));
    put("text", "packed", packed);
    plain("json_map", 4, R"({"0": 1, "1": [0, 1], "2": [], "3": 2.0})");
    plain("json_nested", 4, R"({"0": [[1]]})");
    plain("json_open", 4, R"({"tr": [0, 3], "va": [)");
    packed.resize(packed.size() - 9);
    put("text", "packed_cut", packed);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: make_corpus FOLDER\n");
        return 2;
    }
    folder = arguments[1];
    npy_seeds();
    npz_seeds();
    safetensors_seeds();
    graph_seeds();
    folder_seeds();
    text_seeds();
}
