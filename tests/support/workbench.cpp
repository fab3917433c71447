// Guarded arguments and their comparison (tests/support/workbench.hpp).
#include "tests/support/workbench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace pdadmm {

using reference::Array;

Slab::Slab(Backend& backend, std::vector<unsigned char> image, std::vector<Span> payload, std::string name)
    : memory_(backend, image), before_(std::move(image)), payload_(std::move(payload)), name_(std::move(name)) {}

std::string Slab::damage() const {
    const std::vector<unsigned char> now = read();
    std::vector<unsigned char> allowed = before_;
    for (const auto& [at, size] : payload_)
        if (!constant) std::copy_n(now.data() + at, size, allowed.data() + at);
    if (now == allowed) return "";
    const auto i = static_cast<std::size_t>(std::mismatch(now.begin(), now.end(), allowed.begin()).first - now.begin());
    const bool input =
        std::any_of(payload_.begin(), payload_.end(), [&](const Span& span) { return i - span.at < span.size; });
    return fmt::format("{}: byte {} of {} was written, {}", name_, i, now.size(), input ? "an input" : "a guard");
}

Slab* Workbench::put(const std::string& name, const unsigned char* values, std::size_t bytes,
                     std::vector<Span> payload) {
    std::vector<unsigned char> image(bytes + 2 * guard_bytes, guard_byte);
    for (auto& [at, size] : payload) {
        std::copy_n(values + at, size, image.data() + guard_bytes + at);
        at += guard_bytes;
    }
    slabs_.push_back(std::make_unique<Slab>(backend, std::move(image), std::move(payload), name));
    return slabs_.back().get();
}

Stack Workbench::from(const std::string& name, const std::vector<Array>& layers, Index gap, Index apart) {
    const Index rows = layers[0].rows, cols = layers[0].cols, ld = rows + gap,
                batch = static_cast<Index>(layers.size());
    const Index stride = ld * (cols + apart);
    std::vector<real> values(static_cast<std::size_t>(stride * batch));
    std::vector<Span> payload;  // a column each
    Stack s{name, nullptr, {nullptr, rows, cols, ld, batch, stride}, layers};
    for (Index l = 0; l < batch; ++l)
        for (Index j = 0; j < cols; ++j) {
            const auto at = static_cast<std::size_t>(l * stride + j * ld);
            double* column = s.before[static_cast<std::size_t>(l)].values.data() + j * rows;
            for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
                values[at + i] = static_cast<real>(column[i]);
                column[i] = static_cast<double>(values[at + i]);
            }
            payload.push_back({at * sizeof(real), static_cast<std::size_t>(rows) * sizeof(real)});
        }
    s.slab = put(name, reinterpret_cast<const unsigned char*>(values.data()), values.size() * sizeof(real),
                 std::move(payload));
    s.view.data = reinterpret_cast<real*>(s.slab->data() + guard_bytes);
    return s;
}

Stack Workbench::stack(const std::string& name, Index rows, Index cols, Index batch, double scale, Index gap,
                       Index apart) {
    std::vector<Array> layers(static_cast<std::size_t>(batch), Array(rows, cols));
    for (Array& a : layers)
        for (double& x : a.values) x = random() % 16 == 0 ? 0 : scale * normal();
    return from(name, layers, gap, apart);
}

std::vector<Array> Workbench::read(Stack& s) {
    s.slab->constant = false;
    const std::vector<unsigned char> bytes = s.slab->read();
    std::vector<Array> layers(s.before.size(), Array(s.view.rows, s.view.cols));
    std::vector<real> column(static_cast<std::size_t>(s.view.rows));
    for (std::size_t l = 0; l < layers.size(); ++l)
        for (Index j = 0; j < s.view.cols; ++j) {
            const auto at = static_cast<std::size_t>(static_cast<Index>(l) * s.view.stride + j * s.view.ld);
            if (!column.empty())
                std::memcpy(column.data(), bytes.data() + guard_bytes + at * sizeof(real),
                            column.size() * sizeof(real));
            std::copy(column.begin(), column.end(), layers[l].values.data() + j * s.view.rows);
        }
    return layers;
}

void Workbench::expect(Stack& s, const std::vector<Array>& expected, const std::vector<Array>& magnitude,
                       double units) {
    const std::vector<Array> now = read(s);
    for (std::size_t l = 0; l < now.size(); ++l)
        for (std::size_t i = 0; i < now[l].size(); ++i) {
            const double bound =
                units * static_cast<double>(std::numeric_limits<real>::epsilon()) * magnitude[l].values[i];
            const double off = std::fabs(now[l].values[i] - expected[l].values[i]);
            if (off <= bound) {
                if (bound > 0) worst = std::fmax(worst, off / bound);
                continue;
            }
            findings.push_back(fmt::format("{}: layer {}, element {}: {:.9g}, expected {:.9g} +- {:.2g}", s.name, l, i,
                                           now[l].values[i], expected[l].values[i], bound));
            break;
        }
}

void Workbench::expect(const std::string& what, double value, double expected, double bound) {
    const double off = std::fabs(value - expected);
    if (off <= bound) {
        if (bound > 0) worst = std::fmax(worst, off / bound);
        return;
    }
    if (value == expected) return;  // both infinite
    findings.push_back(fmt::format("{}: {:.9g}, expected {:.9g} +- {:.2g}", what, value, expected, bound));
}

void Workbench::expect_guards() {
    for (const auto& slab : slabs_)
        if (const std::string damage = slab->damage(); !damage.empty()) findings.push_back(damage);
}

std::vector<std::vector<unsigned char>> Workbench::image() const {
    std::vector<std::vector<unsigned char>> all;
    for (const auto& slab : slabs_) all.push_back(slab->read());
    return all;
}

}  // namespace pdadmm
