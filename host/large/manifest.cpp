// The manifest as JSON (host/large/manifest.hpp).
#include "host/large/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {

using Json = nlohmann::json;

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Part, name, bytes, record, digest)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SlabPower, first, width, chain, power, part)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SlabRange, first, width)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DiskFeatures, nodes, features, chunk_rows, part)

namespace {

constexpr const char* file_name = "manifest.json";
constexpr std::uint64_t most_bytes = std::uint64_t{16} << 20;

Json json_of(const DiskGraph& g) {
    Json json{{"nodes", g.nodes},
              {"entries", g.entries},
              {"self_loops", g.self_loops},
              {"offsets", g.offsets},
              {"columns", g.columns}};
    if (g.weights) json["weights"] = *g.weights;
    return json;
}

DiskGraph graph_of(const Json& json) {
    DiskGraph g{json.at("nodes"),   json.at("entries"), json.at("self_loops"),
                json.at("offsets"), json.at("columns"), {}};
    if (json.contains("weights")) g.weights = json["weights"].get<Part>();
    return g;
}

}  // namespace

std::vector<Part> SlabManifest::parts() const {
    std::vector<Part> parts;
    if (graph) {
        parts.push_back(graph->offsets);
        parts.push_back(graph->columns);
        if (graph->weights) parts.push_back(*graph->weights);
    }
    if (features) parts.push_back(features->part);
    for (const SlabPower& one : states) parts.push_back(one.part);
    for (const SlabPower& one : kept) parts.push_back(one.part);
    return parts;
}

Index SlabManifest::features_done() const {
    return std::accumulate(done.begin(), done.end(), Index{0},
                           [](Index sum, const SlabRange& slab) { return sum + slab.width; });
}

SlabManifest read_manifest(const Folder& folder) {
    SlabManifest m;
    if (folder.kind(file_name) == Folder::Kind::none) return m;
    const std::string path = folder.path_of(file_name);
    const std::vector<std::byte> bytes = read_file(path, most_bytes);
    try {
        const Json json = Json::parse(reinterpret_cast<const char*>(bytes.data()),
                                      reinterpret_cast<const char*>(bytes.data()) + bytes.size());
        m.identity = json.at("identity");
        if (json.contains("graph")) m.graph = graph_of(json["graph"]);
        if (json.contains("features")) m.features = json["features"].get<DiskFeatures>();
        m.states = json.at("states").get<std::vector<SlabPower>>();
        m.kept = json.at("kept").get<std::vector<SlabPower>>();
        m.done = json.at("done").get<std::vector<SlabRange>>();
        m.multiplied = json.at("multiplied");
    } catch (const Json::exception&) {
        throw DataError(
            fmt::format("{}: damaged, expected what pdadmm augment wrote; remove the folder and start again",
                        printable(path, 400)));
    }
    return m;
}

void write_manifest(const Folder& folder, const SlabManifest& m) {
    Json json{{"identity", m.identity},
              {"states", m.states},
              {"kept", m.kept},
              {"done", m.done},
              {"multiplied", m.multiplied}};
    if (m.graph) json["graph"] = json_of(*m.graph);
    if (m.features) json["features"] = *m.features;
    const std::string text = json.dump(1) + "\n", temporary = Folder::temporary_name(file_name);
    if (folder.kind(temporary) != Folder::Kind::none) folder.remove_file(temporary);
    folder.replace(file_name, std::as_bytes(std::span(text)));
    std::vector<std::string> listed{file_name, "lock"};
    for (const Part& part : m.parts()) listed.push_back(part.name);
    for (const std::string& name : folder.names())
        if (!name.starts_with(Folder::temporary_name("")) &&
            std::find(listed.begin(), listed.end(), name) == listed.end())
            folder.remove_file(name);
}

}  // namespace pdadmm
