// Parts on POSIX descriptors (host/large/part.hpp).
#include "host/large/part.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::size_t appended_record = std::size_t{1} << 20;

}  // namespace

void refuse_output(const std::string& path, const std::string& what, int error_number) {
    const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
    throw OutputError(fmt::format("{}: cannot {}: {}, expected {} and give the same command again, which goes on",
                                  printable(path, 400), what, std::strerror(error_number),
                                  full ? "room for it; free some" : "the file system to take it; mend that"));
}

void add_records(RecordDigest& digest, std::uint64_t number, std::uint64_t record, std::span<const std::byte> bytes) {
    for (; !bytes.empty(); ++number) {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(record, bytes.size()));
        digest.add(number, bytes.first(size));
        bytes = bytes.subspan(size);
    }
}

PartWriter::PartWriter(const Folder& folder, std::string name, std::uint64_t record)
    : folder_(folder), name_(std::move(name)), path_(folder.path_of(name_)), record_(record) {
    file_ = folder.open_or_make_file(Folder::temporary_name(name_));
    if (::ftruncate(file_.get(), 0) != 0) refuse_output(path_, "be emptied", errno);
}

void PartWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) {
    add_records(digest_, offset / record_, record_, bytes);
    std::uint64_t end = offset + bytes.size();
    for (std::uint64_t seen = bytes_; seen < end && !bytes_.compare_exchange_weak(seen, end);) {
    }
    if (const int failed = write_whole(file_.get(), bytes, offset)) refuse_output(path_, "be written", failed);
}

Part PartWriter::commit() {
    if (const int failed = sync_file(file_.get())) refuse_output(path_, "be stored (fsync)", failed);
    if (const int failed = file_.close()) refuse_output(path_, "be closed", failed);
    if (folder_.kind(name_) != Folder::Kind::none) folder_.remove_file(name_);  // of a dead process: no manifest has it
    folder_.rename(Folder::temporary_name(name_), name_);
    folder_.sync();
    return {name_, bytes_, record_, digest_.hex()};
}

PartAppender::PartAppender(const Folder& folder, std::string name) : writer_(folder, std::move(name), appended_record) {
    waiting_.reserve(appended_record);
}

void PartAppender::append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const std::size_t taken = std::min(bytes.size(), appended_record - waiting_.size());
        waiting_.insert(waiting_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
        bytes = bytes.subspan(taken);
        if (waiting_.size() < appended_record) return;
        writer_.write(written_, waiting_);
        written_ += waiting_.size();
        waiting_.clear();
    }
}

Part PartAppender::commit() {
    if (!waiting_.empty()) writer_.write(written_, waiting_);
    return writer_.commit();
}

PartReader::PartReader(const Folder& folder, Part part)
    : part_(std::move(part)), shown_(printable(folder.path_of(part_.name), 400)) {
    if (part_.bytes == 0) return;
    file_.emplace(folder.path_of(part_.name));
    if (file_->size() != part_.bytes)
        throw DataError(fmt::format("{}: {} bytes, expected {}; remove the folder and start again", shown_,
                                    file_->size(), part_.bytes));
}

void PartReader::read(std::uint64_t offset, std::span<std::byte> out, RecordDigest& digest) const {
    read(offset, out);
    add_records(digest, offset / part_.record, part_.record, out);
}

void PartReader::require(const RecordDigest& digest) const {
    if (digest.hex() != part_.digest)
        throw DataError(fmt::format("{}: digest {}, expected {}: it is damaged; remove the folder and start again",
                                    shown_, digest.hex(), part_.digest));
}

}  // namespace pdadmm
