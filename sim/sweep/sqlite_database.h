#pragma once
// SQLite as the sweep store uses it. Everything that goes wrong becomes Error(kBadInput), one line
// that begins with the file's path.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace kvsieve::sim {

/// A connection to a file that exists.
class SqliteDatabase {
 public:
  enum class Access {
    kRead,   ///< changes nothing, but repairs what a writer that died left half done
    kWrite,  ///< with a rollback journal beside the file while a transaction is open
  };
  /// Readers wait 10 seconds for others to let go of the file, writers 60.
  SqliteDatabase(const std::filesystem::path& path, Access access);
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;
  ~SqliteDatabase();

  /// Runs one statement or several, and ignores rows.
  void execute(const std::string& statements);
  /// The first column of the first row; 0 if there is none.
  [[nodiscard]] std::int64_t integer(const std::string& query);

  [[nodiscard]] sqlite3* handle() const noexcept { return m_handle; }
  [[noreturn]] void fail(int code) const;

 private:
  std::string m_path;
  Access m_access;
  sqlite3* m_handle = nullptr;
};

/// A prepared statement; its database must outlive it.
class SqliteStatement {
 public:
  SqliteStatement(const SqliteDatabase& database, std::string_view text);

  /// Parameters count from 1. `text` must live until reset().
  SqliteStatement& bind(int parameter, std::int64_t value);
  SqliteStatement& bind(int parameter, const std::string& text);
  SqliteStatement& bind_null(int parameter);

  /// Goes to the next row; false after the last.
  bool step();
  /// Runs a statement without rows, and resets it.
  void run();
  void reset();

  /// Columns of the row count from 0. NULL reads as 0 and as empty; a text lives until the next
  /// step() or reset().
  [[nodiscard]] std::int64_t integer(int column);
  [[nodiscard]] std::string_view text(int column);

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  void check(int code) const;

  const SqliteDatabase* m_database;
  std::unique_ptr<sqlite3_stmt, Finalize> m_statement;
};

/// Rolled back unless committed.
class SqliteTransaction {
 public:
  explicit SqliteTransaction(SqliteDatabase& database);
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;
  ~SqliteTransaction();

  void commit();

 private:
  SqliteDatabase& m_database;
};

}  // namespace kvsieve::sim
