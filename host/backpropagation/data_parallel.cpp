// Nodes on ranks (host/backpropagation/gradient_epoch.hpp).
// A chunk's owner adds the parts of all ranks in their order, so every rank gets the same bits from it; with another
// number of ranks there are other parts, and other roundings.
#include <algorithm>

#include "host/backpropagation/gradient_epoch.hpp"

namespace pdadmm {
namespace {

constexpr Index bucket_reals = Index{1} << 16;  // from about here on a message's bytes take longer than its beginning

Message send(int peer, CMat m) {
    return Message::send(peer, m.data, static_cast<std::size_t>(m.size()) * sizeof(real));
}
Message receive(int peer, Mat m) {
    return Message::receive(peer, m.data, static_cast<std::size_t>(m.size()) * sizeof(real));
}

}  // namespace

std::vector<LayerRange> DataParallelEpoch::buckets(const NetworkShape& shape) {
    std::vector<LayerRange> all;
    for (int last = shape.layers; last >= 1;) {
        LayerRange bucket{last, last};
        while (bucket.first > 1 && GradientNetwork::parameters_of(shape, bucket) < bucket_reals) --bucket.first;
        all.push_back(bucket);
        last = bucket.first - 1;
    }
    return all;
}

Index DataParallelEpoch::staging(const NetworkShape& shape, int ranks) {
    Index most = 0;
    for (const LayerRange& bucket : buckets(shape)) {
        const Index columns = GradientNetwork::parameters_of(shape, bucket) / GradientNetwork::alignment;
        for (int rank = 0; rank < ranks; ++rank) most = std::max(most, NodeRange::share(columns, rank, ranks).count);
    }
    return most * GradientNetwork::alignment * ranks;
}

Mat DataParallelEpoch::chunk(Mat bucket, int rank, int ranks) {
    const NodeRange own = NodeRange::share(bucket.cols, rank, ranks);
    return {bucket.data + own.first * bucket.ld, bucket.rows, own.count, bucket.ld};
}

Mat DataParallelEpoch::part(const Bucket& bucket, int from) const {
    Mat m = chunk(bucket.gradient, ranks_.rank(), ranks_.size());
    m.data = parts_.data() + from * m.size();
    return m;
}

DataParallelEpoch::DataParallelEpoch(Backend& backend, const GradientNetwork& net, const GradientTask& task,
                                     Ranks& ranks)
    : backend_(backend), ranks_(ranks), parts_(backend, staging(net.shape(), ranks.size())) {
    forward_ = backend.record([&backend, &net, task] {
        backend.count_step(net.step());
        forward(backend, net, task, 0);
        loss_gradient(backend, net, task);
    });
    const std::vector<LayerRange> layers = buckets(net.shape());
    buckets_.resize(layers.size());
    for (std::size_t k = 0; k < layers.size(); ++k) {
        Bucket& bucket = buckets_[k];
        bucket.gradient = net.range(GradientNetwork::Array::gradient, layers[k]);
        bucket.backward =
            backend.record([&backend, &net, task, own = layers[k]] { backward(backend, net, task, own, 0); });
        bucket.sum = backend.record([this, &bucket] { add_up(bucket); });
    }
}

DataParallelEpoch::~DataParallelEpoch() { ranks_.transport().abandon(); }

void DataParallelEpoch::run() {
    Transport& transport = ranks_.transport();
    std::vector<Message> messages;
    forward_->run();
    for (std::size_t k = 0; k < buckets_.size(); ++k) {
        buckets_[k].backward->run();
        transport.finish();
        messages.clear();
        if (k > 0) {
            buckets_[k - 1].sum->run();
            gather(buckets_[k - 1], messages);
        }
        scatter(buckets_[k], messages);
        transport.start(messages);
    }
    transport.finish();
    messages.clear();
    buckets_.back().sum->run();
    gather(buckets_.back(), messages);
    transport.exchange(messages);
}

void DataParallelEpoch::add_up(const Bucket& bucket) {
    const Mat own = chunk(bucket.gradient, ranks_.rank(), ranks_.size());
    if (own.cols == 0) return;
    Mat all = part(bucket, 0);
    all.batch = ranks_.size();
    all.stride = own.size();
    backend_.copy(own, part(bucket, ranks_.rank()));
    backend_.sum_in_order(all, own);
}

void DataParallelEpoch::scatter(const Bucket& bucket, std::vector<Message>& messages) const {
    for (int peer = 0; peer < ranks_.size(); ++peer) {
        if (peer == ranks_.rank()) continue;
        messages.push_back(send(peer, chunk(bucket.gradient, peer, ranks_.size())));
        messages.push_back(receive(peer, part(bucket, peer)));
    }
}

void DataParallelEpoch::gather(const Bucket& bucket, std::vector<Message>& messages) const {
    for (int peer = 0; peer < ranks_.size(); ++peer) {
        if (peer == ranks_.rank()) continue;
        messages.push_back(send(peer, chunk(bucket.gradient, ranks_.rank(), ranks_.size())));
        messages.push_back(receive(peer, chunk(bucket.gradient, peer, ranks_.size())));
    }
}

}  // namespace pdadmm
