// Saves numbered checkpoints and says so, or says what can be recovered: the program that test_faults.py torments.
//   checkpoint_driver save RUN LAST [VALUES]   resumes or begins RUN, then for every step up to LAST: a metrics row, a
//                                              checkpoint, and "saved STEP" on stdout once it is durable
//   checkpoint_driver check                    a run folder a line on stdin; a line of "STEP" (0: none) or "wrong:
//   REASON" for each
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "host/console/console.hpp"
#include "host/console/signals.hpp"
#include "host/store/checkpoint_store.hpp"
#include "pdadmm/error.hpp"

namespace {

using namespace pdadmm;

std::string row_of(std::uint64_t step) { return "{\"epoch\":" + std::to_string(step) + "}"; }

CheckpointData checkpoint_of(std::uint64_t step, std::uint64_t metrics_bytes, Index values) {
    CheckpointData data;
    data.step = step;
    data.meta = {{"metrics_bytes", metrics_bytes}, {"values", values}};
    for (const char* name : {"layer-01", "layer-02"}) {
        std::vector<std::int64_t> numbers;
        for (Index i = 0; i < values; ++i) numbers.push_back(static_cast<std::int64_t>(step) * 1000003 + i * name[7]);
        SafetensorsFile file;
        file.tensors.push_back(Tensor::of("W", {values}, std::span<const std::int64_t>(numbers)));
        data.shards.emplace_back(name, std::move(file));
    }
    return data;
}

void save(const std::string& path, std::uint64_t last, Index values) {
    Warnings warnings;
    std::uint64_t step = 0, metrics_bytes = 0;
    std::error_code ignored;
    const bool begun = std::filesystem::is_directory(path + "/checkpoints", ignored);
    RunDirectory run(path, begun ? RunMode::resume : RunMode::overwrite, warnings);
    if (begun) {
        try {
            const CheckpointData newest = load_newest_checkpoint(path, warnings);
            step = newest.step;
            metrics_bytes = newest.meta.at("metrics_bytes").get<std::uint64_t>();
        } catch (const NoCheckpointError&) {
            // Killed before the first checkpoint: begin again. One that is there but damaged is never met.
        }
    }
    CheckpointStore store(run);
    store.set_aside_newer(step, warnings);
    run.rewind_metrics(metrics_bytes, warnings);
    run.write("config.json", "{\"values\":" + std::to_string(values) + "}\n");
    while (step < last) {
        ++step;
        run.append_metrics(row_of(step));
        store.save(checkpoint_of(step, run.sync_metrics(), values), warnings);
        const std::string line = "saved " + std::to_string(step) + "\n";
        if (write_all(STDOUT_FILENO, std::as_bytes(std::span(line))) != 0)
            throw OutputError("stdout: closed, expected a reader; keep it");
    }
    run.write_status({"done", 0, step, 0});
    for (const std::string& warning : warnings) std::fprintf(stderr, "pdadmm: warning: %s\n", warning.c_str());
}

/// What a recovery of `path` finds, every value and every metrics row compared with what was saved.
std::string check(const std::string& path) {
    Warnings warnings;
    try {
        const CheckpointData found = load_newest_checkpoint(path, warnings);
        const auto metrics_bytes = found.meta.at("metrics_bytes").get<std::uint64_t>();
        const CheckpointData wanted = checkpoint_of(found.step, metrics_bytes, found.meta.at("values").get<Index>());
        for (const auto& [name, shard] : wanted.shards)
            if (found.shard(name).at("W").bytes != shard.at("W").bytes) return "wrong: values of " + name;
        std::ifstream in(path + "/metrics.jsonl", std::ios::binary);
        std::string metrics{std::istreambuf_iterator<char>(in), {}}, rows;
        for (std::uint64_t step = 1; step <= found.step; ++step) rows += row_of(step) + "\n";
        if (rows.size() != metrics_bytes || metrics.substr(0, rows.size()) != rows) return "wrong: metrics rows";
        return std::to_string(found.step);
    } catch (const NoCheckpointError&) {
        return "0";
    } catch (const DataError& error) {
        return std::string("wrong: ") + error.what();
    }
}

}  // namespace

int main(int argc, char** argv) {
    install_signal_handlers();
    const std::string mode = argc > 1 ? argv[1] : "";
    try {
        if (mode == "save" && argc >= 4) {
            save(argv[2], std::stoull(argv[3]), argc > 4 ? std::stoll(argv[4]) : 4);
        } else if (mode == "check") {
            for (std::string path; std::getline(std::cin, path);) std::cout << check(path) << '\n' << std::flush;
        } else {
            throw UsageError("arguments: " + mode + ", expected save RUN LAST [VALUES] or check");
        }
    } catch (const Error& error) {
        std::fprintf(stderr, "pdadmm: error: %s\n", error.what());
        return static_cast<int>(error.code());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pdadmm: error: internal: %s\n", error.what());
        return static_cast<int>(ExitCode::internal);
    }
    return 0;
}
