// What the ordinary run takes of a long test's cases; its sister, whose name ends in Slow, takes them all.
#pragma once

#include <cstdint>
#include <vector>

namespace pdadmm {

/// Every `every`-th, the first one drawn by the seed.
template <class T>
std::vector<T> sample(const std::vector<T>& all, std::size_t every, std::uint64_t seed) {
    std::vector<T> some;
    for (std::size_t k = seed % every; k < all.size(); k += every) some.push_back(all[k]);
    return some;
}

}  // namespace pdadmm
