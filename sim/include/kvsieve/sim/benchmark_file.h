#pragma once
// Benchmark results in Google Benchmark's JSON: any program's timings, and kernels' counters, which
// kvsieve writes in the same form (docs/compare.md).

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvsieve::sim {

/// Counters of one line of a kernel's source.
struct SourceCounts {
  std::string file;
  std::int64_t line = 0;
  std::map<std::string, double, std::less<>> counts;  ///< those that are not 0
};

/// A case with all its repetitions.
struct BenchmarkCase {
  std::string name;  ///< without what Google Benchmark adds to aggregates
  /// By metric, a value a repetition in the file's order: real_time and cpu_time in microseconds,
  /// user counters as they are. What is no number in a repetition has no value there.
  std::map<std::string, std::vector<double>, std::less<>> values;
  /// Medians that the file states, of which it may hold nothing else.
  std::map<std::string, double, std::less<>> stated_medians;
  std::vector<SourceCounts> lines;
  /// Timed by wall clock: its name has /real_time or /manual_time, or kvsieve measured it. Others
  /// are by CPU time, as Google Benchmark does.
  bool real_time = false;
  std::string error;            ///< why it, or a repetition of it, failed; empty if none did
  std::size_t repetitions = 0;  ///< that did not fail, of which a metric may lack some

  /// Repetitions in which a metric has no value.
  [[nodiscard]] std::size_t lacking(std::string_view metric) const;
};

struct BenchmarkFile {
  bool counters = false;  ///< counted, and the same in every run; otherwise timed
  std::string date;       ///< of the context; empty without one
  /// The context's values by their dotted paths, as text, in the file's order.
  std::vector<std::pair<std::string, std::string>> context;
  std::vector<BenchmarkCase> cases;  ///< in the file's order, each name once
};

/// Reads a document. NaN and Infinity, which Google Benchmark writes though JSON has none, and null
/// count as missing. Throws Error(kBadInput), one line that names the entry and what was expected.
[[nodiscard]] BenchmarkFile parse_benchmarks(std::string_view text);

/// The same document with a date in its context.
[[nodiscard]] std::string with_date(std::string_view text, const std::string& date);

/// The document in a file of at most 1 GiB. Of a folder, one with the benchmarks of all its *.json
/// files in the order of their names, and the context of the first: repetitions that processes of
/// their own measured. Throws Error(kBadInput), one line that begins with a file's path, also for
/// a folder whose files are of several kinds or machines.
[[nodiscard]] std::string read_benchmark_text(const std::filesystem::path& path);

/// parse_benchmarks of read_benchmark_text; errors begin with the path.
[[nodiscard]] BenchmarkFile read_benchmarks(const std::filesystem::path& path);

}  // namespace kvsieve::sim
