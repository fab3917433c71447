// Versions of the registry's tables (host/registry/schema.hpp). A version, once released, is never edited: what changes
// comes as the next one.
#include "host/registry/schema.hpp"

#include <fmt/format.h>

#include <array>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

constexpr std::int64_t application = 0x70644147;  // "pdAG", which `file` shows

constexpr std::array versions{
    R"sql(
CREATE TABLE runs(key INTEGER PRIMARY KEY, folder TEXT NOT NULL UNIQUE, parent TEXT NOT NULL, id TEXT NOT NULL,
  state TEXT NOT NULL, exit INTEGER NOT NULL, dataset TEXT NOT NULL, data_digest TEXT NOT NULL, seed INTEGER,
  program TEXT NOT NULL, build TEXT NOT NULL, host TEXT NOT NULL, processor TEXT NOT NULL, started REAL NOT NULL,
  changed REAL NOT NULL);
CREATE INDEX runs_by_id ON runs(id);
CREATE INDEX runs_by_state ON runs(state);
CREATE TABLE options(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL,
  number REAL, PRIMARY KEY(run, name)) WITHOUT ROWID;
CREATE TABLE figures(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL, value REAL NOT NULL,
  PRIMARY KEY(run, name)) WITHOUT ROWID;
CREATE TABLE history(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL,
  epoch INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(run, name, epoch)) WITHOUT ROWID;
CREATE TABLE files(run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY(run, name)) WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE evaluations(key INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  at REAL NOT NULL, dataset TEXT NOT NULL, data_digest TEXT NOT NULL, model TEXT NOT NULL, program TEXT NOT NULL);
CREATE INDEX evaluations_by_run ON evaluations(run);
CREATE TABLE evaluation_figures(evaluation INTEGER NOT NULL REFERENCES evaluations ON DELETE CASCADE,
  name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY(evaluation, name)) WITHOUT ROWID;
)sql"};

/// Version of an opened file; 0 of one without tables.
int version_of(Database& database) {
    const std::int64_t version = database.integer("PRAGMA user_version");
    const bool ours = database.integer("PRAGMA application_id") == application;
    const bool empty = database.integer("SELECT count(*) FROM sqlite_schema") == 0;
    if (!ours && !(empty && version == 0))
        throw DataError(fmt::format("{}: a database of something else, expected a registry of runs; name another file",
                                    printable_path(database.path())));
    if (version < 0 || version > schema_version())
        throw DataError(fmt::format(
            "{}: a registry of version {}, expected {} at most; use the newer pdadmm that made it, or another file",
            printable_path(database.path()), version, schema_version()));
    return static_cast<int>(version);
}

}  // namespace

int schema_version() { return static_cast<int>(versions.size()); }

void prepare_schema(Database& database) {
    if (version_of(database) == schema_version()) return;
    Transaction change(database);
    for (int next = version_of(database); next < schema_version(); ++next)  // again: others may have been faster
        database.run(versions[static_cast<std::size_t>(next)]);
    database.run(
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", application, schema_version()).c_str());
    change.commit();
}

void require_schema(Database& database) {
    if (version_of(database) != schema_version())
        throw DataError(fmt::format(
            "{}: a registry of an earlier version, expected {}; write to it once, as pdadmm runs rescan does",
            printable_path(database.path()), schema_version()));
}

}  // namespace pdadmm
