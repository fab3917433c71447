// Workers and their exchanges (host/backpropagation/workers.hpp).
#include "host/backpropagation/workers.hpp"

#include <cmath>

namespace pdadmm {
namespace {

constexpr double elastic_rate = 0.9, leader_pull = 0.1;  // the defaults of both papers' authors

Index all_parameters(const NetworkShape& shape) { return GradientNetwork::parameters_of(shape, {1, shape.layers}); }

/// `rule` with its defaults spelled out.
WorkerRule resolved(WorkerRule rule, Parallel form) {
    if (rule.of_all == 0) rule.of_all = rule.every;
    if (rule.pull == 0) rule.pull = form == Parallel::elastic ? elastic_rate : leader_pull;
    return rule;
}

/// With the leader of a group that is not all ranks.
bool groups_meet(const WorkerRule& rule, Index done) { return rule.groups > 1 && done % rule.every == 0; }

}  // namespace

std::size_t Workers::bytes(const SolverOptions& options, const NetworkShape& shape, int ranks) {
    const Index all = all_parameters(shape),
                staging = options.parallel == Parallel::elastic ? TreeSums::staging(ranks, ranks, all, 0) : 0;
    return static_cast<std::size_t>(all + staging) * sizeof(real);
}

std::uint64_t Workers::bytes_sent(const SolverOptions& options, const NetworkShape& shape, int ranks, Index done) {
    const WorkerRule rule = resolved(options.workers, options.parallel);
    const Index all = all_parameters(shape);
    if (options.parallel == Parallel::elastic)
        return done % rule.every == 0 ? TreeSums::values_sent(ranks, ranks, all) * sizeof(real) : 0;
    Index copies = 0;
    if (groups_meet(rule, done)) copies += ranks - rule.groups;
    if (done % rule.of_all == 0) copies += ranks - 1;
    return static_cast<std::uint64_t>(copies * all) * sizeof(real);
}

Workers::Workers(Backend& backend, const GradientNetwork& net, const NodeData& data, const Dropout& dropout,
                 const SolverOptions& options, Ranks& ranks)
    : backend_(backend),
      net_(net),
      ranks_(ranks),
      form_(options.parallel),
      rule_(resolved(options.workers, options.parallel)),
      model_values_(backend, all_parameters(net.shape())),
      model_(net.laid_out(model_values_.data())),
      model_range_(weights()),
      risk_(static_cast<std::size_t>(ranks.size())),
      nodes_(risk_) {
    model_range_.data = model_values_.data();
    backend.copy(weights(), model_range_);
    if (form_ == Parallel::elastic)
        sums_ = std::make_unique<TreeSums>(backend, Grid{1, ranks.size()}, ranks.rank(), ranks.size());
    for (int share = 0; share < ranks.size(); ++share) {
        const NodeRange nodes = NodeRange::share(data.train(), share, ranks.size());
        GradientTask task{data.X_of_all(nodes), data.labels_of_all(nodes), dropout, nodes.count};
        task.dropout.node = nodes.first;
        shares_.push_back(backend.record([&backend, &net, task] {
            backend.count_step(net.step());
            backpropagate(backend, net, task);
        }));
    }
}

Workers::~Workers() { ranks_.transport().abandon(); }

void Workers::count(Index epoch, const std::vector<double>& risks) {
    for (int rank = 0; rank < ranks_.size(); ++rank) {
        const auto r = static_cast<std::size_t>(rank);
        risk_[r] += risks[r];
        nodes_[r] +=
            static_cast<double>(NodeRange::share(net_.shape().nodes, share_of(rank, epoch), ranks_.size()).count);
    }
}

void Workers::exchange(Index done) {
    if (done % rule_.every != 0) return;
    if (form_ == Parallel::elastic) {
        meet_in_the_middle();
    } else {
        if (groups_meet(rule_, done))
            for (int group = 0; group < rule_.groups; ++group) {
                const NodeRange own = NodeRange::share(ranks_.size(), group, rule_.groups);
                follow(static_cast<int>(own.first), static_cast<int>(own.count), scratch());
            }
        if (done % rule_.of_all == 0) follow(0, ranks_.size(), model_range_);
    }
    risk_.assign(risk_.size(), 0);
    nodes_.assign(nodes_.size(), 0);
}

void Workers::meet_in_the_middle() {
    Transport& transport = ranks_.transport();
    const Mat sum = scratch();  // the next epoch's gradient takes its place
    backend_.copy(weights(), sum);
    std::vector<Message> messages;
    sums_->scatter(sum.data, sum.size(), messages);
    transport.exchange(messages);
    messages.clear();
    sums_->add_up(sum.data, sum.size(), sum.data);
    sums_->gather(sum.data, sum.size(), messages);
    transport.exchange(messages);
    backend_.elastic_pull(static_cast<real>(rule_.pull / ranks_.size()), ranks_.size(), sum, weights(), model_range_);
}

int Workers::leader_of(int first, int count) const {
    int leader = first;
    double least = INFINITY;
    for (int rank = first; rank < first + count; ++rank) {
        const auto r = static_cast<std::size_t>(rank);
        if (const double loss = risk_[r] / nodes_[r]; loss < least) {
            leader = rank;
            least = loss;
        }
    }
    return leader;
}

void Workers::follow(int first, int count, Mat into) {
    const int own = ranks_.rank(), leader = leader_of(first, count);
    if (own < first || own >= first + count) return;
    const std::size_t bytes = static_cast<std::size_t>(into.size()) * sizeof(real);
    std::vector<Message> messages;
    if (own != leader) messages.push_back(Message::receive(leader, into.data, bytes));
    for (int rank = first; own == leader && rank < first + count; ++rank)
        if (rank != own) messages.push_back(Message::send(rank, weights().data, bytes));
    if (own == leader) backend_.copy(weights(), into);
    ranks_.transport().exchange(messages);
    if (own != leader) backend_.pull(static_cast<real>(rule_.pull), into, weights());
}

std::vector<double> Workers::losses() const {
    std::vector<double> all = risk_;
    all.insert(all.end(), nodes_.begin(), nodes_.end());
    return all;
}

void Workers::restore_losses(std::span<const double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(risk_.size());
    risk_.assign(values.begin(), middle);
    nodes_.assign(middle, values.end());
}

}  // namespace pdadmm
