#pragma once
// Where a sweep's results live: an SQLite file, a row a point, written in transactions, so that a
// process that dies loses at most the points that it had in flight.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace kvsieve::sim {

/// A finished point.
struct SweepRow {
  std::int64_t number = 0;  ///< in the sweep, from 0
  std::string key;          ///< point_key
  std::string options;      ///< the point's options, one compact JSON object, in order
  std::string metrics;      ///< its results, one compact JSON object of numbers and texts
  std::string error;        ///< why it failed; empty if it did not, and then metrics are there
};

/// What a store is of: rows of two stores belong together if their sweeps' documents are equal.
struct SweepIdentity {
  std::string tool_version;
  std::string isa;          ///< the instruction set that computed the rows
  std::string definition;   ///< axes, zips, derived options, condition, sample and seed, as JSON
  std::string inputs;       ///< hashes of traces, codebooks and profiles, as JSON
  std::int64_t points = 0;  ///< that the definition has
};

/// One store, open for reading or writing. Not for use by several threads at once; any number of
/// processes may read while one writes. Between transactions a store is one file; during one an
/// SQLite journal stands beside it, which repairs the store when it is next opened if its writer
/// died. A process holds one SweepStore for writing a file at most.
class SweepStore {
 public:
  enum class Mode {
    kCreate,  ///< a new file; Error(kUsage) with the hint --resume if it exists
    kResume,  ///< an existing file of the same sweep, or a new one
    kRead,    ///< an existing file of the same sweep
  };
  /// With `force`, a store of another sweep is opened too; one that is opened for writing and has
  /// rows is mixed() from then on and has the new identity.
  /// Throws Error(kBadInput), one line that begins with the path, for a file that is no store, is
  /// damaged, cannot be read or written, or is being written by another process; Error(kUsage) if
  /// it is of another sweep, tool version, instruction set or inputs and `force` is false, saying
  /// what differs.
  SweepStore(std::filesystem::path path, Mode mode, const SweepIdentity& identity,
             bool force = false);
  /// Opens for reading, whatever sweep it is of.
  explicit SweepStore(std::filesystem::path path);
  SweepStore(SweepStore&&) noexcept;
  SweepStore& operator=(SweepStore&&) noexcept;
  ~SweepStore();

  [[nodiscard]] const SweepIdentity& identity() const noexcept;
  /// Whether `force` has let in rows of another sweep than identity().
  [[nodiscard]] bool mixed() const noexcept;

  /// Adds rows in one transaction: all or none. A row whose key is there already replaces it if
  /// that one had failed and is left out otherwise.
  /// Throws Error(kBadInput) if the disk is full or the file read-only; nothing is lost then.
  void add(std::span<const SweepRow> rows);

  /// Keys of finished points, ascending; failed ones are not among them.
  [[nodiscard]] std::vector<std::string> finished_keys() const;
  [[nodiscard]] std::int64_t finished() const;
  [[nodiscard]] std::int64_t failed() const;

  /// All rows in the order of their numbers, then keys. Holds no lock while it visits; of rows that
  /// are written meanwhile some may be among them, each whole.
  void each(const std::function<void(const SweepRow&)>& visit) const;

  /// The same in pages, for readers of several stores side by side: at most `count` rows behind the
  /// one of this number and key, from the first on without one.
  [[nodiscard]] std::vector<SweepRow> page_after(
      const std::optional<std::pair<std::int64_t, std::string>>& last, std::size_t count) const;

  /// For readers that follow a store while it is written: first the rows at `places` as they are
  /// now, then those behind the place `last` (0 for all), in the order in which they were stored.
  /// New rows get places behind all others, and no row leaves its place; but one that failed may be
  /// replaced, and in a store that is mixed() any. Holds no lock while it visits.
  /// Throws Error(kBadInput) if there is no row at one of `places`: it is another store.
  void each_since(std::int64_t last, std::span<const std::int64_t> places,
                  const std::function<void(std::int64_t place, const SweepRow&)>& visit) const;

  /// Adds the rows of other stores of the same sweep in one transaction: all or none. Of one key's
  /// rows a finished one is kept before failed ones; the outcome does not depend on the order of
  /// the parts. Throws Error(kUsage) naming the store and what differs unless `force`;
  /// Error(kUsage) if two stores hold different results of one key.
  void merge(std::span<const std::filesystem::path> parts, bool force = false);

 private:
  struct Database;
  std::unique_ptr<Database> m_database;
};

/// A store's rows as CSV: number, every option, every metric (the union over rows, in the order of
/// first appearance), error. RFC 4180, numbers in their shortest exact form. A name that is both an
/// option's and a metric's is `metrics.NAME` for the latter. The bytes depend on the rows alone,
/// not on how they got there. Throws Error(kBadInput) for rows that a damaged store garbled.
[[nodiscard]] std::string export_csv(const SweepStore& store);
/// The same as one JSON document (schema kvsieve.sweep/1) with what the store is of; a row has the
/// options and metrics that it has, or its error.
[[nodiscard]] std::string export_json(const SweepStore& store);

}  // namespace kvsieve::sim
