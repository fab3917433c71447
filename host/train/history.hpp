// Figures and penalties of the iterations since the host last read any, in backend memory: nothing waits within them.
#pragma once

#include <vector>

#include "host/ranks/ranks.hpp"
#include "pdadmm/backend.hpp"

namespace pdadmm {

class RunHistory {
public:
    RunHistory() = default;
    /// Room for `capacity` iterations on the `layers` layers of this rank.
    RunHistory(Backend& backend, Index capacity, int layers);

    /// Where Backend::archive puts an iteration.
    History view() const { return {figures_.data(), penalties_.data(), position_.data(), capacity_, layers_}; }
    /// The next iteration is the first that it holds.
    void rewind();
    /// Of the first `count` iterations: this rank's layers, all of one iteration after those of another.
    std::vector<LayerFigures> own_figures(Index count) const;
    /// The same of all layers, on every rank. Collective.
    std::vector<LayerFigures> figures(Index count, Ranks& ranks) const;
    /// That each of the first `count` iterations used.
    std::vector<Controls> penalties(Index count) const;

private:
    Backend* backend_ = nullptr;
    Index capacity_ = 0;
    int layers_ = 0;
    Buffer<LayerFigures> figures_;
    Buffer<Controls> penalties_;
    Buffer<Index> position_;
};

}  // namespace pdadmm
