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

void Ranks::send_right(CMat m) { move(m, rank(), {}, rank() + 1); }
void Ranks::receive_left(Mat m) { move({}, rank() - 1, m, rank()); }

std::vector<real> Ranks::collect(CMat m, int owner) {
    if (rank() != 0) {
        if (rank() == owner) move(m, owner, {}, 0);
        return {};
    }
    if (owner == 0) return download(backend_, m);
    const Buffer<real> staging(backend_, m.size());
    const Mat here{staging.data(), m.rows, m.cols, m.rows};
    move({}, owner, here, 0);
    return download(backend_, here);
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
    const std::vector<double> gathered = gather(values);
    const auto all_layers = gathered.size() / each / static_cast<std::size_t>(iterations);
    std::vector<LayerFigures> all(gathered.size() / each);
    std::size_t from = 0, layer = 0;
    for (int rank = 0; rank < placement_.active(); ++rank) {
        const auto layers = static_cast<std::size_t>(placement_.of(rank).count());
        for (std::size_t i = 0; i < static_cast<std::size_t>(iterations); ++i, from += layers * each)
            std::memcpy(&all[i * all_layers + layer], &gathered[from], layers * sizeof(LayerFigures));
        layer += layers;
    }
    return all;
}

}  // namespace pdadmm
