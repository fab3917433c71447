// Events of the JSON parser become rows (host/format/number_table.hpp).
#include "host/format/number_table.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "host/console/printable.hpp"
#include "host/format/file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

/// What the parser calls. An event that returns false ends it, after which `problem` says why.
struct Events final : nlohmann::json_sax<Json> {
    NumberTable table{};
    std::string problem{};
    bool in_object = false, in_list = false;

    bool refuse(const std::string& found) {
        const std::string key = table.rows.empty() ? "" : " for \"" + printable(table.rows.back().key, 40) + "\"";
        problem = found + (in_object ? key : "") + ", expected {\"key\": whole number or list of them, ...}";
        return false;
    }
    template <typename T>
    bool number(T value) {
        if (!in_object) return refuse("a number");
        if (value < T{0} && static_cast<double>(value) < std::numeric_limits<std::int32_t>::min())
            return refuse(fmt::format("{}", value));
        if (static_cast<double>(value) > std::numeric_limits<std::int32_t>::max())
            return refuse(fmt::format("{}", value));
        table.numbers.push_back(static_cast<std::int32_t>(value));
        ++table.rows.back().count;
        return true;
    }
    bool number_integer(number_integer_t value) override { return number(value); }
    bool number_unsigned(number_unsigned_t value) override { return number(value); }
    bool number_float(number_float_t value, const string_t& text) override {
        return std::trunc(value) == value ? number(value) : refuse(printable(text, 40));
    }
    bool null() override { return refuse("null"); }
    bool boolean(bool value) override { return refuse(value ? "true" : "false"); }
    bool string(string_t&) override { return refuse("a text"); }
    bool binary(binary_t&) override { return refuse("bytes"); }
    bool start_object(std::size_t) override {
        if (in_object) return refuse("an object");
        return in_object = true;
    }
    bool key(string_t& key) override {
        table.rows.push_back({key, table.numbers.size(), 0, false});
        return true;
    }
    bool end_object() override { return true; }
    bool start_array(std::size_t) override {
        if (!in_object || in_list) return refuse("a list");
        return table.rows.back().list = in_list = true;
    }
    bool end_array() override {
        in_list = false;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        problem = fmt::format("byte {}: no JSON, expected {{\"key\": whole number or list of them, ...}}", position);
        return false;
    }
};

}  // namespace

NumberTable parse_number_table(std::span<const std::byte> json, const std::string& name) {
    Events events;
    const auto* begin = reinterpret_cast<const char*>(json.data());
    Json::sax_parse(begin, begin + json.size(), &events);
    if (!events.problem.empty()) throw DataError(fmt::format("{}: {}", name, events.problem));
    events.table.name = name;
    return std::move(events.table);
}

NumberTable read_number_table(const std::filesystem::path& path, std::uint64_t max_bytes) {
    return parse_number_table(read_file(path, max_bytes), printable_path(path));
}

}  // namespace pdadmm
