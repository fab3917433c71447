// Owners of SQLite's handles (host/registry/sqlite.hpp).
#include "host/registry/sqlite.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <random>
#include <thread>

#include "host/console/printable.hpp"
#include "pdadmm/error.hpp"

namespace pdadmm {
namespace {

[[noreturn]] void fail(sqlite3* database, const std::string& path, int code) {
    const std::string words = printable(database ? sqlite3_errmsg(database) : sqlite3_errstr(code), 200);
    switch (code & 0xFF) {
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT:
            throw DataError(
                fmt::format("{}: {}, expected a registry of runs; move it away, and make a new one from the run "
                            "folders with pdadmm runs rescan DIR",
                            printable_path(path), words));
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            throw OutputError(fmt::format(
                "{}: in use by other processes for too long, expected a turn; try again, or name another --registry",
                printable_path(path)));
        case SQLITE_NOMEM:
            throw std::bad_alloc();
        default:
            throw OutputError(
                fmt::format("{}: {}, expected a file that can be read and written; mend that, name "
                            "another --registry, or --registry off",
                            printable_path(path), words));
    }
}

/// Called while another process holds a lock: whether to try again. Waits of chance, short at first, so that many
/// writers neither crowd nor starve each other.
int wait_for_turn(void* patience, int tries) {
    thread_local std::minstd_rand dice{std::random_device{}()};
    thread_local std::chrono::steady_clock::time_point began;
    const auto now = std::chrono::steady_clock::now();
    if (tries == 0) began = now;
    if (std::chrono::duration<double>(now - began).count() >= *static_cast<const double*>(patience)) return 0;
    const int most_us = std::min(500 << std::min(tries, 4), 8000);
    std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<int>(100, most_us)(dice)));
    return 1;
}

/// A write-ahead log has files beside the database, which nobody can make in a folder that is not theirs. Without a log
/// the database is whole, and is read as a file that nobody changes.
bool is_whole_without_log(sqlite3* database, const std::string& name) {
    const int code = sqlite3_exec(database, "PRAGMA schema_version", nullptr, nullptr, nullptr) & 0xFF;
    std::error_code ignored;
    return (code == SQLITE_CANTOPEN || code == SQLITE_READONLY) && !std::filesystem::exists(name + "-wal", ignored);
}

/// SQLite's address of a file, which says that nobody changes it.
std::string address_of_unchanging(const std::string& name) {
    std::string address = "file:";
    for (const char c : name)
        if (c == '%' || c == '?' || c == '#')
            address += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        else
            address += c;
    return address + "?immutable=1";
}

}  // namespace

Statement::Statement(sqlite3* database, std::string path, std::string_view sql)
    : database_(database), path_(std::move(path)) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &made, nullptr);
    statement_.reset(made);
    if (code != SQLITE_OK) fail(database, path_, code);
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(const SqlValues& values) {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const int at = static_cast<int>(i) + 1;
        int code = SQLITE_OK;
        if (const auto* whole = std::get_if<std::int64_t>(&values[i]))
            code = sqlite3_bind_int64(statement_.get(), at, *whole);
        else if (const auto* number = std::get_if<double>(&values[i]))
            code = sqlite3_bind_double(statement_.get(), at, *number);
        else if (const auto* text = std::get_if<std::string>(&values[i]))
            code = sqlite3_bind_text64(statement_.get(), at, text->data(), text->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
        if (code != SQLITE_OK) fail(database_, path_, code);
    }
    return *this;
}

bool Statement::step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    sqlite3_reset(statement_.get());
    fail(database_, path_, code);
}

void Statement::run(const SqlValues& values) {
    bind(values);
    while (step()) continue;
    sqlite3_reset(statement_.get());
}

bool Statement::null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
double Statement::number(int column) const {
    return null(column) ? std::numeric_limits<double>::quiet_NaN() : sqlite3_column_double(statement_.get(), column);
}
std::string Statement::text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
    return text ? std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)))
                : std::string();
}

Database::Database(const std::string& path, Mode mode, double patience_s)
    : path_(path), patience_s_(std::make_unique<double>(patience_s)) {
    const int flags = mode == Mode::read    ? SQLITE_OPEN_READONLY
                      : mode == Mode::write ? SQLITE_OPEN_READWRITE
                                            : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    // A name that SQLite would read as an address ("file:...") or as memory (":memory:") stays a file's.
    const std::string name = std::filesystem::absolute(path).string();
    sqlite3* made = nullptr;
    const int code = sqlite3_open_v2(name.c_str(), &made, flags | SQLITE_OPEN_NOMUTEX, nullptr);
    database_.reset(made);
    if (code != SQLITE_OK) fail(made, path_, code);
    if (mode == Mode::read && is_whole_without_log(made, name)) {
        const int again = sqlite3_open_v2(address_of_unchanging(name).c_str(), &made,
                                          flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, nullptr);
        database_.reset(made);
        if (again != SQLITE_OK) fail(made, path_, again);
    }
    sqlite3_busy_handler(made, wait_for_turn, patience_s_.get());
    sqlite3_db_config(made, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);  // what a foreign file says is run by nobody
    sqlite3_db_config(made, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    run("PRAGMA foreign_keys = ON");
}

void Database::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

void Database::run(const char* sql) {
    if (const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
        fail(database_.get(), path_, code);
}

std::int64_t Database::integer(std::string_view sql) {
    Statement statement = prepare(sql);
    return statement.step() ? statement.integer(0) : 0;
}

std::string Database::text(std::string_view sql) {
    Statement statement = prepare(sql);
    return statement.step() ? statement.text(0) : std::string();
}

Transaction::Transaction(Database& database) : database_(database) { database_.run("BEGIN IMMEDIATE"); }

Transaction::~Transaction() {
    if (!open_) return;
    try {
        database_.run("ROLLBACK");
    } catch (...) {  // SQLite undid it already, or will when the file is opened next
        return;
    }
}

void Transaction::commit() {
    database_.run("COMMIT");
    open_ = false;
}

}  // namespace pdadmm
