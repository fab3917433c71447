// The safetensors reader (JSON events checked against the format as they come, so that nothing deep, doubled or unknown
// is ever built) and writer.
#include "host/format/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>
#include <utility>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

static_assert(std::endian::native == std::endian::little, "tensors are copied as little-endian values");

namespace {

constexpr std::uint64_t max_header = 1 << 20, max_tensors = 4096, max_rank = 8;
constexpr std::string_view metadata_key = "__metadata__";

/// Bytes a value, 0 for a dtype that is not read.
std::uint64_t item_size(std::string_view dtype) {
    if (dtype == "F64" || dtype == "I64") return 8;
    if (dtype == "F32" || dtype == "I32") return 4;
    return dtype == "U8" ? 1 : 0;
}

/// What the header says of one tensor.
struct Entry {
    std::string name, dtype;
    std::vector<Index> shape;
    std::vector<std::uint64_t> offsets;  // begin, end
    bool has_dtype = false, has_shape = false, has_offsets = false;
};

/// nlohmann's event interface. Objects nest as top > tensor or metadata, arrays stand only in a tensor; everything else
/// throws.
class HeaderEvents {
public:
    explicit HeaderEvents(const std::string& file) : file_(file) {}
    std::vector<Entry> entries;
    std::map<std::string, std::string> metadata;

    bool null() { refuse("null"); }
    bool boolean(bool) { refuse("a boolean"); }
    bool number_integer(std::int64_t value) { refuse(fmt::format("the number {}", value)); }
    bool number_float(double, const std::string& text) { refuse(fmt::format("the number {}", printable(text, 24))); }
    bool binary(nlohmann::json::binary_t&) { refuse("binary data"); }

    bool number_unsigned(std::uint64_t value) {
        if (place_ == Place::shape) {
            if (entry().shape.size() == max_rank) fail(fmt::format("more than {} dimensions", max_rank));
            if (!std::in_range<Index>(value)) fail(fmt::format("dimension {} is too large", value));
            entry().shape.push_back(static_cast<Index>(value));
        } else if (place_ == Place::offsets) {
            if (entry().offsets.size() == 2) fail("data_offsets has more than 2 numbers");
            entry().offsets.push_back(value);
        } else {
            refuse(fmt::format("the number {}", value));
        }
        return true;
    }
    bool string(std::string& value) {
        if (place_ == Place::metadata) {
            metadata[key_] = std::move(value);
        } else if (place_ == Place::tensor && key_ == "dtype") {
            entry().dtype = std::move(value);
        } else {
            refuse(fmt::format("the text '{}'", printable(value)));
        }
        return true;
    }
    bool start_object(std::size_t) {
        if (place_ == Place::nothing) {
            place_ = Place::top;
        } else if (place_ == Place::top) {
            place_ = key_ == metadata_key ? Place::metadata : Place::tensor;
        } else {
            refuse("an object");
        }
        return true;
    }
    bool end_object() {
        if (place_ == Place::tensor && !(entry().has_dtype && entry().has_shape && entry().has_offsets))
            fail("lacks one of dtype, shape and data_offsets");
        place_ = place_ == Place::top ? Place::done : Place::top;
        return true;
    }
    bool start_array(std::size_t) {
        if (place_ != Place::tensor || key_ == "dtype") refuse("a list");
        place_ = key_ == "shape" ? Place::shape : Place::offsets;
        return true;
    }
    bool end_array() {
        if (place_ == Place::offsets && entry().offsets.size() != 2) fail("data_offsets has fewer than 2 numbers");
        place_ = Place::tensor;
        return true;
    }
    bool key(std::string& name) {
        key_ = name;
        if (place_ == Place::top) {
            if (!names_.insert(name).second) refuse("the same key twice");
            if (name == metadata_key) return true;
            if (entries.size() == max_tensors)
                throw DataError(fmt::format("{}: more than {} tensors", file_, max_tensors));
            entries.emplace_back().name = name;
        } else if (place_ == Place::metadata) {
            if (metadata.contains(name)) refuse("the same key twice");
        } else {
            bool* seen = name == "dtype"          ? &entry().has_dtype
                         : name == "shape"        ? &entry().has_shape
                         : name == "data_offsets" ? &entry().has_offsets
                                                  : nullptr;
            if (!seen) fail(fmt::format("key '{}', expected dtype, shape and data_offsets only", printable(name)));
            if (std::exchange(*seen, true)) refuse("the same key twice");
        }
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
        throw DataError(fmt::format("{}: header is not JSON at byte {}, expected a safetensors file", file_, position));
    }

private:
    enum class Place { nothing, top, metadata, tensor, shape, offsets, done };

    Entry& entry() { return entries.back(); }
    [[noreturn]] void fail(const std::string& problem) const {
        throw DataError(
            fmt::format("{}: tensor '{}': {}", file_, printable(entries.empty() ? "" : entries.back().name), problem));
    }
    [[noreturn]] void refuse(const std::string& found) const {
        throw DataError(
            fmt::format("{}: header has {} at key '{}', expected a safetensors file", file_, found, printable(key_)));
    }

    const std::string& file_;
    Place place_ = Place::nothing;
    std::string key_;
    std::set<std::string> names_;
};

/// Bytes that dtype and shape ask for; throws DataError beginning with `label`.
std::uint64_t byte_count(const std::string& dtype, const std::vector<Index>& shape, const std::string& label) {
    std::uint64_t bytes = item_size(dtype), bound = bytes;
    if (bytes == 0)
        throw DataError(
            fmt::format("{}: dtype '{}' is not read, expected F32, F64, I32, I64 or U8", label, printable(dtype)));
    for (const Index n : shape) {
        // As in npy.cpp: an empty tensor too must have a countable product of its other dimensions.
        if (n < 0 || __builtin_mul_overflow(bound, static_cast<std::uint64_t>(std::max<Index>(n, 1)), &bound) ||
            bound >> 63)
            throw DataError(
                fmt::format("{}: shape ({}) has more bytes than can be counted", label, fmt::join(shape, ", ")));
        bytes *= static_cast<std::uint64_t>(n);
    }
    return bytes;
}

std::string label_of(const Tensor& tensor) {
    const std::string tensor_label = fmt::format("tensor '{}'", printable(tensor.name));
    return tensor.file.empty() ? tensor_label : tensor.file + ": " + tensor_label;
}

template <typename T>
Tensor make_tensor(std::string&& name, std::vector<Index>&& shape, std::span<const T> values, const char* dtype) {
    Tensor tensor{std::move(name), dtype, std::move(shape), {}};
    if (byte_count(dtype, tensor.shape, label_of(tensor)) != values.size_bytes())
        throw Error(ExitCode::internal, fmt::format("{}: {} values cannot have the shape ({})", label_of(tensor),
                                                    values.size(), fmt::join(tensor.shape, ", ")));
    tensor.bytes.resize(values.size_bytes());
    if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), values.size_bytes());
    return tensor;
}

/// Appends the values, stored as From, to `out`.
template <typename From, typename To>
void convert(const Tensor& tensor, std::vector<To>& out) {
    const std::size_t count = tensor.bytes.size() / sizeof(From);
    out.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        From value;
        std::memcpy(&value, tensor.bytes.data() + i * sizeof(From), sizeof(From));
        if constexpr (std::is_same_v<From, double> && std::is_same_v<To, float>) {
            if (std::isfinite(value) && std::abs(value) >= 0x1.ffffffp127)
                throw DataError(fmt::format("{}: value {} at position {} is beyond what a 32-bit float holds",
                                            label_of(tensor), value, i));
        }
        out.push_back(static_cast<To>(value));
    }
}

[[noreturn]] void wrong_dtype(const Tensor& tensor, std::string_view expected) {
    throw DataError(fmt::format("{}: dtype {}, expected {}", label_of(tensor), printable(tensor.dtype), expected));
}

template <typename To>
std::vector<To> floats(const Tensor& tensor) {
    std::vector<To> out;
    if (tensor.dtype == "F32") {
        convert<float>(tensor, out);
    } else if (tensor.dtype == "F64") {
        convert<double>(tensor, out);
    } else {
        wrong_dtype(tensor, "F32 or F64");
    }
    return out;
}

}  // namespace

Index Tensor::size() const {
    Index count = 1;
    for (const Index n : shape) count *= n;
    return count;
}

std::vector<float> Tensor::as_float() const { return floats<float>(*this); }
std::vector<double> Tensor::as_double() const { return floats<double>(*this); }

std::vector<Index> Tensor::as_index() const {
    std::vector<Index> out;
    if (dtype == "I64") {
        convert<std::int64_t>(*this, out);
    } else if (dtype == "I32") {
        convert<std::int32_t>(*this, out);
    } else if (dtype == "U8") {
        convert<std::uint8_t>(*this, out);
    } else {
        wrong_dtype(*this, "I64, I32 or U8");
    }
    return out;
}

Tensor Tensor::of(std::string name, std::vector<Index> shape, std::span<const float> values) {
    return make_tensor(std::move(name), std::move(shape), values, "F32");
}
Tensor Tensor::of(std::string name, std::vector<Index> shape, std::span<const double> values) {
    return make_tensor(std::move(name), std::move(shape), values, "F64");
}
Tensor Tensor::of(std::string name, std::vector<Index> shape, std::span<const std::int32_t> values) {
    return make_tensor(std::move(name), std::move(shape), values, "I32");
}
Tensor Tensor::of(std::string name, std::vector<Index> shape, std::span<const std::int64_t> values) {
    return make_tensor(std::move(name), std::move(shape), values, "I64");
}
Tensor Tensor::of(std::string name, std::vector<Index> shape, std::span<const std::uint8_t> values) {
    return make_tensor(std::move(name), std::move(shape), values, "U8");
}

bool SafetensorsFile::has(std::string_view tensor) const {
    return std::any_of(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == tensor; });
}

const Tensor& SafetensorsFile::at(std::string_view tensor) const {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == tensor; });
    if (found == tensors.end())
        throw DataError(fmt::format("{}{}no tensor '{}'", name, name.empty() ? "" : ": ", printable(tensor)));
    return *found;
}

SafetensorsView view_safetensors(std::span<const std::byte> file, const std::string& name) {
    const auto fail = [&](const std::string& problem) { throw DataError(name + ": " + problem); };
    if (file.size() < 10) fail(fmt::format("has {} bytes, expected a safetensors file", file.size()));
    std::uint64_t header_size;
    std::memcpy(&header_size, file.data(), sizeof header_size);
    if (header_size > max_header) fail(fmt::format("header of {} bytes, expected at most {}", header_size, max_header));
    if (header_size > file.size() - 8) fail(fmt::format("ends within its header of {} bytes", header_size));
    const std::string_view header(reinterpret_cast<const char*>(file.data()) + 8, header_size);
    const std::span<const std::byte> data = file.subspan(8 + header_size);
    if (!header.starts_with('{')) fail("header does not begin with '{', expected a safetensors file");
    // The JSON library takes a zero byte for the end of its input.
    if (header.find('\0') != std::string_view::npos) fail("header has a zero byte, expected JSON");

    HeaderEvents events(name);
    nlohmann::json::sax_parse(header, &events);

    std::vector<Entry>& entries = events.entries;
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& a, const Entry& b) { return a.offsets < b.offsets; });
    SafetensorsView result{std::move(events.metadata), {}};
    std::uint64_t at = 0;
    for (Entry& entry : entries) {
        const std::string label = fmt::format("{}: tensor '{}'", name, printable(entry.name));
        const std::uint64_t begin = entry.offsets[0], end = entry.offsets[1],
                            bytes = byte_count(entry.dtype, entry.shape, label);
        if (begin != at)
            throw DataError(
                fmt::format("{}: begins at byte {}, expected {}: no holes and no overlap", label, begin, at));
        if (end < begin || end > data.size())
            throw DataError(fmt::format("{}: ends at byte {} of {}; is the file cut off?", label, end, data.size()));
        if (end - begin != bytes)
            throw DataError(fmt::format("{}: has {} bytes, expected {} for {} ({})", label, end - begin, bytes,
                                        entry.dtype, fmt::join(entry.shape, ", ")));
        result.tensors.push_back(
            {std::move(entry.name), std::move(entry.dtype), std::move(entry.shape), data.subspan(begin, bytes)});
        at = end;
    }
    if (at != data.size()) fail(fmt::format("{} bytes of data, expected {} from its tensors", data.size(), at));
    return result;
}

SafetensorsFile parse_safetensors(std::span<const std::byte> file, const std::string& name) {
    SafetensorsView view = view_safetensors(file, name);
    SafetensorsFile result{std::move(view.metadata), {}, name};
    for (TensorPlace& t : view.tensors)
        result.tensors.push_back(
            {std::move(t.name), std::move(t.dtype), std::move(t.shape), {t.bytes.begin(), t.bytes.end()}, name});
    return result;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path, std::uint64_t max_bytes) {
    return parse_safetensors(read_file(path, max_bytes), printable_path(path));
}

std::string safetensors_prefix(const SafetensorsFile& content) {
    const auto fail = [](const std::string& problem) {
        throw Error(ExitCode::internal, "safetensors to be written: " + problem);
    };
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!content.metadata.empty()) header[std::string(metadata_key)] = content.metadata;
    if (content.tensors.size() > max_tensors)
        fail(fmt::format("{} tensors, expected at most {}", content.tensors.size(), max_tensors));
    std::set<std::string_view> names{metadata_key};
    std::uint64_t at = 0;
    for (const Tensor& tensor : content.tensors) {
        if (!names.insert(tensor.name).second)
            fail(fmt::format("tensor '{}' twice, or its name is reserved", printable(tensor.name)));
        if (tensor.shape.size() > max_rank ||
            byte_count(tensor.dtype, tensor.shape, label_of(tensor)) != tensor.bytes.size())
            fail(label_of(tensor) + ": bytes do not match dtype and shape");
        header[tensor.name] = {
            {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {at, at + tensor.bytes.size()}}};
        at += tensor.bytes.size();
    }
    std::string text;
    try {
        text = header.dump();
    } catch (const nlohmann::json::exception&) {
        fail("a name or a metadata text is not UTF-8");
    }
    text.append((8 - text.size() % 8) % 8, ' ');
    if (text.size() > max_header) fail(fmt::format("header of {} bytes, expected at most {}", text.size(), max_header));

    std::string prefix(8, '\0');
    const std::uint64_t header_size = text.size();
    std::memcpy(prefix.data(), &header_size, 8);
    return prefix + text;
}

std::vector<std::byte> format_safetensors(const SafetensorsFile& content) {
    const std::string prefix = safetensors_prefix(content);
    std::size_t size = prefix.size();
    for (const Tensor& tensor : content.tensors) size += tensor.bytes.size();
    std::vector<std::byte> out(size);
    std::memcpy(out.data(), prefix.data(), prefix.size());
    std::byte* to = out.data() + prefix.size();
    for (const Tensor& tensor : content.tensors) to = std::copy(tensor.bytes.begin(), tensor.bytes.end(), to);
    return out;
}

}  // namespace pdadmm
