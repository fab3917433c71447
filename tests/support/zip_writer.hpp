// Zip archives written field by field for the tests of the reader: everything starts out right, and a test then changes
// what it wants to be wrong. Shares no code with host/format/npz.cpp.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace zip {

using Bytes = std::vector<std::byte>;

inline void put(Bytes& out, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(value >> 8 * i & 0xFF));
}
inline void put(Bytes& out, std::string_view text) {
    for (const char c : text) out.push_back(static_cast<std::byte>(c));
}
inline void put(Bytes& out, const Bytes& bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }
inline Bytes to_bytes(std::string_view text) {
    Bytes out;
    put(out, text);
    return out;
}

/// Deflated; `window_bits` say in which wrapping (zlib's deflateInit2).
inline Bytes pack(std::string_view content, int window_bits) {
    z_stream stream{};
    if (deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::runtime_error("deflateInit2");
    Bytes out(deflateBound(&stream, content.size()));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int state = deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    if (state != Z_STREAM_END) throw std::runtime_error("deflate");
    return out;
}
inline Bytes deflate_raw(const Bytes& content) {
    return pack({reinterpret_cast<const char*>(content.data()), content.size()}, -MAX_WBITS);
}
/// A gzip file of one member.
inline Bytes gzip(std::string_view text) { return pack(text, 16 + MAX_WBITS); }

/// The fields that local and central headers have in common.
struct Header {
    std::uint32_t signature = 0;
    std::uint16_t flags = 0, method = 0;
    std::uint32_t crc = 0, packed = 0, unpacked = 0;
    std::string name;
    Bytes extra;
};

struct Member {
    Header local, central;
    Bytes data, descriptor;
    Bytes before;                         // bytes between the member before and this one
    std::optional<std::uint64_t> offset;  // as the directory tells it; unset: the truth
    bool offset_in_extra = false;  // the directory's 32-bit offset is all ones and the true one ends its zip64 field
    std::uint16_t disk = 0;
    std::string comment;
};

/// A member that is right in every field.
inline Member member(const std::string& name, const Bytes& content, bool deflated = false) {
    Member out;
    out.data = deflated ? deflate_raw(content) : content;
    out.local.name = name;
    out.local.method = deflated ? 8 : 0;
    out.local.crc =
        static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()));
    out.local.packed = static_cast<std::uint32_t>(out.data.size());
    out.local.unpacked = static_cast<std::uint32_t>(content.size());
    out.central = out.local;
    out.local.signature = 0x04034b50;
    out.central.signature = 0x02014b50;
    return out;
}

/// The zip64 extra field with the given 64-bit values.
inline Bytes zip64_extra(const std::vector<std::uint64_t>& values) {
    Bytes out;
    put(out, 1, 2);
    put(out, 8 * values.size(), 2);
    for (const std::uint64_t value : values) put(out, value, 8);
    return out;
}

/// `m` as a writer that cannot seek leaves it: sizes and CRC behind the data, in one of the four forms.
inline Member with_descriptor(Member m, bool signature, int width) {
    m.local.flags |= 8;
    m.central.flags |= 8;
    if (signature) put(m.descriptor, 0x08074b50, 4);
    put(m.descriptor, m.central.crc, 4);
    put(m.descriptor, m.central.packed, width);
    put(m.descriptor, m.central.unpacked, width);
    m.local.crc = m.local.packed = m.local.unpacked = 0;
    return m;
}

/// The records at the end; `wide` adds the zip64 pair.
struct End {
    std::uint64_t disk = 0, directory_disk = 0, here = 0, total = 0, size = 0, offset = 0;
    std::string comment;
    std::optional<std::uint16_t> comment_size;
    bool wide = false, saturate = true;  // saturate: the narrow record's fields are all ones when wide
    std::uint64_t wide_signature = 0x06064b50, wide_size = 44, locator_signature = 0x07064b50, locator_disk = 0,
                  disks = 1;
    std::optional<std::uint64_t> wide_here, wide_total, wide_at, wide_directory_size, wide_directory_offset;
    Bytes before, after;  // bytes between directory and end record, and behind everything
};

template <typename EditEnd>
Bytes write(const std::vector<Member>& members, EditEnd edit_end) {
    Bytes out;
    std::vector<std::uint64_t> offsets;
    for (const Member& m : members) {
        put(out, m.before);
        offsets.push_back(out.size());
        put(out, m.local.signature, 4), put(out, 20, 2), put(out, m.local.flags, 2), put(out, m.local.method, 2),
            put(out, 0, 4);
        put(out, m.local.crc, 4), put(out, m.local.packed, 4), put(out, m.local.unpacked, 4);
        put(out, m.local.name.size(), 2), put(out, m.local.extra.size(), 2);
        put(out, m.local.name), put(out, m.local.extra), put(out, m.data), put(out, m.descriptor);
    }
    End end;
    end.here = end.total = members.size();
    end.offset = out.size();
    for (std::size_t i = 0; i < members.size(); ++i) {
        const Member& m = members[i];
        const std::uint64_t offset = m.offset.value_or(offsets[i]);
        Bytes extra = m.central.extra;
        if (m.offset_in_extra) put(extra, offset, 8);
        put(out, m.central.signature, 4), put(out, 20, 2), put(out, 20, 2), put(out, m.central.flags, 2);
        put(out, m.central.method, 2), put(out, 0, 4), put(out, m.central.crc, 4), put(out, m.central.packed, 4);
        put(out, m.central.unpacked, 4), put(out, m.central.name.size(), 2), put(out, extra.size(), 2);
        put(out, m.comment.size(), 2), put(out, m.disk, 2), put(out, 0, 2), put(out, 0, 4);
        put(out, m.offset_in_extra ? 0xFFFFFFFF : offset, 4);
        put(out, m.central.name), put(out, extra), put(out, m.comment);
    }
    end.size = out.size() - end.offset;
    edit_end(end);
    put(out, end.before);
    if (end.wide) {
        const std::uint64_t at = out.size();
        put(out, end.wide_signature, 4), put(out, end.wide_size, 8), put(out, 45, 2), put(out, 45, 2);
        put(out, end.disk, 4), put(out, end.directory_disk, 4);
        put(out, end.wide_here.value_or(end.here), 8), put(out, end.wide_total.value_or(end.total), 8);
        put(out, end.wide_directory_size.value_or(end.size), 8),
            put(out, end.wide_directory_offset.value_or(end.offset), 8);
        put(out, end.locator_signature, 4), put(out, end.locator_disk, 4), put(out, end.wide_at.value_or(at), 8),
            put(out, end.disks, 4);
    }
    const bool ones = end.wide && end.saturate;
    put(out, 0x06054b50, 4), put(out, ones ? 0xFFFF : end.disk, 2), put(out, ones ? 0xFFFF : end.directory_disk, 2);
    put(out, ones ? 0xFFFF : end.here, 2), put(out, ones ? 0xFFFF : end.total, 2);
    put(out, ones ? 0xFFFFFFFF : end.size, 4), put(out, ones ? 0xFFFFFFFF : end.offset, 4);
    put(out, end.comment_size.value_or(static_cast<std::uint16_t>(end.comment.size())), 2), put(out, end.comment);
    put(out, end.after);
    return out;
}
inline Bytes write(const std::vector<Member>& members) {
    return write(members, [](End&) {});
}

}  // namespace zip
