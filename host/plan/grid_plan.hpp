// What an iteration of pdADMM-G would take on a grid of ranks, by counting: time and what it goes to, bytes by axis
// (RANKS.md, "Plans of grids"). Nothing here runs.
#pragma once

#include <string>
#include <vector>

#include "host/plan/machines.hpp"
#include "host/plan/schedule.hpp"
#include "host/plan/sum_costs.hpp"
#include "host/ranks/grid.hpp"
#include "host/ranks/placement.hpp"
#include "pdadmm/codec.hpp"

namespace pdadmm {

/// What is to be laid on ranks, and the devices that there are.
struct GridProblem {
    NetworkShape shape;
    PlacementRule placement;
    Quantizer p, q;
    NodeRanges ranges{0};  // of shape.nodes
    SumSchedule sums = SumSchedule::waiting;
    DeviceRates rates;
    Machines machines;
};

/// Seconds of an iteration: those of one device over their number, and beside them what is lost.
struct GridSeconds {
    double even = 0;          // the work of one device, divided without loss
    double whole_layers = 0;  // layers cannot be divided: the costliest block
    double node_ranges = 0;   // nor can ranges of nodes; and every rank of a block passes over all of W
    double sums = 0;          // over nodes, as far as nothing hides them
    double borders = 0;       // messages between layers, likewise
    double all() const { return even + whole_layers + node_ranges + sums + borders; }
    /// The name of the greatest loss, or "work" where none is a hundredth of all.
    std::string bound() const;
};

struct GridPlan {
    Grid grid;
    Placement placement;
    GridSeconds seconds;
    double layer_bytes = 0,
           node_bytes = 0;     // that all ranks send in an iteration over borders, and for sums over nodes
    double machine_bytes = 0;  // of both, between machines
};

/// "" where the grid is possible on `ranks` ranks, else all of its numbers in words and what would do.
std::string grid_fault(const Grid& grid, const GridProblem& problem, int ranks);
/// All that are possible, layers ascending.
std::vector<Grid> possible_grids(const GridProblem& problem, int ranks);

GridPlan plan_grid(const GridProblem& problem, const Grid& grid);

/// Of an iteration on one device.
double one_device_seconds(const GridProblem& problem);

/// An epoch of Adam on the same devices, in seconds. All of its work divides without loss, the optimizer's too, and
/// sums of the gradient travel under the backward pass, two thirds of the work: no form of it can be faster.
struct AdamSeconds {
    double one_device = 0;
    double data_parallel = 0;
    double pipeline = 0;  // GPipe with 4 micro-batches a rank; 0 where there are more devices than layers
};
/// `epoch_s` is what one device took; 0: by counting.
AdamSeconds adam_seconds(const GridProblem& problem, int ranks, double epoch_s = 0);

}  // namespace pdadmm
