#include "sqlite_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <chrono>
#include <cstring>
#include <new>
#include <thread>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

constexpr int kReaderPatienceMs = 10'000;
constexpr int kWriterPatienceMs = 60'000;
constexpr const char* kGoOn = "set that right and start again, a sweep with --resume";
// No cell of a store is that long; a damaged length must not make us allocate more.
constexpr int kMaxCellBytes = 1 << 28;

/// The pauses of SQLite's own handler grow to a tenth of a second, too long to meet the few
/// milliseconds between the transactions of a busy writer.
template <int patience_ms>
int wait_a_little(void*, int times_before) {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return times_before < patience_ms ? 1 : 0;
}

/// What the operating system said, in brackets; empty if it said nothing.
std::string system_reason(sqlite3* handle) {
  int number = sqlite3_system_errno(handle);
  if (number == 0) {  // that of a failed COMMIT is with the file alone
    sqlite3_file_control(handle, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
  }
  return number == 0 ? std::string() : fmt::format(" ({})", std::strerror(number));
}

}  // namespace

SqliteDatabase::SqliteDatabase(const std::filesystem::path& path, Access access)
    : m_path(path.string()), m_access(access) {
  // An absolute path is never taken for a URI or for a database in memory. Readers ask for write
  // access too, since only then SQLite rolls back what a dead writer left; it does without where
  // the file is read-only.
  const int code =
      sqlite3_open_v2(std::filesystem::absolute(path).c_str(), &m_handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  try {
    if (code != SQLITE_OK) {
      fail(code);
    }
    const bool writes = access == Access::kWrite;
    sqlite3_busy_handler(
        m_handle, writes ? wait_a_little<kWriterPatienceMs> : wait_a_little<kReaderPatienceMs>,
        nullptr);
    sqlite3_limit(m_handle, SQLITE_LIMIT_LENGTH, kMaxCellBytes);
    // A file that is cut off while it is mapped would end the process.
    execute(
        "PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
        "PRAGMA temp_store = MEMORY;");
    if (!writes) {
      execute("PRAGMA query_only = ON;");
      return;
    }
    execute("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536; PRAGMA secure_delete = OFF;");
  } catch (...) {
    sqlite3_close_v2(m_handle);
    throw;
  }
}

SqliteDatabase::~SqliteDatabase() {
  sqlite3_close_v2(m_handle);
}

void SqliteDatabase::execute(const std::string& statements) {
  if (const int code = sqlite3_exec(m_handle, statements.c_str(), nullptr, nullptr, nullptr);
      code != SQLITE_OK) {
    fail(code);
  }
}

std::int64_t SqliteDatabase::integer(const std::string& query) {
  SqliteStatement statement(*this, query);
  return statement.step() ? statement.integer(0) : 0;
}

void SqliteDatabase::fail(int code) const {
  const auto error = [&](const std::string& what, std::string hint = {}) {
    return Error(ErrorKind::kBadInput, fmt::format("{}: {}", m_path, what), std::move(hint));
  };
  const bool writes = m_access == Access::kWrite;
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      throw error("is not a sweep store, it is no SQLite file");
    case SQLITE_CORRUPT:
      throw error("is damaged", "sqlite3's command .recover saves what can be read");
    case SQLITE_FULL:
      throw error("the disk is full, what was stored before is kept", kGoOn);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw error(fmt::format("another program has held it for {} seconds",
                              (writes ? kWriterPatienceMs : kReaderPatienceMs) / 1000),
                  writes ? kGoOn : "try again later");
    case SQLITE_READONLY:
      if (code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY) {
        throw error("its writer died within a transaction, and it cannot be repaired read-only",
                    "open it once where it and its folder can be written");
      }
      throw error("it or its folder cannot be written");
    case SQLITE_CANTOPEN:
      throw error(fmt::format("cannot be opened{}", system_reason(m_handle)));
    case SQLITE_NOMEM:
      throw std::bad_alloc();
    case SQLITE_IOERR:
      throw error(
          fmt::format("{} failed{}", writes ? "writing" : "reading", system_reason(m_handle)) +
              (writes ? ", what was stored before is kept" : ""),
          writes ? kGoOn : "");
    default:
      // SQLite's messages may quote the file.
      throw error(fmt::format("is damaged ({})", traces::printable(sqlite3_errmsg(m_handle))));
  }
}

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

SqliteStatement::SqliteStatement(const SqliteDatabase& database, std::string_view text)
    : m_database(&database) {
  sqlite3_stmt* statement = nullptr;
  check(sqlite3_prepare_v2(database.handle(), text.data(), static_cast<int>(text.size()),
                           &statement, nullptr));
  m_statement.reset(statement);
}

SqliteStatement& SqliteStatement::bind(int parameter, std::int64_t value) {
  check(sqlite3_bind_int64(m_statement.get(), parameter, value));
  return *this;
}

SqliteStatement& SqliteStatement::bind(int parameter, const std::string& text) {
  check(sqlite3_bind_text64(m_statement.get(), parameter, text.data(), text.size(), SQLITE_STATIC,
                            SQLITE_UTF8));
  return *this;
}

SqliteStatement& SqliteStatement::bind_null(int parameter) {
  check(sqlite3_bind_null(m_statement.get(), parameter));
  return *this;
}

bool SqliteStatement::step() {
  const int code = sqlite3_step(m_statement.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    check(code);
  }
  return code == SQLITE_ROW;
}

void SqliteStatement::run() {
  step();
  reset();
}

void SqliteStatement::reset() {
  sqlite3_reset(m_statement.get());
}

std::int64_t SqliteStatement::integer(int column) {
  return sqlite3_column_int64(m_statement.get(), column);
}

std::string_view SqliteStatement::text(int column) {
  const unsigned char* bytes = sqlite3_column_text(m_statement.get(), column);
  if (bytes == nullptr) {
    return {};
  }
  return {reinterpret_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(m_statement.get(), column))};
}

void SqliteStatement::check(int code) const {
  if (code != SQLITE_OK) {
    m_database->fail(code);
  }
}

SqliteTransaction::SqliteTransaction(SqliteDatabase& database) : m_database(database) {
  m_database.execute("BEGIN IMMEDIATE");
}

SqliteTransaction::~SqliteTransaction() {
  // After some errors SQLite has rolled back by itself; if rolling back fails, the next one who
  // opens the file does it.
  if (sqlite3_get_autocommit(m_database.handle()) == 0) {
    sqlite3_exec(m_database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void SqliteTransaction::commit() {
  m_database.execute("COMMIT");
}

}  // namespace kvsieve::sim
