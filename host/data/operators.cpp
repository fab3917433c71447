// Operators of the augmentation (host/data/operators.hpp).
#include "host/data/operators.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr int most_hops_of_high = 16;

struct Kind {
    const char* name;
    double usual, most;  // of the parameter; 0: there is none
};
constexpr std::array kinds{Kind{"gcn", 0, 0}, Kind{"row", 0, 0}, Kind{"high", 0, 0}, Kind{"ppr", 0.1, 1},
                           Kind{"heat", 3, 100}};

const Kind& kind_of(const AugmentOperator& one) { return kinds[static_cast<std::size_t>(one.kind)]; }

std::string text_of(const AugmentOperator& one) {
    return kind_of(one).most > 0 ? fmt::format("{}:{}", kind_of(one).name, one.parameter) : kind_of(one).name;
}

[[noreturn]] void refuse(const std::string& what, const std::string& text) {
    throw UsageError(
        fmt::format("{}: '{}', expected a list of gcn, row, high, ppr:ALPHA (above 0, at most 1) and heat:T (above 0, "
                    "at most 100), each once",
                    what, printable(text)));
}

AugmentOperator parse_one(const std::string& what, const std::string& text) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    const auto found =
        std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) { return text.substr(0, colon) == kind.name; });
    if (found == kinds.end()) refuse(what, text);
    AugmentOperator one{static_cast<Diffusion>(found - kinds.begin()), found->usual};
    if (colon == text.size()) return one;
    const char *begin = text.data() + colon + 1, *end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(begin, end, one.parameter);
    if (error != std::errc{} || stop != end || !(one.parameter > 0 && one.parameter <= found->most)) refuse(what, text);
    return one;
}

/// (1 - T)^k.
std::vector<double> high_pass(int k) {
    std::vector<double> coefficients{1};
    for (int j = 1; j <= k; ++j) coefficients.push_back(-coefficients.back() * (k - j + 1) / j);
    return coefficients;
}

std::vector<double> page_rank(double alpha, int steps) {
    std::vector<double> coefficients{1};
    for (int step = 0; step < steps; ++step) {
        for (double& c : coefficients) c *= 1 - alpha;
        coefficients.insert(coefficients.begin(), alpha);
    }
    while (coefficients.back() == 0) coefficients.pop_back();  // alpha 1
    return coefficients;
}

std::vector<double> heat_kernel(double t, int last) {
    std::vector<double> coefficients{std::exp(-t)};
    for (int k = 1; k <= last; ++k) coefficients.push_back(coefficients.back() * t / k);
    return coefficients;
}

}  // namespace

std::vector<DiffusionBlock> diffusion_blocks(const AugmentOperators& operators, int hops) {
    std::vector<DiffusionBlock> blocks{{false, {1}}};
    for (const AugmentOperator& one : operators) {
        if (one.kind == Diffusion::ppr) blocks.push_back({false, page_rank(one.parameter, hops - 1)});
        if (one.kind == Diffusion::heat) blocks.push_back({false, heat_kernel(one.parameter, hops - 1)});
        if (kind_of(one).most > 0) continue;
        for (int k = 1; k < hops; ++k) {
            std::vector<double> power(static_cast<std::size_t>(k), 0);
            power.push_back(1);
            blocks.push_back({one.kind == Diffusion::row, one.kind == Diffusion::high ? high_pass(k) : power});
        }
    }
    return blocks;
}

GraphOptions walk_options(GraphOptions options) {
    options.norm = Norm::row;
    if (options.self_loops == SelfLoops::add) options.self_loops = SelfLoops::keep;
    return options;
}

AugmentOperators parse_operators(const std::string& what, const std::string& text) {
    AugmentOperators operators;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        const AugmentOperator one = parse_one(what, text.substr(at, end - at));
        if (std::find(operators.begin(), operators.end(), one) != operators.end()) refuse(what, text);
        operators.push_back(one);
        at = end + 1;
    }
    return operators;
}

void check_hops(const AugmentOperators& operators, int hops) {
    for (const AugmentOperator& one : operators) {
        if (one.kind == Diffusion::high && hops > most_hops_of_high)
            throw UsageError(
                fmt::format("--augment: high with --hops {}, expected {} at most; its rounding errors double with each",
                            hops, most_hops_of_high));
        if (one.kind != Diffusion::gcn && hops < 2)
            throw UsageError(fmt::format(
                "--augment: {} with --hops 1, expected 2 or more; one hop is the features alone", kind_of(one).name));
    }
}

std::string to_string(const AugmentOperators& operators) {
    std::vector<std::string> texts;
    for (const AugmentOperator& one : operators) texts.push_back(text_of(one));
    return fmt::format("{}", fmt::join(texts, ","));
}

}  // namespace pdadmm
