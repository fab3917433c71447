// The zip archives accepted here:
//   members | central directory | [zip64 end record, zip64 locator] | end record with an optional comment
// methods 0 (stored) and 8 (deflate), one disk, not encrypted, zip64 sizes and data descriptors allowed. Refused: bytes
// between directory and end record, two end records that both fit, members that overlap each other or the directory, a
// name twice, a local header that contradicts the directory, and declared sizes that deflate cannot reach.
#include "host/format/npz.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "host/console/printable.hpp"
#include "host/format/npz_member.hpp"
#include "host/machine/memory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

namespace {

constexpr std::uint64_t end_record_size = 22, zip64_locator_size = 20, zip64_end_size = 56, central_size = 46,
                        local_size = 30;
constexpr std::uint64_t max_directory = 16 << 20;  // bytes
constexpr std::uint16_t encrypted = 1, has_descriptor = 8;
// Deflate options, descriptor, UTF-8 name. The others mean encryption, patches or hidden headers.
constexpr std::uint16_t known_flags = 0x2 | 0x4 | has_descriptor | 0x800;
constexpr std::uint32_t all_ones = 0xFFFFFFFF;  // a 32-bit field whose value stands in the zip64 extra field
constexpr std::uint64_t chunk = 256 << 10;

/// Little-endian unsigned integer of `size` bytes at `at`; the caller has checked that they are there.
std::uint64_t number(std::span<const std::byte> bytes, std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value |= std::to_integer<std::uint64_t>(bytes[at + i]) << 8 * i;
    return value;
}
std::uint16_t u16(std::span<const std::byte> bytes, std::size_t at) {
    return static_cast<std::uint16_t>(number(bytes, at, 2));
}
std::uint32_t u32(std::span<const std::byte> bytes, std::size_t at) {
    return static_cast<std::uint32_t>(number(bytes, at, 4));
}
std::uint64_t u64(std::span<const std::byte> bytes, std::size_t at) { return number(bytes, at, 8); }

/// a + b, or nothing where that is above `limit`.
std::optional<std::uint64_t> sum_within(std::uint64_t a, std::uint64_t b, std::uint64_t limit) {
    if (a > limit || b > limit - a) return std::nullopt;
    return a + b;
}

/// The content of the zip64 extra field, empty where there is none; nothing where the list of fields is broken.
std::optional<std::span<const std::byte>> zip64_field(std::span<const std::byte> extra) {
    std::span<const std::byte> found;
    bool seen = false;
    while (!extra.empty()) {
        if (extra.size() < 4 || u16(extra, 2) > extra.size() - 4) return std::nullopt;
        const std::size_t length = u16(extra, 2);
        if (u16(extra, 0) == 1) {
            if (seen) return std::nullopt;
            seen = true;
            found = extra.subspan(4, length);
        }
        extra = extra.subspan(4 + length);
    }
    return found;
}

std::string_view text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

NpzFile::NpzFile(const std::filesystem::path& path, std::uint64_t max_bytes) : max_bytes_(max_bytes) {
    const auto file = std::make_shared<InputFile>(path);
    read_at_ = reader_of(file);
    size_ = file->size();
    name_ = file->name();
    read_directory(find_directory());
}

NpzFile::NpzFile(ByteReader read_at, std::uint64_t size, std::string name, std::uint64_t max_bytes)
    : read_at_(std::move(read_at)), size_(size), name_(std::move(name)), max_bytes_(max_bytes) {
    read_directory(find_directory());
}

NpzFile NpzFile::from_memory(std::span<const std::byte> archive, const std::string& name, std::uint64_t max_bytes) {
    return NpzFile(reader_of(archive), archive.size(), name, max_bytes);
}

void NpzFile::fail(const std::string& problem) const { throw DataError(name_ + ": " + problem); }

NpzFile::Directory NpzFile::find_directory() const {
    if (size_ < end_record_size) fail("is not an .npz archive; save it with numpy.savez");
    const std::uint64_t tail_size = std::min<std::uint64_t>(size_, end_record_size + 0xFFFF);
    std::vector<std::byte> tail(tail_size);
    read_at_(size_ - tail_size, tail);
    // The last place where the signature stands and the comment's length leads exactly to the end of the file. A second
    // such place would let two readers see two archives.
    std::optional<std::size_t> found;
    for (std::size_t at = tail.size() - end_record_size + 1; at-- > 0;) {
        if (u32(tail, at) != 0x06054b50 || at + end_record_size + u16(tail, at + 20) != tail.size()) continue;
        if (found) fail("has two end records, expected one zip archive");
        found = at;
    }
    if (!found)
        fail("is not an .npz archive or is cut off: no zip end record; save it with numpy.savez or fetch it again");
    const std::span<const std::byte> record = std::span(tail).subspan(*found);
    const std::uint64_t record_at = size_ - tail_size + *found;
    const std::uint32_t disk = u16(record, 4), directory_disk = u16(record, 6), entries_here = u16(record, 8);
    Directory directory{u32(record, 16), u32(record, 12), u16(record, 10)};

    const bool saturated = disk == 0xFFFF || directory_disk == 0xFFFF || entries_here == 0xFFFF ||
                           directory.entries == 0xFFFF || directory.size == all_ones || directory.offset == all_ones;
    if (!saturated && directory.offset + directory.size == record_at) {
        if (disk != 0 || directory_disk != 0 || entries_here != directory.entries)
            fail("is one part of several, expected one file");
        return directory;
    }

    if (record_at < zip64_locator_size + zip64_end_size) fail("zip directory does not end where the end record begins");
    std::array<std::byte, zip64_locator_size> locator;
    read_at_(record_at - zip64_locator_size, locator);
    if (u32(locator, 0) != 0x07064b50) fail("zip directory does not end where the end record begins");
    const std::uint64_t zip64_at = u64(locator, 8);
    if (u32(locator, 4) != 0 || u32(locator, 16) != 1) fail("is one part of several, expected one file");
    if (zip64_at > record_at - zip64_locator_size - zip64_end_size) fail("zip64 end record lies outside the file");
    std::array<std::byte, zip64_end_size> wide;
    read_at_(zip64_at, wide);
    if (u32(wide, 0) != 0x06064b50 || u64(wide, 4) != record_at - zip64_locator_size - zip64_at - 12)
        fail("zip64 end record is not where its locator says");
    if (u32(wide, 16) != 0 || u32(wide, 20) != 0 || u64(wide, 24) != u64(wide, 32))
        fail("is one part of several, expected one file");
    const Directory large{u64(wide, 48), u64(wide, 40), u64(wide, 32)};
    const auto agrees = [](std::uint64_t narrow, std::uint64_t ones, std::uint64_t exact) {
        return narrow == ones || narrow == exact;
    };
    if (!agrees(disk, 0xFFFF, 0) || !agrees(directory_disk, 0xFFFF, 0) ||
        !agrees(entries_here, 0xFFFF, large.entries) || !agrees(directory.entries, 0xFFFF, large.entries) ||
        !agrees(directory.size, all_ones, large.size) || !agrees(directory.offset, all_ones, large.offset))
        fail("zip end record and zip64 end record contradict each other");
    if (sum_within(large.offset, large.size, zip64_at) != zip64_at)
        fail("zip directory does not end where the end record begins");
    return large;
}

void NpzFile::read_directory(const Directory& directory) {
    if (directory.size > max_directory)
        fail(fmt::format("zip directory of {} bytes, expected at most {}", directory.size, max_directory));
    if (directory.entries > directory.size / central_size) fail("zip directory is too short for its number of members");
    std::vector<std::byte> bytes(directory.size);
    read_at_(directory.offset, bytes);

    std::set<std::string, std::less<>> seen;
    std::span<const std::byte> rest = bytes;
    for (std::uint64_t i = 0; i < directory.entries; ++i) {
        if (rest.size() < central_size || u32(rest, 0) != 0x02014b50)
            fail(fmt::format("zip directory is broken at member {}", i));
        const std::size_t name_size = u16(rest, 28), extra_size = u16(rest, 30), comment_size = u16(rest, 32);
        if (name_size + extra_size + comment_size > rest.size() - central_size)
            fail(fmt::format("zip directory is broken at member {}", i));
        Member member{.name = std::string(text(rest.subspan(central_size, name_size))),
                      .flags = u16(rest, 8),
                      .method = u16(rest, 10),
                      .crc = u32(rest, 16),
                      .packed = u32(rest, 20),
                      .unpacked = u32(rest, 24),
                      .header = u32(rest, 42)};
        const std::string shown = printable(member.name);
        if (member.name.empty() || member.name.find('\0') != std::string::npos)
            fail(fmt::format("member '{}' has no proper name", shown));
        if (!seen.insert(member.name).second)
            fail(fmt::format("{}: stands twice in the archive, expected once", shown));
        if (member.flags & encrypted) fail(shown + ": is encrypted; save it without a password");
        if (member.flags & ~known_flags) fail(fmt::format("{}: unknown zip flags 0x{:x}", shown, member.flags));
        if (member.method != 0 && member.method != 8)
            fail(fmt::format("{}: zip method {}, expected 0 (stored) or 8 (deflate); save it with numpy", shown,
                             member.method));
        if (u16(rest, 34) != 0) fail(shown + ": lies on another disk, expected one file");

        const auto field = zip64_field(rest.subspan(central_size + name_size, extra_size));
        if (!field) fail(shown + ": broken extra field in the zip directory");
        std::size_t used = 0;
        for (std::uint64_t* value : {&member.unpacked, &member.packed, &member.header}) {
            if (*value != all_ones) continue;
            if (field->size() - used < 8) fail(shown + ": large size without a zip64 field");
            *value = u64(*field, used);
            used += 8;
        }
        if (member.method == 0 ? member.unpacked != member.packed
                               : member.unpacked > 64 && (member.unpacked - 64) / 1032 > member.packed)
            fail(fmt::format("{}: {} bytes cannot come from {} packed bytes", shown, member.unpacked, member.packed));
        members_.push_back(std::move(member));
        rest = rest.subspan(central_size + name_size + extra_size + comment_size);
    }
    if (!rest.empty()) fail(fmt::format("zip directory goes on after its {} members", directory.entries));

    struct Extent {
        std::uint64_t begin, end;
    };
    std::vector<Extent> extents;
    for (Member& member : members_) extents.push_back({member.header, check_local_header(member, directory.offset)});
    std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < extents.size(); ++i)
        if (extents[i].begin < extents[i - 1].end) fail("members overlap, expected each to have its own bytes");
}

std::uint64_t NpzFile::check_local_header(Member& member, std::uint64_t directory_offset) const {
    const std::string shown = printable(member.name);
    const auto refuse = [&](std::string_view problem) { fail(fmt::format("{}: {}", shown, problem)); };
    constexpr std::string_view outside = "lies outside the archive's data; is the file cut off?";
    if (!sum_within(member.header, local_size, directory_offset)) refuse(outside);
    std::array<std::byte, local_size> header;
    read_at_(member.header, header);
    const std::size_t name_size = u16(header, 26), extra_size = u16(header, 28);
    const auto data = sum_within(member.header + local_size, name_size + extra_size, directory_offset);
    if (u32(header, 0) != 0x04034b50) refuse("no zip header where the directory says");
    if (!data || !sum_within(*data, member.packed, directory_offset)) refuse(outside);
    member.data = *data;

    std::vector<std::byte> variable(name_size + extra_size);
    read_at_(member.header + local_size, variable);
    const auto field = zip64_field(std::span(variable).subspan(name_size));
    if (!field) refuse("broken extra field in its zip header");
    bool same = text(std::span(variable).first(name_size)) == member.name && u16(header, 6) == member.flags &&
                u16(header, 8) == member.method;
    const std::uint32_t crc = u32(header, 14), packed = u32(header, 18), unpacked = u32(header, 22);
    const bool by_descriptor = (member.flags & has_descriptor) != 0;
    if (!(by_descriptor && crc == 0)) same = same && crc == member.crc;
    const bool wide = packed == all_ones || unpacked == all_ones;
    if (wide && field->size() < 16) refuse("large size without a zip64 field");
    // NumPy writes the zip64 field into every local header and the plain sizes too; both must agree with the directory.
    const auto agrees = [&](std::uint64_t local, std::uint64_t central) {
        return local == central || (by_descriptor && local == 0);
    };
    if (packed != all_ones) same = same && agrees(packed, member.packed);
    if (unpacked != all_ones) same = same && agrees(unpacked, member.unpacked);
    if (field->size() >= 16)
        same = same && agrees(u64(*field, 0), member.unpacked) && agrees(u64(*field, 8), member.packed);
    if (!same) refuse("its zip header and the directory contradict each other");
    const std::uint64_t end = member.data + member.packed;
    return by_descriptor ? end + descriptor_size(member, directory_offset) : end;
}

std::uint64_t NpzFile::descriptor_size(const Member& member, std::uint64_t directory_offset) const {
    // [signature] crc packed unpacked, the sizes of 4 or 8 bytes: nothing but the values tells the four forms apart.
    const std::uint64_t begin = member.data + member.packed;
    std::array<std::byte, 24> bytes{};
    const std::size_t there = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), directory_offset - begin));
    read_at_(begin, std::span(bytes).first(there));
    for (const std::size_t signature : {4, 0}) {
        for (const std::size_t width : {8, 4}) {
            const std::size_t size = signature + 4 + 2 * width;
            if (size > there || (signature != 0 && u32(bytes, 0) != 0x08074b50)) continue;
            if (u32(bytes, signature) == member.crc && number(bytes, signature + 4, width) == member.packed &&
                number(bytes, signature + 4 + width, width) == member.unpacked)
                return size;
        }
    }
    fail(printable(member.name) + ": its data descriptor and the directory contradict each other");
}

const NpzFile::Member* NpzFile::find(std::string_view name) const {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
        return member.name.size() == name.size() + 4 && member.name.starts_with(name) && member.name.ends_with(".npy");
    });
    return found == members_.end() ? nullptr : &*found;
}

bool NpzFile::has(std::string_view name) const { return find(name) != nullptr; }

std::vector<std::string> NpzFile::names() const {
    std::vector<std::string> out;
    for (const Member& member : members_)
        if (member.name.ends_with(".npy")) out.push_back(member.name.substr(0, member.name.size() - 4));
    return out;
}

NpyArray NpzFile::read(std::string_view name) const {
    const Member* const member = &at(name);
    const std::string label = fmt::format("{}: {}", name_, printable(member->name));
    if (!sum_within(unpacked_, member->unpacked, max_bytes_))
        throw TooLargeError(
            fmt::format("{}: {} bytes unpacked after {} from other members, expected at most {} in all; "
                        "use a machine with more memory",
                        label, member->unpacked, unpacked_, max_bytes_));
    std::vector<std::byte> bytes = unpack(*member, label);
    unpacked_ += member->unpacked;
    return parse_npy(std::move(bytes), label);
}

std::vector<std::byte> NpzFile::unpack(const Member& member, const std::string& label) const {
    NpzMember stream(read_at_, {member.method, member.crc, member.packed, member.unpacked, member.data}, label);
    std::vector<std::byte> out;
    for (std::uint64_t made = 0; made < member.unpacked;) {
        // Stored bytes are in the file: check_local_header saw to it. Of others the buffer doubles as they arrive.
        const std::uint64_t larger =
            member.method == 0 ? member.unpacked
                               : std::min<std::uint64_t>(std::max<std::uint64_t>(chunk, 2 * made), member.unpacked);
        out.reserve(larger);  // resize alone would ask for twice the size once more
        out.resize(larger);
        stream.read(std::span(out).subspan(made));
        made = larger;
    }
    stream.finish();
    return out;
}

std::unique_ptr<ArrayStream> NpzFile::stream(std::string_view name) const {
    const Member& member = at(name);
    const std::string label = fmt::format("{}: {}", name_, printable(member.name));
    return stream_npy(
        std::make_unique<NpzMember>(
            read_at_, NpzMember::Extent{member.method, member.crc, member.packed, member.unpacked, member.data}, label),
        member.unpacked, label);
}

std::uint64_t NpzFile::bytes_of(std::string_view name) const { return at(name).unpacked; }

const NpzFile::Member& NpzFile::at(std::string_view name) const {
    const Member* member = find(name);
    if (!member) fail(fmt::format("no array '{}', expected a member {}.npy", printable(name), printable(name)));
    return *member;
}

}  // namespace pdadmm
