// Texts of quantities (host/cli/plan_options.hpp).
#include "host/cli/plan_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "host/cli/option_text.hpp"
#include "host/console/printable.hpp"
#include "host/plan/sum_costs.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

using Units = std::vector<std::pair<std::string, double>>;
const Units bandwidths{{"Gbit/s", 1e9 / 8}, {"TB/s", 1e12}, {"GB/s", 1e9}, {"MB/s", 1e6}};
const Units seconds{{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
const Units speeds{{"PFLOP/s", 1e15}, {"TFLOP/s", 1e12}, {"GFLOP/s", 1e9}};
const Units sizes{{"GiB", 1073741824.0}, {"GB", 1e9}, {"MiB", 1048576.0}};
const Units counts{{"", 1}};

/// A number above 0 with one of the units behind it.
double quantity(const char* option, const std::string& text, const Units& units) {
    for (const auto& [unit, factor] : units) {
        if (!text.ends_with(unit)) continue;
        std::string digits = text.substr(0, text.size() - unit.size());
        if (digits.empty() || digits.find_first_not_of("0123456789.e+- ") != std::string::npos) break;
        if (const double value = number(option, digits); value > 0) return value * factor;
    }
    std::vector<std::string> names;
    for (const auto& [unit, factor] : units)
        if (!unit.empty()) names.push_back(unit);
    throw UsageError(fmt::format("{}: '{}', expected a number above 0{}", option, printable(text),
                                 names.empty() ? "" : fmt::format(" in {}", fmt::join(names, ", "))));
}

/// "a=1,b=2" by key.
std::map<std::string, std::string> by_key(const char* option, const std::string& text,
                                          const std::vector<std::string>& keys) {
    std::map<std::string, std::string> found;
    for (const std::string& part : split_text(text, ',')) {
        const std::size_t equals = part.find('=');
        const std::string key = part.substr(0, equals);
        if (equals == std::string::npos || std::find(keys.begin(), keys.end(), key) == keys.end() ||
            !found.emplace(key, part.substr(equals + 1)).second)
            throw UsageError(fmt::format("{}: '{}', expected {}=..., each once", option, printable(part),
                                         fmt::join(keys, "=..., ")));
    }
    return found;
}

/// "450GB/s" or "450GB/s:4us".
LinkRate link_of(const std::string& text, double latency_s) {
    const std::size_t colon = text.find(':');
    if (colon != std::string::npos) latency_s = quantity("--network", text.substr(colon + 1), seconds);
    return {latency_s, quantity("--network", text.substr(0, colon), bandwidths)};
}

}  // namespace

Options plan_table(PlanOptions& o) {
    return grouped(
        "Plans of grids",
        {{"--network", &o.network,
          "bandwidth in each direction, of a device inside its machine (nvlink) and of a machine to others (nic); with "
          "latency: nic=50GB/s:20us"},
         {"--per-machine", &o.machine_devices, "devices of a machine", {.range = Range{1, 1 << 20}}},
         {"--device-rates", &o.rates,
          "of a device: flops=360TFLOP/s,bytes=3.3TB/s, or iteration=80ms,epoch=60ms as one device took for pdADMM-G "
          "and Adam; default: measured on this machine"},
         {"--device-memory", &o.device_memory, "of a device, like 80GB; grids that need more are not chosen"},
         {"--sums",
          &o.sums,
          "over nodes; waiting: between any two ranks, as train does on GPUs; hidden: the same, half of a stack of "
          "layers under the products of the other half, as train does on processors; by-machine: hidden, and inside "
          "machines first, which train does not do",
          {.choices = {sum_schedule_names.begin(), sum_schedule_names.end()}}},
         {"--shape", &o.shape, "inputs=640,classes=40,nodes=90941 in place of a data set"}});
}

Machines machines_of(const PlanOptions& o) {
    constexpr double inside_s = 4e-6, between_s = 20e-6;  // typical of public measurements between GPUs
    const auto texts = by_key("--network", o.network, {"nvlink", "nic"});
    if (!texts.contains("nic"))
        throw UsageError(fmt::format("--network: '{}', expected nic=...; add it", printable(o.network)));
    const LinkRate between = link_of(texts.at("nic"), between_s);
    if (!texts.contains("nvlink") && o.machine_devices > 1)
        throw UsageError(
            fmt::format("--network: '{}', expected nvlink=... for machines of {} devices; add it, or --per-machine 1",
                        printable(o.network), o.machine_devices));
    return {o.machine_devices, texts.contains("nvlink") ? link_of(texts.at("nvlink"), inside_s) : between, between};
}

GivenRates rates_of(const PlanOptions& o) {
    GivenRates rates;
    const auto texts = by_key("--device-rates", o.rates, {"flops", "bytes", "iteration", "epoch"});
    const auto take = [&](const char* key, const Units& units, double& to) {
        if (texts.contains(key)) to = quantity("--device-rates", texts.at(key), units);
    };
    take("flops", speeds, rates.flops_per_s);
    take("bytes", bandwidths, rates.bytes_per_s);
    take("iteration", seconds, rates.iteration_s);
    take("epoch", seconds, rates.epoch_s);
    const bool counted = rates.flops_per_s > 0 && rates.bytes_per_s > 0;
    if (!o.rates.empty() && (counted == (rates.iteration_s > 0) || (!counted && texts.contains("flops"))))
        throw UsageError(
            fmt::format("--device-rates: '{}', expected flops=... and bytes=..., or iteration=...; give one of them",
                        printable(o.rates)));
    return rates;
}

double device_memory_of(const PlanOptions& o) {
    return o.device_memory.empty() ? 0 : quantity("--device-memory", o.device_memory, sizes);
}

std::array<Index, 3> planned_shape(const PlanOptions& o) {
    const auto texts = by_key("--shape", o.shape, {"inputs", "classes", "nodes"});
    std::array<Index, 3> shape{};
    std::size_t at = 0;
    for (const char* key : {"inputs", "classes", "nodes"}) {
        const double value = texts.contains(key) ? quantity("--shape", texts.at(key), counts) : 0;
        if (value != std::floor(value) || !(value >= 1 && value <= 1e12))
            throw UsageError(
                fmt::format("--shape: '{}', expected inputs, classes and nodes as whole numbers, like "
                            "inputs=640,classes=40,nodes=90941",
                            printable(o.shape)));
        shape[at++] = static_cast<Index>(value);
    }
    return shape;
}

}  // namespace pdadmm
