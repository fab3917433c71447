// Small checkpoints whose every value follows from the step, and a run to keep them in.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "host/store/checkpoint_store.hpp"
#include "tests/files/run_case.hpp"

namespace pdadmm {

inline SafetensorsFile shard_of(std::uint64_t step, int layer, int values = 6) {
    std::vector<float> numbers;
    for (int i = 0; i < values; ++i)
        numbers.push_back(static_cast<float>(step) + 0.25f * static_cast<float>(i * layer));
    SafetensorsFile file;
    file.metadata["layer"] = std::to_string(layer);
    file.tensors.push_back(Tensor::of("W", {values}, std::span<const float>(numbers)));
    return file;
}

inline CheckpointData checkpoint_of(std::uint64_t step, int values = 6) {
    CheckpointData data;
    data.step = step;
    data.meta = {{"rho", 0.1}, {"step", step}, {"tiny", 5e-324}, {"note", "a \"quoted\" one"}};
    data.shards = {{"layer-01", shard_of(step, 1, values)}, {"model-best", shard_of(step, 2, values)}};
    return data;
}

inline void expect_equal(const CheckpointData& found, const CheckpointData& wanted) {
    EXPECT_EQ(found.step, wanted.step);
    EXPECT_EQ(found.meta, wanted.meta);
    ASSERT_EQ(found.shards.size(), wanted.shards.size());
    for (std::size_t i = 0; i < wanted.shards.size(); ++i) {
        EXPECT_EQ(found.shards[i].first, wanted.shards[i].first);
        EXPECT_EQ(found.shards[i].second.metadata, wanted.shards[i].second.metadata);
        EXPECT_EQ(found.shards[i].second.at("W").bytes, wanted.shards[i].second.at("W").bytes);
        EXPECT_EQ(found.shards[i].second.at("W").shape, wanted.shards[i].second.at("W").shape);
    }
}

class CheckpointStoreTest : public RunTest {
protected:
    void SetUp() override {
        RunTest::SetUp();
        run_path_ = path_.string();
    }

    std::filesystem::path folder(std::uint64_t step) const {
        return std::filesystem::path(run_path_) / "checkpoints" / step_name(step);
    }
    std::vector<std::string> names() const { return Folder::open(run_path_ + "/checkpoints").names(); }
    void save(std::initializer_list<std::uint64_t> steps) {
        RunDirectory run = open();
        CheckpointStore store(run);
        for (const std::uint64_t step : steps) store.save(checkpoint_of(step), warnings_);
        ASSERT_TRUE(warnings_.empty()) << warnings_.front();
    }

    std::string run_path_;
};

}  // namespace pdadmm
