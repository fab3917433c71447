// Records of options (host/cli/option.hpp).
#include "host/cli/option.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <type_traits>

#include "pdadmm/error.hpp"

namespace pdadmm {

std::string text_of(const OptionValue& value) {
    return std::visit(
        [](auto* held) -> std::string {
            if constexpr (std::is_same_v<decltype(held), std::optional<std::uint64_t>*>)
                return *held ? std::to_string(**held) : "";
            else
                return fmt::format("{}", *held);
        },
        value);
}

void assign(const OptionValue& to, const OptionValue& from) {
    std::visit([&](auto* held) { *held = *std::get<decltype(held)>(from); }, to);
}

const Option& record(const Options& options, std::string_view long_name) {
    const auto found = std::find_if(options.begin(), options.end(),
                                    [&](const Option& option) { return option.long_name() == long_name; });
    if (found == options.end()) throw Error(ExitCode::internal, fmt::format("no option {}", long_name));
    return *found;
}

Options grouped(const std::string& group, Options options) {
    for (Option& option : options) option.group = group;
    return options;
}

Options joined(std::vector<Options> lists) {
    Options all;
    for (Options& list : lists)
        all.insert(all.end(), std::make_move_iterator(list.begin()), std::make_move_iterator(list.end()));
    return all;
}

}  // namespace pdadmm
