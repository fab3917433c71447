// Digests of borders (host/ranks/replicas.hpp).
#include "host/ranks/replicas.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "host/format/digest.hpp"

namespace pdadmm {
namespace {

constexpr std::array border_tensors{"p", "q", "u"};
// Of a rank: the left border, the right one, penalties, weights.
constexpr std::size_t penalties = 2 * border_tensors.size(), weights = penalties + 1, each = weights + 1;

/// As many bits of the digest as a double holds.
double digest_number(std::span<const std::byte> bytes) {
    constexpr std::size_t digits = 13;
    const std::string hex = digest_hex(bytes);
    std::uint64_t number = 0;
    std::from_chars(hex.data(), hex.data() + digits, number, 16);
    return static_cast<double>(number);
}

double digest_number(Backend& be, CMat m) {
    const std::vector<real> values = download(be, m);
    return digest_number(std::as_bytes(std::span(values)));
}

/// Of W and b of the rank's layers.
double digest_of_weights(const Network& net) {
    std::vector<double> of_layers;
    for (int layer = net.layers().first; layer <= net.layers().last; ++layer) {
        if (net.W(layer).data) of_layers.push_back(digest_number(net.backend(), net.W(layer)));
        of_layers.push_back(digest_number(net.backend(), net.b(layer)));
    }
    return digest_number(std::as_bytes(std::span(of_layers)));
}

}  // namespace

void check_replicas(Network& net, Ranks& ranks, Index iteration) {
    if (!ranks.several()) return;
    Backend& be = net.backend();
    const LayerRange own = net.layers();
    std::vector<double> digests(each);
    const auto put = [&](std::size_t at, int layer) {  // of the border behind `layer`
        digests[at] = digest_number(be, net.p(layer + 1));
        digests[at + 1] = digest_number(be, net.q(layer));
        digests[at + 2] = digest_number(be, net.u(layer));
    };
    if (own.count() > 0 && own.first > 1) put(0, own.first - 1);
    if (own.count() > 0 && own.last < net.shape().layers) put(border_tensors.size(), own.last);
    Controls k;
    be.download(net.controls(), &k, sizeof k);
    digests[penalties] = digest_number(std::as_bytes(std::span(&k, 1)));
    if (ranks.grid().nodes > 1) digests[weights] = digest_of_weights(net);

    const std::vector<double> all = ranks.gather(digests);
    std::string difference;
    const int blocks = ranks.placement().active(), nodes = ranks.grid().nodes;
    const auto of = [&](int rank, std::size_t which) { return all[static_cast<std::size_t>(rank) * each + which]; };
    for (int left = 0; left < (blocks - 1) * nodes && difference.empty(); ++left) {
        const int right = left + nodes, last = ranks.placement().of(left / nodes).last;
        for (std::size_t t = 0; t < border_tensors.size() && difference.empty(); ++t)
            if (of(left, border_tensors.size() + t) != of(right, t))
                difference =
                    fmt::format("border between rank {} (up to layer {}) and rank {} (from layer {}): {} differs", left,
                                last, right, last + 1, border_tensors[t]);
        if (difference.empty() && of(left, penalties) != of(right, penalties))
            difference = fmt::format("penalties of rank {} and rank {}: they differ", left, right);
    }
    for (int rank = 0; rank < blocks * nodes && difference.empty(); ++rank) {
        const int first = rank / nodes * nodes;
        if (of(rank, weights) != of(first, weights))
            difference =
                fmt::format("W and b of rank {} and rank {}, which hold the same layers: they differ", first, rank);
    }
    if (difference.empty()) return;
    ranks.control()->close();  // all ranks know
    throw Error(ExitCode::internal,
                fmt::format("{} after iteration {}, expected the same bits on both; please report this", difference,
                            iteration));
}

}  // namespace pdadmm
