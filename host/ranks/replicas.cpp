// Digests of borders (host/ranks/replicas.hpp).
#include "host/ranks/replicas.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "host/format/digest.hpp"

namespace pdadmm {
namespace {

constexpr std::array border_tensors{"p", "q", "u"};
constexpr std::size_t each = 2 * border_tensors.size() + 1;  // of a rank: the left border, the right one, penalties

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
    digests.back() = digest_number(std::as_bytes(std::span(&k, 1)));

    const std::vector<double> all = ranks.gather(digests);
    std::string difference;
    const int active = ranks.placement().active();
    const auto of = [&](int rank, std::size_t which) { return all[static_cast<std::size_t>(rank) * each + which]; };
    for (int rank = 0; rank + 1 < active && difference.empty(); ++rank) {
        const int last = ranks.placement().of(rank).last;
        for (std::size_t t = 0; t < border_tensors.size() && difference.empty(); ++t)
            if (of(rank, border_tensors.size() + t) != of(rank + 1, t))
                difference =
                    fmt::format("border between rank {} (up to layer {}) and rank {} (from layer {}): {} differs", rank,
                                last, rank + 1, last + 1, border_tensors[t]);
        if (difference.empty() && of(rank, each - 1) != of(rank + 1, each - 1))
            difference = fmt::format("penalties of rank {} and rank {}: they differ", rank, rank + 1);
    }
    if (difference.empty()) return;
    ranks.control()->close();  // all ranks know
    throw Error(ExitCode::internal,
                fmt::format("{} after iteration {}, expected the same bits on both; please report this", difference,
                            iteration));
}

}  // namespace pdadmm
