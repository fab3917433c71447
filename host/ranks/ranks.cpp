// Tensors and values between ranks (host/ranks/ranks.hpp).
#include "host/ranks/ranks.hpp"

namespace pdadmm {
namespace {

std::size_t bytes_of(CMat m) { return static_cast<std::size_t>(m.size()) * sizeof(real); }

}  // namespace

std::vector<real> download(Backend& backend, CMat m) {
    std::vector<real> host(static_cast<std::size_t>(m.size()));
    backend.download(m.data, host.data(), host.size() * sizeof(real));
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

std::vector<double> Ranks::gather(const std::vector<double>& own) { return several() ? links_.control->gather(own) : own; }

}  // namespace pdadmm
