// Figures of past iterations (host/train/history.hpp).
#include "host/train/history.hpp"

namespace pdadmm {
namespace {

template <typename T>
std::vector<T> downloaded(Backend& backend, const Buffer<T>& from, Index count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    backend.download(from.data(), values.data(), values.size() * sizeof(T));
    return values;
}

}  // namespace

RunHistory::RunHistory(Backend& backend, Index capacity, int layers)
    : backend_(&backend),
      capacity_(capacity),
      layers_(layers),
      figures_(backend, capacity * layers),
      penalties_(backend, capacity),
      position_(backend, 1) {}

void RunHistory::rewind() { backend_->zero(position_.data(), sizeof(Index)); }

std::vector<LayerFigures> RunHistory::own_figures(Index count) const {
    return downloaded(*backend_, figures_, count * layers_);
}

std::vector<LayerFigures> RunHistory::figures(Index count, Ranks& ranks) const {
    return ranks.gather(own_figures(count), count);
}

std::vector<Controls> RunHistory::penalties(Index count) const { return downloaded(*backend_, penalties_, count); }

}  // namespace pdadmm
