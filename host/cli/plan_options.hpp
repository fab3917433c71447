// Options of `pdadmm plan` beside those of train: grids of ranks on devices that need not be here.
#pragma once

#include <array>
#include <string>

#include "host/cli/option.hpp"
#include "host/plan/machines.hpp"

namespace pdadmm {

struct PlanOptions {
    std::string network = "nvlink=450GB/s,nic=50GB/s", rates, shape, device_memory, sums = "waiting";
    int machine_devices = 8;
};

Options plan_table(PlanOptions& options);

/// --network on machines of so many devices. Throws UsageError.
Machines machines_of(const PlanOptions& options);

/// What --device-rates gives; 0: not given. `iteration_s` and `epoch_s` are those of one device as they were measured:
/// pdADMM-G's and Adam's rates follow from them.
struct GivenRates {
    double flops_per_s = 0, bytes_per_s = 0, iteration_s = 0, epoch_s = 0;
};
GivenRates rates_of(const PlanOptions& options);

/// Bytes of --device-memory; 0: not given.
double device_memory_of(const PlanOptions& options);

/// Inputs, classes and training nodes of --shape.
std::array<Index, 3> planned_shape(const PlanOptions& options);

}  // namespace pdadmm
