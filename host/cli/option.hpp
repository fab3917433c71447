// Record of an option: all that the command line, its help, configuration files, a run's record and OPTIONS.md say of
// it. A command's options are a list of records; everything else is made from that list.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pdadmm {

/// Where a given value goes; until then it holds the default. The option's type is what is pointed to; a bool is a
/// flag.
using OptionValue = std::variant<bool*, int*, double*, std::uint64_t*, std::optional<std::uint64_t>*, std::string*>;

/// Numbers from `least` (where `open`, above it) to `most`.
struct Range {
    double least = 0, most = std::numeric_limits<double>::infinity();
    bool open = false;
};
inline constexpr Range from_zero{}, above_zero{.open = true};

/// Method of training that an option means something to; the others refuse it.
enum class Method { any, admm, backpropagation };

/// What an option is to the identity of a run: the record that a resumed run is compared with.
enum class Identity {
    part,         // decides the result: recorded, and the same when the run is resumed
    extends,      // recorded, but a resumed run may have another: it decides how far the run goes and what it keeps
    of_workers,   // part where ranks have weights of their own
    of_pipeline,  // part of --parallel pipeline
    seed,         // every seed is a run of its own, which records its number
    kept,         // no part, but config.toml keeps it for the resumed run
    none          // how the run is carried out or shown
};

/// What is said of an option beside its help.
struct OptionRules {
    std::vector<std::string> choices{};  // where not every value will do
    std::optional<Range> range{};
    bool list = false;   // comma-separated text: choices and range are those of each entry
    bool whole = false;  // text of whole numbers
    bool named = false;  // a name or a path: empty on the command line, as an unset variable leaves it, it is refused
    bool required = false;
    Method method = Method::any;
    Identity identity = Identity::part;
    const char* before = "";  // value of the runs that are older than the option; "": there are none
    bool agreed = false;      // ranks refuse to differ in it, though it is no part of the identity
    bool in_files = true;     // a configuration file may have it
};

struct Option {
    std::string name;  // "--hops", or with its letter "--hops,-K"
    OptionValue value;
    std::string help;
    OptionRules rules{};
    std::string group{};  // headline in the help; "": that of all options

    /// "--hops".
    std::string long_name() const { return name.substr(0, name.find(',')); }
    /// "hops", as in configuration files.
    std::string key() const { return long_name().substr(2); }
    bool is_flag() const { return std::holds_alternative<bool*>(value); }
};

using Options = std::vector<Option>;

/// The value as text; "" of an optional without one.
std::string text_of(const OptionValue& value);

/// Copies a value to another of its type.
void assign(const OptionValue& to, const OptionValue& from);

/// The record with this long name. Throws an internal Error where there is none.
const Option& record(const Options& options, std::string_view long_name);
const Option& record(const Options&& options, std::string_view long_name) = delete;

/// `options` under one headline.
Options grouped(const std::string& group, Options options);

/// The records of several lists, one after the other.
Options joined(std::vector<Options> lists);

}  // namespace pdadmm
