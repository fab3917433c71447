// SQLite behind owners of our own. Values reach it as bound parameters only: the text of a statement never holds any.
// Where the program is built without SQLite, opening throws a DeviceError that says what to install.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace pdadmm {

/// NULL, an integer, a number or a text. NaN is stored as NULL.
using SqlValue = std::variant<std::monostate, std::int64_t, double, std::string>;
using SqlValues = std::vector<SqlValue>;

/// One prepared statement. Its database must outlive it.
class Statement {
public:
    Statement(sqlite3* database, std::string path, std::string_view sql);

    /// Runs it from the start with these values for ?1, ?2, ...
    Statement& bind(const SqlValues& values);
    /// The next row; false after the last. Throws as Database does.
    bool step();
    /// bind() and step() to the end.
    void run(const SqlValues& values);

    bool null(int column) const;
    std::int64_t integer(int column) const;
    double number(int column) const;  // NaN of NULL
    std::string text(int column) const;

private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const;
    };
    sqlite3* database_;
    std::string path_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// One connection. Move-only. Where another process is writing, it waits, `patience_s` in all at most. Throws
/// OutputError where the file cannot be opened, read or written, DataError where it is damaged or no database.
class Database {
public:
    enum class Mode { read, write, make };  // only the last makes a file that is missing

    Database(const std::string& path, Mode mode, double patience_s);

    /// Statements without values, separated by semicolons.
    void run(const char* sql);
    Statement prepare(std::string_view sql) { return {database_.get(), path_, sql}; }
    /// The integer that a statement gives, 0 where it gives no row.
    std::int64_t integer(std::string_view sql);
    std::string text(std::string_view sql);
    const std::string& path() const { return path_; }

private:
    struct Close {
        void operator()(sqlite3* database) const;
    };
    std::string path_;
    std::unique_ptr<double> patience_s_;  // its place is known to SQLite
    std::unique_ptr<sqlite3, Close> database_;
};

/// A transaction that is undone unless it was committed. It takes the write lock at once, so that none can fail
/// half-way for want of it.
class Transaction {
public:
    explicit Transaction(Database& database);
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();
    void commit();

private:
    Database& database_;
    bool open_ = true;
};

}  // namespace pdadmm
