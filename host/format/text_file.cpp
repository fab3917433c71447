// Lines out of a sliding buffer, which zlib fills where the file is packed (host/format/text_file.hpp).
#include "host/format/text_file.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t chunk = 256 << 10, longest_line = 64 << 20;

}  // namespace

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return out;
}

/// A gzip file: members one after the other, each with its CRC and size, which zlib compares.
struct TextFile::Unpacker {
    z_stream stream{};
    std::vector<std::byte> input = std::vector<std::byte>(chunk);
    bool within = false;   // a member that has begun and not ended
    bool pending = false;  // the output was full: there may be more of it

    Unpacker() {
        if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
            throw DeviceError("zlib: cannot start to inflate; is memory short?");
    }
    Unpacker(const Unpacker&) = delete;
    Unpacker& operator=(const Unpacker&) = delete;
    ~Unpacker() { inflateEnd(&stream); }
};

TextFile::TextFile(ByteReader read_at, std::uint64_t size, std::string name)
    : read_at_(std::move(read_at)), size_(size), name_(std::move(name)) {
    std::array<std::byte, 2> magic{};
    if (size_ >= magic.size()) read_at_(0, magic);
    if (magic == std::array{std::byte{0x1f}, std::byte{0x8b}}) unpacker_ = std::make_unique<Unpacker>();
}

TextFile::TextFile(const std::filesystem::path& path) : TextFile({}, 0, "") {
    const auto file = std::make_shared<InputFile>(path);
    *this = TextFile(reader_of(file), file->size(), file->name());
}

TextFile TextFile::from_memory(std::span<const std::byte> file, const std::string& name) {
    return TextFile(reader_of(file), file.size(), name);
}

TextFile::TextFile(TextFile&&) noexcept = default;
TextFile& TextFile::operator=(TextFile&&) noexcept = default;
TextFile::~TextFile() = default;

void TextFile::fail(const std::string& problem) const {
    throw DataError(fmt::format("{}: line {}: {}", name_, number_, problem));
}

std::size_t TextFile::read_raw(std::span<std::byte> out) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - taken_));
    read_at_(taken_, out.first(size));
    taken_ += size;
    return size;
}

/// Appends to the buffer; false where there is nothing more.
bool TextFile::fill() {
    const std::size_t old = buffer_.size();
    buffer_.resize(old + chunk);
    const std::span<std::byte> room = std::as_writable_bytes(std::span(buffer_)).subspan(old);
    std::size_t made = 0;
    if (!unpacker_) {
        made = read_raw(room);
    } else {
        z_stream& z = unpacker_->stream;
        const auto refuse = [&](const char* problem) {
            throw DataError(fmt::format("{}: packed data {}; fetch or save the file again", name_, problem));
        };
        while (made == 0) {
            if (z.avail_in == 0 && !unpacker_->pending) {
                z.avail_in = static_cast<uInt>(read_raw(unpacker_->input));
                z.next_in = reinterpret_cast<Bytef*>(unpacker_->input.data());
                if (z.avail_in == 0 && !unpacker_->pending) {
                    if (unpacker_->within) refuse("end too early");
                    break;
                }
            }
            unpacker_->within = unpacker_->within || z.avail_in > 0;
            z.next_out = reinterpret_cast<Bytef*>(room.data());
            z.avail_out = static_cast<uInt>(room.size());
            const int state = inflate(&z, Z_NO_FLUSH);
            made = room.size() - z.avail_out;
            unpacker_->pending = z.avail_out == 0 && state != Z_STREAM_END;
            if (state == Z_MEM_ERROR) throw DeviceError(name_ + ": memory ran out while unpacking");
            if (state == Z_STREAM_END) {
                unpacker_->within = false;
                inflateReset(&z);
            } else if (state != Z_OK && state != Z_BUF_ERROR) {
                refuse("are damaged");
            }
        }
    }
    buffer_.resize(old + made);
    return made > 0;
}

bool TextFile::next(std::string_view& line) {
    std::size_t searched = begin_;
    std::size_t end = buffer_.find('\n', searched);
    while (end == std::string::npos && !ended_) {
        searched = buffer_.size() - begin_;
        buffer_.erase(0, begin_);
        begin_ = 0;
        if (buffer_.size() > longest_line) {
            ++number_;
            fail(fmt::format("more than {} bytes, expected rows of numbers", longest_line));
        }
        ended_ = !fill();
        end = buffer_.find('\n', searched);
    }
    if (end == std::string::npos && begin_ == buffer_.size()) return false;
    const bool last = end == std::string::npos;
    line = std::string_view(buffer_).substr(begin_, last ? std::string::npos : end - begin_);
    begin_ = last ? buffer_.size() : end + 1;
    if (number_++ == 0 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find('\0') != std::string_view::npos) fail("holds a byte 0, expected text; save it as UTF-8");
    return true;
}

}  // namespace pdadmm
