// Conditions on runs (host/registry/filter.hpp).
#include "host/registry/filter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "host/console/printable.hpp"
#include "host/registry/run_entry.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::array facts{"id",   "folder",  "parent", "state", "exit",      "dataset", "data_digest",
                           "seed", "program", "build",  "host",  "processor", "started", "changed"};
constexpr std::array operators{"!=", "<=", ">=", "=", "<", ">", "~"};  // longer ones first

bool is_date(const std::string& name) { return name == "started" || name == "changed"; }

Filter parse(const std::string& word) {
    const std::size_t end = word.find_first_of("!<>=~");
    if (end != std::string::npos && end > 0)
        for (const char* op : operators)
            if (word.compare(end, std::string_view(op).size(), op) == 0)
                return {word.substr(0, end), op, word.substr(end + std::string_view(op).size())};
    throw UsageError(fmt::format(
        "'{}': no condition, expected one like dataset=cora, 'test>0.82', hidden!=100 or folder~night; quote < and >",
        printable(word)));
}

}  // namespace

std::optional<double> finite_number(const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

bool is_fact(const std::string& name) { return std::find(facts.begin(), facts.end(), name) != facts.end(); }

std::vector<Filter> parse_filters(const std::vector<std::string>& words) {
    std::vector<Filter> filters;
    for (const std::string& word : words) {
        Filter filter = parse(word);
        const bool ordered = filter.op[0] == '<' || filter.op[0] == '>';
        if ((is_figure(filter.name) || (ordered && !is_date(filter.name))) && !finite_number(filter.value))
            throw UsageError(fmt::format("'{}': compared with '{}', expected a number; mend that condition",
                                         printable(word), printable(filter.value)));
        if (is_figure(filter.name) && filter.op == "~")
            throw UsageError(fmt::format("'{}': ~ with a number, expected =, !=, <, <=, > or >=; mend that condition",
                                         printable(word)));
        filters.push_back(std::move(filter));
    }
    return filters;
}

Condition condition_of(const std::vector<Filter>& filters) {
    Condition all;
    const auto place = [&](SqlValue value) {
        all.values.push_back(std::move(value));
        return fmt::format("?{}", all.values.size());
    };
    for (const Filter& f : filters) {
        const std::optional<double> number = finite_number(f.value);
        const bool ordered = f.op[0] == '<' || f.op[0] == '>', differs = f.op == "!=";
        const auto compared = [&](const std::string& text, const std::string& as_number) {
            if (f.op == "~") return fmt::format("instr({}, {}) > 0", text, place(f.value));
            if (ordered) return fmt::format("{} {} {}", as_number, f.op, place(number.value_or(NAN)));
            std::string same = fmt::format("{} = {}", text, place(f.value));
            if (number) same = fmt::format("({} OR {} = {})", same, as_number, place(*number));
            return same;
        };
        std::string sql;
        if (is_date(f.name)) {  // of the local calendar, as tables show them; = takes all of a day, or of an hour
            const std::string date = fmt::format("datetime(r.{}, 'unixepoch', 'localtime')", f.name);
            sql = ordered ? fmt::format("{} {} {}", date, f.op, place(f.value))
                          : fmt::format("instr({}, {}) = 1", date, place(f.value));
        } else if (is_fact(f.name)) {
            sql = compared("CAST(r." + f.name + " AS TEXT)", "r." + f.name);
        } else if (is_figure(f.name)) {
            sql = fmt::format("EXISTS(SELECT 1 FROM figures f WHERE f.run = r.key AND f.name = {} AND f.value {} {})",
                              place(f.name), differs ? "=" : f.op, place(number.value_or(NAN)));
        } else {
            const std::string name = place(f.name);
            sql = fmt::format("EXISTS(SELECT 1 FROM options o WHERE o.run = r.key AND o.name = {} AND {})", name,
                              compared("o.value", "o.number"));
        }
        all.sql += differs ? fmt::format(" AND NOT {}", sql) : fmt::format(" AND {}", sql);
    }
    return all;
}

}  // namespace pdadmm
