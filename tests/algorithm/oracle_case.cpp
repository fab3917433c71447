// Reads an example, puts its initial state into a network, iterates and compares (tests/algorithm/oracle_case.hpp).
#include "tests/algorithm/oracle_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "host/admm/quantisers.hpp"
#include "host/train/evaluation.hpp"

namespace pdadmm {
namespace {

using Json = nlohmann::json;

/// rows x cols, as JSON lists of rows, to column-major.
std::vector<real> column_major(const Json& rows) {
    const std::size_t m = rows.size(), n = rows.at(0).size();
    std::vector<real> values(m * n);
    for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < n; ++j) values[j * m + i] = static_cast<real>(rows[i][j].get<double>());
    return values;
}

void put(Backend& be, const Json& rows, Mat to) {
    const std::vector<real> values = column_major(rows);
    be.upload(values.data(), to.data, values.size() * sizeof(real));
}

double relative_error(const std::vector<real>& values, const Json& rows) {
    const std::vector<real> expected = column_major(rows);
    double worst = 0, scale = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        worst = std::fmax(worst, std::fabs(static_cast<double>(values[i] - expected[i])));
        if (!std::isfinite(values[i])) return INFINITY;
        scale = std::fmax(scale, std::fabs(static_cast<double>(expected[i])));
    }
    return scale > 0 ? worst / scale : worst;
}

struct Worst {
    OracleError error;
    void see(double value, const std::string& where) {
        if (!(value <= error.error)) error = {where, value};
    }
};

void load_state(Backend& be, const Json& state, Network& net) {
    const int L = net.shape().layers;
    for (int layer = 1; layer <= L; ++layer) {
        const auto k = static_cast<std::size_t>(layer - 1);
        put(be, state["W"][k], layer == 1 && net.node_space() ? net.W0() : net.W(layer));
        put(be, state["b"][k], net.b(layer));
        put(be, state["z"][k], net.z(layer));
        if (layer > 1) put(be, state["p"][k], net.p(layer));
        if (layer == L) break;
        put(be, state["q"][k], net.q(layer));
        put(be, state["U"][k], net.u(layer));
    }
    if (net.node_space()) {
        double square = 0;
        for (const real w : column_major(state["W"][0])) square += static_cast<double>(w) * static_cast<double>(w);
        const NodeSpaceScalars scalars{1, square};
        be.upload(&scalars, net.node_scalars(), sizeof scalars);
        net.form_node_space();
    }
    for (LayerGroup& s : net.groups()) refresh_residual(be, s);
}

void compare_state(Backend& be, const Json& state, Network& net, int iteration, Worst& worst) {
    const int L = net.shape().layers;
    Ranks lone(be, {});
    Buffer<real> W1(be, net.shape().hidden * net.shape().inputs);
    const Mat view{W1.data(), net.shape().hidden, net.shape().inputs, net.shape().hidden};
    const auto formed = [&] {
        net.form_W1(view);
        return view;
    };
    const Model model = export_model(net, formed, lone);
    for (int layer = 1; layer <= L; ++layer) {
        const auto k = static_cast<std::size_t>(layer - 1);
        const auto where = [&](const char* name) {
            return fmt::format("iteration {}, {} of layer {}", iteration, name, layer);
        };
        worst.see(relative_error(model.W[k], state["W"][k]), where("W"));
        worst.see(relative_error(model.b[k], state["b"][k]), where("b"));
        worst.see(relative_error(download(be, net.z(layer)), state["z"][k]), where("z"));
        if (layer > 1) worst.see(relative_error(download(be, net.p(layer)), state["p"][k]), where("p"));
        if (layer == L) break;
        worst.see(relative_error(download(be, net.q(layer)), state["q"][k]), where("q"));
        worst.see(relative_error(download(be, net.u(layer)), state["U"][k]), where("u"));
    }
}

void compare_figures(Backend& be, const Json& expected, Network& net, int iteration, Worst& worst) {
    Controls k;
    be.download(net.controls(), &k, sizeof k);
    std::vector<LayerFigures> figures(static_cast<std::size_t>(net.shape().layers));
    be.download(net.figures(), figures.data(), figures.size() * sizeof(LayerFigures));
    const Objective sum = objective(figures, k);
    const auto see = [&](const char* name, double value) {
        const double reference = expected[name].get<double>();
        worst.see(std::fabs(value - reference) / std::fmax(std::fabs(reference), 1e-300),
                  fmt::format("iteration {}, {}", iteration, name));
    };
    see("risk", sum.risk);
    see("lagrangian", sum.lagrangian);
    see("primal_residual_sq", sum.primal_sq);
}

}  // namespace

OracleError compare_with_oracle(Backend& be, const std::string& path, FirstLayer first_layer, int most_stacked) {
    const Json doc = Json::parse(std::ifstream(path));
    const Json& c = doc["config"];
    AugmentedNodes nodes;
    nodes.inputs = c["n0"];
    nodes.classes = c["C"];
    nodes.counts = {c["N"], 0, 0};
    nodes.X = column_major(doc["X"]);
    nodes.labels = doc["labels"].get<std::vector<std::int32_t>>();
    if (doc.contains("targets"))
        for (const real t : column_major(doc["targets"])) nodes.targets.push_back(t > 0 ? 1 : 0);
    if (c.contains("weights")) nodes.class_weights = c["weights"].get<std::vector<double>>();
    const NodeData data(be, nodes);

    Rules rules;
    rules.step.rule = c["step"] == "exact"   ? StepRule::exact
                      : c["step"] == "block" ? StepRule::block
                                             : StepRule::backtracking;
    rules.refresh_every = 0;  // the carried residual itself is what is compared
    Buffer<real> levels;
    if (c["quant"] != "none" && c.value("codec", "grid") == "difference") {
        rules.p = {Codec::difference, c["bits"], nullptr, 0,
                   c.value("scale", "max") == "rms" ? ChangeScale::rms : ChangeScale::max};
    } else if (c["quant"] != "none") {
        const double lo = c["lo"], hi = c["hi"];
        levels = Buffer<real>(be, [&] {
            const std::vector<double> ascending = uniform_levels(lo, hi, c["m"]);
            return std::vector<real>(ascending.begin(), ascending.end());
        }());
        rules.p = {Codec::grid, wire_bits(static_cast<std::size_t>(levels.count())), levels.data(),
                   static_cast<std::int32_t>(levels.count())};
    }
    if (c["quant"] == "pq") rules.q = rules.p;
    NetworkOptions options{first_layer, most_stacked, rules.p.codec != Codec::none};
    if (c.value("decay", "zero") == "identity") options.decay = DecayTo::identity;
    Network net(be, {c["L"], c["n0"], c["n"], c["C"], c["N"], rules.step.rule}, data, options);
    const Controls k{c["rho"].get<real>(), c["nu"].get<real>(), c["mu"].get<real>(), 0, 0};
    be.upload(&k, net.controls(), sizeof k);
    load_state(be, doc["initial"], net);

    Worst worst;
    int iteration = 0;
    for (const Json& expected : doc["iterations"]) {
        ++iteration;
        iterate(be, net.groups(), net.controls(), rules);
        compare_state(be, expected["state"], net, iteration, worst);
        compare_figures(be, expected["figures"], net, iteration, worst);
    }
    return worst.error;
}

std::vector<std::string> oracle_files(const std::string& folder) {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().extension() == ".json") files.push_back(entry.path().string());
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace pdadmm
