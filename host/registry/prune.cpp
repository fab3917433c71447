// Removal of runs (host/registry/prune.hpp).
#include "host/registry/prune.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

#include "host/console/printable.hpp"
#include "host/console/words.hpp"
#include "host/registry/best.hpp"
#include "host/store/run_directory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

/// Folders of the best runs, one a data set.
std::map<std::string, std::string> best_folders(const std::vector<RunEntry>& all) {
    std::map<std::string, std::string> best;  // by data set
    for (const RunEntry& run : ranked(all, "val")) best.emplace(run.option("dataset"), run.folder);
    return best;
}

std::string reason(const RunEntry& run, const std::map<std::string, std::string>& best) {
    if (run.state == "running") return "it is running";
    if (!run.evaluations.empty()) return "its model was evaluated";
    const std::string dataset = run.option("dataset");
    if (const auto found = best.find(dataset); found != best.end() && found->second == run.folder)
        return "it is best:" + dataset;
    return {};
}

}  // namespace

std::vector<PruneCandidate> plan_prune(RunRegistry& registry, const std::vector<Filter>& filters) {
    const std::vector<RunEntry> all = registry.runs({});
    const std::map<std::string, std::string> best = best_folders(all);
    std::vector<PruneCandidate> candidates;
    for (RunEntry& run : registry.runs(filters, RunRegistry::Detail::all)) {
        if (filters.empty() && run.state != "failed" && run.state != "lost") continue;
        PruneCandidate candidate{std::move(run), "", 0};
        candidate.kept = reason(candidate.run, best);
        for (const auto& [name, bytes] : candidate.run.files) candidate.bytes += bytes;
        candidates.push_back(std::move(candidate));
    }
    // A summary over seeds refers to each of them: they go together.
    std::set<std::string> going;
    for (const PruneCandidate& c : candidates)
        if (c.kept.empty()) going.insert(c.run.folder);
    std::set<std::string> held;  // runs of several seeds, of which one stays
    for (const RunEntry& run : all)
        if (!run.parent.empty() && !going.contains(run.folder)) held.insert(run.parent);
    for (PruneCandidate& c : candidates)
        if (c.kept.empty() && held.contains(c.run.parent)) c.kept = "another seed of its run stays";
    return candidates;
}

std::size_t prune(RunRegistry& registry, const std::vector<PruneCandidate>& candidates,
                  const std::function<void(const std::string&)>& warn) {
    std::size_t removed = 0;
    std::set<std::string> parents;
    // What was trained there since, entered elsewhere or nowhere, is not what was shown.
    const auto is_same = [&](const RunEntry& run) {
        try {
            if (read_entry(run.folder).origin.id == run.origin.id) return true;
            warn(warning_line(fmt::format("{}: another run by now, expected {}; see pdadmm runs rescan",
                                          printable_path(run.folder), printable(run.origin.id))));
        } catch (const DataError& error) {
            warn(warning_line(error.what()));
        }
        return false;
    };
    const auto remove = [&](const std::string& folder) {
        Warnings warnings;
        bool removed_now = true;
        try {
            RunDirectory::remove(folder, warnings);
        } catch (const OutputError& error) {
            warnings.emplace_back(error.what());
            removed_now = false;
        }
        for (const std::string& warning : warnings) warn(warning_line(warning));
        return removed_now;
    };
    for (const PruneCandidate& c : candidates) {
        if (!c.kept.empty()) continue;
        if (is_run(c.run.folder) && !(is_same(c.run) && remove(c.run.folder))) continue;
        registry.drop(c.run.folder);
        if (!c.run.parent.empty()) parents.insert(fs::path(c.run.folder).parent_path().string());
        ++removed;
    }
    for (const std::string& parent : parents)
        if (RunDirectory::seed_folders(parent).empty()) remove(parent);
    return removed;
}

}  // namespace pdadmm
