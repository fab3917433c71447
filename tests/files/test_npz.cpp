// The archive reader: archives as NumPy and other writers leave them are read exactly; budgets and bombs
// cost nothing.
#include "host/format/npz.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "tests/files/npz_case.hpp"
#include "tests/support/test_seed.hpp"

using namespace pdadmm;
using namespace npz_case;
using testing::ElementsAre;
using testing::HasSubstr;
using zip::Bytes;
using zip::End;
using zip::Member;

TEST(Npz, ReadsWhatWritersLeave) {
    const Member stored = sound(false), deflated = sound(true);
    Member numpy = deflated;  // numpy: a zip64 field in the local header beside the plain sizes
    numpy.local.extra = zip::zip64_extra({numpy.local.unpacked, numpy.local.packed});
    Member numpy_wide = numpy;
    numpy_wide.local.packed = numpy_wide.local.unpacked = 0xFFFFFFFF;
    Member central_wide = deflated;
    central_wide.central.extra = zip::zip64_extra({central_wide.central.unpacked, central_wide.central.packed});
    central_wide.central.packed = central_wide.central.unpacked = 0xFFFFFFFF;
    Member offset_wide = deflated;
    zip::put(offset_wide.central.extra, 0x00080001, 4);
    offset_wide.offset_in_extra = true;
    Member other_extra = deflated;  // an extended time stamp
    for (Bytes* extra : {&other_extra.local.extra, &other_extra.central.extra})
        zip::put(*extra, 0x00055455, 4), zip::put(*extra, 0, 5);
    Member options = deflated;  // "maximum compression", UTF-8
    options.local.flags = options.central.flags = 0x802;
    Member commented = deflated;
    commented.comment = "a member's comment";
    Member streamed_zip64 = zip::with_descriptor(deflated, true, 8);
    streamed_zip64.local.packed = streamed_zip64.local.unpacked = 0xFFFFFFFF;
    streamed_zip64.local.extra = zip::zip64_extra({0, 0});
    std::vector<Member> cases = {stored,      deflated,    numpy,   numpy_wide, central_wide,
                                 offset_wide, other_extra, options, commented,  streamed_zip64};
    for (const bool signature : {true, false})
        for (const int width : {4, 8})
            for (const Member& m : {stored, deflated}) cases.push_back(zip::with_descriptor(m, signature, width));

    for (std::size_t i = 0; i < cases.size(); ++i) {
        SCOPED_TRACE(i);
        const Member neighbour = zip::member("b.npy", npy_of_zeros(3), true);
        for (const auto& members :
             {std::vector{cases[i]}, std::vector{cases[i], neighbour}, std::vector{neighbour, cases[i]}}) {
            EXPECT_EQ(read(zip::write(members)).as_float(), values);
            EXPECT_EQ(read(zip::write(members, [](End& e) { e.wide = true; })).as_float(), values);
            EXPECT_EQ(read(zip::write(members, [](End& e) { e.wide = true, e.saturate = false; })).as_float(), values);
            EXPECT_EQ(read(zip::write(members, [](End& e) { e.comment = std::string(65535, 'c'); })).as_float(),
                      values);
        }
    }
}

TEST(Npz, NamesAndLabels) {
    const Bytes archive = zip::write({zip::member("z.npy", npy_of_values()), zip::member("notes.txt", Bytes(4)),
                                      zip::member("folder/", {}), zip::member("folder/b.npy", npy_of_values(), true)});
    const NpzFile file = NpzFile::from_memory(archive, "x.npz", budget);
    EXPECT_THAT(file.names(), ElementsAre("z", "folder/b"));
    EXPECT_TRUE(file.has("z") && file.has("folder/b"));
    EXPECT_FALSE(file.has("") || file.has("z.npy") || file.has("notes") || file.has("notes.txt") || file.has("b"));
    const NpyArray array = file.read("folder/b");
    EXPECT_EQ(array.name, "x.npz: folder/b.npy");
    EXPECT_EQ(array.dtype, "<f4");
    EXPECT_THAT(array.shape, ElementsAre(6));
}

TEST(Npz, BudgetHoldsForAllReadsTogether) {
    const Bytes big = npy_of_zeros(100'000);  // 400,128 bytes
    const Bytes archive =
        zip::write({zip::member("a.npy", big, true), zip::member("b.npy", big, true), zip::member("c.npy", big, true)});
    const NpzFile file = NpzFile::from_memory(archive, "x.npz", 2 * big.size());
    EXPECT_EQ(file.read("a").size(), 100'000);
    EXPECT_EQ(file.read("b").size(), 100'000);
    try {
        file.read("c");
        FAIL() << "over the budget";
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("c.npy: 400128 bytes unpacked after 800256"));
    }
    EXPECT_THAT(refusal(archive, big.size() - 1), HasSubstr("expected at most 400127"));
    EXPECT_EQ(refusal(archive, big.size()), "");
}

// A stream that unpacks to 256 MiB is stopped at its declared size, and a truly declared one before anything is
// unpacked.
TEST(Npz, BombsTakeNoMemory) {
    const Bytes zeros(std::size_t{256} << 20);
    Member bomb = zip::member("a.npy", zeros, true);
    struct rusage before {
    }, after{};
    const Bytes honest = zip::write({bomb});
    bomb.local.unpacked = bomb.central.unpacked = 5000;
    const Bytes lying = zip::write({bomb});
    ASSERT_EQ(getrusage(RUSAGE_SELF, &before), 0);
    EXPECT_THAT(refusal(honest), HasSubstr("expected at most 1048576"));
    EXPECT_THAT(refusal(lying), HasSubstr("more than the declared 5000"));
    ASSERT_EQ(getrusage(RUSAGE_SELF, &after), 0);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 << 10);  // KiB
}

TEST(Npz, HighestCompressionIsRead) {
    const Bytes zeros = npy_of_zeros(3'000'000);
    const Member m = zip::member("a.npy", zeros, true);
    EXPECT_GT(zeros.size() / m.data.size(), 1000u);
    EXPECT_EQ(read(zip::write({m}), "a", 1 << 24).size(), 3'000'000);
}

TEST(Npz, FileBeyondFourGiB) {
    const auto path =
        std::filesystem::path(testing::TempDir()) / ("pdadmm_sparse_" + std::to_string(getpid()) + ".npz");
    // One member behind a hole of 4 GiB: the file is sparse, so it costs nothing.
    Member m = sound();
    zip::put(m.central.extra, 0x00080001, 4);
    m.offset_in_extra = true;
    constexpr std::uint64_t hole = (std::uint64_t{1} << 32) + 17;
    m.offset = hole;
    const Bytes archive = zip::write({m}, [&](End& e) {
        e.wide = true, e.wide_at = hole + e.offset + e.size, e.wide_directory_offset = hole + e.offset;
    });
    {
        std::ofstream out(path, std::ios::binary);
        out.seekp(static_cast<std::streamoff>(hole));
        out.write(reinterpret_cast<const char*>(archive.data()), static_cast<std::streamsize>(archive.size()));
        if (!out.flush()) {
            std::filesystem::remove(path);
            GTEST_SKIP() << "the file system of " << path << " takes no file of 4 GiB";
        }
    }
    std::vector<float> got;
    EXPECT_NO_THROW(got = NpzFile(path, budget).read("a").as_float());
    EXPECT_EQ(got, values);
    std::filesystem::remove(path);
}

TEST(Npz, RandomArraysSurvive) {
    PDADMM_SEEDED();
    std::mt19937_64 random(seed);
    for (int round = 0; round < 10; ++round) {
        std::vector<std::int64_t> numbers(random() % 100'000);
        for (auto& n : numbers) n = static_cast<std::int64_t>(random() >> random() % 64);
        const Bytes npy = format_npy(std::span<const std::int64_t>(numbers), {static_cast<Index>(numbers.size())});
        EXPECT_EQ(read(zip::write({zip::member("a.npy", npy, round % 2 == 0)}), "a", 1 << 24).as_index(), numbers);
    }
}

TEST(Npz, RealFiles) {
    const char* data = std::getenv("PDADMM_DATA");
    if (!data) GTEST_SKIP() << "PDADMM_DATA names no folder";
    const auto folder = std::filesystem::path(data) / "npz";
    if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << folder << " is not there";
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".npz") continue;
        SCOPED_TRACE(entry.path());
        const NpzFile file(entry.path());
        EXPECT_FALSE(file.names().empty());
        for (const std::string& name : file.names()) {
            const NpyArray array = file.read(name);
            if (array.is_float()) {
                EXPECT_EQ(array.as_float().size(), static_cast<std::size_t>(array.size()));
            } else {
                EXPECT_EQ(array.as_index().size(), static_cast<std::size_t>(array.size()));
            }
        }
        if (file.has("adj_indptr")) {
            EXPECT_EQ(file.read("adj_indptr").as_index().back(), file.read("adj_indices").size());
        }
        ++files;
    }
    if (files == 0) GTEST_SKIP() << folder << " holds no .npz";
}
