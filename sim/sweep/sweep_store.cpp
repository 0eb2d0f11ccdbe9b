#include "kvsieve/sim/sweep_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <thread>
#include <tuple>
#include <utility>

#include "json_difference.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "sqlite_database.h"
#include "writer_lock.h"

namespace kvsieve::sim {
namespace {

constexpr std::int64_t kApplicationId = 0x4b565357;  // "KVSW"
constexpr std::int64_t kSchemaVersion = 1;

// docs/file-formats.md describes these to readers from other programs.
constexpr const char* kSchema = R"(
  CREATE TABLE sweep(
    tool_version TEXT NOT NULL,
    isa TEXT NOT NULL,
    definition TEXT NOT NULL,
    inputs TEXT NOT NULL,
    points INTEGER NOT NULL,
    mixed INTEGER NOT NULL);
  CREATE TABLE rows(
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    options TEXT NOT NULL,
    metrics TEXT,
    error TEXT,
    UNIQUE(number, key));
  CREATE INDEX failed_rows ON rows(number) WHERE error IS NOT NULL;
)";

// Within one sweep a point's number finds its row, and rows in the order of their numbers touch few
// pages. Numbers of different sweeps have nothing to do with each other, so a store that mixes them
// looks keys up.
constexpr const char* kKeyIndex = "CREATE INDEX IF NOT EXISTS row_keys ON rows(key)";
constexpr const char* kFindByNumber =
    "SELECT rowid, number, key, options, metrics, error FROM rows WHERE number = ?1 AND key = ?2";
constexpr const char* kFindByKey =
    "SELECT rowid, number, key, options, metrics, error FROM rows WHERE key = ?2";
constexpr const char* kInsert =
    "INSERT INTO rows(number, key, options, metrics, error) VALUES(?1, ?2, ?3, ?4, ?5)";
constexpr const char* kReplace =
    "UPDATE rows SET number = ?1, key = ?2, options = ?3, metrics = ?4, error = ?5 "
    "WHERE rowid = ?6";

// Committing, a writer keeps readers out. One that did nothing else would leave them no time to get
// in, so it leaves some between its transactions.
constexpr std::chrono::milliseconds kReadersTime{2};

// A page of rows is read at a time, so that a slow visitor never keeps the writer waiting.
constexpr std::int64_t kPageRows = 2000;
constexpr const char* kPage =
    "SELECT number, key, options, metrics, error FROM rows WHERE (number, key) > (?1, ?2) "
    "ORDER BY number, key LIMIT ?3";

constexpr const char* kAtPlace =
    "SELECT number, key, options, metrics, error FROM rows WHERE rowid = ?1";
constexpr const char* kPageByPlace =
    "SELECT rowid, number, key, options, metrics, error FROM rows WHERE rowid > ?1 "
    "ORDER BY rowid LIMIT ?2";

void require_regular_file(const std::filesystem::path& path) {
  std::error_code unreadable;  // whatever it is, opening the file reports it
  const std::filesystem::file_status existing = std::filesystem::status(path, unreadable);
  if (std::filesystem::exists(existing) && !std::filesystem::is_regular_file(existing)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: is not a sweep store, it is no regular file", path.string()));
  }
}

void require_writable_folder(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (::access(folder.c_str(), W_OK) != 0) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: its folder cannot be written ({})",
                                                  path.string(), std::strerror(errno)));
  }
}

SweepRow row_of(SqliteStatement& statement, int first_column) {
  const auto text = [&](int column) { return std::string(statement.text(first_column + column)); };
  return {statement.integer(first_column), text(1), text(2), text(3), text(4)};
}

/// What differs between two sweeps; empty if they are the same.
std::string identity_difference(const SweepIdentity& there, const SweepIdentity& here) {
  std::string text;
  const auto add = [&](const std::string& difference) {
    text += (text.empty() || difference.empty() ? "" : "; ") + difference;
  };
  const auto add_if = [&](const char* name, const std::string& first, const std::string& second) {
    if (first != second) {
      add(fmt::format("{} is {} there and {} here", name, traces::printable(first),
                      traces::printable(second)));
    }
  };
  add_if("the tool's version", there.tool_version, here.tool_version);
  add_if("the instruction set", there.isa, here.isa);
  add(json_difference(there.inputs, here.inputs, "inputs"));
  add(json_difference(there.definition, here.definition, "definition"));
  add_if("the number of points", fmt::format("{}", there.points), fmt::format("{}", here.points));
  return text;
}

bool is_failed(const SweepRow& row) {
  return !row.error.empty();
}

/// Whether a part's row takes the place of the one with its key, so that the outcome does not
/// depend on which came first: finished rows before failed ones, then the lowest number and text.
bool takes_place(const SweepRow& row, const SweepRow& present) {
  const auto rank = [](const SweepRow& r) {
    return std::make_tuple(is_failed(r), r.number, std::string_view(r.options),
                           std::string_view(r.error));
  };
  return rank(row) < rank(present);
}

}  // namespace

struct SweepStore::Database {
  Database(std::filesystem::path file, Mode mode) : path(std::move(file)) {
    require_regular_file(path);
    if (mode == Mode::kRead) {
      sqlite.emplace(path, SqliteDatabase::Access::kRead);
      return;
    }
    lock.emplace(path);
    if (mode == Mode::kCreate && !lock->created()) {
      throw Error(ErrorKind::kUsage, fmt::format("{}: the store exists already", path.string()),
                  "--resume goes on with it");
    }
    try {
      require_writable_folder(path);
      sqlite.emplace(path, SqliteDatabase::Access::kWrite);
    } catch (...) {
      remove_if_new();
      throw;
    }
  }

  [[noreturn]] void fail(const std::string& what, std::string hint = {}) const {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: {}", path.string(), what), std::move(hint));
  }

  /// An empty file that this object created is of no use to anyone.
  void remove_if_new() {
    sqlite.reset();
    std::error_code ignored;
    if (lock->created() && std::filesystem::file_size(path, ignored) == 0) {
      std::filesystem::remove(path, ignored);
    }
  }

  /// A file without pages: just created, or its creator died before anything was stored.
  bool is_empty() { return sqlite->integer("PRAGMA page_count") == 0; }

  void create(const SweepIdentity& of) {
    SqliteTransaction transaction(*sqlite);
    sqlite->execute(kSchema);
    sqlite->execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};",
                                kApplicationId, kSchemaVersion));
    sqlite->execute("INSERT INTO sweep VALUES('', '', '', '', 0, 0)");
    store_identity(of);
    transaction.commit();
  }

  void store_identity(const SweepIdentity& of) {
    SqliteStatement(*sqlite,
                    "UPDATE sweep SET tool_version = ?1, isa = ?2, definition = ?3, inputs = ?4, "
                    "points = ?5")
        .bind(1, of.tool_version)
        .bind(2, of.isa)
        .bind(3, of.definition)
        .bind(4, of.inputs)
        .bind(5, of.points)
        .run();
    identity = of;
  }

  void load() {
    if (is_empty()) {
      fail("is empty, no sweep has stored anything yet");
    }
    if (sqlite->integer("PRAGMA application_id") != kApplicationId) {
      fail("is not a sweep store, it is an SQLite file of another application");
    }
    if (const std::int64_t found = sqlite->integer("PRAGMA user_version");
        found != kSchemaVersion) {
      if (found < kSchemaVersion) {
        fail(fmt::format("is damaged (format version {})", found));
      }
      fail(fmt::format("has format version {}, expected {}: a newer kvsieve wrote it", found,
                       kSchemaVersion));
    }
    SqliteStatement statement(
        *sqlite, "SELECT tool_version, isa, definition, inputs, points, mixed FROM sweep");
    if (!statement.step()) {
      fail("is damaged (it does not say what it is of)");
    }
    const auto text = [&](int column) { return std::string(statement.text(column)); };
    identity = {text(0), text(1), text(2), text(3), statement.integer(4)};
    mixed = statement.integer(5) != 0;
  }

  void mix() {
    sqlite->execute("UPDATE sweep SET mixed = 1");
    sqlite->execute(kKeyIndex);
  }

  /// Throws if the store is of another sweep.
  void require(const SweepIdentity& given) const {
    if (const std::string difference = identity_difference(identity, given); !difference.empty()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: holds another sweep: {}", path.string(), difference),
                  "give this sweep a store of its own; --force mixes them");
    }
  }

  /// Makes the store, which may be of another sweep, one that `given` goes on with.
  void become(const SweepIdentity& given) {
    // SQLite keeps whatever mode another program may have set. No write-ahead log: it needs memory
    // that all users of the file share, which a network file system cannot give to two machines,
    // and it leaves files beside the store of a process that was killed.
    sqlite->execute("PRAGMA journal_mode = DELETE");
    if (identity_difference(identity, given).empty()) {
      return;
    }
    SqliteTransaction transaction(*sqlite);
    const bool has_rows = sqlite->integer("SELECT EXISTS(SELECT 1 FROM rows)") != 0;
    if (has_rows) {
      mix();
    }
    store_identity(given);
    transaction.commit();
    mixed = mixed || has_rows;
  }

  std::filesystem::path path;
  std::optional<WriterLock> lock;  // outlives the connection, see ~WriterLock
  std::optional<SqliteDatabase> sqlite;
  SweepIdentity identity;
  bool mixed = false;
  std::chrono::steady_clock::time_point written;  // when the last rows were
};

namespace {

/// Puts rows into a store within one transaction.
class RowWriter {
 public:
  RowWriter(SqliteDatabase& database, bool mixed)
      : m_find(database, mixed ? kFindByKey : kFindByNumber),
        m_insert(database, kInsert),
        m_replace(database, kReplace) {}

  /// Adds a row unless its key is there and `replaces(row, present)` is false.
  template <class Replaces>
  void put(const SweepRow& row, const Replaces& replaces) {
    m_find.bind(1, row.number).bind(2, row.key);
    const bool found = m_find.step();
    const std::int64_t id = found ? m_find.integer(0) : 0;
    const bool writes = !found || replaces(row, row_of(m_find, 1));
    m_find.reset();
    if (!writes) {
      return;
    }
    SqliteStatement& statement = found ? m_replace : m_insert;
    statement.bind(1, row.number).bind(2, row.key).bind(3, row.options);
    bind_or_null(statement, 4, row.metrics);
    bind_or_null(statement, 5, row.error);
    if (found) {
      statement.bind(6, id);
    }
    statement.run();
  }

 private:
  static void bind_or_null(SqliteStatement& statement, int parameter, const std::string& text) {
    if (text.empty()) {
      statement.bind_null(parameter);
    } else {
      statement.bind(parameter, text);
    }
  }

  SqliteStatement m_find;
  SqliteStatement m_insert;
  SqliteStatement m_replace;
};

}  // namespace

SweepStore::SweepStore(std::filesystem::path path, Mode mode, const SweepIdentity& identity,
                       bool force) {
  m_database = std::make_unique<Database>(std::move(path), mode);
  if (mode == Mode::kRead) {
    m_database->load();
    if (!force) {
      m_database->require(identity);
    }
    return;
  }
  if (m_database->is_empty()) {
    try {
      m_database->create(identity);
    } catch (...) {
      m_database->remove_if_new();
      throw;
    }
    return;
  }
  m_database->load();
  if (!force) {
    m_database->require(identity);
  }
  m_database->become(identity);
}

SweepStore::SweepStore(std::filesystem::path path)
    : m_database(std::make_unique<Database>(std::move(path), Mode::kRead)) {
  m_database->load();
}

SweepStore::SweepStore(SweepStore&&) noexcept = default;
SweepStore& SweepStore::operator=(SweepStore&&) noexcept = default;
SweepStore::~SweepStore() = default;

const SweepIdentity& SweepStore::identity() const noexcept {
  return m_database->identity;
}

bool SweepStore::mixed() const noexcept {
  return m_database->mixed;
}

void SweepStore::add(std::span<const SweepRow> rows) {
  std::this_thread::sleep_until(m_database->written + kReadersTime);
  SqliteTransaction transaction(*m_database->sqlite);
  RowWriter writer(*m_database->sqlite, m_database->mixed);
  for (const SweepRow& row : rows) {
    writer.put(row, [](const SweepRow&, const SweepRow& present) { return is_failed(present); });
  }
  transaction.commit();
  m_database->written = std::chrono::steady_clock::now();
}

std::vector<std::string> SweepStore::finished_keys() const {
  std::vector<std::string> keys;
  // Sorting here is faster than reading rows in the order of their keys, which jumps about.
  SqliteStatement statement(*m_database->sqlite, "SELECT key FROM rows WHERE error IS NULL");
  while (statement.step()) {
    keys.emplace_back(statement.text(0));
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::int64_t SweepStore::finished() const {
  return m_database->sqlite->integer(
      "SELECT (SELECT COUNT(*) FROM rows) - (SELECT COUNT(*) FROM rows WHERE error IS NOT NULL)");
}

std::int64_t SweepStore::failed() const {
  return m_database->sqlite->integer("SELECT COUNT(*) FROM rows WHERE error IS NOT NULL");
}

void SweepStore::each(const std::function<void(const SweepRow&)>& visit) const {
  std::optional<std::pair<std::int64_t, std::string>> last;
  for (std::vector<SweepRow> page = page_after(last, static_cast<std::size_t>(kPageRows));
       !page.empty(); page = page_after(last, static_cast<std::size_t>(kPageRows))) {
    std::for_each(page.begin(), page.end(), visit);
    last = {page.back().number, page.back().key};
  }
}

std::vector<SweepRow> SweepStore::page_after(
    const std::optional<std::pair<std::int64_t, std::string>>& last, std::size_t count) const {
  std::pair<std::int64_t, std::string> behind =
      last.value_or(std::pair(std::numeric_limits<std::int64_t>::min(), std::string()));
  SqliteStatement statement(*m_database->sqlite, kPage);
  statement.bind(1, behind.first).bind(2, behind.second).bind(3, static_cast<std::int64_t>(count));
  std::vector<SweepRow> page;
  while (statement.step()) {
    page.push_back(row_of(statement, 0));
  }
  statement.reset();
  for (const SweepRow& row : page) {
    // A damaged index could lead around in a circle.
    if (std::tie(row.number, row.key) <= std::tie(behind.first, behind.second)) {
      m_database->fail("is damaged (rows out of order)");
    }
    behind = {row.number, row.key};
  }
  return page;
}

void SweepStore::each_since(
    std::int64_t last, std::span<const std::int64_t> places,
    const std::function<void(std::int64_t place, const SweepRow&)>& visit) const {
  SqliteStatement at_place(*m_database->sqlite, kAtPlace);
  const auto visit_at = [&](std::int64_t place) {
    at_place.bind(1, place);
    if (!at_place.step()) {
      m_database->fail("has lost rows that it had");
    }
    const SweepRow row = row_of(at_place, 0);
    at_place.reset();
    visit(place, row);
  };
  std::for_each(places.begin(), places.end(), visit_at);
  SqliteStatement statement(*m_database->sqlite, kPageByPlace);
  std::vector<std::pair<std::int64_t, SweepRow>> page;
  do {
    page.clear();
    statement.bind(1, last).bind(2, kPageRows);
    while (statement.step()) {
      page.emplace_back(statement.integer(0), row_of(statement, 1));
    }
    statement.reset();
    for (const auto& [place, row] : page) {
      if (place <= last) {
        m_database->fail("is damaged (rows out of order)");
      }
      last = place;
      visit(place, row);
    }
  } while (!page.empty());
}

void SweepStore::merge(std::span<const std::filesystem::path> parts, bool force) {
  Database& into = *m_database;
  // Parts are opened one at a time: there may be more of them than a process may have files open.
  bool mixes = into.mixed;
  for (const std::filesystem::path& path : parts) {
    const SweepStore part(path);
    std::string difference = identity_difference(part.identity(), into.identity);
    if (difference.empty() && part.mixed() && !into.mixed) {
      difference = "it was made with --force of more than one sweep";
    }
    mixes = mixes || !difference.empty();
    if (!difference.empty() && !force) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: does not belong into {}: {}", path.string(), into.path.string(),
                              difference),
                  "--force mixes them");
    }
  }
  SqliteTransaction transaction(*into.sqlite);
  if (mixes && !into.mixed) {
    into.mix();
  }
  RowWriter writer(*into.sqlite, mixes);
  for (const std::filesystem::path& path : parts) {
    const auto replaces = [&](const SweepRow& row, const SweepRow& present) {
      if (!is_failed(row) && !is_failed(present)) {
        if (const std::string difference = json_difference(row.metrics, present.metrics, "metrics");
            !difference.empty()) {
          throw Error(
              ErrorKind::kUsage,
              fmt::format("{}: point {} (key {}) has other results than a row that is "
                          "there already: {}",
                          path.string(), row.number, traces::printable(row.key), difference));
        }
      }
      return takes_place(row, present);
    };
    SweepStore(path).each([&](const SweepRow& row) { writer.put(row, replaces); });
  }
  transaction.commit();
  into.mixed = mixes;
}

}  // namespace kvsieve::sim
