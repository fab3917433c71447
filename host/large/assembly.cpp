// Sequential reads of every kept part; writes that are sequential as far as the order of rows is
// (host/large/assembly.hpp).
#include "host/large/assembly.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <tuple>

#include "host/data/bf16.hpp"
#include "host/data/block_chains.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"

namespace pdadmm {
namespace {

constexpr Index chunk_values = Index{1} << 20;  // of X; as many are put into order

struct KeptPower {
    SlabPower at;
    PartReader reader;
};

std::vector<std::unique_ptr<KeptPower>> opened(const Folder& work, std::vector<SlabPower> kept) {
    std::sort(kept.begin(), kept.end(), [](const SlabPower& a, const SlabPower& b) {
        return std::tie(a.chain, a.power, a.first) < std::tie(b.chain, b.power, b.first);
    });
    std::vector<std::unique_ptr<KeptPower>> powers;
    for (const SlabPower& one : kept) powers.push_back(std::make_unique<KeptPower>(KeptPower{one, {work, one.part}}));
    return powers;
}

/// X.npy being written: rows in any order.
class RowsOut {
public:
    RowsOut(const Folder& folder, Index rows, Index inputs, StoredAs stored)
        : file_(folder.path_of("X.npy")),
          stored_(stored),
          begin_(prefix_of_X(stored, rows, inputs).size()),
          record_(static_cast<std::uint64_t>(inputs) * bytes_of(stored)) {
        const std::string prefix = prefix_of_X(stored, rows, inputs);
        file_.write(std::as_bytes(std::span(prefix)));
    }
    /// Row i of X goes to places[i].
    void put(std::span<const real> X, std::span<const std::int32_t> places) {
        order_.resize(places.size());
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) { return places[a] < places[b]; });
        const std::size_t inputs = X.size() / places.size();
        rows_.resize(places.size() * record_);
        for (std::size_t k = 0; k < order_.size(); ++k) copy(X.subspan(order_[k] * inputs, inputs), k);
        for (std::size_t k = 0, end; k < order_.size(); k = end) {  // rows that follow one another
            const auto first = static_cast<std::uint64_t>(places[order_[k]]);
            for (end = k + 1;
                 end < order_.size() && static_cast<std::uint64_t>(places[order_[end]]) == first + end - k;)
                ++end;
            const auto bytes = std::span<const std::byte>(rows_).subspan(k * record_, (end - k) * record_);
            add_records(digest_, first, record_, bytes);
            file_.write(bytes, begin_ + first * record_);
        }
    }
    /// The digest of all rows.
    std::string commit() {
        file_.commit();
        return digest_.hex();
    }

private:
    void copy(std::span<const real> row, std::size_t to) {
        std::byte* out = rows_.data() + to * record_;
        if (stored_ == StoredAs::working) {
            std::memcpy(out, row.data(), record_);
            return;
        }
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::uint16_t bits = to_bf16(static_cast<float>(row[i]));
            std::memcpy(out + 2 * i, &bits, 2);
        }
    }

    AtomicFile file_;
    StoredAs stored_;
    std::uint64_t begin_, record_;
    RecordDigest digest_;
    std::vector<std::size_t> order_;
    std::vector<std::byte> rows_;
};

}  // namespace

std::string assemble_X(const Folder& folder, const Folder& work, const std::vector<SlabPower>& kept,
                       std::span<const std::int32_t> places, Index features, const AugmentOptions& options,
                       StoredAs stored, const std::function<void(Index)>& progress) {
    const std::vector<BlockChain> chains = block_chains(options.operators, options.hops);
    const auto rows = static_cast<Index>(places.size());
    const Index inputs = augmented_inputs(options, features), at_once = std::max<Index>(1, chunk_values / inputs);
    const auto powers = opened(work, kept);
    RowsOut out(folder, rows, inputs, stored);
    std::vector<real> X(static_cast<std::size_t>(std::min(at_once, rows) * inputs)), slab;
    for (Index first = 0; first < rows; first += at_once) {
        const Index count = std::min(at_once, rows - first);
        for (const auto& power : powers) {
            const SlabPower& at = power->at;
            const auto k = static_cast<std::size_t>(at.power);
            slab.resize(static_cast<std::size_t>(count * at.width));
            power->reader.read(static_cast<std::uint64_t>(first * at.width) * sizeof(real),
                               std::as_writable_bytes(std::span(slab)));
            for (const auto& [place, c] : chains[static_cast<std::size_t>(at.chain)].blocks)
                if (k < c.size() && c[k] != 0)
                    for (Index i = 0; i < count; ++i)
                        take_power(c[k], is_first_power(c, k), slab.data() + i * at.width,
                                   X.data() + i * inputs + place * features + at.first,
                                   std::min(at.width, features - at.first));
        }
        const auto chunk = std::span(X).first(static_cast<std::size_t>(count * inputs));
        if (options.feature_norm == FeatureNorm::l2)
            for (std::size_t block = 0; block < chunk.size(); block += static_cast<std::size_t>(features))
                scale_to_unit_length(chunk.subspan(block, static_cast<std::size_t>(features)));
        out.put(chunk, places.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
        progress(first + count);
    }
    return out.commit();
}

void write_rows(const Folder& folder, const Dataset& description, const Split& split,
                std::span<const std::int32_t> nodes, std::span<const std::int32_t> places) {
    const auto write = [&](const char* name, const std::vector<std::int32_t>& values) {
        write_file_atomically(folder.path_of(name),
                              format_npy(std::span<const std::int32_t>(values), {static_cast<Index>(values.size())}));
    };
    std::vector<std::int32_t> ids(nodes.size()), labels(nodes.size());
    for (std::size_t k = 0; k < nodes.size(); ++k) {
        const auto row = static_cast<std::size_t>(places[k]);
        ids[row] = nodes[k];
        labels[row] = description.labels[static_cast<std::size_t>(nodes[k])];
    }
    write("nodes.npy", ids);
    write("labels.npy", labels);
    for (const auto& [name, part] : {std::pair("train_idx.npy", &split.train), std::pair("val_idx.npy", &split.val),
                                     std::pair("test_idx.npy", &split.test)}) {
        std::vector<std::int32_t> rows;
        for (const std::int32_t node : *part) {
            const auto kept = std::lower_bound(nodes.begin(), nodes.end(), node);
            if (kept == nodes.end() || *kept != node) continue;  // without a label, where labelled ones are kept
            rows.push_back(places[static_cast<std::size_t>(kept - nodes.begin())]);
        }
        write(name, rows);
    }
}

}  // namespace pdadmm
