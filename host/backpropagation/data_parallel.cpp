// Nodes on ranks (host/backpropagation/gradient_epoch.hpp).
#include <algorithm>

#include "host/backpropagation/gradient_epoch.hpp"

namespace pdadmm {
namespace {

constexpr Index bucket_reals = Index{1} << 16;  // from about here on a message's bytes take longer than its beginning

Index widest_bucket(const NetworkShape& shape) {
    Index columns = 0;
    for (const LayerRange& bucket : DataParallelEpoch::buckets(shape))
        columns = std::max(columns, GradientNetwork::parameters_of(shape, bucket) / GradientNetwork::alignment);
    return columns;
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
    return RankSums::staging(GradientNetwork::alignment, widest_bucket(shape), ranks);
}

DataParallelEpoch::DataParallelEpoch(Backend& backend, const GradientNetwork& net, const GradientTask& task,
                                     Ranks& ranks)
    : ranks_(ranks), sums_(backend, ranks, GradientNetwork::alignment, widest_bucket(net.shape())) {
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
        bucket.sum = backend.record([this, &bucket] { sums_.add_up(bucket.gradient); });
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
            sums_.gather(buckets_[k - 1].gradient, messages);
        }
        sums_.scatter(buckets_[k].gradient, messages);
        transport.start(messages);
    }
    transport.finish();
    messages.clear();
    buckets_.back().sum->run();
    sums_.gather(buckets_.back().gradient, messages);
    transport.exchange(messages);
}

}  // namespace pdadmm
