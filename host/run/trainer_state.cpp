// Checkpoints of a solver (host/run/trainer_state.hpp). Numbers that may be infinite are kept as F64 tensors, not as
// JSON.
#include "host/run/trainer_state.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <optional>

#include "host/run/model_file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

std::string layer_shard(int layer) { return fmt::format("layer-{:02}", layer); }

Tensor tensor_of(const NamedTensor& named, const std::vector<real>& values) {
    return Tensor::of(named.name, {static_cast<Index>(values.size()) / named.value.rows, named.value.rows},
                      std::span<const real>(values));  // columns are nodes
}

/// This rank's columns of it.
void put(const Ranks& ranks, Backend& be, const Tensor& tensor, const NamedTensor& to) {
    const Index rows = to.value.rows, all = ranks.all_columns(to.value);
    const auto bytes = [rows](Index columns) { return static_cast<std::size_t>(columns * rows) * sizeof(real); };
    if (tensor.shape != std::vector<Index>{all, rows} || tensor.bytes.size() != bytes(all))
        throw DataError(fmt::format("{}: {} has another shape or precision than this run's", tensor.file, to.name));
    be.upload(tensor.bytes.data() + bytes(ranks.columns_here(to.value).first), to.value.data, bytes(to.value.cols));
}

std::vector<double> evaluation_values(const Evaluation& e) {
    std::vector<double> values;
    for (const auto* figures : {&e.accuracy, &e.cost, &e.metric})
        values.insert(values.end(), figures->begin(), figures->end());
    return values;
}

SafetensorsFile best_shard(const BestModel& best) {
    SafetensorsFile file;
    for (int layer = 1; layer <= best.model.shape.layers; ++layer) {
        const auto k = static_cast<std::size_t>(layer - 1);
        file.tensors.push_back(Tensor::of(fmt::format("W{}", layer), {static_cast<Index>(best.model.W[k].size())},
                                          std::span<const real>(best.model.W[k])));
        file.tensors.push_back(Tensor::of(fmt::format("b{}", layer), {static_cast<Index>(best.model.b[k].size())},
                                          std::span<const real>(best.model.b[k])));
    }
    const std::vector<double> values = evaluation_values(best.evaluation);
    file.tensors.push_back(Tensor::of("evaluation", {9}, std::span<const double>(values)));
    return file;
}

std::vector<real> reals(const Tensor& tensor, Index expected) {
    const auto wide = tensor.as_double();
    if (static_cast<Index>(wide.size()) != expected)
        throw DataError(fmt::format("{}: {} has another shape", tensor.file, tensor.name));
    return {wide.begin(), wide.end()};
}

BestModel best_of(const SafetensorsFile& file, const NetworkShape& shape, Index epoch, int stage) {
    BestModel best;
    best.stage = stage;
    best.epoch = epoch;
    best.model.shape = shape;
    for (int layer = 1; layer <= shape.layers; ++layer) {
        best.model.W.push_back(reals(file.at(fmt::format("W{}", layer)), shape.rows(layer) * shape.cols(layer)));
        best.model.b.push_back(reals(file.at(fmt::format("b{}", layer)), shape.rows(layer)));
    }
    const std::vector<double> values = file.at("evaluation").as_double();
    const bool accuracy_alone = values.size() == 6;  // by a program that had no other metric
    if (values.size() != 9 && !accuracy_alone)
        throw DataError(fmt::format("{}: evaluation has another shape", file.name));
    for (std::size_t i = 0; i < 3; ++i) {
        best.evaluation.accuracy[i] = values[i];
        best.evaluation.cost[i] = values[i + 3];
        best.evaluation.metric[i] = values[accuracy_alone ? i : i + 6];
    }
    return best;
}

}  // namespace

CheckpointData save_state(Trainer& solver) {
    const Progress& p = solver.progress();
    CheckpointData data;
    data.step = static_cast<std::uint64_t>(p.epoch);
    data.meta["progress"] = {{"stage", p.stage},
                             {"stage_epoch", p.stage_epoch},
                             {"epoch", p.epoch},
                             {"since_best", p.watch.since_best},
                             {"seconds", p.seconds},
                             {"setup_seconds", p.setup_seconds},
                             {"bytes", p.bytes},
                             {"stopped_early", p.stopped_early},
                             {"best_epoch", solver.best() ? solver.best()->epoch : -1}};
    if (p.watch.best) data.meta["progress"]["stage_best"] = *p.watch.best;
    if (solver.best()) data.meta["progress"]["best_stage"] = solver.best()->stage;
    const WeightCopy* best_weights = solver.best_weights();
    for (int layer = 1; layer <= solver.shape().layers; ++layer) {
        SafetensorsFile shard;
        std::vector<NamedTensor> state = solver.state(layer);
        if (best_weights)
            state.insert(state.end(), best_weights->state(layer).begin(), best_weights->state(layer).end());
        for (const NamedTensor& named : state) {
            const std::vector<real> values = named.rank >= 0 ? solver.ranks().collect_from(named.value, named.rank)
                                                             : solver.ranks().collect(named.value, layer);
            if (solver.ranks().keeps()) shard.tensors.push_back(tensor_of(named, values));
        }
        data.shards.emplace_back(layer_shard(layer), std::move(shard));
    }
    if (!solver.ranks().keeps()) return data;
    const std::vector<double> scalars = solver.scalars();
    SafetensorsFile controls;
    controls.tensors.push_back(
        Tensor::of("controls", {static_cast<Index>(scalars.size())}, std::span<const double>(scalars)));
    if (best_weights) {
        const std::array<double, 2> first{best_weights->scalars.c, best_weights->scalars.weight_sq};
        controls.tensors.push_back(Tensor::of("best_scalars", {2}, std::span<const double>(first)));
    }
    data.shards.emplace_back("controls", std::move(controls));
    if (solver.best()) data.shards.emplace_back("model-best", best_shard(*solver.best()));
    return data;
}

void load_state(Trainer& solver, const CheckpointData& checkpoint) {
    const nlohmann::json& saved = checkpoint.meta.at("progress");
    Progress p;
    p.stage = saved.at("stage");
    p.stage_epoch = saved.at("stage_epoch");
    p.epoch = saved.at("epoch");
    p.watch.since_best = saved.at("since_best");
    p.seconds = saved.at("seconds");
    p.setup_seconds = saved.value("setup_seconds", 0.0);
    p.bytes = saved.at("bytes");
    p.stopped_early = saved.at("stopped_early");
    const Index best_epoch = saved.at("best_epoch");
    const auto& stages = solver.options().stages;
    if (p.stage < 0 || p.stage >= static_cast<int>(stages.size()))
        throw DataError(checkpoint.folder + ": its growth stage is not one of this run's");
    std::optional<BestModel> best;
    const bool unwatched =
        !saved.contains("best_stage");  // by a program that watched and kept the best of the last stage alone
    if (best_epoch >= 0) {
        const int stage = unwatched ? static_cast<int>(stages.size()) - 1 : saved.at("best_stage").get<int>();
        if (stage < 0 || stage > p.stage)
            throw DataError(checkpoint.folder + ": the growth stage of its best model is not one of this run's");
        best =
            best_of(checkpoint.shard("model-best"),
                    stage_shape(solver.options(), solver.data(), static_cast<std::size_t>(stage)), best_epoch, stage);
    }
    if (saved.contains("stage_best"))
        p.watch.best = saved.at("stage_best").get<double>();
    else if (best && unwatched)
        p.watch.best = best->evaluation.accuracy[1];
    solver.restore(p);
    Backend& be = solver.backend();
    const LayerRange own = solver.layers();
    for (int layer = own.first; layer <= own.last; ++layer) {
        const SafetensorsFile& shard = checkpoint.shard(layer_shard(layer));
        for (const NamedTensor& named : solver.state(layer))
            if (named.rank < 0 || named.rank == solver.ranks().rank())
                put(solver.ranks(), be, shard.at(named.name), named);
        if (const WeightCopy* kept = solver.best_weights())
            for (const NamedTensor& named : kept->state(layer)) put(solver.ranks(), be, shard.at(named.name), named);
    }
    for (const auto& [layer, named] : solver.halos())
        put(solver.ranks(), be, checkpoint.shard(layer_shard(layer)).at(named.name), named);
    const std::vector<double> values = checkpoint.shard("controls").at("controls").as_double();
    if (values.size() != solver.scalars().size()) throw DataError(checkpoint.folder + ": controls has another shape");
    solver.restore_scalars(values);
    if (WeightCopy* kept = solver.best_weights()) {
        const std::vector<double> first = checkpoint.shard("controls").at("best_scalars").as_double();
        if (first.size() != 2) throw DataError(checkpoint.folder + ": best_scalars has another shape");
        kept->scalars = {first[0], first[1]};
    }
    if (best) solver.restore_best(std::move(*best));
}

}  // namespace pdadmm
