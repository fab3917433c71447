// pdadmm runs: what the registry of runs knows.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "host/cli/commands.hpp"
#include "host/cli/parse.hpp"
#include "host/console/console.hpp"
#include "host/console/printable.hpp"
#include "host/console/words.hpp"
#include "host/format/file.hpp"
#include "host/registry/best.hpp"
#include "host/registry/export.hpp"
#include "host/registry/listing.hpp"
#include "host/registry/prune.hpp"
#include "host/registry/run_registry.hpp"
#include "host/report/html.hpp"
#include "host/run/model_file.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

struct RunsOptions {
    std::string registry, metric = "val", of, out, format = "csv";
    int limit = 0, port = 0;
    bool json = false, yes = false;
};

Options runs_options(RunsOptions& o) {
    return {{"--registry",
             &o.registry,
             "file of the registry, or its folder (default: runs/registry.sqlite, else registry.sqlite; of rescan "
             "DIR/registry.sqlite)",
             {.named = true}},
            {"--json", &o.json, "list, show, compare, best: print all digits as JSON"},
            {"--limit", &o.limit, "list: so many runs at most, the newest; 0: all", {.range = from_zero}},
            {"--metric", &o.metric, "best: the figure that decides: val, val_macro_f1, seconds, ..."},
            {"--of", &o.of, "best: the data set, as --dataset named it"},
            {"--out,-o", &o.out, "export: FILE.csv (default: stdout), or a new folder for MLflow", {.named = true}},
            {"--format",
             &o.format,
             "export: a table, or the folder of MLflow's file store",
             {.choices = {"csv", "mlflow"}}},
            {"--port",
             &o.port,
             "serve: where the page is, on this machine alone; 0: any free one",
             {.range = Range{0, 65535}}},
            {"--yes", &o.yes, "prune: remove what was shown"}};
}

void put_json(const Json& json) { put_result(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

Json json_of(const std::vector<RunEntry>& runs) {
    Json all = Json::array();
    for (const RunEntry& run : runs) all.push_back(to_json(run));
    return all;
}

void list(const RunsOptions& o, const Words& words) {
    const std::vector<Filter> filters = parse_filters(words);
    RunRegistry registry = open_fresh(find_registry(o.registry));
    std::vector<RunEntry> runs = registry.runs(filters);
    if (o.limit > 0 && runs.size() > static_cast<std::size_t>(o.limit)) runs.resize(static_cast<std::size_t>(o.limit));
    if (o.json)
        put_json(json_of(runs));
    else
        put_result(table_of(runs, registry.file().parent_path()));
}

void show(const RunsOptions& o, const Words& words) {
    if (words.size() != 1)
        throw UsageError(fmt::format("runs show: {} runs, expected one; name its folder or its id", words.size()));
    RunRegistry registry = open_fresh(find_registry(o.registry));
    const RunEntry run = registry.run(words[0]);
    if (o.json)
        put_json(to_json(run));
    else
        put_result(description_of(run));
}

void compare(const RunsOptions& o, const Words& words) {
    if (words.size() < 2)
        throw UsageError(
            fmt::format("runs compare: {} runs, expected two or more; name their folders or ids", words.size()));
    RunRegistry registry = open_fresh(find_registry(o.registry));
    std::vector<RunEntry> runs;
    for (const std::string& word : words) runs.push_back(registry.run(word));
    std::vector<Words> rows = differences(runs);
    if (o.json) {
        Json json = Json::object();
        for (const RunEntry& run : runs) json["runs"].push_back({{"id", run.origin.id}, {"folder", run.folder}});
        json["differences"] = Json::object();
        for (const Words& row : rows) json["differences"][row[0]] = Words(row.begin() + 1, row.end());
        return put_json(json);
    }
    Words header{""};
    for (const RunEntry& run : runs) header.push_back(registry.stored(run.folder));
    rows.insert(rows.begin(), header);
    for (Words& row : rows)
        for (std::string& cell : row) cell = printable(cell, 60);
    put_result(aligned(rows));
}

void best(const RunsOptions& o, const Words& words) {
    std::vector<Filter> filters = parse_filters(words);
    RunRegistry registry = open_fresh(find_registry(o.registry));
    const RunEntry run = best_run(registry, o.of, filters, o.metric);
    if (o.metric.starts_with("test"))
        put_note(warning_line("chosen by test nodes, so their figure is no longer one of unseen nodes"));
    if (o.json) return put_json(to_json(run));
    const fs::path model = find_model(run.folder);
    if (!o.of.empty()) filters.push_back({"dataset", "=", o.of});
    put_note(fmt::format("{} {:.6g}; {} runs fit", o.metric, run.figure(o.metric), registry.runs(filters).size()));
    put_result((::isatty(STDOUT_FILENO) ? printable_path(model) : model.string()) + "\n");
}

void export_runs(const RunsOptions& o, const Words& words) {
    const std::vector<Filter> filters = parse_filters(words);
    if (o.format == "mlflow" && o.out.empty())
        throw UsageError("--out: none, expected a new folder for MLflow's files; give one");
    RunRegistry registry = open_fresh(find_registry(o.registry));
    if (o.format == "mlflow") {
        const std::vector<RunEntry> runs = registry.runs(filters, RunRegistry::Detail::all);
        export_mlflow(runs, o.out);
        return put_result(fmt::format("{}: {} runs; mlflow ui --backend-store-uri {}\n", printable_path(o.out),
                                      runs.size(), printable_path(o.out)));
    }
    const std::string table = runs_csv(registry.runs(filters));
    if (o.out.empty()) return put_result(table);
    write_file_atomically(o.out, std::as_bytes(std::span(table)));
    put_result(fmt::format("{}: written\n", printable_path(o.out)));
}

void prune_runs(const RunsOptions& o, const Words& words) {
    const std::vector<Filter> filters = parse_filters(words);
    RunRegistry registry(find_registry(o.registry), RunRegistry::Access::write);
    registry.refresh();
    const std::vector<PruneCandidate> candidates = plan_prune(registry, filters);
    std::vector<Words> rows{{"", "state", "started", "size", "folder", ""}};
    std::uint64_t bytes = 0;
    std::size_t going = 0;
    for (const PruneCandidate& c : candidates) {
        rows.push_back({c.kept.empty() ? "goes" : "stays", printable(c.run.state), date_text(c.run.origin.started),
                        bytes_text(static_cast<double>(c.bytes)), printable(registry.stored(c.run.folder), 200),
                        c.kept.empty() ? "" : printable(c.kept, 200)});
        if (c.kept.empty()) bytes += c.bytes, ++going;
    }
    put_result(candidates.empty() ? "no run fits\n" : aligned(rows));
    const std::string size =
        fmt::format("{} of {} runs, {}", going, candidates.size(), bytes_text(static_cast<double>(bytes)));
    if (!o.yes) return put_note(fmt::format("{}; nothing was removed: do so with --yes", size));
    const std::size_t removed = prune(registry, candidates, [](const std::string& text) { put_note(text); });
    put_note(fmt::format("{}; {} removed", size, removed));
}

void rescan(const RunsOptions& o, const Words& words) {
    if (words.size() != 1)
        throw UsageError(
            fmt::format("runs rescan: {} folders, expected one; name the folder that holds runs", words.size()));
    std::error_code ignored;
    const fs::path file = o.registry.empty() ? fs::path(words[0]) / registry_name : registry_file(o.registry);
    if (!fs::is_directory(words[0], ignored))
        throw DataError(
            fmt::format("{}: no folder, expected one that holds runs; name another", printable_path(words[0])));
    constexpr double patience_s = 60;  // it has much to enter, beside runs that train
    RunRegistry registry(file, RunRegistry::Access::make, patience_s);
    const auto [entered, dropped] = registry.rescan(words[0], [](const std::string& text) { put_note(text); });
    put_result(fmt::format("{}: {} runs, {} that are gone dropped\n", printable_path(file), entered, dropped));
}

/// The page's program takes the place of this one.
void serve(const RunsOptions& o, const Words& words) {
    if (!words.empty())
        throw UsageError(
            fmt::format("runs serve: '{}', expected nothing; conditions are typed in the page", printable(words[0])));
    std::error_code error;
    const std::string registry = fs::absolute(find_registry(o.registry)).string(), port = std::to_string(o.port),
                      version = version_line();
    const std::string program = (fs::read_symlink("/proc/self/exe", error).parent_path() / "pdadmm_serve").string();
    ::execl(program.c_str(), "pdadmm_serve", registry.c_str(), port.c_str(), version.c_str(), nullptr);
    throw DeviceError(
        fmt::format("runs serve: {}: {}, expected the program of the page; install libcpp-httplib-dev and build again",
                    printable_path(program), std::strerror(errno)));
}

struct Subcommand {
    const char* name;
    void (*act)(const RunsOptions&, const Words&);
    Words options;  // that it takes beside --registry
};

const std::array subcommands{Subcommand{"list", list, {"--json", "--limit"}},
                             Subcommand{"show", show, {"--json"}},
                             Subcommand{"compare", compare, {"--json"}},
                             Subcommand{"best", best, {"--json", "--metric", "--of"}},
                             Subcommand{"export", export_runs, {"--out", "--format"}},
                             Subcommand{"prune", prune_runs, {"--yes"}},
                             Subcommand{"rescan", rescan, {}},
                             Subcommand{"serve", serve, {"--port"}}};

std::string names_of_subcommands() {
    std::string names;
    for (std::size_t i = 0; i < subcommands.size(); ++i)
        names += fmt::format("{}{}", i == 0 ? "" : i + 1 < subcommands.size() ? ", " : " or ", subcommands[i].name);
    return names;
}

}  // namespace

int runs_command(const Words& arguments) {
    const auto options_begin =
        std::find_if(arguments.begin(), arguments.end(), [](const std::string& a) { return a.starts_with("-"); });
    Words words(arguments.begin(), options_begin);
    RunsOptions o;
    const Command line{
        "pdadmm runs",
        "What is known of runs: pdadmm runs list, best, export or prune [CONDITION ...], show RUN, compare RUN "
        "RUN ..., rescan DIR",
        "pdadmm runs list dataset=cora 'test>0.82'"};
    const std::optional<Given> given = parse_options(line, runs_options(o), {options_begin, arguments.end()});
    if (!given) return 0;
    if (words.empty())
        throw UsageError(fmt::format("runs: nothing, expected {}; see pdadmm runs --help", names_of_subcommands()));
    const auto found =
        std::find_if(subcommands.begin(), subcommands.end(), [&](const Subcommand& s) { return s.name == words[0]; });
    if (found == subcommands.end())
        throw UsageError(fmt::format("runs '{}': unknown, expected {}; see pdadmm runs --help", printable(words[0]),
                                     names_of_subcommands()));
    for (const auto& [option, text] : *given)
        if (option != "--registry" &&
            std::find(found->options.begin(), found->options.end(), option) == found->options.end())
            throw UsageError(fmt::format(
                "{}: with runs {}, expected {}; leave it out", option, found->name,
                found->options.empty() ? "none but --registry" : fmt::format("{}", fmt::join(found->options, ", "))));
    words.erase(words.begin());
    found->act(o, words);
    return 0;
}

}  // namespace pdadmm
