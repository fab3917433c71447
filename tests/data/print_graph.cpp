// Prints what the program sees in a graph as one line of JSON: how test_prepare.py checks that bundles arrive
// unchanged.
#include <fmt/format.h>

#include <cstdio>
#include <numeric>

#include "host/data/dataset_reader.hpp"
#include "pdadmm/error.hpp"

int main(int count, char** arguments) {
    using namespace pdadmm;
    if (count != 2) return 2;
    try {
        const Dataset d = load_dataset(arguments[1]);
        const std::vector<float>& values = d.features.is_sparse() ? d.features.sparse.values : d.features.dense;
        fmt::print(
            "{{\"nodes\":{},\"features\":{},\"classes\":{},\"edges\":{},\"self_loops\":{},\"isolated\":{},"
            "\"symmetric\":{},"
            "\"feature_sum\":{},\"label_sum\":{},\"train\":{},\"val\":{},\"test\":{},\"digest\":\"{}\"}}\n",
            d.nodes, d.features.count, d.classes, d.adjacency.nnz(), d.facts.self_loops, d.facts.isolated,
            d.facts.symmetric, std::accumulate(values.begin(), values.end(), 0.0),
            std::accumulate(d.labels.begin(), d.labels.end(), Index{0}), d.stored_split.train.size(),
            d.stored_split.val.size(), d.stored_split.test.size(), dataset_digest(d));
    } catch (const Error& error) {
        std::fprintf(stderr, "print_graph: error: %s\n", error.what());
        return static_cast<int>(error.code());
    }
}
