// Forward passes (host/train/evaluation.hpp). Shapes: activations (n, columns) in two buffers that take turns.
#include "host/train/evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "host/train/metric.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr Index forward_columns = 4096;

/// a_l for the layers of `own` above 1 from the activation before them in `x`; returns the view of the last.
template <typename Weights, typename Bias>
Mat forward_hidden(Backend& be, const NetworkShape& shape, LayerRange own, Weights&& W, Bias&& b, Mat x, real* spare) {
    real* from = x.data;
    for (int layer = std::max(2, own.first); layer <= own.last; ++layer) {
        const Index rows = shape.rows(layer);
        const Mat y{spare, rows, x.cols, rows};
        be.gemm(Trans::no, Trans::no, 1, W(layer), x, 0, y, Precision::split);
        be.add_bias(b(layer), layer == shape.layers, y);
        spare = from;
        from = y.data;
        x = y;
    }
    return x;
}

Index columns_at_once(const NodeData& data) { return std::min(forward_columns, std::max<Index>(1, data.nodes())); }

}  // namespace

std::size_t Evaluator::buffer_bytes(const NodeData& data, Index hidden) {
    return static_cast<std::size_t>(std::max(hidden, data.classes()) * columns_at_once(data)) * sizeof(real);
}

Evaluator::Evaluator(Backend& backend, const NodeData& data, Index hidden, Ranks& ranks, Metric metric, bool often)
    : backend_(backend),
      data_(data),
      ranks_(ranks),
      metric_(metric),
      often_(often),
      block_(columns_at_once(data)),
      ranges_(std::max({data.range_numbers(0).count, data.range_numbers(1).count, data.range_numbers(2).count})),
      even_(backend, std::max(hidden, data.classes()) * block_),
      odd_(backend, std::max(hidden, data.classes()) * block_),
      tallies_(backend, 3 * ranges_) {}

Tally* Evaluator::tally_of(std::size_t set, Index column) const {
    for (std::size_t before = 0; before < set; ++before) column -= data_.held()[before];
    return tallies_.data() + static_cast<Index>(set) * ranges_ +
           (data_.ranged() ? data_.ranges_here(set).of(column) : 0);
}

Evaluator::Layers Evaluator::layers_of(Network& net, const std::function<CMat()>& W1) {
    const bool products_of_all = often_ || products_pay_for_test(net.shape());
    net.gather_S();
    const auto first = [this, &net, W1, products_of_all](Index column, Mat a) {
        const bool train = column < data_.held()[0], test = column >= data_.held()[0] + data_.held()[1],
                   centred = net.plan().first.centred(), by_graph = net.plan().first.by_graph;
        if (net.node_space() && train && (centred || by_graph)) {
            backend_.copy(net.V().columns(column, a.cols), a);
        } else if (by_graph) {  // evaluate() has put W1 there
            data_.by_graph(backend_, a.rows)->multiply({data_.place_of(column), a.cols}, a);
        } else if (net.node_space() && (!test || products_of_all)) {  // W1 X = c W1_0 X - S X_train' X
            backend_.copy(net.V0().columns(column, a.cols), a);
            backend_.scale_by_c(net.node_scalars(), a);
            backend_.gemm(Trans::no, Trans::no, -1, net.S_of_all(), data_.gram(backend_, {column, a.cols}, centred), 1,
                          a);
        } else {
            backend_.gemm(Trans::no, Trans::no, 1, net.node_space() ? W1() : CMat(net.W(1)),
                          data_.X().columns(column, a.cols), 0, a, Precision::split);
        }
    };
    return {net.layers(), first, [&net](int l) { return net.W(l); }, [&net](int l) { return net.b(l); },
            !net.node_space() || products_of_all || net.plan().first.by_graph};
}

Evaluator::Layers Evaluator::layers_of(const Parameters& net, LayerRange own) {
    const auto first = [this, net](Index column, Mat a) {
        if (net.shape.graph_entries > 0)  // evaluate() has put W1 there
            return data_.by_graph(backend_, a.rows)->multiply({data_.place_of(column), a.cols}, a);
        backend_.gemm(Trans::no, Trans::no, 1, net.W[0], data_.X().columns(column, a.cols), 0, a, Precision::split);
    };
    return {own, first, [net](int l) { return net.W[static_cast<std::size_t>(l - 1)]; },
            [net](int l) { return net.b[static_cast<std::size_t>(l - 1)]; }};
}

template <typename Use>
void Evaluator::each_set(Index first, Index count, Use&& use) const {
    Index begin = 0;
    for (std::size_t set = 0; set < data_.held().size(); begin += data_.held()[set++]) {
        const Index from = std::max(begin, first), to = std::min(begin + data_.held()[set], first + count);
        if (from < to) use(set, from, to - from);
    }
}

void Evaluator::forward(const NetworkShape& shape, const Layers& layers, Index first, Index count,
                        std::vector<real>* keep) {
    const LayerRange own = layers.own;
    const Index n = shape.hidden;
    if (own.count() == 0) return;
    for (Index end = first + count; first < end; first += block_) {
        const Mat a{even_.data(), n, std::min(block_, end - first), n};
        if (own.has(1)) {
            each_set(first, a.cols, [&](std::size_t, Index from, Index columns) {
                layers.first(from, a.columns(from - first, columns));
            });
            backend_.add_bias(layers.b(1), false, a);
        } else {
            ranks_.receive_left(a);
        }
        const Mat out = forward_hidden(backend_, shape, own, layers.W, layers.b, a, odd_.data());
        if (!own.has(shape.layers)) {
            ranks_.send_right(out);
            continue;
        }
        each_set(first, out.cols, [&](std::size_t set, Index from, Index columns) {
            backend_.classify(out.columns(from - first, columns), data_.labels().from(from, data_.classes()),
                              tally_of(set, from));
        });
        if (!keep) continue;
        const std::vector<real> logits = download(backend_, out);
        keep->insert(keep->end(), logits.begin(), logits.end());
    }
}

void Evaluator::forward(const NetworkShape& shape, const Layers& layers, const NodeSets& sets,
                        std::vector<real>* keep) {
    backend_.zero(tallies_.data(), static_cast<std::size_t>(tallies_.count()) * sizeof(Tally));
    Index first = 0, count = 0;
    for (std::size_t set = 0; data_.ranged() && set < 3; first += data_.held()[set++]) {
        const NodeRanges here = data_.ranges_here(set);
        for (Index range = 0; sets[set] && data_.held()[set] > 0 && range < here.count; ++range)
            forward(shape, layers, first + here.first(range), here.size(range), keep);
    }
    if (data_.ranged()) return;
    for (std::size_t set = 0; set < 3; ++set) {
        if (sets[set]) {
            count += data_.held()[set];
            continue;
        }
        forward(shape, layers, first, count, keep);
        first += count + data_.held()[set];
        count = 0;
    }
    forward(shape, layers, first, count, keep);
}

const double* Evaluator::training_cost(Network& net) {
    if (!data_.ranged()) {
        backend_.zero(tallies_.data(), 3 * sizeof(Tally));
        forward(net.shape(), layers_of(net, {}), 0, data_.train());
        return &tallies_.data()->cost;
    }
    forward(net.shape(), layers_of(net, {}), {true, false, false}, nullptr);
    std::vector<double> costs;
    for (const Tally& tally : tallies_.download()) costs.push_back(tally.cost);
    costs.resize(static_cast<std::size_t>(data_.held_ranges()));
    if (net.layers().has(net.shape().layers)) ranks_.add_over_nodes(costs);
    backend_.upload(costs.data(), &tallies_.data()->cost, sizeof(double));
    return &tallies_.data()->cost;
}

double Evaluator::measured(std::span<const real> logits, Index first) {
    const std::size_t classes = static_cast<std::size_t>(data_.classes()), nodes = logits.size() / classes;
    return data_.multi_label()
               ? measured(
                     logits,
                     std::span(data_.host_targets()).subspan(static_cast<std::size_t>(first) * classes, logits.size()))
               : measured(logits, std::span(data_.host_labels()).subspan(static_cast<std::size_t>(first), nodes));
}

template <typename T>
double Evaluator::measured(std::span<const real> logits, std::span<const T> truth) {
    if (!data_.divided()) return truth.empty() ? 0 : measure(metric_, data_.classes(), logits, truth);
    if (data_.owned())
        throw Error(ExitCode::internal, "logits of nodes were asked for that must not leave their owner");
    // A node after the other: its logits, and its label or all of them.
    const auto classes = static_cast<std::size_t>(data_.classes()), nodes = logits.size() / classes,
               width = data_.multi_label() ? classes : std::size_t{1};
    std::vector<double> own;
    for (std::size_t i = 0; i < nodes; ++i) {
        for (const real z : logits.subspan(i * classes, classes)) own.push_back(static_cast<double>(z));
        for (const T t : truth.subspan(i * width, width)) own.push_back(static_cast<double>(t));
    }
    const std::vector<double> all = ranks_.gather(own);
    if (ranks_.rank() != 0 || all.empty()) return 0;
    std::vector<real> all_logits;
    std::vector<T> all_truth;
    for (std::size_t at = 0; at < all.size(); at += classes + width) {
        for (std::size_t c = 0; c < classes; ++c) all_logits.push_back(static_cast<real>(all[at + c]));
        for (std::size_t c = 0; c < width; ++c) all_truth.push_back(static_cast<T>(all[at + classes + c]));
    }
    return measure(metric_, data_.classes(), all_logits, std::span<const T>(all_truth));
}

std::array<double, 3> Evaluator::measured(const std::vector<real>& logits, const NodeSets& sets) {
    std::array<double, 3> metrics{};
    auto at = logits.begin();
    Index first = 0;
    for (std::size_t set = 0; set < 3; first += data_.held()[set++]) {
        if (!sets[set]) continue;
        const auto end = logits.empty() ? at : at + static_cast<std::ptrdiff_t>(data_.held()[set] * data_.classes());
        metrics[set] = measured(std::span(at, end), first);
        at = end;
    }
    return metrics;
}

Evaluation Evaluator::evaluate(const NetworkShape& shape, const Layers& layers, const NodeSets& sets) {
    std::array<double, 3> metrics{};
    const bool tallied = metric_ == Metric::accuracy || metric_ == Metric::micro_f1;
    if (ranks_.several() || !tallied || (sets[2] && !layers.recordable)) {
        std::vector<real> logits;
        forward(shape, layers, sets, tallied ? nullptr : &logits);
        if (!tallied) metrics = measured(logits, sets);
    } else {
        std::unique_ptr<Phase>& recorded = recorded_[sets];
        if (!recorded) recorded = backend_.record([=, this] { forward(shape, layers, sets, nullptr); });
        recorded->run();
    }
    std::vector<double> own;
    const std::vector<Tally> tallies = tallies_.download();
    for (std::size_t set = 0; set < 3 && layers.own.has(shape.layers); ++set)
        for (Index range = 0; range < data_.range_numbers(set).count; ++range) {
            const Tally& tally = tallies[set * static_cast<std::size_t>(ranges_) + static_cast<std::size_t>(range)];
            own.insert(own.end(), {tally.correct, tally.cost, tally.hits, tally.marks});
        }
    const std::array<Tally, 3> totals = total(ranks_.gather(own));
    std::vector<double> metrics_found;
    if (!tallied)
        metrics_found = ranks_.gather(std::vector<double>(metrics.begin(), metrics.end()));  // zeros of all but one
    Evaluation result;
    for (std::size_t set = 0; set < 3; ++set) {
        const auto nodes = sets[set] ? static_cast<double>(data_.counts()[set]) : 0;
        double metric = 0;
        for (std::size_t at = set; at < metrics_found.size(); at += 3) metric += metrics_found[at];
        result.accuracy[set] = nodes > 0 ? totals[set].correct / nodes : NAN;
        result.cost[set] = nodes > 0 ? totals[set].cost / nodes : NAN;
        result.metric[set] = metric_ == Metric::accuracy || nodes == 0 ? result.accuracy[set]
                             : tallied                                 ? 2 * totals[set].hits / totals[set].marks
                                                                       : metric;
    }
    return result;
}

std::array<Tally, 3> Evaluator::total(const std::vector<double>& tallies) const {
    std::array<std::vector<double>, 3> costs;
    std::array<Tally, 3> totals{};
    std::size_t at = 0;
    for (int block = 0; at < tallies.size(); ++block)
        for (std::size_t set = 0; set < 3; ++set) {
            const NodeBlock of{block, data_.block().blocks};
            const Index ranges = data_.ranged() ? of.ranges_of(data_.ranges(set)).count : 1;
            for (Index range = 0; range < ranges; ++range, at += 4) {
                totals[set].correct += tallies[at];
                costs[set].push_back(tallies[at + 1]);
                totals[set].hits += tallies[at + 2];
                totals[set].marks += tallies[at + 3];
            }
        }
    for (std::size_t set = 0; set < 3; ++set) {
        std::vector<double>& of_set = costs[set];
        const auto add = [&](Index i, Index j) {
            of_set[static_cast<std::size_t>(i)] += of_set[static_cast<std::size_t>(j)];
        };
        const auto count = static_cast<Index>(of_set.size());
        if (data_.ranged())
            add_along_tree(count, add);
        else  // parts of ranks that divide the nodes by their number, in order
            for (Index part = 1; part < count; ++part) add(0, part);
        totals[set].cost = of_set.empty() ? 0 : of_set[0];
    }
    return totals;
}

Model export_model(Network& net, const std::function<CMat()>& W1, Ranks& ranks) {
    Model model{net.shape(), {}, {}};
    net.gather_S();
    for (int layer = 1; layer <= net.shape().layers; ++layer) {
        if (layer == 1 && net.node_space()) {
            if (!net.layers().has(1)) {
                model.W.emplace_back();
                model.b.emplace_back();
                continue;
            }
            model.W.push_back(download(net.backend(), W1()));
        } else {
            model.W.push_back(ranks.collect(net.W(layer), layer));
        }
        model.b.push_back(ranks.collect(net.b(layer), layer));
    }
    return model;
}

Model export_model(const Parameters& net, Ranks& ranks) {
    Model model{net.shape, {}, {}};
    for (int layer = 1; layer <= net.shape.layers; ++layer) {
        const auto k = static_cast<std::size_t>(layer - 1);
        model.W.push_back(ranks.collect(net.W[k], layer));
        model.b.push_back(ranks.collect(net.b[k], layer));
    }
    return model;
}

ForwardPass::ForwardPass(Backend& backend, const Model& model, int last)
    : backend_(backend), shape_(model.shape), last_(last) {
    for (std::size_t k = 0; k < static_cast<std::size_t>(last); ++k) {
        W_.emplace_back(backend, model.W[k]);
        b_.emplace_back(backend, model.b[k]);
    }
}

std::vector<real> ForwardPass::operator()(std::span<const real> X) const {
    const Index inputs = shape_.inputs, nodes = static_cast<Index>(X.size()) / inputs, outputs = rows();
    const Index block = std::min(columns, std::max<Index>(1, nodes)), widest = std::max(shape_.hidden, shape_.classes);
    const auto view = [&](const std::vector<Buffer<real>>& parts, int layer, Index cols) {
        return Mat{parts[static_cast<std::size_t>(layer - 1)].data(), shape_.rows(layer), cols, shape_.rows(layer)};
    };
    const auto W = [&](int layer) { return view(W_, layer, shape_.cols(layer)); };
    const auto b = [&](int layer) { return view(b_, layer, 1); };
    const Buffer<real> x(backend_, inputs * block), even(backend_, widest * block), odd(backend_, widest * block);
    std::vector<real> result(static_cast<std::size_t>(outputs * nodes));
    for (Index first = 0; first < nodes; first += block) {
        const Index count = std::min(block, nodes - first);
        backend_.upload(X.data() + first * inputs, x.data(), static_cast<std::size_t>(count * inputs) * sizeof(real));
        const Mat a{even.data(), shape_.hidden, count, shape_.hidden};
        backend_.gemm(Trans::no, Trans::no, 1, W(1), Mat{x.data(), inputs, count, inputs}, 0, a, Precision::split);
        backend_.add_bias(b(1), false, a);
        const Mat out = forward_hidden(backend_, shape_, {1, last_}, W, b, a, odd.data());
        backend_.download(out.data, result.data() + first * outputs,
                          static_cast<std::size_t>(out.size()) * sizeof(real));
    }
    return result;
}

}  // namespace pdadmm
