// Files of a work folder, called parts: written under another name, fsync'ed, renamed, and known only once the folder's
// manifest lists them with their size and digest. So a part that a dead process left half-written is never read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/format/digest.hpp"
#include "host/format/file.hpp"
#include "host/store/folder.hpp"

namespace pdadmm {

/// What the manifest keeps of a part. It is digested in records of `record` bytes, of which the last may be shorter.
struct Part {
    std::string name;
    std::uint64_t bytes = 0, record = 1;
    std::string digest;
};

/// Throws OutputError "<path>: cannot <what>: ..., expected ...; ... and give the same command again".
[[noreturn]] void refuse_output(const std::string& path, const std::string& what, int error_number);

/// A part being written. A part that is not committed stays under its temporary name, which the next one reuses.
class PartWriter {
public:
    PartWriter(const Folder& folder, std::string name, std::uint64_t record);
    PartWriter(const PartWriter&) = delete;
    PartWriter& operator=(const PartWriter&) = delete;

    /// Whole records from byte `offset` on, a multiple of the record; only the part's last record may be shorter. From
    /// any thread. Throws OutputError.
    void write(std::uint64_t offset, std::span<const std::byte> bytes);
    /// Makes it durable under its name. Throws OutputError.
    Part commit();

private:
    const Folder& folder_;
    Descriptor file_;
    std::string name_, path_;
    std::uint64_t record_;
    std::atomic<std::uint64_t> bytes_{0};
    RecordDigest digest_;
};

/// Appends to a part, in records of a mebibyte.
class PartAppender {
public:
    PartAppender(const Folder& folder, std::string name);
    void append(std::span<const std::byte> bytes);
    template <typename T>
    void append_values(std::span<const T> values) {
        append(std::as_bytes(values));
    }
    Part commit();

private:
    PartWriter writer_;
    std::uint64_t written_ = 0;
    std::vector<std::byte> waiting_;
};

/// A committed part. Reading is safe from any thread.
class PartReader {
public:
    /// Throws DataError where the file is missing or of another size than the manifest says.
    PartReader(const Folder& folder, Part part);

    const Part& part() const { return part_; }
    /// Throws DataError.
    void read(std::uint64_t offset, std::span<std::byte> out) const {
        if (!out.empty()) file_->read_at(offset, out);
    }
    /// The same of whole records, which count in `digest`.
    void read(std::uint64_t offset, std::span<std::byte> out, RecordDigest& digest) const;
    /// Throws DataError unless `digest` of all records is that of the manifest.
    void require(const RecordDigest& digest) const;

private:
    Part part_;
    std::optional<InputFile> file_;  // nothing where the part is empty
    std::string shown_;
};

/// Adds records that lie one after the other; `number` is that of the first.
void add_records(RecordDigest& digest, std::uint64_t number, std::uint64_t record, std::span<const std::byte> bytes);

}  // namespace pdadmm
