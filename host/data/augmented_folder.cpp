// Folders of augmented features (host/data/augmented_folder.hpp).
#include "host/data/augmented_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <system_error>

#include "host/console/printable.hpp"
#include "host/data/bf16.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"
#include "host/machine/memory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint64_t most_record_bytes = std::uint64_t{64} << 20;

std::vector<std::int32_t> read_ids(const fs::path& file, Index rows, Index most) {
    std::error_code ignored;
    if (!fs::exists(file, ignored)) return {};
    std::vector<std::int32_t> ids = read_npy(file, static_cast<std::uint64_t>(rows) * 8 + 4096).as_int32();
    for (const std::int32_t id : ids)
        if (id < 0 || id >= most)
            throw DataError(fmt::format("{}: {}, expected 0 to {}", printable_path(file), id, most - 1));
    return ids;
}

/// X.npy, opened, and where its values begin. Its header says how they are stored.
struct RowsOfX {
    InputFile file;
    StoredAs stored = StoredAs::working;
    Index inputs;
    std::uint64_t begin = 0, row_bytes = 0;

    RowsOfX(const MadeFeatures& made, Index rows) : file(made.file), inputs(made.inputs) {
        const std::string prefix = prefix_of_X(stored, rows, inputs);
        std::string found(std::min<std::size_t>(prefix.size(), file.size()), ' ');
        file.read_at(0, std::as_writable_bytes(std::span(found)));
        if (found == prefix_of_X(StoredAs::bf16, rows, inputs)) stored = StoredAs::bf16;
        begin = prefix.size();
        row_bytes = static_cast<std::uint64_t>(inputs) * bytes_of(stored);
        const std::uint64_t expected = begin + static_cast<std::uint64_t>(rows) * row_bytes;
        if (file.size() != expected)
            throw DataError(fmt::format("{}: {} bytes, expected {} for {} rows of {} inputs of {} bytes; make it anew",
                                        file.name(), file.size(), expected, rows, inputs, bytes_of(stored)));
        if (found != prefix_of_X(stored, rows, inputs))
            throw DataError(fmt::format("{}: another header than pdadmm augment writes; make it anew", file.name()));
    }
    void read(Index first, std::span<std::byte> rows) const {
        file.read_at(begin + static_cast<std::uint64_t>(first) * row_bytes, rows);
    }
    /// One row, as it was read.
    void widen(std::span<const std::byte> row, real* to) const {
        if (stored == StoredAs::working) {
            std::memcpy(to, row.data(), row.size());
            return;
        }
        for (Index i = 0; i < inputs; ++i) {
            std::uint16_t bits;
            std::memcpy(&bits, row.data() + 2 * i, 2);
            to[i] = static_cast<real>(from_bf16(bits));
        }
    }
};

bool lie_ready(const RowsOfX& X, Index rows, std::span<const std::int32_t> wanted) {
    if (X.stored != StoredAs::working || 2 * static_cast<Index>(wanted.size()) < rows) return false;
    for (std::size_t k = 1; k < wanted.size(); ++k)
        if (wanted[k] != wanted[k - 1] + 1) return false;
    return true;
}

void require_options(const MadeFeatures& made, const AugmentOptions& options) {
    if (to_string(options) != made.options)
        throw UsageError(fmt::format("{}: made with {}, expected {}; give the same options, or augment anew",
                                     printable(made.file), printable(made.options), to_string(options)));
}

/// All rows in order, checked; those of `wanted` go into columns.
void read_all(const RowsOfX& X, const MadeFeatures& made, Index rows, std::span<const std::int32_t> wanted,
              std::vector<real>& columns) {
    std::vector<std::size_t> order(wanted.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return wanted[a] < wanted[b]; });
    const Index at_once = std::max<Index>(1, (Index{1} << 20) / made.inputs);
    RecordDigest digest;
    std::vector<std::byte> chunk;
    const auto row = [&](Index i) {
        return std::span<const std::byte>(chunk).subspan(static_cast<std::size_t>(i) * X.row_bytes, X.row_bytes);
    };
    auto next = order.begin();
    for (Index first = 0; first < rows; first += at_once) {
        const Index count = std::min(at_once, rows - first);
        chunk.resize(static_cast<std::size_t>(count) * X.row_bytes);
        X.read(first, chunk);
        for (Index i = 0; i < count; ++i) digest.add(static_cast<std::uint64_t>(first + i), row(i));
        for (; next != order.end() && wanted[*next] < first + count; ++next)
            X.widen(row(wanted[*next] - first), columns.data() + static_cast<Index>(*next) * made.inputs);
    }
    if (digest.hex() != made.digest)
        throw DataError(fmt::format("{}: digest {}, expected {}: it is damaged; make it anew", X.file.name(),
                                    digest.hex(), made.digest));
}

}  // namespace

std::string prefix_of_X(StoredAs stored, Index rows, Index inputs) {
    return npy_prefix(stored == StoredAs::bf16 ? "<u2" : sizeof(real) == 4 ? "<f4" : "<f8", {rows, inputs});
}

bool is_augmented_folder(const fs::path& folder) {
    std::error_code ignored;
    return fs::is_regular_file(folder / augmented_record_name, ignored);
}

AugmentedRecord read_augmented_record(const fs::path& folder) {
    const fs::path file = folder / augmented_record_name;
    const std::vector<std::byte> bytes = read_file(file, most_record_bytes);
    try {
        const char* text = reinterpret_cast<const char*>(bytes.data());
        const Json json = Json::parse(text, text + bytes.size());
        AugmentedRecord r{json.at("identity"),
                          json.at("dataset"),
                          json.at("options"),
                          json.at("arguments"),
                          json.at("digest"),
                          json.at("rows"),
                          json.at("inputs"),
                          json.at("features"),
                          json.at("classes"),
                          json.at("class_ids"),
                          {}};
        r.class_names = {json.at("class_numbers"), json.at("class_names")};
        constexpr Index most = INT32_MAX;
        if (std::min({r.rows, r.inputs, r.features}) < 1 || std::max({r.rows, r.inputs, r.features}) > most ||
            r.classes < 0 || r.classes > most)
            throw DataError(fmt::format("{}: {} rows, {} inputs, {} features, {} classes, expected 1 to {}",
                                        printable_path(file), r.rows, r.inputs, r.features, r.classes, most));
        return r;
    } catch (const Json::exception&) {
        throw DataError(
            fmt::format("{}: damaged, expected what pdadmm augment wrote; make it anew", printable_path(file)));
    }
}

std::string text_of(const AugmentedRecord& r) {
    return Json{{"identity", r.identity},
                {"dataset", r.dataset},
                {"options", r.options},
                {"arguments", r.arguments},
                {"digest", r.digest},
                {"rows", r.rows},
                {"inputs", r.inputs},
                {"features", r.features},
                {"classes", r.classes},
                {"class_ids", r.class_ids},
                {"class_numbers", r.class_names.numbers},
                {"class_names", r.class_names.texts}}
               .dump(1, ' ', false, Json::error_handler_t::replace) +
           "\n";
}

Dataset read_augmented_folder(const fs::path& folder) {
    const AugmentedRecord record = read_augmented_record(folder);
    Dataset d;
    d.name = printable(record.dataset);
    d.nodes = record.rows;
    d.classes = record.classes;
    d.features.count = record.features;
    d.features.sparse = {
        record.rows, record.features, std::vector<Index>(static_cast<std::size_t>(record.rows) + 1), {}, {}};
    d.adjacency = {record.rows, record.rows, std::vector<Index>(static_cast<std::size_t>(record.rows) + 1), {}, {}};
    d.class_ids = record.class_ids;
    d.class_names = record.class_names;
    d.made = MadeFeatures{(folder / "X.npy").string(), record.digest, record.options, record.inputs};
    const fs::path labels = folder / "labels.npy";
    d.labels = read_npy(labels, static_cast<std::uint64_t>(record.rows) * 8 + 4096).as_int32();
    const auto is_class = [&](std::int32_t label) { return label >= -1 && label < record.classes; };
    if (static_cast<Index>(d.labels.size()) != record.rows || !std::all_of(d.labels.begin(), d.labels.end(), is_class))
        throw DataError(fmt::format("{}: {} labels, expected {} of -1 to {}", printable_path(labels), d.labels.size(),
                                    record.rows, record.classes - 1));
    for (const auto& [name, part] :
         {std::pair("train_idx.npy", &d.stored_split.train), std::pair("val_idx.npy", &d.stored_split.val),
          std::pair("test_idx.npy", &d.stored_split.test)})
        *part = read_ids(folder / name, record.rows, record.rows);
    d.stored_split.name = "stored";
    d.stored_splits = d.stored_split.train.empty() ? 0 : 1;
    d.notes.push_back(fmt::format("X of {} nodes is read from {} ({})", record.rows, printable_path(folder),
                                  printable(record.options)));
    return d;
}

bool lie_ready(const Dataset& dataset, std::span<const std::int32_t> rows) {
    return dataset.made && lie_ready(RowsOfX(*dataset.made, dataset.nodes), dataset.nodes, rows);
}

std::shared_ptr<const real> mapped_columns(const Dataset& dataset, std::span<const std::int32_t> rows,
                                           const AugmentOptions& options) {
    const MadeFeatures& made = dataset.made.value();
    require_options(made, options);
    const RowsOfX X(made, dataset.nodes);
    if (!lie_ready(X, dataset.nodes, rows)) return nullptr;
    std::vector<real> none;
    read_all(X, made, dataset.nodes, {}, none);
    X.file.check_unchanged();
    const std::shared_ptr<const std::byte> file = X.file.map();
    const std::byte* first = file.get() + X.begin + static_cast<std::uint64_t>(rows.front()) * X.row_bytes;
    return {file, reinterpret_cast<const real*>(first)};
}

std::vector<real> made_columns(const Dataset& dataset, std::span<const std::int32_t> rows,
                               const AugmentOptions& options) {
    const MadeFeatures& made = dataset.made.value();
    require_options(made, options);
    const RowsOfX X(made, dataset.nodes);
    const std::size_t values = rows.size() * static_cast<std::size_t>(made.inputs);
    if (const std::uint64_t available = available_memory(); values * sizeof(real) > available)
        throw DeviceError(
            fmt::format("{}: {:.2f} GiB free, expected {:.2f} GiB for {} of its rows; train with the split that it was "
                        "made for, as fp32: X then stays in its file",
                        X.file.name(), static_cast<double>(available) / (1 << 30),
                        static_cast<double>(values * sizeof(real)) / (1 << 30), rows.size()));
    std::vector<real> columns(values);
    if (2 * static_cast<Index>(rows.size()) >= dataset.nodes) {
        read_all(X, made, dataset.nodes, rows, columns);
        return columns;
    }
    std::vector<std::byte> row(X.row_bytes);
    for (std::size_t k = 0; k < rows.size(); ++k) {
        X.read(rows[k], row);
        X.widen(row, columns.data() + static_cast<Index>(k) * made.inputs);
    }
    return columns;
}

}  // namespace pdadmm
