// The bytes of one member of an archive, in order, checked as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/format/array_stream.hpp"
#include "host/format/file.hpp"

namespace pdadmm {

class NpzMember final : public ByteStream {
public:
    struct Extent {
        std::uint16_t method = 0;  // 0: stored, 8: deflate
        std::uint32_t crc = 0;
        std::uint64_t packed = 0, unpacked = 0, data = 0;  // bytes, and where the packed ones begin
    };

    /// `label` goes into messages.
    NpzMember(ByteReader read_at, const Extent& extent, std::string label);
    ~NpzMember() override;

    /// With the last byte that the directory declares everything is checked: length and CRC. Throws DataError.
    void read(std::span<std::byte> out) override;
    /// The checks at the end; also of a member without any byte.
    void finish();

private:
    class Inflater;

    [[noreturn]] void refuse(const std::string& problem) const;
    std::size_t inflate_some(std::span<std::byte> out);

    ByteReader read_at_;
    Extent extent_;
    std::string label_;
    std::unique_ptr<Inflater> inflater_;
    std::vector<std::byte> input_;
    std::uint64_t taken_ = 0, made_ = 0;
    std::uint32_t crc_ = 0;
    bool ended_ = false, finished_ = false;
};

}  // namespace pdadmm
