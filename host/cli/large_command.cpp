// Augmentation on disk as its users meet it (host/cli/large_command.hpp).
#include "host/cli/large_command.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>

#include "host/cli/option_table.hpp"
#include "host/cli/option_text.hpp"
#include "host/cli/rank_session.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/console/signals.hpp"
#include "host/data/split.hpp"
#include "host/format/file.hpp"
#include "host/large/large_augmentation.hpp"
#include "host/machine/memory.hpp"
#include "host/machine/processors.hpp"
#include "host/run/progress.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

constexpr double assumed_disk_rate = 2e9;  // bytes a second, of the plan alone

int threads_of(const TrainOptions& o) { return o.backend.threads > 0 ? o.backend.threads : available_processors(); }

std::uint64_t memory_of(const LargeChoice& choice) {
    return choice.memory.empty() ? available_memory() / 2 : memory_size("--memory", choice.memory);
}

StoredAs stored_as(const LargeChoice& choice) { return choice.store == "bf16" ? StoredAs::bf16 : StoredAs::working; }

/// Slabs are multiplied by the processor unless a GPU is asked for: the bits are the same.
std::vector<int> devices_of(const TrainOptions& o, const LargeChoice& choice) {
    if (o.backend.name != "cuda") {
        if (!choice.devices.empty() || o.backend.device != 0)
            throw UsageError(fmt::format("{}: with a folder and --backend {}, expected cuda; add --backend cuda",
                                         choice.devices.empty() ? "--device" : "--devices", o.backend.name));
        return {};
    }
    const std::vector<int> devices = device_list(choice.devices);
    return devices.empty() ? std::vector<int>{o.backend.device} : devices;
}

LargeOptions large_options_of(const TrainOptions& o, const LargeChoice& choice) {
    const KeptNodes nodes = choice.nodes == "split"      ? KeptNodes::split
                            : choice.nodes == "labelled" ? KeptNodes::labelled
                                                         : KeptNodes::all;
    return {augment_options(o), nodes,
            memory_of(choice),  threads_of(o),
            choice.out,         augment_arguments(o),
            stored_as(choice),  devices_of(o, choice)};
}

/// nodes=N,edges=E,features=F, and rows=R where not all are kept; edges are stored once.
LargeSize size_of_shape(const std::string& text, int threads) {
    LargeSize size;
    size.threads = threads;
    std::uint64_t edges = 0;
    for (const std::string& item : split_text(text, ',')) {
        const std::size_t equals = item.find('=');
        const std::string key = item.substr(0, equals),
                          value = equals == std::string::npos ? "" : item.substr(equals + 1);
        const double count = number("--shape", value);
        if (!(count >= 1 && count <= 9e15 && count == std::floor(count)))
            throw UsageError(fmt::format("--shape: {}, expected a whole number above 0", printable(item)));
        if (key == "nodes")
            size.nodes = static_cast<Index>(count);
        else if (key == "edges")
            edges = static_cast<std::uint64_t>(count);
        else if (key == "features")
            size.features = static_cast<Index>(count);
        else if (key == "rows")
            size.kept = static_cast<Index>(count);
        else
            throw UsageError(
                fmt::format("--shape: '{}', expected nodes=N,edges=E,features=F[,rows=R]", printable(item)));
    }
    if (size.nodes < 1 || size.nodes > INT32_MAX || edges < 1 || size.features < 1 || size.features > INT32_MAX ||
        size.kept > size.nodes)
        throw UsageError(fmt::format(
            "--shape: '{}', expected nodes=N,edges=E,features=F[,rows=R] with at most 2^31 - 1 nodes and no more rows",
            printable(text)));
    if (size.kept == 0) size.kept = size.nodes;
    size.entries = 2 * edges;
    size.describing = 3 * sizeof(std::int32_t) * static_cast<std::uint64_t>(size.nodes);
    return size;
}

void print_plan(const LargePlan& plan) {
    put_result(text_of(plan, measured_copy_rate(plan.size.threads), assumed_disk_rate));
}

/// Streamed where its form allows it, else read as a whole.
std::unique_ptr<GraphSource> open_source(const TrainOptions& o) {
    if (o.dataset == "sbm" || o.dataset.starts_with("sbm:")) return source_of(parse_sbm(o.dataset));
    const LoadOptions load = load_options(o);
    const ReadOptions reading{load.binary_features, load.split_index, load.unlabelled};
    if (std::unique_ptr<GraphSource> source =
            source_of_arrays(find_dataset(o.dataset, load), reading, default_input_budget()))
        return source;
    return source_of(load_dataset(o.dataset, load));
}

}  // namespace

Options large_options(LargeChoice& choice) {
    return grouped(
        "Into a folder",
        {{"--memory", &choice.memory, "bytes to keep within, as 4G; default: half of what is free"},
         {"--nodes",
          &choice.nodes,
          "nodes whose X is kept: of the split, all with a label, or all",
          {.choices = {"split", "labelled", "all"}}},
         {"--store",
          &choice.store,
          "values of X on disk; bf16: rounded to bfloat16, half the room; training goes on in fp32",
          {.choices = {"fp32", "bf16"}}},
         {"--devices", &choice.devices,
          "with --backend cuda, GPUs that take slabs of features side by side: 0,1,2,3; default: that of --device"},
         {"--plan", &choice.plan, "print slabs, passes, bytes of memory and disk, and an estimate of time, and stop"},
         {"--shape", &choice.shape, "with --plan, of a graph that is not here: nodes=N,edges=E,features=F[,rows=R]"}});
}

bool names_folder(const std::string& out) {
    std::error_code ignored;
    return !out.empty() && (out.ends_with('/') || fs::is_directory(out, ignored) || !fs::path(out).has_extension());
}

std::uint64_t memory_size(const char* option, const std::string& text) {
    const std::size_t end = text.find_last_of("0123456789.") + 1;
    const std::string unit = text.substr(end);
    const std::size_t power = std::string("KMGT").find(unit.empty() ? ' ' : unit[0]);
    const bool known = unit.empty() || (power != std::string::npos &&
                                        (unit.size() == 1 || unit.substr(1) == "B" || unit.substr(1) == "iB"));
    if (end == 0 || !known)
        throw UsageError(fmt::format("{}: '{}', expected a size like 512M or 4G", option, printable(text)));
    const double bytes =
        number(option, text.substr(0, end)) * (unit.empty() ? 1.0 : std::pow(1024.0, static_cast<double>(power) + 1));
    if (!(bytes >= 1 && bytes < 9e18))
        throw UsageError(fmt::format("{}: '{}', expected a size like 512M or 4G", option, printable(text)));
    return static_cast<std::uint64_t>(bytes);
}

int large_command(const TrainOptions& o, const LargeChoice& choice) {
    const std::vector<int> devices = devices_of(o, choice);
    if (!choice.shape.empty()) {
        if (!choice.plan) throw UsageError("--shape: without --plan, expected it; add --plan");
        LargeSize size = size_of_shape(choice.shape, threads_of(o));
        size.value_bytes = bytes_of(stored_as(choice));
        size.devices = size_of_devices(devices);
        print_plan(plan_large(size, augment_options(o), memory_of(choice)));
        return 0;
    }
    if (choice.out.empty() && !choice.plan) throw UsageError("--out: nothing, expected a folder; add --out FOLDER");
    const auto began = std::chrono::steady_clock::now();
    const std::unique_ptr<GraphSource> source = open_source(o);
    const Dataset& d = source->description();
    for (const std::string& text : d.notes) put_note(fmt::format("{}: {}", d.name, text));
    if (d.multi_label())
        throw UsageError("--out: a folder, with several labels a node, expected one class a node; name a file .npy");
    const LargeOptions options = large_options_of(o, choice);
    const Split split =
        options.nodes == KeptNodes::all && d.classes < 2 ? Split{} : make_split(d, o.split, o.split_seed);
    if (choice.plan) {
        print_plan(plan_of(*source, split, options));
        return 0;
    }
    install_signal_handlers();
    LiveLine line(false);
    LargeWatch watch;
    watch.note = [&](const std::string& text) { line.note(text); };
    watch.live = [&](const std::string& text) { line.draw({text}); };
    watch.stopped = [] { return stop_signal() != 0; };
    const LargeResult result = augment_on_disk(*source, split, options, watch);
    line.clear();
    if (result.stopped) {
        put_note(fmt::format("stopped; the same command goes on in {}", printable(choice.out)));
        return exit_code_of_signal(stop_signal());
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (seconds > 10)  // beside which the GB/s of the hops are read
        put_note(fmt::format("memory is copied at {:.2f} GB/s here, now, by {} threads",
                             measured_copy_rate(options.threads) / 1e9, options.threads));
    put_result(fmt::format("{}: {} inputs of {} nodes ({}) in {}, {:.2f} s\n", d.name, result.inputs, result.rows,
                           to_string(options.augment), printable(choice.out), seconds));
    return 0;
}

}  // namespace pdadmm
