// Small runs whose training nodes are in several ranges, for grids of ranks with GPUs.
#pragma once

#include <string>
#include <vector>

#include "tests/support/random_run.hpp"

namespace pdadmm {

/// Two growth stages on 83 training nodes in six ranges of 16, the last one of 3. With more inputs than nodes the first
/// layer is kept by nodes.
inline RunSpec ranged_spec(std::uint64_t seed, const std::string& name, StepRule rule, Index inputs = 7) {
    RunSpec run{name, made_up_nodes(inputs, 3, {83, 20, 10}, seed), {}};
    SolverOptions& o = run.options;
    o.node_ranges = 6;
    o.stages = {{2, 2, 0.02, 0.01, 1e-3, ZInit::label, LastInit::carry},
                {4, 3, 0.02, 0.01, 1e-3, ZInit::forward, LastInit::random}};
    o.step.rule = rule;
    o.hidden = rule == StepRule::block ? 12 : 11;  // vectors of 16 bytes everywhere; not where the last node is
    o.eval_every = 2;
    o.refresh_every = 3;
    o.seed = seed;
    return run;
}

inline RunSpec quantised(RunSpec run, int bits) {
    run.name += ", " + std::to_string(bits) + " bits";
    quantise(run.options, bits);
    return run;
}

inline RunSpec on_levels(RunSpec run) {
    run.name += ", fixed levels";
    use_fixed_levels(run.options);
    return run;
}

/// Both rules, unquantised and at 4 and 2 bits.
inline std::vector<RunSpec> ranged_specs(std::uint64_t seed) {
    const RunSpec exact = ranged_spec(seed, "exact", StepRule::exact),
                  block = ranged_spec(seed, "block", StepRule::block);
    return {exact, quantised(exact, 4), quantised(exact, 2), block, quantised(block, 4), quantised(block, 2)};
}

}  // namespace pdadmm
