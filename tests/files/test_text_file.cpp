// Text from files: lines plain and packed, tables of numbers, Matrix Market; what a file that is none of ours is.
#include "host/format/text_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "host/format/csv.hpp"
#include "host/format/file_kind.hpp"
#include "host/format/matrix_market.hpp"
#include "pdadmm/error.hpp"
#include "tests/support/zip_writer.hpp"

using namespace pdadmm;
using testing::ElementsAre;
using testing::HasSubstr;
using zip::Bytes;

namespace {

std::vector<std::string> lines(const Bytes& bytes) {
    TextFile file = TextFile::from_memory(bytes, "f.txt");
    std::vector<std::string> out;
    std::string_view line;
    while (file.next(line)) {
        out.emplace_back(line);
        EXPECT_EQ(file.number(), out.size());
    }
    EXPECT_FALSE(file.next(line));
    return out;
}

std::string refusal(const std::function<void()>& act) {
    try {
        act();
    } catch (const DataError& error) {
        const std::string message = error.what();
        for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << message;
        return message;
    }
    return "";
}

NpyArray csv(const std::string& text, CsvNumbers numbers = CsvNumbers::single, std::uint64_t most = 1 << 20) {
    const Bytes bytes = zip::to_bytes(text);
    TextFile file = TextFile::from_memory(bytes, "f.csv");
    return read_csv(file, numbers, most);
}
std::string csv_refusal(const std::string& text, CsvNumbers numbers = CsvNumbers::single) {
    return refusal([&] { csv(text, numbers); });
}

MatrixMarket market(const std::string& text, std::uint64_t most = 1 << 20) {
    const Bytes bytes = zip::to_bytes(text);
    TextFile file = TextFile::from_memory(bytes, "f.mtx");
    return read_matrix_market(file, most);
}

TEST(TextFile, LinesPlainAndPacked) {
    for (const auto& [text, expected] :
         std::vector<std::pair<std::string, std::vector<std::string>>>{{"a\nb\n", {"a", "b"}},
                                                                       {"a\r\nb\r\n", {"a", "b"}},
                                                                       {"\xEF\xBB\xBF"
                                                                        "a\n\xEF\xBB\xBF",
                                                                        {"a", "\xEF\xBB\xBF"}},
                                                                       {"a\n\nb", {"a", "", "b"}},
                                                                       {"a", {"a"}},
                                                                       {"\n", {""}}}) {
        EXPECT_EQ(lines(zip::to_bytes(text)), expected) << text;
        EXPECT_EQ(lines(zip::gzip(text)), expected) << text;
    }
}

TEST(TextFile, LongFilesAndSeveralPackedMembers) {
    std::string text;
    std::vector<std::string> expected;
    for (int i = 0; i < 12000; ++i) {
        expected.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i % 97), 'x'));
        text += expected.back() + "\n";
    }
    EXPECT_EQ(lines(zip::to_bytes(text)), expected);
    EXPECT_EQ(lines(zip::gzip(text)), expected);
    Bytes two = zip::gzip(text.substr(0, 300003));
    const Bytes rest = zip::gzip(text.substr(300003));
    two.insert(two.end(), rest.begin(), rest.end());
    EXPECT_EQ(lines(two), expected);
    const std::string zeros(3 << 20, '0');  // unpacks to far more than a buffer from few bytes
    EXPECT_EQ(lines(zip::gzip(zeros)), std::vector<std::string>{zeros});
}

TEST(TextFile, DamagedPackedDataAreRefused) {
    const Bytes sound = zip::gzip("1,2\n3,4\n5,6\n");
    for (std::size_t size = 2; size < sound.size(); ++size) {
        const Bytes cut(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_EQ(refusal([&] { lines(cut); }), "f.txt: packed data end too early; fetch or save the file again")
            << size;
    }
    Bytes wrong_sum = sound;
    wrong_sum[sound.size() - 6] ^= std::byte{1};
    EXPECT_THAT(refusal([&] { lines(wrong_sum); }), HasSubstr("packed data are damaged"));
    Bytes more = sound;
    more.push_back(std::byte{'x'});
    EXPECT_NE(refusal([&] { lines(more); }), "");
    EXPECT_EQ(refusal([&] { lines(zip::to_bytes(std::string("a\nb\0c\n", 6))); }),
              "f.txt: line 2: holds a byte 0, expected text; save it as UTF-8");
}

TEST(Csv, NumbersInRows) {
    const NpyArray a = csv("1,2.5,-3e-2\n4, 5 ,6\n");
    EXPECT_THAT(a.shape, ElementsAre(2, 3));
    EXPECT_EQ(a.dtype, "<f4");
    EXPECT_THAT(a.as_float(), ElementsAre(1, 2.5f, -0.03f, 4, 5, 6));
    EXPECT_THAT(csv("\xEF\xBB\xBF"
                    "1,2\r\n3,4\r\n\r\n",
                    CsvNumbers::whole)
                    .as_index(),
                ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(csv("9007199254740993", CsvNumbers::whole).as_index(), ElementsAre(9007199254740993));
    const std::vector<double> wide = csv("1\nnan\n\t\n", CsvNumbers::wide).as_double();
    EXPECT_EQ(wide.size(), 2u);
    EXPECT_TRUE(wide[0] == 1 && std::isnan(wide[1]));
}

TEST(Csv, WhatIsNoTableIsRefusedWithItsLine) {
    EXPECT_EQ(csv_refusal("1,2\n3\n"), "f.csv: line 2: 1 fields, expected 2 as in line 1");
    EXPECT_EQ(csv_refusal("1,2\n3,4,5\n"), "f.csv: line 2: 3 fields, expected 2 as in line 1");
    EXPECT_EQ(csv_refusal("1,2\n\n3,4\n"), "f.csv: line 2: empty, expected a row of numbers");
    EXPECT_EQ(csv_refusal("source,target\n1,2\n"), "f.csv: line 1: 'source', expected a number");
    EXPECT_EQ(csv_refusal("1,2\n\"3,4\",5\n"), "f.csv: line 2: '\"3', expected a number without quotes");
    EXPECT_EQ(csv_refusal("1,2\n3,1.5\n", CsvNumbers::whole), "f.csv: line 2: '1.5', expected a whole number");
    EXPECT_EQ(csv_refusal("1,\n", CsvNumbers::whole), "f.csv: line 1: '', expected a whole number");
    EXPECT_THAT(csv_refusal("99999999999999999999\n", CsvNumbers::whole), HasSubstr("out of range"));
    EXPECT_EQ(csv_refusal("\n\n"), "f.csv: no row, expected numbers");
    EXPECT_TRUE(std::isnan(csv("1,\n").as_float()[1]));
    EXPECT_THAT(refusal([] { csv("1,2\n3,4\n", CsvNumbers::wide, 31); }), HasSubstr("more than 31 bytes of numbers"));
}

TEST(MatrixMarket, GeneralSymmetricAndPattern) {
    const MatrixMarket general =
        market("%%MatrixMarket matrix coordinate real general\n% a comment\n\n3 4 2\n1 4 0.5\n3  1\t-2\n");
    EXPECT_EQ(general.rows, 3);
    EXPECT_EQ(general.cols, 4);
    EXPECT_THAT(general.row, ElementsAre(0, 2));
    EXPECT_THAT(general.col, ElementsAre(3, 0));
    EXPECT_THAT(general.values, ElementsAre(0.5f, -2));
    const MatrixMarket symmetric =
        market("%%MATRIXMARKET Matrix Coordinate Pattern Symmetric\r\n3 3 3\r\n2 1\r\n3 3\r\n3 2\r\n");
    EXPECT_TRUE(symmetric.pattern);
    EXPECT_THAT(symmetric.row, ElementsAre(1, 0, 2, 2, 1));
    EXPECT_THAT(symmetric.col, ElementsAre(0, 1, 2, 1, 2));
    EXPECT_TRUE(symmetric.values.empty());
    EXPECT_THAT(market("%%MatrixMarket matrix coordinate integer symmetric\n2 2 1\n2 1 7\n").values, ElementsAre(7, 7));
}

TEST(MatrixMarket, EveryFaultIsRefusedWithItsLine) {
    const std::string real = "%%MatrixMarket matrix coordinate real general\n";
    for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
             {"1 1 1\n", "does not begin with %%MatrixMarket, expected a Matrix Market file"},
             {"%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 0\n",
              "line 1: 'complex', expected real, integer or pattern; save real numbers"},
             {"%%MatrixMarket matrix array real general\n", "line 1: 'array', expected coordinate: a sparse matrix"},
             {"%%MatrixMarket matrix coordinate real skew-symmetric\n",
              "line 1: 'skew-symmetric', expected general or symmetric"},
             {"%%MatrixMarket vector coordinate real general\n", "line 1: 'vector', expected matrix"},
             {real, "ends before its sizes, expected entries"},
             {real + "2 2\n", "line 2: '', expected the number of entries"},
             {real + "0 2 1\n", "line 2: 0 rows or columns, expected 1 to 2147483647"},
             {real + "2 2 1\n3 1 1\n", "line 3: entry (3, 1), expected rows 1 to 2 and columns 1 to 2"},
             {real + "2 2 1\n0 1 1\n", "line 3: entry (0, 1), expected rows 1 to 2 and columns 1 to 2"},
             {real + "2 2 1\n1 1\n", "line 3: '', expected a value"},
             {real + "2 2 1\n1 1 1 1\n", "line 3: more than an entry, expected row, column and value alone"},
             {real + "2 2 1\n1 1 1\n1 2 1\n", "line 4: entry 2, expected 1 as promised"},
             {real + "2 2 2\n1 1 1\n", "1 entries, expected 2 as promised; is the file cut off?"},
             {"%%MatrixMarket matrix coordinate real symmetric\n2 3 1\n1 1 1\n",
              "line 2: 2 x 3 and symmetric, expected a square matrix"}})
        EXPECT_EQ(refusal([&] { market(text); }), "f.mtx: " + message);
    EXPECT_THAT(refusal([&] { market(real + "2 2 2\n1 1 1\n1 2 1\n", 12); }), HasSubstr("more than 12 bytes"));
}

TEST(FileKind, IsToldByTheFirstBytes) {
    const auto kind = [](const Bytes& head) {
        const std::optional<ForeignKind> found = foreign_kind(head);
        return found ? found->kind + ": " + found->advice : "";
    };
    const auto kind_of = [&](const std::string& head) { return kind(zip::to_bytes(head)); };
    EXPECT_EQ(kind(zip::write({zip::member("graph/data.pkl", zip::to_bytes("x"))})),
              "a PyTorch file: make a bundle with: python3 data/prepare.py pyg FILE");
    EXPECT_EQ(kind(zip::write({zip::member("x.npy", zip::to_bytes("x"))})), "");
    EXPECT_THAT(kind_of("\x80\x04\x95"), HasSubstr("a Python pickle: make a bundle with data/prepare.py"));
    EXPECT_THAT(kind_of("\x89HDF\r\n\x1a\n"), HasSubstr("an HDF5 file: open it with h5py and save its arrays"));
    EXPECT_THAT(kind_of("PAR1...."), HasSubstr("a Parquet file: read it with pandas"));
    EXPECT_THAT(kind_of("MATLAB 5.0 MAT-file"), HasSubstr("scipy.io.loadmat"));
    EXPECT_THAT(kind_of("version https://git-lfs.github.com/spec/v1\noid"), HasSubstr("git lfs pull"));
    EXPECT_THAT(kind_of("\n<!DOCTYPE html><html>"), HasSubstr("an HTML page"));
    EXPECT_THAT(kind_of("<HTML><head>"), HasSubstr("an HTML page"));
    EXPECT_THAT(kind_of("\x93NUMPY"), HasSubstr("a single .npy array: put it beside the others into a folder"));
    EXPECT_THAT(kind_of("%%MatrixMarket matrix"), HasSubstr("a Matrix Market file: put it"));
    EXPECT_THAT(kind_of("\x1f\x8b\x08"), HasSubstr("a gzip file"));
    EXPECT_THAT(kind_of("1,2\n3,4\n"), HasSubstr("a text file: make a bundle of an edge list with: python3 "
                                                 "data/prepare.py edges FILE"));
    EXPECT_EQ(kind_of("notazip"), "");
}

}  // namespace
