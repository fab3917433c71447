// Pieces of arrays (host/format/array_stream.hpp).
#include "host/format/array_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "host/console/printable.hpp"
#include "host/format/csv.hpp"
#include "host/format/file.hpp"
#include "host/format/npy_header.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

class FileStream final : public ByteStream {
public:
    explicit FileStream(const std::filesystem::path& path) : file_(path) {}
    std::uint64_t size() const { return file_.size(); }
    const std::string& name() const { return file_.name(); }
    void read(std::span<std::byte> out) override {
        file_.read_at(at_, out);
        at_ += out.size();
        if (at_ == file_.size()) file_.check_unchanged();
    }

private:
    InputFile file_;
    std::uint64_t at_ = 0;
};

/// The header of the array that `bytes` begin with, and nothing behind it.
NpyHeader read_header(ByteStream& bytes, std::uint64_t size, const std::string& name) {
    std::vector<std::byte> head(static_cast<std::size_t>(std::min<std::uint64_t>(size, 12)));
    bytes.read(head);
    const auto at = [&](std::size_t i) { return i < head.size() ? std::to_integer<std::size_t>(head[i]) : 0; };
    const std::size_t length =
        at(6) > 1 ? 12 + (at(8) | at(9) << 8 | at(10) << 16 | at(11) << 24) : 10 + (at(8) | at(9) << 8);
    constexpr std::size_t longest = 12 + 64 * 1024;  // as parse_npy_header has it
    if (length > head.size()) {
        const std::size_t begun = head.size();
        head.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size, std::min(length, longest))));
        bytes.read(std::span(head).subspan(begun));
    }
    return parse_npy_header(head, name);
}

class NpyStream final : public ArrayStream {
public:
    NpyStream(std::unique_ptr<ByteStream> bytes, std::uint64_t size, const std::string& name)
        : bytes_(std::move(bytes)), name_(name), header_(read_header(*bytes_, size, name)) {
        if (header_.dtype[1] == 'S') throw DataError(fmt::format("{}: text, expected numbers", name));
        item_ = static_cast<Index>(header_.dtype[2] - '0');
        Index total = item_;
        for (const Index extent : header_.shape)
            if (__builtin_mul_overflow(total, extent, &total))
                throw DataError(fmt::format("{}: shape has more bytes than can be counted", name));
        const std::uint64_t there = size - std::min<std::uint64_t>(size, header_.bytes);
        if (static_cast<std::uint64_t>(total) != there)
            throw DataError(fmt::format("{}: {} bytes of data, expected {} for its shape", name, there, total));
        left_ = total / item_;
    }

    const std::vector<Index>& shape() const override { return header_.shape; }
    bool column_major() const override { return header_.fortran && header_.shape.size() == 2; }
    NpyArray next(Index most) override {
        const Index count = std::min(most, left_);
        std::vector<std::byte> piece(static_cast<std::size_t>(count * item_));
        bytes_->read(piece);
        if (header_.big_endian)
            for (auto at = piece.begin(); at != piece.end(); at += item_) std::reverse(at, at + item_);
        left_ -= count;
        return {name_, header_.dtype, {count}, std::move(piece)};
    }

private:
    std::unique_ptr<ByteStream> bytes_;
    std::string name_;
    NpyHeader header_;
    Index item_ = 1, left_ = 0;
};

class CsvStream final : public ArrayStream {
public:
    explicit CsvStream(const std::filesystem::path& path) : file_(path), rows_(file_) { shape_ = {-1, rows_.fields()}; }
    const std::vector<Index>& shape() const override { return shape_; }
    bool column_major() const override { return false; }
    NpyArray next(Index most) override {
        const std::vector<std::int64_t> values = rows_.next(std::max<Index>(1, most / shape_[1]));
        NpyArray piece{file_.name(), "<i8", {static_cast<Index>(values.size())}, {}};
        piece.bytes.resize(values.size() * sizeof(std::int64_t));
        if (!values.empty()) std::memcpy(piece.bytes.data(), values.data(), piece.bytes.size());
        return piece;
    }

private:
    TextFile file_;
    CsvRows rows_;
    std::vector<Index> shape_;
};

}  // namespace

void ArrayStream::skip(Index values) {
    constexpr Index at_once = Index{1} << 18;
    while (values > 0) {
        const Index passed = next(std::min(values, at_once)).shape[0];
        if (passed == 0) return;
        values -= passed;
    }
}

std::unique_ptr<ArrayStream> stream_npy(std::unique_ptr<ByteStream> bytes, std::uint64_t size,
                                        const std::string& name) {
    return std::make_unique<NpyStream>(std::move(bytes), size, name);
}

std::unique_ptr<ArrayStream> stream_npy(const std::filesystem::path& path) {
    auto file = std::make_unique<FileStream>(path);
    const std::uint64_t size = file->size();
    const std::string name = file->name();
    return stream_npy(std::move(file), size, name);
}

std::unique_ptr<ArrayStream> stream_csv(const std::filesystem::path& path) { return std::make_unique<CsvStream>(path); }

}  // namespace pdadmm
