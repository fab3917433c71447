// In place of sqlite.cpp where the program is built without SQLite: no database can be opened.
#include "host/registry/sqlite.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

[[noreturn]] void fail() {
    throw DeviceError(
        "registry of runs: built without SQLite, expected it; install libsqlite3-dev and build again, or --registry "
        "off");
}

}  // namespace

Statement::Statement(sqlite3* database, std::string path, std::string_view)
    : database_(database), path_(std::move(path)) {
    fail();
}
void Statement::Finalize::operator()(sqlite3_stmt*) const {}
Statement& Statement::bind(const SqlValues&) { fail(); }
bool Statement::step() { fail(); }
void Statement::run(const SqlValues&) { fail(); }
bool Statement::null(int) const { fail(); }
std::int64_t Statement::integer(int) const { fail(); }
double Statement::number(int) const { fail(); }
std::string Statement::text(int) const { fail(); }

Database::Database(const std::string&, Mode, double) { fail(); }
void Database::Close::operator()(sqlite3*) const {}
void Database::run(const char*) { fail(); }
std::int64_t Database::integer(std::string_view) { fail(); }
std::string Database::text(std::string_view) { fail(); }

Transaction::Transaction(Database& database) : database_(database) { fail(); }
Transaction::~Transaction() = default;
void Transaction::commit() { fail(); }

}  // namespace pdadmm
