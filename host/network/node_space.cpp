// A first layer in node space: W1 = c W1_0 - S X', and what is kept of W1_0 X (host/network/network.hpp).
#include "host/network/features_by_graph.hpp"
#include "host/network/network.hpp"

namespace pdadmm {

void Network::gather_S() const {
    if (node_space() && layers_.has(1)) backend_->all_nodes(S(), groups_.front().whole);
}

CMat Network::S_of_all() const { return shape_.divided() ? CMat(groups_.front().whole) : CMat(S()); }

void Network::form_W1(Mat W1) const {
    backend_->copy(W0(), W1);
    backend_->scale_by_c(node_scalars(), W1);
    if (!plan_.first.by_graph) return backend_->gemm(Trans::no, Trans::yes, -1, S_of_all(), data_->X_of_all(), 1, W1);
    FeaturesByGraph& X = *data_->by_graph(*backend_, W1.rows);
    X.take(S_of_all(), plan_.first.feature_weights());
    X.subtract(X.W(), W1);
}

void Network::form_V0(std::size_t set) {
    Index first = 0;
    for (std::size_t before = 0; before < set; ++before) first += data_->held()[before];
    Mat of_set = V0().columns(first, data_->held()[set]);
    if (of_set.cols == 0) return;
    if (plan_.first.by_graph) {
        FeaturesByGraph& X = *data_->by_graph(*backend_, shape_.hidden);
        X.put(W0());
        return X.multiply({data_->place_of(first), of_set.cols}, of_set);
    }
    if (data_->ranged()) of_set.range = data_->ranges(set).length;
    backend_->gemm(Trans::no, Trans::no, 1, W0(), data_->X().columns(first, of_set.cols), 0, of_set);
}

void Network::form_node_space() {
    form_V0(0);
    V0_complete_ = false;
}

void Network::complete_V0() {
    for (const std::size_t set : {1U, 2U})
        if (!V0_complete_) form_V0(set);
    V0_complete_ = true;
}

void Network::take_W0(const Network& from) {
    backend_->copy(from.W0(), W0());
    backend_->copy(from.V0(), V0());
    V0_complete_ = from.V0_complete_;
}

}  // namespace pdadmm
