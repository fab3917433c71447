// Tensors and values between ranks (host/ranks/ranks.hpp).
#include "host/ranks/ranks.hpp"

namespace pdadmm {
namespace {

std::size_t bytes_of(CMat m) { return static_cast<std::size_t>(m.size()) * sizeof(real); }

}  // namespace

std::vector<real> download(Memory& memory, CMat m) {
    std::vector<real> host(static_cast<std::size_t>(m.size()));
    memory.download(m.data, host.data(), host.size() * sizeof(real));
    return host;
}

Ranks::Ranks(Backend& backend, RankLinks links, int node_blocks, const NodeRanges& ranges)
    : backend_(backend), links_(links), node_ranges_(ranges.count), shared_(backend, 1) {
    grid_ = {size() / node_blocks, node_blocks};
    if (node_blocks == 1) return;
    nodes_ = std::make_unique<NodeExchange>(backend, *links.nodes, grid_, ranges);
    owned_ = ranges.bounds != nullptr;
    backend.divide_nodes(nodes_.get());
}

Ranks::~Ranks() {
    if (nodes_) backend_.divide_nodes(nullptr);
}

void Ranks::move(CMat from, int sender, Mat to, int receiver) {
    if (rank() == sender && rank() == receiver) return backend_.copy(from, to);
    if (rank() == sender) {
        const Message message = Message::send(receiver, from.data, bytes_of(from));
        links_.transport->exchange({&message, 1});
    } else if (rank() == receiver) {
        const Message message = Message::receive(sender, to.data, bytes_of(to));
        links_.transport->exchange({&message, 1});
    }
}

void Ranks::send_right(CMat m) { move(m, rank(), {}, right()); }
void Ranks::receive_left(Mat m) { move({}, left(), m, rank()); }

void Ranks::append_to(std::vector<real>& all, CMat m, Index columns, int sender) {
    if (!keeps()) {
        if (rank() == sender) move(m, sender, {}, keeper());
        return;
    }
    std::vector<real> values;
    if (sender == rank()) {
        values = download(backend_, m);
    } else {
        const Buffer<real> staging(backend_, m.rows * columns);
        const Mat here{staging.data(), m.rows, columns, m.rows};
        move({}, sender, here, rank());
        values = download(backend_, here);
    }
    all.insert(all.end(), values.begin(), values.end());
}

std::vector<real> Ranks::collect_from(CMat m, int rank) {
    std::vector<real> all;
    append_to(all, m, m.cols, rank);
    return all;
}

std::vector<real> Ranks::collect(CMat m, int layer) {
    if (!divided(m)) return collect_from(m, owned_ ? owner(layer) : first_owner(layer));
    std::vector<real> all;
    for (int block = 0; block < grid_.nodes; ++block)
        append_to(all, m, nodes_->nodes_of(block).count, grid_.rank(placement_.owner(layer), block));
    return all;
}

void Ranks::add_over_nodes(std::vector<double>& of_ranges, Index count) {
    if (nodes_) {
        const auto values = static_cast<Index>(of_ranges.size());
        if (parts_.count() < values) parts_ = {backend_, values};
        parts_.upload(of_ranges);
        nodes_->complete(parts_.data(), count);
        return backend_.download(parts_.data(), of_ranges.data(), static_cast<std::size_t>(count) * sizeof(double));
    }
    add_along_tree(static_cast<Index>(of_ranges.size()) / count, [&](Index i, Index j) {
        for (Index k = 0; k < count; ++k)
            of_ranges[static_cast<std::size_t>(i * count + k)] += of_ranges[static_cast<std::size_t>(j * count + k)];
    });
}

const double* Ranks::share(const double* figure, int owner) {
    if (!several()) return figure;
    std::vector<double> value(1);
    if (rank() == owner) backend_.download(figure, value.data(), sizeof(double));
    shared_.upload(share(value, owner));
    return shared_.data();
}

std::vector<double> Ranks::gather(const std::vector<double>& own) {
    return several() ? links_.control->gather(own) : own;
}

std::vector<LayerFigures> Ranks::gather(std::vector<LayerFigures> own, Index iterations) {
    if (!several()) return own;
    constexpr std::size_t each = sizeof(LayerFigures) / sizeof(double);
    static_assert(sizeof(LayerFigures) == each * sizeof(double));
    std::vector<double> values(own.size() * each);
    if (!own.empty()) std::memcpy(values.data(), own.data(), own.size() * sizeof(LayerFigures));
    if (node_block() != 0) values.clear();  // the same sums
    const std::vector<double> gathered = gather(values);
    const auto all_layers = gathered.size() / each / static_cast<std::size_t>(iterations);
    std::vector<LayerFigures> all(gathered.size() / each);
    std::size_t from = 0, layer = 0;
    for (int block = 0; block < placement_.active(); ++block) {
        const auto layers = static_cast<std::size_t>(placement_.of(block).count());
        for (std::size_t i = 0; i < static_cast<std::size_t>(iterations); ++i, from += layers * each)
            std::memcpy(&all[i * all_layers + layer], &gathered[from], layers * sizeof(LayerFigures));
        layer += layers;
    }
    return all;
}

}  // namespace pdadmm
