// A heat map as SVG (host/report/chart.hpp): rows from the top, nine steps of colour along the logarithm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/report/chart.hpp"
#include "host/report/html.hpp"

namespace pdadmm {
namespace {

constexpr int steps = 9;  // colours h0 to h8 of the page's style
constexpr double width = 860, left = 52, right = 848, row_height = 18, top = 6;

int step_of(double value, double low, double high) {
    if (!(high > low)) return steps / 2;
    const double place = (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
    return std::clamp(static_cast<int>(place * steps), 0, steps - 1);
}

}  // namespace

std::string figure_of(const HeatMap& map) {
    double low = INFINITY, high = 0;
    for (const auto& row : map.rows)
        for (const double v : row)
            if (std::isfinite(v) && v > 0) low = std::min(low, v), high = std::max(high, v);
    if (map.x.empty() || !(high > 0)) return {};
    const double each = std::min(row_height, 400 / static_cast<double>(map.rows.size())),
                 bottom = top + each * static_cast<double>(map.rows.size()),
                 column = (right - left) / static_cast<double>(map.x.size());
    const auto shade_of = [&](double v) { return std::isfinite(v) && v > 0 ? step_of(v, low, high) : -1; };
    std::string cells;
    for (std::size_t r = 0; r < map.rows.size(); ++r) {
        const double y = top + each * static_cast<double>(r);
        if (map.rows.size() <= 24 || r % (map.rows.size() / 12) == 0)
            cells +=
                fmt::format("<text x=\"{}\" y=\"{:.1f}\" class=\"end\">{}</text>\n", left - 5, y + each / 2 + 4, r + 1);
        for (std::size_t c = 0; c < map.x.size();) {  // cells of one colour are one
            const int shade = shade_of(map.rows[r][c]);
            std::size_t end = c + 1;
            while (end < map.x.size() && shade_of(map.rows[r][end]) == shade) ++end;
            if (shade >= 0)
                cells +=
                    fmt::format("<path class=\"h{}\" d=\"M{:.1f} {:.1f}h{:.2f}v{:.2f}H{:.1f}z\"/>\n", shade,
                                left + column * static_cast<double>(c), y, column * static_cast<double>(end - c) + 0.3,
                                each - 1, left + column * static_cast<double>(c));
            c = end;
        }
    }
    for (const std::size_t c : thinned(map.x.size(), 9))
        cells += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"middle\">{}</text>\n",
                             left + column * (static_cast<double>(c) + 0.5), bottom + 15, number_text(map.x[c]));
    std::string key;
    for (int k = 0; k < steps; ++k) {
        const double begin = low * std::pow(high / low, static_cast<double>(k) / steps);
        key += fmt::format(
            "<li><svg aria-hidden=\"true\" viewBox=\"0 0 14 10\"><path class=\"h{}\" d=\"M0 0h14v10H0z\"/>"
            "</svg>{}</li>",
            k, number_text(begin));
    }
    return fmt::format(
        "<figure class=\"heat\"><figcaption>{0} <span>{1}</span></figcaption><ul class=\"key\">{2}</ul><div "
        "class=\"wide\">"
        "<svg viewBox=\"0 0 {3} {4:.0f}\" role=\"img\" aria-label=\"{0}: {1} of {5} {6} over {7} {8}, from {9} to "
        "{10}.\">"
        "\n{11}<text x=\"{12}\" y=\"{13:.1f}\" class=\"middle\">{8}</text></svg></div></figure>\n",
        escaped(map.title), escaped(map.unit), key, width, bottom + 36, map.rows.size(), escaped(map.y_label),
        map.x.size(), escaped(map.x_label), number_text(low), number_text(high), cells, (left + right) / 2,
        bottom + 32);
}

}  // namespace pdadmm
