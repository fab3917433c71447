// Sources in memory and made up (host/large/graph_source.hpp).
#include "host/large/graph_source.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace pdadmm {
namespace {

constexpr std::size_t chunk = std::size_t{1} << 16;  // edges, or values of features at least

/// Hands edges on in chunks.
class EdgeChunks {
public:
    explicit EdgeChunks(const TakeEdges& take) : take_(take) { waiting_.reserve(chunk); }
    void add(StoredEdge edge) {
        waiting_.push_back(edge);
        if (waiting_.size() == chunk) flush();
    }
    void flush() {
        if (!waiting_.empty()) take_(waiting_);
        waiting_.clear();
    }

private:
    const TakeEdges& take_;
    std::vector<StoredEdge> waiting_;
};

class DatasetSource final : public GraphSource {
public:
    explicit DatasetSource(Dataset dataset) : dataset_(std::move(dataset)), digest_(dataset_digest(dataset_)) {
        const std::vector<float>& values = dataset_.adjacency.values;
        weighted_ = std::any_of(values.begin(), values.end(), [](float value) { return value != 1; });
    }

    const Dataset& description() const override { return dataset_; }
    bool weighted() const override { return weighted_; }
    bool symmetric() const override { return dataset_.facts.symmetric; }
    std::uint64_t stored_edges() const override { return static_cast<std::uint64_t>(dataset_.adjacency.nnz()); }
    std::string identity() const override { return digest_; }

    void edges(const TakeEdges& take) const override {
        EdgeChunks chunks(take);
        const Csr& a = dataset_.adjacency;
        for (Index i = 0; i < a.rows; ++i)
            for (Index e = a.offsets[static_cast<std::size_t>(i)]; e < a.offsets[static_cast<std::size_t>(i) + 1]; ++e)
                chunks.add({static_cast<std::int32_t>(i), a.columns[static_cast<std::size_t>(e)],
                            a.values[static_cast<std::size_t>(e)]});
        chunks.flush();
    }

    void features(const TakeRows& take) const override {
        const Features& f = dataset_.features;
        const Index at_once = std::max<Index>(1, static_cast<Index>(chunk) / f.count);
        std::vector<float> rows;
        for (Index first = 0; first < dataset_.nodes; first += at_once) {
            const Index count = std::min(at_once, dataset_.nodes - first);
            if (!f.is_sparse()) {
                take(first, std::span(f.dense).subspan(static_cast<std::size_t>(first * f.count),
                                                       static_cast<std::size_t>(count * f.count)));
                continue;
            }
            rows.assign(static_cast<std::size_t>(count * f.count), 0);
            for (Index i = first; i < first + count; ++i)
                for (Index e = f.sparse.offsets[static_cast<std::size_t>(i)];
                     e < f.sparse.offsets[static_cast<std::size_t>(i) + 1]; ++e)
                    rows[static_cast<std::size_t>((i - first) * f.count +
                                                  f.sparse.columns[static_cast<std::size_t>(e)])] =
                        f.sparse.values[static_cast<std::size_t>(e)];
            take(first, rows);
        }
    }

private:
    Dataset dataset_;
    std::string digest_;
    bool weighted_ = false;
};

class SbmSource final : public GraphSource {
public:
    explicit SbmSource(const SbmSpec& spec) : stream_(spec), description_(stream_.description()) {}

    const Dataset& description() const override { return description_; }
    bool weighted() const override { return false; }
    bool symmetric() const override { return true; }
    std::uint64_t stored_edges() const override {
        return static_cast<std::uint64_t>(static_cast<double>(stream_.spec().nodes) * stream_.spec().degree + 2);
    }
    std::string identity() const override { return description_.name; }

    void edges(const TakeEdges& take) const override {
        EdgeChunks chunks(take);
        stream_.edges([&](std::int32_t a, std::int32_t b) { chunks.add({a, b}), chunks.add({b, a}); });
        chunks.flush();
    }

    void features(const TakeRows& take) const override { stream_.features(take); }

private:
    SbmStream stream_;
    Dataset description_;
};

}  // namespace

std::unique_ptr<GraphSource> source_of(Dataset dataset) { return std::make_unique<DatasetSource>(std::move(dataset)); }
std::unique_ptr<GraphSource> source_of(const SbmSpec& spec) { return std::make_unique<SbmSource>(spec); }

}  // namespace pdadmm
