// What `pdadmm augment --out FOLDER` leaves: X of the kept nodes, read as a data set whose features are made already.
//   X.npy (rows, inputs)        a row a kept node: of a split train, val, test in its order, else ascending; values as
//                               they are computed, or bfloat16 as its bits, <u2
//   nodes.npy, labels.npy (rows)     node ids and classes, -1: none
//   train_idx.npy, val_idx.npy, test_idx.npy    rows of the split
//   augmented.json              what X is: options, digests, classes; written last
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/data/augmentation.hpp"
#include "host/format/digest.hpp"
#include "pdadmm/dataset.hpp"

namespace pdadmm {

/// What augmented.json says.
struct AugmentedRecord {
    std::string identity;                // of the command that made it
    std::string dataset, options;        // name of the graph; to_string of the options
    std::vector<std::string> arguments;  // the options of pdadmm train that mean the same
    std::string digest;                  // RecordDigest of X, a record a row
    Index rows = 0, inputs = 0, features = 0, classes = 0;
    std::vector<std::int64_t> class_ids;
    Names class_names;
};

inline constexpr const char* augmented_record_name = "augmented.json";

/// How X.npy holds a value.
enum class StoredAs { working, bf16 };
inline constexpr std::size_t bytes_of(StoredAs stored) { return stored == StoredAs::bf16 ? 2 : sizeof(real); }
/// What stands before the values of X.npy.
std::string prefix_of_X(StoredAs stored, Index rows, Index inputs);

/// Whether the folder holds one.
bool is_augmented_folder(const std::filesystem::path& folder);
/// Throws DataError where it is missing or broken.
AugmentedRecord read_augmented_record(const std::filesystem::path& folder);
std::string text_of(const AugmentedRecord& record);

/// Nodes are the rows of X, the stored split is the folder's; there are no edges. Throws DataError.
Dataset read_augmented_folder(const std::filesystem::path& folder);

/// Whether X was made before and these rows lie in X.npy as training reads them: one after the other, unrounded, and
/// most that there are. Throws DataError.
bool lie_ready(const Dataset& dataset, std::span<const std::int32_t> rows);
/// Those rows as they lie there, mapped (InputFile::map), after all of the file was read and its digest compared; null
/// where they do not. Throws as made_columns, and DeviceError.
std::shared_ptr<const real> mapped_columns(const Dataset& dataset, std::span<const std::int32_t> rows,
                                           const AugmentOptions& options);

/// Rows of X as columns (inputs, rows.size()). Where most are wanted, all are read in order and their digest is
/// compared. Throws UsageError where `options` are not those that X was made with, DataError where the file is damaged.
std::vector<real> made_columns(const Dataset& dataset, std::span<const std::int32_t> rows,
                               const AugmentOptions& options);

}  // namespace pdadmm
