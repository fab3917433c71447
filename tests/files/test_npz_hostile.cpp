// Hostile archives: a table of them by what is wrong, every cut and every changed byte of a small one. None is read
// wrongly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/files/npz_case.hpp"

using namespace pdadmm;
using namespace npz_case;
using testing::HasSubstr;
using zip::Bytes;
using zip::End;
using zip::Member;

namespace {

struct Hostile {
    const char* what;
    const char* message;  // part of it
    std::function<Bytes()> archive;
};

Bytes edited(const std::function<void(Member&)>& edit, bool deflated = true) {
    Member m = sound(deflated);
    edit(m);
    return zip::write({m});
}
Bytes ended(const std::function<void(End&)>& edit) { return zip::write({sound()}, edit); }
Bytes wide(const std::function<void(End&)>& edit) {
    return ended([&](End& e) {
        e.wide = true;
        edit(e);
    });
}

/// A member whose bytes lie within another member's, as in a quoted-overlap bomb: each is right when seen alone.
Bytes overlapping() {
    Member inner = zip::member("b.npy", npy_of_values());
    Bytes quoted = zip::write({inner});
    quoted.resize(30 + 5 + inner.data.size());  // local header and data
    inner.local = {};  // what is written of it here is 30 idle bytes; its entry points into "a"
    inner.data.clear();
    inner.offset = 30 + 5;
    return zip::write({zip::member("a.npy", quoted), inner});
}

/// No archive at all, and broken records at its end.
std::vector<Hostile> hostile_ends() {
    using namespace std::string_literals;
    return {
        {"empty", "not an .npz", [] { return Bytes{}; }},
        {"21 bytes", "not an .npz", [] { return Bytes(21); }},
        {"22 zero bytes", "not an .npz", [] { return Bytes(22); }},
        {"text", "not an .npz", [] { return zip::to_bytes(std::string(1000, 'x')); }},
        {"npy without zip", "not an .npz", npy_of_values},
        {"no end record", "cut off",
         [] {
             auto a = zip::write({sound()});
             a.resize(a.size() - 22);
             return a;
         }},
        {"last byte missing", "cut off",
         [] {
             auto a = zip::write({sound()});
             a.pop_back();
             return a;
         }},
        {"first byte missing", "directory does not end",
         [] {
             auto a = zip::write({sound()});
             a.erase(a.begin());
             return a;
         }},
        {"bytes behind the end", "cut off", [] { return ended([](End& e) { e.after = Bytes(3); }); }},
        {"bytes before the end", "directory does not end", [] { return ended([](End& e) { e.before = Bytes(3); }); }},
        {"comment longer than told", "cut off",
         [] { return ended([](End& e) { e.comment = "hello", e.comment_size = 4; }); }},
        {"comment shorter than told", "cut off",
         [] { return ended([](End& e) { e.comment = "hello", e.comment_size = 6; }); }},
        {"end record in the comment", "two end records",
         [] {
             Bytes fake = ended([](End&) {});
             fake.erase(fake.begin(), fake.end() - 22);
             return ended([&](End& e) { e.comment.assign(reinterpret_cast<const char*>(fake.data()), fake.size()); });
         }},
        {"disk number", "several", [] { return ended([](End& e) { e.disk = 1; }); }},
        {"directory disk", "several", [] { return ended([](End& e) { e.directory_disk = 1; }); }},
        {"entries elsewhere", "several", [] { return ended([](End& e) { e.here = 0; }); }},
        {"one entry too many", "too short", [] { return ended([](End& e) { e.here = e.total = 2; }); }},
        {"entries at the limit", "directory does not end",
         [] { return ended([](End& e) { e.here = e.total = 0xFFFF; }); }},
        {"one entry too few", "goes on after", [] { return ended([](End& e) { e.here = e.total = 0; }); }},
        {"directory size + 1", "directory does not end", [] { return ended([](End& e) { e.size += 1; }); }},
        {"directory size - 1", "directory does not end", [] { return ended([](End& e) { e.size -= 1; }); }},
        {"directory moved", "directory is broken", [] { return ended([](End& e) { e.size -= 1, e.offset += 1; }); }},
        {"directory offset beyond the file", "directory does not end",
         [] { return ended([](End& e) { e.offset = 0xFFFFFFF0; }); }},
    };
}

/// Entries of the central directory.
std::vector<Hostile> hostile_directories() {
    using namespace std::string_literals;
    return {
        {"central signature", "directory is broken",
         [] { return edited([](Member& m) { m.central.signature ^= 1; }); }},
        {"central disk", "another disk", [] { return edited([](Member& m) { m.disk = 1; }); }},
        {"central extra cut", "broken extra", [] { return edited([](Member& m) { m.central.extra = Bytes(3); }); }},
        {"central extra lies", "broken extra",
         [] { return edited([](Member& m) { zip::put(m.central.extra, 0x00FF0007, 4); }); }},
        {"central zip64 twice", "broken extra",
         [] {
             return edited([](Member& m) {
                 m.central.extra = zip::zip64_extra({1});
                 zip::put(m.central.extra, zip::zip64_extra({1}));
             });
         }},
        {"zip64 size without field", "without a zip64",
         [] { return edited([](Member& m) { m.central.unpacked = 0xFFFFFFFF; }); }},
        {"zip64 field too short", "without a zip64",
         [] {
             return edited([](Member& m) {
                 m.central.unpacked = m.central.packed = 0xFFFFFFFF;
                 m.central.extra = zip::zip64_extra({1});
             });
         }},
        {"zip64 sizes of 2^64 - 1", "outside the archive",
         [] {
             return edited([](Member& m) {
                 m.central.unpacked = m.central.packed = 0xFFFFFFFF;
                 m.central.extra = zip::zip64_extra({~0ull, ~0ull});
             });
         }},
        {"zip64 offset of 2^64 - 1", "outside the archive",
         [] {
             return edited([](Member& m) {
                 m.offset_in_extra = true;
                 m.offset = ~0ull;
                 zip::put(m.central.extra, 0x00080001, 4);
             });
         }},
        {"offset behind the directory", "outside the archive",
         [] { return edited([](Member& m) { m.offset = 5000; }); }},
        {"offset one off", "no zip header", [] { return edited([](Member& m) { m.offset = 1; }); }},
    };
}

/// What a member says of itself before its data.
std::vector<Hostile> hostile_local_headers() {
    using namespace std::string_literals;
    return {
        {"name differs", "contradict", [] { return edited([](Member& m) { m.local.name = "b.npy"; }); }},
        {"name shorter in the local header", "contradict",
         [] { return edited([](Member& m) { m.local.name = "a.np"; }); }},
        {"no name", "no proper name", [] { return edited([](Member& m) { m.local.name = m.central.name = ""; }); }},
        {"zero byte in the name", "no proper name",
         [] { return edited([](Member& m) { m.local.name = m.central.name = "a.npy\0"s; }); }},
        {"name twice", "stands twice",
         [] {
             return zip::write({sound(), sound()});
         }},
        {"encrypted", "encrypted", [] { return edited([](Member& m) { m.local.flags = m.central.flags = 1; }); }},
        {"strong encryption", "unknown zip flags",
         [] { return edited([](Member& m) { m.local.flags = m.central.flags = 0x40; }); }},
        {"patch data", "unknown zip flags",
         [] { return edited([](Member& m) { m.local.flags = m.central.flags = 0x20; }); }},
        {"hidden headers", "unknown zip flags",
         [] { return edited([](Member& m) { m.local.flags = m.central.flags = 0x2000; }); }},
        {"flags differ", "contradict", [] { return edited([](Member& m) { m.local.flags = 2; }); }},
        {"method bzip2", "method 12", [] { return edited([](Member& m) { m.local.method = m.central.method = 12; }); }},
        {"method deflate64", "method 9",
         [] { return edited([](Member& m) { m.local.method = m.central.method = 9; }); }},
        {"method differs", "contradict", [] { return edited([](Member& m) { m.local.method = 0; }); }},
        {"local signature", "no zip header", [] { return edited([](Member& m) { m.local.signature ^= 1; }); }},
        {"local extra broken", "broken extra", [] { return edited([](Member& m) { m.local.extra = Bytes(2); }); }},
        {"local crc differs", "contradict", [] { return edited([](Member& m) { m.local.crc ^= 1; }); }},
        {"local packed differs", "contradict", [] { return edited([](Member& m) { m.local.packed -= 1; }); }},
        {"local unpacked differs", "contradict", [] { return edited([](Member& m) { m.local.unpacked -= 1; }); }},
        {"local zip64 without field", "without a zip64",
         [] { return edited([](Member& m) { m.local.unpacked = 0xFFFFFFFF; }); }},
        {"local zip64 differs", "contradict",
         [] {
             return edited([](Member& m) { m.local.extra = zip::zip64_extra({m.local.unpacked + 1, m.local.packed}); });
         }},
    };
}

/// Data, sizes and checksums.
std::vector<Hostile> hostile_contents() {
    using namespace std::string_literals;
    return {
        {"crc wrong in both", "CRC", [] { return edited([](Member& m) { m.local.crc ^= 1, m.central.crc ^= 1; }); }},
        {"stored crc wrong in both", "CRC",
         [] { return edited([](Member& m) { m.local.crc ^= 1, m.central.crc ^= 1; }, false); }},
        {"stored sizes unequal", "cannot come from",
         [] { return edited([](Member& m) { m.local.unpacked += 1, m.central.unpacked += 1; }, false); }},
        {"declared one more", "expected the declared",
         [] { return edited([](Member& m) { m.local.unpacked += 1, m.central.unpacked += 1; }); }},
        {"declared one less", "more than the declared",
         [] { return edited([](Member& m) { m.local.unpacked -= 1, m.central.unpacked -= 1; }); }},
        {"declared zero", "more than the declared",
         [] { return edited([](Member& m) { m.local.unpacked = m.central.unpacked = 0; }); }},
        {"declared beyond what deflate reaches", "cannot come from",
         [] {
             return edited([](Member& m) { m.local.unpacked = m.central.unpacked = m.central.packed * 1040 + 2000; });
         }},
        {"deflate with a byte behind", "bytes after",
         [] {
             return edited([](Member& m) {
                 m.data.push_back({});
                 m.local.packed++, m.central.packed++;
             });
         }},
        {"deflate one byte short", "too early",
         [] {
             return edited([](Member& m) {
                 m.data.pop_back();
                 m.local.packed--, m.central.packed--;
             });
         }},
        {"deflate of nothing", "too early",
         [] {
             return edited([](Member& m) {
                 m.data.clear();
                 m.local.packed = m.central.packed = 0;
                 m.local.unpacked = m.central.unpacked = 60;
             });
         }},
        {"zlib header", "damaged",
         [] {
             return edited([](Member& m) {
                 m.data[0] = std::byte{0x78};
                 m.data[1] = std::byte{0x9c};
             });
         }},
    };
}

/// Members that lie over each other or over records, and descriptors.
std::vector<Hostile> hostile_layouts() {
    using namespace std::string_literals;
    return {
        {"members overlap", "overlap", [] { return overlapping(); }},
        {"two entries for one member", "contradict",
         [] {
             Member again = sound();
             again.central.name = "b.npy";
             again.offset = 0;
             return zip::write({sound(), again});
         }},
        {"data reach into the directory", "outside the archive",
         [] {
             return edited(
                 [](Member& m) {
                     m.local.packed += 10, m.central.packed += 10, m.local.unpacked += 10, m.central.unpacked += 10;
                 },
                 false);
         }},
        {"descriptor crc", "descriptor",
         [] {
             return edited([](Member& m) {
                 m = zip::with_descriptor(m, true, 4);
                 m.descriptor[4] ^= std::byte{1};
             });
         }},
        {"descriptor missing", "descriptor",
         [] {
             return edited([](Member& m) {
                 m = zip::with_descriptor(m, true, 4);
                 m.descriptor.clear();
             });
         }},
        {"descriptor cut", "descriptor",
         [] {
             return edited([](Member& m) {
                 m = zip::with_descriptor(m, true, 8);
                 m.descriptor.resize(20);
             });
         }},
    };
}

/// Wide records at the end, and members that are no arrays.
std::vector<Hostile> hostile_zip64_ends() {
    using namespace std::string_literals;
    return {
        {"zip64 record signature", "not where", [] { return wide([](End& e) { e.wide_signature ^= 1; }); }},
        {"zip64 record size", "not where", [] { return wide([](End& e) { e.wide_size = 45; }); }},
        {"zip64 record size of 2^64 - 1", "not where", [] { return wide([](End& e) { e.wide_size = ~0ull; }); }},
        {"zip64 locator signature", "directory does not end",
         [] { return wide([](End& e) { e.locator_signature ^= 1; }); }},
        {"zip64 locator offset", "outside the file", [] { return wide([](End& e) { e.wide_at = ~0ull; }); }},
        {"zip64 locator disk", "several", [] { return wide([](End& e) { e.locator_disk = 1; }); }},
        {"zip64 locator disks", "several", [] { return wide([](End& e) { e.disks = 2; }); }},
        {"zip64 counts differ", "several", [] { return wide([](End& e) { e.wide_here = 5; }); }},
        {"zip64 count of 2^63", "too short",
         [] { return wide([](End& e) { e.wide_here = e.wide_total = 1ull << 63; }); }},
        {"zip64 directory size", "directory does not end",
         [] { return wide([](End& e) { e.wide_directory_size = e.size + 1; }); }},
        {"zip64 sum wraps", "directory does not end",
         [] {
             return wide([](End& e) {
                 e.wide_directory_size = ~0ull - e.offset + 2;
                 e.wide_directory_offset = 2 * e.offset + e.size - 1;
             });
         }},
        {"zip64 contradicts the narrow record", "contradict",
         [] {
             return wide([](End& e) {
                 e.saturate = false;
                 e.wide_here = e.wide_total = 2;
             });
         }},
        {"no such member", "no array 'a', expected a member a.npy",
         [] { return zip::write({zip::member("b.npy", npy_of_values())}); }},
        {"member without .npy", "no array 'a'", [] { return zip::write({zip::member("a", npy_of_values())}); }},
        {"no members", "no array 'a'", [] { return zip::write({}); }},
        {"member is no npy", "x.npz: a.npy: does not begin like",
         [] { return zip::write({zip::member("a.npy", Bytes(100))}); }},
    };
}

std::vector<Hostile> hostile_archives() {
    std::vector<Hostile> all;
    for (const auto& part : {hostile_ends(), hostile_directories(), hostile_local_headers(), hostile_contents(),
                             hostile_layouts(), hostile_zip64_ends()})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

}  // namespace

TEST(Npz, HostileArchivesAreRefused) {
    const auto cases = hostile_archives();
    EXPECT_GE(cases.size(), 60u);
    for (const Hostile& c : cases) {
        SCOPED_TRACE(c.what);
        EXPECT_THAT(refusal(c.archive()), HasSubstr(c.message));
    }
}

TEST(Npz, EveryCutIsRefused) {
    const Bytes whole = zip::write({sound(), zip::member("b.npy", npy_of_values(), false)});
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_NE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<long>(size))), "") << size;
}

// The only bytes that may change without a refusal are the ones that carry nothing (versions, times, attributes), and
// then the values must be the same.
TEST(Npz, NoChangedByteGivesAWrongValue) {
    for (const bool deflated : {false, true}) {
        for (const bool descriptor : {false, true}) {
            Member m = sound(deflated);
            if (descriptor) m = zip::with_descriptor(m, true, 4);
            const Bytes whole = zip::write({m});
            const std::size_t data = 30 + 5, behind = data + m.data.size(), directory = behind + m.descriptor.size();
            for (std::size_t at = 0; at < whole.size(); ++at) {
                // Local version and time; directory versions and time, attributes.
                const std::size_t c = at - directory;
                // With a descriptor the local CRC and sizes are 0 or the truth.
                const bool may_be_told = descriptor && at >= 14 && at < 26;
                // The last byte of a deflate stream ends in idle bits.
                const bool idle_bits = deflated && at == behind - 1;
                const bool carries_nothing =
                    may_be_told || idle_bits || (at >= 4 && at < 6) || (at >= 10 && at < 14) ||
                    (at >= directory && ((c >= 4 && c < 8) || (c >= 12 && c < 16) || (c >= 36 && c < 42)));
                for (int mask = 1; mask < 256; ++mask) {
                    Bytes changed = whole;
                    changed[at] ^= static_cast<std::byte>(mask);
                    std::vector<float> got;
                    try {
                        got = read(changed).as_float();
                    } catch (const DataError&) {
                        continue;
                    }
                    ASSERT_TRUE(carries_nothing) << "byte " << at << " of " << whole.size() << " changed by " << mask;
                    ASSERT_EQ(got, values);
                }
            }
        }
    }
}
