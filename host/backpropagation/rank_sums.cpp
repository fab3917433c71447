// Sums over ranks (host/backpropagation/rank_sums.hpp).
#include "host/backpropagation/rank_sums.hpp"

#include "host/network/node_data.hpp"

namespace pdadmm {
namespace {

Message send(int peer, CMat m) {
    return Message::send(peer, m.data, static_cast<std::size_t>(m.size()) * sizeof(real));
}
Message receive(int peer, Mat m) {
    return Message::receive(peer, m.data, static_cast<std::size_t>(m.size()) * sizeof(real));
}

}  // namespace

Index RankSums::staging(Index rows, Index columns, int ranks) {
    return NodeRange::widest(columns, ranks) * rows * ranks;
}

Mat RankSums::chunk(Mat range, int rank, int ranks) {
    const NodeRange own = NodeRange::share(range.cols, rank, ranks);
    return {range.data + own.first * range.ld, range.rows, own.count, range.ld};
}

Mat RankSums::part(Mat range, int from) const {
    Mat m = chunk(range, ranks_.rank(), ranks_.size());
    m.data = parts_.data() + from * m.size();
    return m;
}

void RankSums::scatter(Mat range, std::vector<Message>& messages) const {
    for (int peer = 0; peer < ranks_.size(); ++peer) {
        if (peer == ranks_.rank()) continue;
        messages.push_back(send(peer, chunk(range, peer, ranks_.size())));
        messages.push_back(receive(peer, part(range, peer)));
    }
}

void RankSums::add_up(Mat range) const {
    const Mat own = chunk(range, ranks_.rank(), ranks_.size());
    if (own.cols == 0) return;
    Mat all = part(range, 0);
    all.batch = ranks_.size();
    all.stride = own.size();
    backend_.copy(own, part(range, ranks_.rank()));
    backend_.sum_in_order(all, own);
}

void RankSums::gather(Mat range, std::vector<Message>& messages) const {
    for (int peer = 0; peer < ranks_.size(); ++peer) {
        if (peer == ranks_.rank()) continue;
        messages.push_back(send(peer, chunk(range, ranks_.rank(), ranks_.size())));
        messages.push_back(receive(peer, chunk(range, peer, ranks_.size())));
    }
}

}  // namespace pdadmm
