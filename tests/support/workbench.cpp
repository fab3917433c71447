// Guarded arguments and their comparison (tests/support/workbench.hpp).
#include "tests/support/workbench.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace pdadmm {

using reference::Array;

Slab::Slab(Backend& backend, std::vector<unsigned char> image, std::vector<bool> payload, std::string name)
    : memory_(backend, image), before_(std::move(image)), payload_(std::move(payload)), name_(std::move(name)) {}

std::string Slab::damage() const {
    const std::vector<unsigned char> now = read();
    for (std::size_t i = 0; i < now.size(); ++i)
        if (now[i] != before_[i] && (constant || !payload_[i]))
            return fmt::format("{}: byte {} of {} was written, {}", name_, i, now.size(),
                               payload_[i] ? "an input" : "a guard");
    return "";
}

Slab* Workbench::put(const std::string& name, const unsigned char* values, const std::vector<bool>& payload) {
    std::vector<unsigned char> image(payload.size() + 2 * guard_bytes, guard_byte);
    std::vector<bool> mask(image.size(), false);
    for (std::size_t i = 0; i < payload.size(); ++i)
        if (payload[i]) {
            image[guard_bytes + i] = values[i];
            mask[guard_bytes + i] = true;
        }
    slabs_.push_back(std::make_unique<Slab>(backend, std::move(image), std::move(mask), name));
    return slabs_.back().get();
}

Stack Workbench::from(const std::string& name, const std::vector<Array>& layers, Index gap, Index apart) {
    const Index rows = layers[0].rows, cols = layers[0].cols, ld = rows + gap,
                batch = static_cast<Index>(layers.size());
    const Index stride = ld * (cols + apart);
    std::vector<real> values(static_cast<std::size_t>(stride * batch));
    std::vector<bool> payload(values.size() * sizeof(real), false);
    Stack s{name, nullptr, {nullptr, rows, cols, ld, batch, stride}, layers};
    for (Index l = 0; l < batch; ++l)
        for (Index j = 0; j < cols; ++j)
            for (Index i = 0; i < rows; ++i) {
                const auto at = static_cast<std::size_t>(l * stride + j * ld + i);
                double& x = s.before[static_cast<std::size_t>(l)](i, j);
                values[at] = static_cast<real>(x);
                x = static_cast<double>(values[at]);
                std::fill_n(payload.begin() + static_cast<std::ptrdiff_t>(at * sizeof(real)), sizeof(real), true);
            }
    s.slab = put(name, reinterpret_cast<const unsigned char*>(values.data()), payload);
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
    for (std::size_t l = 0; l < layers.size(); ++l)
        for (Index j = 0; j < s.view.cols; ++j)
            for (Index i = 0; i < s.view.rows; ++i) {
                real x;
                const auto at =
                    static_cast<std::size_t>(static_cast<Index>(l) * s.view.stride + j * s.view.ld + i) * sizeof(real);
                std::memcpy(&x, bytes.data() + guard_bytes + at, sizeof x);
                layers[l](i, j) = static_cast<double>(x);
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
