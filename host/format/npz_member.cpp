// Stored and deflated members (host/format/npz_member.hpp).
#include "host/format/npz_member.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::uint64_t chunk = 256 << 10;

}  // namespace

/// Raw inflate whose memory is given back however the reading ends.
class NpzMember::Inflater {
public:
    Inflater() {
        if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK)
            throw DeviceError("zlib: cannot start to inflate; is memory short?");
    }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    ~Inflater() { inflateEnd(&stream_); }
    z_stream* operator->() { return &stream_; }
    int step() { return inflate(&stream_, Z_NO_FLUSH); }

private:
    z_stream stream_{};
};

NpzMember::NpzMember(ByteReader read_at, const Extent& extent, std::string label)
    : read_at_(std::move(read_at)), extent_(extent), label_(std::move(label)) {
    if (extent_.method == 0) return;
    inflater_ = std::make_unique<Inflater>();
    input_.resize(static_cast<std::size_t>(std::min(chunk, extent_.packed)));
}

NpzMember::~NpzMember() = default;

void NpzMember::refuse(const std::string& problem) const {
    throw DataError(fmt::format("{}: {}; fetch or save the file again", label_, problem));
}

/// Fills a part of `out` at least, unless the compressed data end.
std::size_t NpzMember::inflate_some(std::span<std::byte> out) {
    Inflater& inflater = *inflater_;
    for (;;) {
        if (inflater->avail_in == 0 && taken_ < extent_.packed) {
            const std::uint64_t size = std::min<std::uint64_t>(input_.size(), extent_.packed - taken_);
            read_at_(extent_.data + taken_, std::span(input_).first(static_cast<std::size_t>(size)));
            inflater->next_in = reinterpret_cast<Bytef*>(input_.data());
            inflater->avail_in = static_cast<uInt>(size);
            taken_ += size;
        }
        const std::size_t room = std::min<std::size_t>(out.size(), std::size_t{1} << 30);
        inflater->next_out = reinterpret_cast<Bytef*>(out.data());
        inflater->avail_out = static_cast<uInt>(room);
        const int state = inflater.step();
        const std::size_t made = room - inflater->avail_out;
        if (state == Z_MEM_ERROR) throw DeviceError(label_ + ": memory ran out while unpacking");
        if (state == Z_BUF_ERROR ||
            (state == Z_OK && inflater->avail_in == 0 && taken_ == extent_.packed && inflater->avail_out != 0))
            refuse("compressed data end too early");
        if (state != Z_OK && state != Z_STREAM_END) refuse("compressed data are damaged");
        ended_ = state == Z_STREAM_END;
        if (made > 0 || ended_) return made;
    }
}

void NpzMember::read(std::span<std::byte> out) {
    while (!out.empty()) {
        std::size_t got = out.size();
        if (inflater_) {
            if (ended_) refuse(fmt::format("unpacks to {} bytes, expected the declared {}", made_, extent_.unpacked));
            got = inflate_some(out);
        } else {
            read_at_(extent_.data + made_, out);
        }
        crc_ = static_cast<std::uint32_t>(crc32_z(crc_, reinterpret_cast<const Bytef*>(out.data()), got));
        made_ += got;
        out = out.subspan(got);
    }
    if (made_ == extent_.unpacked) finish();
}

void NpzMember::finish() {
    if (std::exchange(finished_, true)) return;
    if (inflater_) {
        std::array<std::byte, 1> spare;
        while (!ended_)
            if (inflate_some(spare) > 0)
                refuse(fmt::format("unpacks to more than the declared {} bytes", extent_.unpacked));
        if (taken_ != extent_.packed || (*inflater_)->avail_in != 0) refuse("has bytes after its compressed data");
    }
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION  // a fuzzer cannot guess checksums; what lies behind must be safe
                                                  // without
    if (crc_ != extent_.crc)
        refuse(fmt::format("CRC is {:08x}, expected {:08x}: the file is damaged", crc_, extent_.crc));
#endif
}

}  // namespace pdadmm
