#pragma once
// Earlier benchmark results in a folder, which new ones are compared with.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kvsieve/sim/compare_results.h"

namespace kvsieve::sim {

/// A folder of benchmark results, one JSON file a run.
class ResultHistory {
 public:
  /// Reads all *.json files of the folder, which need not exist.
  /// Throws Error(kBadInput), one line that begins with a file's path, for one that holds no
  /// benchmarks or no date.
  explicit ResultHistory(std::filesystem::path folder);

  [[nodiscard]] std::size_t size() const noexcept { return m_runs.size(); }

  /// Compares with what is comparable: results of the same kind, timings of the same machine.
  /// Timings are compared with the repetitions of the latest `runs` of them together, of each case
  /// since its level last moved (docs/compare.md); steps lists where it moved. Counters are
  /// compared with the latest ones. Throws Error(kBadInput) if nothing is comparable, and as
  /// compare_benchmarks.
  [[nodiscard]] ResultComparison compare(const BenchmarkFile& now, const CompareOptions& options,
                                         std::size_t runs) const;

  /// Whether compare would find something.
  [[nodiscard]] bool has_comparable(const BenchmarkFile& now) const;

  /// Copies a result into the folder, which is created, and removes the oldest results of its kind
  /// until `keep` are left. One without a date, as counters are, gets that of this moment.
  /// Throws Error(kBadInput) for a date in another form, and as traces::write_file.
  void add(const std::filesystem::path& file, const BenchmarkFile& now, std::size_t keep) const;

 private:
  struct Run {
    std::filesystem::path file;
    std::int64_t seconds = 0;  ///< since 1970
    BenchmarkFile benchmarks;
  };
  [[nodiscard]] std::vector<const Run*> comparable(const BenchmarkFile& now) const;

  std::filesystem::path m_folder;
  std::vector<Run> m_runs;  ///< the oldest first
};

/// Seconds since 1970 of a context's date, "2026-11-26T15:00:00+01:00" or "+0100"; without a zone
/// it counts as UTC. Throws Error(kBadInput) for another form.
[[nodiscard]] std::int64_t seconds_of_date(const std::string& date);

}  // namespace kvsieve::sim
