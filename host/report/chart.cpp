// Curves as SVG (host/report/chart.hpp). Coordinates are those of a box of 420 x 240; the page scales it.
#include "host/report/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "host/report/html.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

constexpr double width = 420, height = 240, left = 52, right = 408, top = 12, bottom = 204;

/// An axis: values to coordinates.
struct Scale {
    double low, high, from, to;
    bool logarithmic;

    double operator()(double value) const {
        const auto f = [this](double v) { return logarithmic ? std::log10(v) : v; };
        return from + (f(value) - f(low)) / (f(high) - f(low)) * (to - from);
    }
};

bool drawn(double value, bool logarithmic) { return std::isfinite(value) && (!logarithmic || value > 0); }

/// The range of all values, widened where it is a single one.
Scale scale_of(const std::vector<double>& values, bool logarithmic, double from, double to) {
    double low = INFINITY, high = -INFINITY;
    for (const double v : values)
        if (drawn(v, logarithmic)) low = std::min(low, v), high = std::max(high, v);
    const double least = 1e-9 * std::max(std::fabs(low), std::fabs(high));  // below it values differ by rounding
    if (!(high - low > least)) {
        low = logarithmic ? low / 2 : low - 0.5;
        high = logarithmic ? high * 2 : high + 0.5;
    }
    return {low, high, from, to, logarithmic};
}

std::string points(const Curve& curve, const std::vector<double>& values, const Scale& x, const Scale& y) {
    std::string path;
    for (std::size_t i = 0; i < curve.x.size(); ++i)
        if (drawn(curve.x[i], x.logarithmic) && drawn(values[i], y.logarithmic))
            path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(curve.x[i]), y(values[i]));
    return path;
}

std::string band(const Curve& curve, const Scale& x, const Scale& y) {
    std::string path = points(curve, curve.high, x, y);
    for (std::size_t i = curve.x.size(); i-- > 0;)
        if (drawn(curve.low[i], y.logarithmic)) path += fmt::format("L{:.1f} {:.1f}", x(curve.x[i]), y(curve.low[i]));
    return path + "Z";
}

std::string dots(const Curve& curve, std::size_t colour, const Scale& x, const Scale& y) {
    std::string text;
    for (std::size_t i = 0; i < curve.x.size(); ++i)
        if (drawn(curve.x[i], x.logarithmic) && drawn(curve.y[i], y.logarithmic))
            text += fmt::format("<circle class=\"dot c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>\n", colour,
                                x(curve.x[i]), y(curve.y[i]));
    return text;
}

/// Ticks of x, or the names of its places.
std::string x_labels(const Chart& chart, const Scale& x) {
    std::string text;
    const auto put = [&](double at, const std::string& words) {
        text +=
            fmt::format("<text x=\"{:.1f}\" y=\"{}\" class=\"middle\">{}</text>\n", x(at), bottom + 15, escaped(words));
    };
    for (std::size_t i = 0; i < chart.x_names.size(); ++i) put(static_cast<double>(i), chart.x_names[i]);
    if (chart.x_names.empty())
        for (const double v : ticks(x.low, x.high, x.logarithmic, 6)) put(v, number_text(v));
    return text;
}

std::string axes(const Chart& chart, const Scale& x, const Scale& y) {
    std::string text;
    for (const double v : ticks(y.low, y.high, y.logarithmic, 5))
        text += fmt::format(
            "<path class=\"grid\" d=\"M{0} {1:.1f}H{2}\"/><text x=\"{3}\" y=\"{4:.1f}\" class=\"end\">{5}"
            "</text>\n",
            left, y(v), right, left - 5, y(v) + 4, number_text(v));
    text += x_labels(chart, x);
    for (const double v : chart.marks)
        text += fmt::format("<path class=\"mark\" d=\"M{:.1f} {}V{}\"/>\n", x(v), top, bottom);
    return text + fmt::format(
                      "<path class=\"axis\" d=\"M{0} {1}V{2}H{3}\"/>"
                      "<text x=\"{4}\" y=\"{5}\" class=\"middle\">{6}</text>\n",
                      left, top, bottom, right, (left + right) / 2, height - 4, escaped(chart.x_label));
}

/// What the script shows under the pointer. "<" is written so that no text can end the element.
std::string data_of(const Chart& chart, const Scale& x) {
    Json data{{"left", left}, {"right", right},   {"low", x.low},       {"high", x.high},
              {"top", top},   {"bottom", bottom}, {"x", chart.x_label}, {"curves", Json::array()}};
    if (x.logarithmic) data["log"] = true;
    if (!chart.x_names.empty()) data["names"] = chart.x_names;
    for (const Curve& curve : chart.curves) {
        Json y = Json::array(), at = Json::array();
        for (std::size_t i = 0; i < curve.x.size(); ++i) {
            at.push_back(curve.x[i]);
            y.push_back(number_text(curve.y[i]));
        }
        data["curves"].push_back({{"label", curve.label}, {"x", std::move(at)}, {"y", std::move(y)}});
    }
    std::string text = data.dump(-1, ' ', true, Json::error_handler_t::replace);
    for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos; at += 6) text.replace(at, 1, "\\u003c");
    return "<script type=\"application/json\">" + text + "</script>";
}

/// A piece of the curve, or a dot of it.
std::string sample_of(const Curve& curve, std::size_t colour) {
    return curve.dots ? fmt::format("<circle class=\"dot c{}\" cx=\"13\" cy=\"5\" r=\"4\"/>", colour)
                      : fmt::format("<path class=\"line c{}\" d=\"M0 5H26\"/>", colour);
}

std::string key_of(const std::vector<Curve>& curves) {
    std::string text = "<ul class=\"key\">";
    for (std::size_t k = 0; k < curves.size(); ++k)
        text += fmt::format("<li><svg aria-hidden=\"true\" viewBox=\"0 0 26 10\">{}</svg>{}</li>",
                            sample_of(curves[k], k % 8), escaped(curves[k].label));
    return text + "</ul>";
}

/// What a curve does, for those who cannot see it.
std::string spoken(const Chart& chart) {
    std::string text = fmt::format("{}, {} against {}.", chart.title, chart.y_label, chart.x_label);
    for (const Curve& c : chart.curves)
        text += c.dots ? fmt::format(" {}: {} points from {} to {}.", c.label, c.y.size(),
                                     number_text(*std::min_element(c.y.begin(), c.y.end())),
                                     number_text(*std::max_element(c.y.begin(), c.y.end())))
                       : fmt::format(" {}: from {} to {}.", c.label, number_text(c.y.front()), number_text(c.y.back()));
    return text;
}

}  // namespace

std::vector<std::size_t> thinned(std::size_t count, std::size_t most) {
    std::vector<std::size_t> places;
    const std::size_t kept = std::min(count, most);
    for (std::size_t i = 0; i < kept; ++i) places.push_back(kept < 2 ? 0 : i * (count - 1) / (kept - 1));
    return places;
}

std::vector<double> ticks(double low, double high, bool logarithmic, std::size_t most) {
    std::vector<double> found;
    if (logarithmic) {
        const int first = static_cast<int>(std::floor(std::log10(low))),
                  last = static_cast<int>(std::ceil(std::log10(high)));
        for (const auto& steps : {std::vector<double>{1, 2, 5}, std::vector<double>{1, 3}, std::vector<double>{1}}) {
            found.clear();
            for (int k = first; k <= last; ++k)
                for (const double s : steps)
                    if (const double v = s * std::pow(10, k); v >= low && v <= high) found.push_back(v);
            if (found.size() <= most) break;
        }
        std::vector<double> kept;
        const std::size_t every = (found.size() + most - 1) / most;
        for (std::size_t i = 0; i < found.size(); i += std::max<std::size_t>(1, every)) kept.push_back(found[i]);
        return kept;
    }
    const double rough = (high - low) / static_cast<double>(most), power = std::pow(10, std::floor(std::log10(rough)));
    double step = 10 * power;
    for (const double s : {1.0, 2.0, 2.5, 5.0})
        if (s * power >= rough) {
            step = s * power;
            break;
        }
    const double first = std::ceil(low / step);
    for (std::size_t i = 0; i <= 2 * most; ++i)  // of a step that is nothing beside `low` there would be no end
        if (const double v = (first + static_cast<double>(i)) * step; v <= high + 1e-9 * step) found.push_back(v);
    return found;
}

std::string figure_of(const Chart& chart) {
    Chart shown = chart;
    std::erase_if(shown.curves, [](const Curve& c) { return c.x.empty(); });
    if (shown.curves.empty()) return {};
    std::vector<double> xs, ys;
    for (const Curve& c : shown.curves) {
        xs.insert(xs.end(), c.x.begin(), c.x.end());
        for (const auto* values : {&c.y, &c.low, &c.high}) ys.insert(ys.end(), values->begin(), values->end());
    }
    if (const auto names = static_cast<double>(chart.x_names.size()); names > 0) xs = {-0.5, names - 0.5};
    const Scale x = scale_of(xs, chart.logarithmic_x, left + 4, right),
                y = scale_of(ys, chart.logarithmic, bottom - 4, top + 4);
    std::string lines;
    for (std::size_t k = 0; k < shown.curves.size(); ++k) {
        const Curve& c = shown.curves[k];
        if (!c.low.empty()) lines += fmt::format("<path class=\"band c{}\" d=\"{}\"/>\n", k % 8, band(c, x, y));
        lines += c.dots ? dots(c, k % 8, x, y)
                        : fmt::format("<path class=\"line c{}\" d=\"{}\"/>\n", k % 8, points(c, c.y, x, y));
    }
    return fmt::format(
        "<figure class=\"chart\"><figcaption>{} <span>{}</span></figcaption>{}"
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" tabindex=\"0\" aria-label=\"{}\">\n{}{}"
        "<path class=\"cursor\"/></svg><output aria-live=\"polite\">&nbsp;</output>{}</figure>\n",
        escaped(chart.title), escaped(chart.y_label), shown.curves.size() > 1 ? key_of(shown.curves) : "", width,
        height, escaped(spoken(shown)), axes(shown, x, y), lines, data_of(shown, x));
}

}  // namespace pdadmm
