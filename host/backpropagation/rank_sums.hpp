// Sums over ranks in the order of ranks: every rank gets its chunk of a range from all others, adds the parts up, and
// hands the sum back. So all ranks get the same bits; with another number of ranks there are other parts, and other
// roundings.
#pragma once

#include <vector>

#include "host/ranks/ranks.hpp"

namespace pdadmm {

/// A range is one contiguous matrix of the same shape on every rank. Its three steps come in this order, on all ranks;
/// between the first two, and after the last, the messages have travelled.
class RankSums {
public:
    /// For ranges of at most `columns` columns of `rows` rows.
    RankSums(Backend& backend, Ranks& ranks, Index rows, Index columns)
        : backend_(backend), ranks_(ranks), parts_(backend, staging(rows, columns, ranks.size())) {}
    /// Reals of the parts of a chunk that lie beside each other while they are added.
    static Index staging(Index rows, Index columns, int ranks);

    void scatter(Mat range, std::vector<Message>& messages) const;
    void add_up(Mat range) const;
    void gather(Mat range, std::vector<Message>& messages) const;

private:
    static Mat chunk(Mat range, int rank, int ranks);
    /// Rank `from`'s part of this rank's chunk.
    Mat part(Mat range, int from) const;

    Backend& backend_;
    Ranks& ranks_;
    Buffer<real> parts_;
};

}  // namespace pdadmm
