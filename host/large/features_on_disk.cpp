// Panels of features (host/large/features_on_disk.hpp).
#include "host/large/features_on_disk.hpp"

#include <algorithm>
#include <vector>

#include "host/data/block_chains.hpp"
#include "host/large/row_blocks.hpp"

namespace pdadmm {
namespace {

constexpr Index most_rows = Index{1} << 16, chunk_values = Index{1} << 20;

Index chunk_rows_of(Index nodes, Index features) {
    return std::min(nodes, std::clamp<Index>(chunk_values / std::max<Index>(1, features), 16, most_rows));
}

Index chunks_of(Index nodes, Index rows) { return (nodes + rows - 1) / rows; }

std::uint64_t offset_of(const DiskFeatures& f, Index panel, Index chunk) {
    return static_cast<std::uint64_t>((panel * chunks_of(f.nodes, f.chunk_rows) + chunk) * f.chunk_rows *
                                      panel_features) *
           sizeof(real);
}

}  // namespace

std::uint64_t feature_writing_bytes(Index nodes, Index features) {
    return static_cast<std::uint64_t>(chunk_rows_of(nodes, features) * (features + 2 * panel_features)) * sizeof(real);
}

std::uint64_t disk_features_bytes(Index nodes, Index features) {
    const DiskFeatures f{nodes, features, chunk_rows_of(nodes, features), {}};
    return offset_of(f, f.padded() / panel_features, 0);
}

DiskFeatures write_features(const GraphSource& source, const Folder& folder, bool divide_by_sum,
                            const std::function<void(Index)>& progress) {
    const Dataset& d = source.description();
    DiskFeatures f{d.nodes, d.features.count, chunk_rows_of(d.nodes, d.features.count), {}};
    PartWriter writer(folder, "features", static_cast<std::uint64_t>(f.chunk_rows * panel_features) * sizeof(real));
    std::vector<real> chunk(static_cast<std::size_t>(f.chunk_rows * f.padded())),
        panel(static_cast<std::size_t>(f.chunk_rows * panel_features));
    Index held = 0, written = 0;
    const auto flush = [&] {
        for (Index p = 0; p < f.padded() / panel_features; ++p) {
            std::fill(panel.begin(), panel.end(), real(0));
            for (Index i = 0; i < held; ++i)
                std::copy_n(chunk.data() + i * f.padded() + p * panel_features, panel_features,
                            panel.data() + i * panel_features);
            writer.write(offset_of(f, p, written), std::as_bytes(std::span(panel)));
        }
        ++written;
        held = 0;
    };
    source.features([&](Index first, std::span<const float> rows) {
        const float* from = rows.data();
        const auto count = static_cast<Index>(rows.size()) / f.features;
        for (Index i = 0; i < count; ++i, from += f.features) {
            real scale = 1;
            if (divide_by_sum) {
                double sum = 0;
                for (Index k = 0; k < f.features; ++k) sum += static_cast<double>(from[k]);
                scale = row_scale(sum);
            }
            real* to = chunk.data() + held * f.padded();
            for (Index k = 0; k < f.features; ++k) to[k] = scale * static_cast<real>(from[k]);
            if (++held == f.chunk_rows) flush();
        }
        progress(first + count);
    });
    if (held > 0) flush();
    f.part = writer.commit();
    return f;
}

void load_features(const PartReader& part, const DiskFeatures& f, Index first, Index width, Index from, Index to,
                   real* x, ThreadPool& pool) {
    each_row_block(pool, to - from, f.chunk_rows, {}, [&](Index begin, Index end) {
        std::vector<real> panel(static_cast<std::size_t>((end - begin) * panel_features));
        for (Index k = 0; k < width; k += panel_features) {
            part.read(offset_of(f, (first + k) / panel_features, 0) +
                          static_cast<std::uint64_t>((from + begin) * panel_features) * sizeof(real),
                      std::as_writable_bytes(std::span(panel)));
            for (Index i = begin; i < end; ++i)
                std::copy_n(panel.data() + (i - begin) * panel_features, panel_features, x + i * width + k);
        }
    });
}

}  // namespace pdadmm
