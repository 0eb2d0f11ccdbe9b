#include "kvsieve/sim/sweep_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr std::int32_t kApplicationId = 0x4b565357;  // "KVSW"
constexpr std::int32_t kSchemaVersion = 1;
/// How long a reader waits for a writer's commit.
constexpr int kBusyMs = 10'000;

constexpr const char* kSchema =
    "CREATE TABLE sweep(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE rows(key TEXT PRIMARY KEY, number INTEGER NOT NULL, options TEXT NOT NULL,"
    " metrics TEXT, error TEXT) WITHOUT ROWID;"
    "CREATE INDEX rows_by_number ON rows(number);";

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what,
                       const std::string& hint = {}) {
  throw Error(ErrorKind::kBadInput, fmt::format("{}: {}", path.string(), what), hint);
}

/// What people should know of an error of SQLite's.
[[noreturn]] void fail(const std::filesystem::path& path, int code, sqlite3* database) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      fail(path, "the disk is full; finished points are stored", "--resume goes on");
    case SQLITE_READONLY:
    case SQLITE_PERM:
      fail(path, "cannot be written");
    case SQLITE_CANTOPEN:
      fail(path, "cannot be opened", "is its folder there, and may it be written?");
    case SQLITE_NOTADB:
      fail(path, "is no sweep store");
    case SQLITE_CORRUPT:
      fail(path, "is damaged");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      fail(path, "is in use by another process");
    case SQLITE_IOERR:
      // Where a limit on file sizes or a quota ends, the system says so.
      fail(path, fmt::format("cannot be read or written ({}); finished points are stored",
                             sqlite3_errmsg(database)));
    default:
      fail(path, sqlite3_errmsg(database));
  }
}

std::string text_at(sqlite3_stmt* statement, int column) {
  const unsigned char* text = sqlite3_column_text(statement, column);
  const int bytes = sqlite3_column_bytes(statement, column);
  return text == nullptr
             ? std::string()
             : std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(bytes));
}

/// The differences between two sweeps, in words; empty if there are none.
std::string difference(const SweepIdentity& there, const SweepIdentity& wanted) {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
  if (there.definition != wanted.definition) {
    add("it is of another sweep: " + there.definition);
  }
  if (there.inputs != wanted.inputs) {
    add("its traces or profiles have other contents: " + there.inputs);
  }
  if (there.tool_version != wanted.tool_version) {
    add(fmt::format("it was written by version {}, this is {}", there.tool_version,
                    wanted.tool_version));
  }
  if (there.isa != wanted.isa) {
    add(fmt::format("it was computed with {}, this machine has {}", there.isa, wanted.isa));
  }
  return text;
}

}  // namespace

struct SweepStore::Database {
  explicit Database(std::filesystem::path file) : path(std::move(file)) {}
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() {
    if (handle != nullptr) {
      if (writes) {
        // One file is left, which a read-only folder may hold.
        sqlite3_exec(handle, "PRAGMA journal_mode=DELETE", nullptr, nullptr, nullptr);
      }
      sqlite3_close(handle);
    }
    // Not before: closing any descriptor of a file drops this process's locks on it.
    if (lock >= 0) {
      ::close(lock);
    }
  }

  void open(int flags) {
    const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
    if (code != SQLITE_OK) {
      fail(path, code, handle);
    }
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_timeout(handle, kBusyMs);
  }

  void execute(const char* sql) {
    const int code = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
      fail(path, code, handle);
    }
  }

  /// Keeps other writers out for as long as this process lives.
  void lock_for_writing(bool create) {
    lock = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0666);
    if (lock < 0) {
      fail(path, fmt::format("cannot be written ({})", std::strerror(errno)));
    }
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
      fail(path, "is being written by another process",
           "wait for it, or give every process a store of its own and merge them");
    }
  }

  /// Checks that the file is a store of a version that this one reads.
  void check_schema() {
    const auto pragma = [&](const char* sql) {
      std::int64_t value = 0;
      sqlite3_stmt* statement = nullptr;
      int code = sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr);
      if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        value = sqlite3_column_int64(statement, 0);
      }
      sqlite3_finalize(statement);
      if (code != SQLITE_ROW) {
        fail(path, code, handle);
      }
      return value;
    };
    if (pragma("PRAGMA application_id") != kApplicationId) {
      fail(path, "is no sweep store");
    }
    if (const std::int64_t schema = pragma("PRAGMA user_version"); schema != kSchemaVersion) {
      fail(path, fmt::format("has version {} of the store's form, this program knows {}", schema,
                             kSchemaVersion));
    }
  }

  void create(const SweepIdentity& wanted) {
    execute("BEGIN IMMEDIATE");
    execute(kSchema);
    execute(fmt::format("PRAGMA application_id={}; PRAGMA user_version={}", kApplicationId,
                        kSchemaVersion)
                .c_str());
    identity = wanted;
    write_identity();
    execute("COMMIT");
  }

  void write_identity();
  void read_identity();

  std::filesystem::path path;
  sqlite3* handle = nullptr;
  SweepIdentity identity;
  bool writes = false;
  int lock = -1;
};

namespace {

/// A prepared statement.
class Statement {
 public:
  Statement(const std::filesystem::path& path, sqlite3* database, const char* sql)
      : m_path(path), m_database(database) {
    const int code = sqlite3_prepare_v2(database, sql, -1, &m_statement, nullptr);
    if (code != SQLITE_OK) {
      fail(path, code, database);
    }
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(m_statement); }

  void bind(int index, std::string_view text) {
    sqlite3_bind_text(m_statement, index, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
  }
  void bind(int index, std::int64_t value) { sqlite3_bind_int64(m_statement, index, value); }
  void bind_null(int index) { sqlite3_bind_null(m_statement, index); }

  /// Whether there is a row.
  bool step() {
    const int code = sqlite3_step(m_statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      fail(m_path, code, m_database);
    }
    return code == SQLITE_ROW;
  }
  void run() {
    while (step()) {
    }
    sqlite3_reset(m_statement);
  }
  void reset() { sqlite3_reset(m_statement); }

  [[nodiscard]] std::string text(int column) const { return text_at(m_statement, column); }
  [[nodiscard]] std::int64_t integer(int column) const {
    return sqlite3_column_int64(m_statement, column);
  }

 private:
  const std::filesystem::path& m_path;
  sqlite3* m_database;
  sqlite3_stmt* m_statement = nullptr;
};

/// Rolled back unless it is committed.
class Transaction {
 public:
  explicit Transaction(sqlite3* database, const std::filesystem::path& path)
      : m_database(database), m_path(path) {
    execute("BEGIN IMMEDIATE");
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() {
    if (!m_committed) {
      sqlite3_exec(m_database, "ROLLBACK", nullptr, nullptr, nullptr);
    }
  }
  void commit() {
    execute("COMMIT");
    m_committed = true;
  }

 private:
  void execute(const char* sql) {
    const int code = sqlite3_exec(m_database, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
      fail(m_path, code, m_database);
    }
  }

  sqlite3* m_database;
  const std::filesystem::path& m_path;
  bool m_committed = false;
};

SweepRow row_of(const Statement& statement) {
  return {statement.integer(0), statement.text(1), statement.text(2), statement.text(3),
          statement.text(4)};
}

constexpr const char* kEachRow =
    "SELECT number, key, options, metrics, error FROM rows ORDER BY number, key";

/// Adds a row, or replaces a failed one.
constexpr const char* kAddRow =
    "INSERT INTO rows(key, number, options, metrics, error) VALUES(?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT(key) DO UPDATE SET number = excluded.number, options = excluded.options, "
    "metrics = excluded.metrics, error = excluded.error WHERE rows.error IS NOT NULL";

void add_row(Statement& statement, const SweepRow& row) {
  statement.bind(1, row.key);
  statement.bind(2, row.number);
  statement.bind(3, row.options);
  if (row.error.empty()) {
    statement.bind(4, row.metrics);
    statement.bind_null(5);
  } else {
    statement.bind_null(4);
    statement.bind(5, row.error);
  }
  statement.run();
}

}  // namespace

void SweepStore::Database::write_identity() {
  Statement statement(path, handle, "INSERT OR REPLACE INTO sweep(name, value) VALUES(?1, ?2)");
  const std::array<std::pair<const char*, std::string>, 5> values{
      {{"tool_version", identity.tool_version},
       {"isa", identity.isa},
       {"definition", identity.definition},
       {"inputs", identity.inputs},
       {"points", std::to_string(identity.points)}}};
  for (const auto& [name, value] : values) {
    statement.bind(1, std::string_view(name));
    statement.bind(2, value);
    statement.run();
  }
}

void SweepStore::Database::read_identity() {
  Statement statement(path, handle, "SELECT name, value FROM sweep");
  while (statement.step()) {
    const std::string name = statement.text(0);
    const std::string value = statement.text(1);
    if (name == "tool_version") {
      identity.tool_version = value;
    } else if (name == "isa") {
      identity.isa = value;
    } else if (name == "definition") {
      identity.definition = value;
    } else if (name == "inputs") {
      identity.inputs = value;
    } else if (name == "points") {
      identity.points = std::atoll(value.c_str());
    }
  }
}

SweepStore::SweepStore(std::filesystem::path path, Mode mode, const SweepIdentity& identity,
                       bool force)
    : m_database(std::make_unique<Database>(std::move(path))) {
  Database& database = *m_database;
  if (mode == Mode::kRead) {
    database.open(SQLITE_OPEN_READONLY);
    database.check_schema();
    database.read_identity();
    return;
  }
  std::error_code error;
  const auto size = std::filesystem::file_size(database.path, error);
  // A process that was killed while it created the store may have left an empty file.
  const bool exists = !error && size > 0;
  if (exists && mode == Mode::kCreate && !force) {
    throw Error(ErrorKind::kUsage, fmt::format("{} exists", database.path.string()),
                "--resume goes on with it, --force begins it anew");
  }
  database.lock_for_writing(true);
  if (exists && mode == Mode::kCreate) {
    // Only what is a store is replaced.
    { SweepStore check(database.path); }
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
      std::filesystem::remove(database.path.string() + suffix, error);
    }
    ::close(std::exchange(database.lock, -1));
    database.lock_for_writing(true);
  }
  database.open(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const bool begins = !exists || mode == Mode::kCreate;
  if (!begins) {
    database.check_schema();
  }
  database.writes = true;
  // Readers see what is committed while the next transaction is written.
  database.execute("PRAGMA journal_mode=WAL");
  database.execute("PRAGMA synchronous=NORMAL");
  if (begins) {
    database.create(identity);
    return;
  }
  database.read_identity();
  const std::string differs = difference(database.identity, identity);
  if (!differs.empty() && !force) {
    database.writes = false;
    throw Error(ErrorKind::kUsage, fmt::format("{}: {}", database.path.string(), differs),
                "--force adds to it all the same");
  }
  if (!differs.empty()) {
    database.identity = identity;
    database.write_identity();
  }
}

SweepStore::SweepStore(std::filesystem::path path)
    : m_database(std::make_unique<Database>(std::move(path))) {
  Database& database = *m_database;
  if (!std::filesystem::is_regular_file(database.path)) {
    fail(database.path, "is no file");
  }
  database.open(SQLITE_OPEN_READONLY);
  database.check_schema();
  database.read_identity();
}

SweepStore::SweepStore(SweepStore&&) noexcept = default;
SweepStore& SweepStore::operator=(SweepStore&&) noexcept = default;
SweepStore::~SweepStore() = default;

const SweepIdentity& SweepStore::identity() const noexcept {
  return m_database->identity;
}

void SweepStore::add(std::span<const SweepRow> rows) {
  Transaction transaction(m_database->handle, m_database->path);
  Statement statement(m_database->path, m_database->handle, kAddRow);
  for (const SweepRow& row : rows) {
    add_row(statement, row);
  }
  transaction.commit();
}

std::vector<std::string> SweepStore::finished_keys() const {
  Statement statement(m_database->path, m_database->handle,
                      "SELECT key FROM rows WHERE error IS NULL ORDER BY key");
  std::vector<std::string> keys;
  while (statement.step()) {
    keys.push_back(statement.text(0));
  }
  return keys;
}

std::int64_t SweepStore::finished() const {
  Statement statement(m_database->path, m_database->handle,
                      "SELECT count(*) FROM rows WHERE error IS NULL");
  statement.step();
  return statement.integer(0);
}

std::int64_t SweepStore::failed() const {
  Statement statement(m_database->path, m_database->handle,
                      "SELECT count(*) FROM rows WHERE error IS NOT NULL");
  statement.step();
  return statement.integer(0);
}

void SweepStore::each(const std::function<void(const SweepRow&)>& visit) const {
  Statement statement(m_database->path, m_database->handle, kEachRow);
  while (statement.step()) {
    visit(row_of(statement));
  }
}

void SweepStore::merge(std::span<const std::filesystem::path> parts, bool force) {
  Statement add(m_database->path, m_database->handle, kAddRow);
  Statement find(m_database->path, m_database->handle,
                 "SELECT options, metrics FROM rows WHERE key = ?1 AND error IS NULL");
  for (const std::filesystem::path& path : parts) {
    const SweepStore part(path);
    const std::string differs = difference(part.identity(), identity());
    if (!differs.empty() && !force) {
      throw Error(ErrorKind::kUsage, fmt::format("{}: {}", path.string(), differs),
                  "--force merges it all the same");
    }
    Transaction transaction(m_database->handle, m_database->path);
    part.each([&](const SweepRow& row) {
      find.bind(1, row.key);
      const bool known = find.step();
      const bool same = known && find.text(0) == row.options && find.text(1) == row.metrics;
      find.reset();
      if (known && row.error.empty() && !same) {
        throw Error(ErrorKind::kUsage,
                    fmt::format("{}: point {} has other results than another store's",
                                path.string(), row.number),
                    "were they computed by one version on one kind of machine?");
      }
      if (!known) {
        add_row(add, row);
      }
    });
    transaction.commit();
  }
}

}  // namespace kvsieve::sim
