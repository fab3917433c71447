// Sequential reads of every kept part, one sequential write (host/large/assembly.hpp).
#include "host/large/assembly.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <tuple>

#include "host/data/bf16.hpp"
#include "host/data/block_chains.hpp"
#include "host/format/file.hpp"
#include "host/format/npy.hpp"

namespace pdadmm {
namespace {

constexpr Index chunk_values = Index{1} << 21;

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

}  // namespace

std::string assemble_X(const Folder& folder, const Folder& work, const std::vector<SlabPower>& kept, Index rows,
                       Index features, const AugmentOptions& options, StoredAs stored,
                       const std::function<void(Index)>& progress) {
    const std::vector<BlockChain> chains = block_chains(options.operators, options.hops);
    const Index inputs = augmented_inputs(options, features), at_once = std::max<Index>(1, chunk_values / inputs);
    const auto powers = opened(work, kept);
    AtomicFile file(folder.path_of("X.npy"));
    const std::string prefix = prefix_of_X(stored, rows, inputs);
    file.write(std::as_bytes(std::span(prefix)));
    RecordDigest digest;
    std::vector<real> X(static_cast<std::size_t>(std::min(at_once, rows) * inputs)), slab;
    std::vector<std::uint16_t> rounded;
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
        std::span<const std::byte> bytes = std::as_bytes(chunk);
        if (stored == StoredAs::bf16) {
            rounded.resize(chunk.size());
            std::transform(chunk.begin(), chunk.end(), rounded.begin(),
                           [](real value) { return to_bf16(static_cast<float>(value)); });
            bytes = std::as_bytes(std::span(rounded));
        }
        add_records(digest, static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(inputs) * bytes_of(stored),
                    bytes);
        file.write(bytes);
        progress(first + count);
    }
    file.commit();
    return digest.hex();
}

void write_rows(const Folder& folder, const Dataset& description, const Split& split,
                const std::vector<std::int32_t>& nodes) {
    const auto rows = static_cast<Index>(nodes.size());
    const auto write = [&](const char* name, const std::vector<std::int32_t>& values) {
        write_file_atomically(folder.path_of(name),
                              format_npy(std::span<const std::int32_t>(values), {static_cast<Index>(values.size())}));
    };
    write("nodes.npy", nodes);
    std::vector<std::int32_t> labels;
    labels.reserve(static_cast<std::size_t>(rows));
    for (const std::int32_t node : nodes) labels.push_back(description.labels[static_cast<std::size_t>(node)]);
    write("labels.npy", labels);
    for (const auto& [name, part] : {std::pair("train_idx.npy", &split.train), std::pair("val_idx.npy", &split.val),
                                     std::pair("test_idx.npy", &split.test)}) {
        std::vector<std::int32_t> places;
        for (const std::int32_t node : *part)
            places.push_back(
                static_cast<std::int32_t>(std::lower_bound(nodes.begin(), nodes.end(), node) - nodes.begin()));
        write(name, places);
    }
}

}  // namespace pdadmm
