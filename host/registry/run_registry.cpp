// Entering, finding and dropping of runs (host/registry/run_registry.hpp).
#include "host/registry/run_registry.hpp"

#include <fmt/format.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "host/console/printable.hpp"
#include "host/console/words.hpp"
#include "host/registry/schema.hpp"
#include "host/store/run_directory.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

namespace fs = std::filesystem;

/// Without a slash at its end, links in it left as they are.
fs::path plain(const fs::path& path) {
    const fs::path whole = fs::absolute(path).lexically_normal();
    return whole.has_filename() ? whole : whole.parent_path();
}

SqlValue number_or_null(const std::string& text) {
    const std::optional<double> value = finite_number(text);
    return value ? SqlValue(*value) : SqlValue();
}

SqlValue whole_or_null(const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return value;
}

/// `path`, which may be missing. To open a pipe would be to wait for its other end.
fs::path require_file(const fs::path& path) {
    std::error_code ignored;
    const fs::file_status there = fs::status(path, ignored);
    if (fs::exists(there) && !fs::is_regular_file(there))
        throw DataError(fmt::format("{}: is {}, expected a registry of runs; name another file, or --registry off",
                                    printable_path(path), fs::is_directory(there) ? "a folder" : "a device or a pipe"));
    return path;
}

Database::Mode mode_of(RunRegistry::Access access) {
    return access == RunRegistry::Access::read    ? Database::Mode::read
           : access == RunRegistry::Access::write ? Database::Mode::write
                                                  : Database::Mode::make;
}

/// On a disk of the network, where machines cannot share the memory that a write-ahead log needs.
bool is_remote(const fs::path& file) {
    constexpr std::array<std::uint32_t, 6> remote{0x6969,     0xFF534D42, 0xFE534D42,   // NFS, CIFS, SMB 2
                                                  0x0BD00BD0, 0x47504653, 0x65735546};  // Lustre, GPFS, FUSE (sshfs)
    struct statfs status;
    return ::statfs(file.parent_path().c_str(), &status) == 0 &&
           std::find(remote.begin(), remote.end(), static_cast<std::uint32_t>(status.f_type)) != remote.end();
}

/// Readers and one writer at a time do not wait for each other in a write-ahead log, and a commit waits for no disk:
/// what a loss of power takes of it, rescan gives back. Where the file system cannot have one, SQLite keeps a journal.
void prepare(Database& database, RunRegistry::Access access) {
    if (access == RunRegistry::Access::read) return require_schema(database);
    if (!is_remote(database.path()) && database.text("PRAGMA journal_mode") != "wal")
        database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = NORMAL");
    prepare_schema(database);
}

}  // namespace

fs::path registry_beside(const fs::path& run_folder) {
    const fs::path whole = plain(run_folder), above = whole.parent_path();
    return (RunDirectory::is_one_of_several(whole) ? above.parent_path() : above) / registry_name;
}

fs::path registry_file(const fs::path& choice) {
    std::error_code ignored;
    return fs::is_directory(choice, ignored) ? choice / registry_name : choice;
}

fs::path find_registry(const std::string& choice) {
    std::error_code ignored;
    if (!choice.empty()) {
        const fs::path file = registry_file(choice);
        if (fs::exists(file, ignored)) return file;
        throw UsageError(fmt::format(
            "--registry: {}: no such file, expected a registry of runs; make one with pdadmm runs rescan DIR",
            printable_path(file)));
    }
    for (const fs::path& file : {fs::path("runs") / registry_name, fs::path(registry_name)})
        if (fs::exists(file, ignored)) return file;
    throw UsageError(
        "--registry: none, expected runs/registry.sqlite or registry.sqlite here; name one, or make one with pdadmm "
        "runs rescan DIR");
}

RunRegistry::RunRegistry(const fs::path& file, Access access, double patience_s)
    : file_(require_file(plain(file))),
      folder_(file_.parent_path()),
      database_(file_.string(), mode_of(access), patience_s) {
    prepare(database_, access);
}

std::string RunRegistry::stored(const fs::path& folder) const {
    const fs::path whole = plain(folder), below = whole.lexically_relative(folder_);
    return below.empty() || below.native().starts_with("..") ? whole.string() : below.string();
}

std::string RunRegistry::whole(const std::string& stored) const {
    return stored.empty() ? stored : plain(folder_ / stored).string();
}

void RunRegistry::enter(const RunEntry& run) {
    const std::string folder = stored(run.folder), parent = run.parent.empty() ? "" : stored(run.parent);
    Transaction change(database_);
    database_.prepare("DELETE FROM runs WHERE folder = ?1 AND id <> ?2").run({folder, run.origin.id});
    const RunOrigin& o = run.origin;
    database_
        .prepare(
            "INSERT INTO runs(folder, parent, id, state, exit, dataset, data_digest, seed, program, build, host, "
            "processor, started, changed) "
            "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT(folder) DO UPDATE SET "
            "parent = ?2, state = ?4, "
            "exit = ?5, dataset = ?6, data_digest = ?7, seed = ?8, program = ?9, build = ?10, host = ?11, processor = "
            "?12, started = ?13, "
            "changed = ?14")
        .run({folder, parent, o.id, run.state, std::int64_t{run.exit}, run.option("dataset"), run.option("data_digest"),
              whole_or_null(run.option("seed")), o.program, o.build, o.host, o.processor, o.started, run.changed});
    Statement found = database_.prepare("SELECT key FROM runs WHERE folder = ?1");
    if (!found.bind({folder}).step())
        throw Error(ExitCode::internal, "registry of runs: a row that was entered is not there");
    insert_details(found.integer(0), run);
    change.commit();
}

void RunRegistry::insert_details(std::int64_t key, const RunEntry& run) {
    for (const char* clear : {"DELETE FROM options WHERE run = ?1", "DELETE FROM figures WHERE run = ?1",
                              "DELETE FROM history WHERE run = ?1", "DELETE FROM files WHERE run = ?1"})
        database_.prepare(clear).run({key});
    Statement option = database_.prepare("INSERT INTO options(run, name, value, number) VALUES(?1, ?2, ?3, ?4)");
    for (const auto& [name, value] : run.options) option.run({key, name, value, number_or_null(value)});
    Statement figure = database_.prepare("INSERT INTO figures(run, name, value) VALUES(?1, ?2, ?3)");
    for (const auto& [name, value] : run.figures) figure.run({key, name, value});
    Statement point =
        database_.prepare("INSERT OR REPLACE INTO history(run, name, epoch, value) VALUES(?1, ?2, ?3, ?4)");
    for (const HistoryPoint& p : run.history) point.run({key, p.name, p.epoch, p.value});
    Statement file = database_.prepare("INSERT INTO files(run, name, bytes) VALUES(?1, ?2, ?3)");
    for (const auto& [name, bytes] : run.files) file.run({key, name, static_cast<std::int64_t>(bytes)});
}

bool RunRegistry::enter_evaluation(const fs::path& run_folder, const EvaluationEntry& e) {
    Transaction change(database_);
    Statement found = database_.prepare("SELECT key FROM runs WHERE folder = ?1");
    if (!found.bind({stored(run_folder)}).step()) return false;
    database_
        .prepare(
            "INSERT INTO evaluations(run, at, dataset, data_digest, model, program) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")
        .run({found.integer(0), e.at, e.dataset, e.data_digest, e.model, e.program});
    const std::int64_t key = database_.integer("SELECT last_insert_rowid()");
    Statement figure = database_.prepare("INSERT INTO evaluation_figures(evaluation, name, value) VALUES(?1, ?2, ?3)");
    for (const auto& [name, value] : e.figures)
        if (std::isfinite(value)) figure.run({key, name, value});
    change.commit();
    return true;
}

void RunRegistry::refresh() {
    std::vector<std::string> running;
    for (Statement row = database_.prepare("SELECT folder FROM runs WHERE state = 'running'"); row.step();)
        running.push_back(row.text(0));
    for (const std::string& folder : running) {
        try {
            enter(read_entry(whole(folder)));
        } catch (const DataError&) {  // moved, removed or damaged
            database_.prepare("UPDATE runs SET state = 'lost' WHERE folder = ?1").run({folder});
        }
    }
}

void RunRegistry::drop(const std::string& folder) {
    database_.prepare("DELETE FROM runs WHERE folder = ?1").run({stored(folder)});
}

std::pair<std::size_t, std::size_t> RunRegistry::rescan(const fs::path& folder,
                                                        const std::function<void(const std::string&)>& note) {
    const std::string top = plain(folder).string();
    std::size_t entered = 0, dropped = 0;
    const auto take = [&](const fs::path& candidate) {
        if (!is_run(candidate)) return;
        try {
            enter(read_entry(candidate));
            ++entered;
        } catch (const DataError& error) {
            note(warning_line(error.what()));
        }
    };
    std::error_code error;
    take(top);
    fs::recursive_directory_iterator below(top, fs::directory_options::skip_permission_denied, error);
    if (error)
        throw DataError(
            fmt::format("{}: {}, expected a folder with runs; name another one", printable_path(top), error.message()));
    for (const fs::recursive_directory_iterator end; below != end; below.increment(error)) {
        if (error) break;
        std::error_code ignored;
        if (!below->is_directory(ignored) || below->is_symlink(ignored)) continue;
        if (below->path().filename() == "checkpoints") below.disable_recursion_pending();
        take(below->path());
    }
    std::vector<std::string> known;
    for (Statement row = database_.prepare("SELECT folder FROM runs"); row.step();) known.push_back(row.text(0));
    for (const std::string& one : known) {
        const std::string place = whole(one);
        if (is_run(place) || !(place == top || place.starts_with(top + "/"))) continue;
        database_.prepare("DELETE FROM runs WHERE folder = ?1").run({one});
        ++dropped;
    }
    return {entered, dropped};
}

void RunRegistry::require_known(const std::vector<Filter>& filters) {
    for (const Filter& f : filters) {
        if (is_fact(f.name) || is_figure(f.name)) continue;
        if (database_.prepare("SELECT 1 FROM options WHERE name = ?1 LIMIT 1").bind({f.name}).step()) continue;
        throw UsageError(fmt::format(
            "'{}{}{}': no run has '{}', expected state, dataset, val, test, seconds, iterations, host, started or an "
            "option of pdadmm train; see pdadmm runs show",
            printable(f.name), f.op, printable(f.value), printable(f.name)));
    }
}

std::vector<RunEntry> RunRegistry::runs(const std::vector<Filter>& filters, Detail detail) {
    require_known(filters);
    const Condition where = condition_of(filters);
    std::vector<RunEntry> runs;
    std::vector<std::int64_t> keys;
    database_.run("BEGIN");  // one state of the file for all that is read
    try {
        Statement row = database_.prepare(
            "SELECT key, folder, parent, id, state, exit, program, build, host, processor, started, changed FROM runs "
            "r WHERE " +
            where.sql + " ORDER BY started DESC, key DESC");
        for (row.bind(where.values); row.step();) {
            RunEntry run;
            keys.push_back(row.integer(0));
            run.folder = whole(row.text(1));
            run.parent = whole(row.text(2));
            run.state = row.text(4);
            run.exit = static_cast<int>(row.integer(5));
            run.origin = {row.text(3), row.text(6), row.text(7), row.text(8), row.text(9), row.number(10)};
            run.changed = row.number(11);
            runs.push_back(std::move(run));
        }
        read_details(where, runs, keys, detail);
    } catch (...) {
        database_.run("ROLLBACK");
        throw;
    }
    database_.run("COMMIT");
    return runs;
}

void RunRegistry::read_details(const Condition& where, std::vector<RunEntry>& runs,
                               const std::vector<std::int64_t>& keys, Detail detail) {
    std::unordered_map<std::int64_t, RunEntry*> by_key;
    for (std::size_t i = 0; i < keys.size(); ++i) by_key[keys[i]] = &runs[i];
    const auto each = [&](const std::string& columns, const std::string& table, const auto& take) {
        Statement row = database_.prepare(
            fmt::format("SELECT t.run, {} FROM {} t JOIN runs r ON r.key = t.run WHERE {}", columns, table, where.sql));
        for (row.bind(where.values); row.step();)
            if (const auto found = by_key.find(row.integer(0)); found != by_key.end()) take(*found->second, row);
    };
    each("t.name, t.value", "options", [](RunEntry& run, Statement& row) { run.options[row.text(1)] = row.text(2); });
    each("t.name, t.value", "figures", [](RunEntry& run, Statement& row) { run.figures[row.text(1)] = row.number(2); });
    each("t.at, t.dataset, t.data_digest, t.model, t.program, t.key", "evaluations",
         [&](RunEntry& run, Statement& row) {
             EvaluationEntry e{row.number(1), row.text(2), row.text(3), row.text(4), row.text(5), {}};
             Statement figure = database_.prepare("SELECT name, value FROM evaluation_figures WHERE evaluation = ?1");
             for (figure.bind({row.integer(6)}); figure.step();) e.figures[figure.text(0)] = figure.number(1);
             run.evaluations.push_back(std::move(e));
         });
    if (detail == Detail::facts) return;
    each("t.name, t.epoch, t.value", "history", [](RunEntry& run, Statement& row) {
        run.history.push_back({row.text(1), row.integer(2), row.number(3)});
    });
    each("t.name, t.bytes", "files",
         [](RunEntry& run, Statement& row) { run.files[row.text(1)] = static_cast<std::uint64_t>(row.integer(2)); });
}

RunEntry RunRegistry::run(const std::string& name) {
    std::vector<RunEntry> found;
    for (const std::string& folder : {stored(name), stored(folder_ / name)})
        if (found.empty()) found = runs({{"folder", "=", folder}}, Detail::all);
    if (found.empty() && name.size() >= 4) {
        for (const RunEntry& run : runs({}))
            if (run.origin.id.starts_with(name)) found.push_back(run);
        if (found.size() == 1) return runs({{"folder", "=", stored(found[0].folder)}}, Detail::all).front();
    }
    if (found.size() == 1) return found.front();
    throw UsageError(
        fmt::format("'{}': {} in {}, expected one; name its folder, or at least 4 digits of its id (pdadmm runs list)",
                    printable(name), found.empty() ? "no run" : "several runs", printable_path(file_)));
}

}  // namespace pdadmm
