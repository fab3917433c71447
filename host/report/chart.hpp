// Curves and a heat map as SVG that needs no script to be read; a script may show values under the pointer.
#pragma once

#include <string>
#include <vector>

namespace pdadmm {

struct Curve {
    std::string label;
    std::vector<double> x, y;
    std::vector<double> low, high;  // the range over seeds, or nothing
    bool dots = false;              // points without a line
};

struct Chart {
    std::string title, x_label, y_label;
    bool logarithmic = false;  // values that are not above 0 are left out
    std::vector<Curve> curves;
    std::vector<double> marks;  // places along x where something began
    bool logarithmic_x = false;
    std::vector<std::string> x_names{};  // of the places 0, 1, ... along x, where those are no numbers
};

/// A <figure>; "" where no curve has a point.
std::string figure_of(const Chart& chart);

/// Values by row (from the top) and column, NaN where there is none; drawn by the logarithm.
struct HeatMap {
    std::string title, x_label, y_label, unit;
    std::vector<double> x;  // of the columns
    std::vector<std::vector<double>> rows;
};

std::string figure_of(const HeatMap& map);

/// At most `most` places among `count`, the first and the last among them.
std::vector<std::size_t> thinned(std::size_t count, std::size_t most);

/// About `most` round numbers from low to high; of a logarithmic axis 1, 2, 5 times powers of ten, or powers alone.
std::vector<double> ticks(double low, double high, bool logarithmic, std::size_t most);

}  // namespace pdadmm
