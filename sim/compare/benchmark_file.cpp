#include "kvsieve/sim/benchmark_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "kvsieve/sim/compare_results.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/input_file.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;
using traces::JsonFields;
using traces::printable;

constexpr std::size_t kMostBytes = std::size_t{1} << 30U;

// What an entry has besides the values that it measured.
constexpr std::array<std::string_view, 14> kDescribing{
    "family_index",   "per_family_instance_index",
    "repetitions",    "repetition_index",
    "threads",        "iterations",
    "time_unit",      "line",
    "aggregate_unit", "name",
    "run_name",       "run_type",
    "aggregate_name", "lines"};

/// Writes null over the words NaN and Infinity outside of texts.
std::string without_nan(std::string_view text) {
  std::string strict(text);
  bool quoted = false;
  for (std::size_t i = 0; i < strict.size(); ++i) {
    if (strict[i] == '"') {
      quoted = !quoted;
    } else if (quoted) {
      i += strict[i] == '\\' ? 1 : 0;
    } else if (strict[i] == 'N' || strict[i] == 'I' || strict[i] == '-') {
      const std::size_t sign = strict[i] == '-' ? 1 : 0;
      for (const std::string_view word : {"NaN", "Infinity"}) {
        if (std::string_view(strict).substr(i + sign, word.size()) == word) {
          strict.replace(i, sign + word.size(), "null");
          i += 3;
          break;
        }
      }
    }
  }
  return strict;
}

void flatten(const ordered_json& value, const std::string& path,
             std::vector<std::pair<std::string, std::string>>& values) {
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      flatten(member, path.empty() ? name : path + "." + name, values);
    }
  } else {
    values.emplace_back(path,
                        value.is_string()
                            ? value.get<std::string>()
                            : value.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  }
}

double microseconds_of(const JsonFields& entry) {
  const std::string unit = entry.string_or("time_unit", "ns");
  if (unit == "ns") {
    return 1e-3;
  }
  if (unit == "us") {
    return 1.0;
  }
  if (unit == "ms") {
    return 1e3;
  }
  if (unit == "s") {
    return 1e6;
  }
  entry.fail("time_unit", "ns, us, ms or s");
}

/// The numbers of an entry, times in microseconds; nothing for those that are null or not finite.
template <class Visit>
void each_number(const ordered_json& json, double scale, const Visit& visit) {
  for (const auto& [name, value] : json.items()) {
    if ((!value.is_number() && !value.is_null()) ||
        std::find(kDescribing.begin(), kDescribing.end(), name) != kDescribing.end()) {
      continue;
    }
    const bool is_time = name == "real_time" || name == "cpu_time";
    const double number =
        value.is_null() ? std::nan("") : value.template get<double>() * (is_time ? scale : 1.0);
    visit(name, std::isfinite(number) ? std::optional(number) : std::nullopt);
  }
}

SourceCounts line_of(const JsonFields& fields, const ordered_json& json) {
  SourceCounts line{fields.string("file"), fields.integer("line", 0, 1'000'000'000), {}};
  each_number(json, 1.0, [&](const std::string& name, std::optional<double> value) {
    if (value) {
      line.counts[name] = *value;
    }
  });
  return line;
}

class Reader {
 public:
  Reader(BenchmarkFile& file, bool by_kvsieve) : m_file(file), m_by_kvsieve(by_kvsieve) {}

  void read(const JsonFields& entry, const ordered_json& json) {
    const std::string name = entry.string("name");
    std::string run_name = entry.string_or("run_name", name);
    std::string aggregate = entry.string_or("aggregate_name", "");
    const std::string type =
        entry.string_or("run_type", aggregate.empty() ? "iteration" : "aggregate");
    if (type != "iteration" && type != "aggregate") {
      entry.fail("run_type", "iteration or aggregate");
    }
    const bool failed = is_failed(entry, json);
    if (type == "aggregate" && aggregate != "median" && !failed) {
      return;  // of a family of cases some, such as BigO: a case of that name there is none
    }
    BenchmarkCase& one = of(run_name);
    if (failed) {
      if (one.error.empty()) {
        one.error = entry.string_or("error_message", entry.string_or("skip_message", "failed"));
      }
      return;
    }
    const double scale = microseconds_of(entry);
    if (type == "aggregate") {
      each_number(json, scale, [&](const std::string& metric, std::optional<double> value) {
        if (value) {
          one.stated_medians[metric] = *value;
        }
      });
      return;
    }
    if (m_file.counters && one.repetitions > 0) {
      entry.fail("name", "each case once in a file of counters");
    }
    ++one.repetitions;
    each_number(json, scale, [&](const std::string& metric, std::optional<double> value) {
      std::vector<double>& values = one.values[metric];
      if (value) {
        values.push_back(*value);
      }
    });
    if (entry.has("lines")) {
      const std::vector<JsonFields> lines = entry.objects("lines");
      const ordered_json& raw = entry.raw("lines");
      for (std::size_t i = 0; i < lines.size(); ++i) {
        one.lines.push_back(line_of(lines[i], raw[i]));
      }
    }
  }

 private:
  /// Repetitions of a case need not follow each other.
  BenchmarkCase& of(const std::string& name) {
    const auto [found, is_new] = m_places.emplace(name, m_file.cases.size());
    if (is_new) {
      const bool says_so = name.find("/real_time") != std::string::npos ||
                           name.find("/manual_time") != std::string::npos;
      m_file.cases.push_back({name, {}, {}, {}, m_by_kvsieve || says_so, {}});
    }
    return m_file.cases[found->second];
  }

  static bool is_failed(const JsonFields& entry, const ordered_json& json) {
    const auto skipped = json.find("skipped");  // true, or a text in some versions
    return entry.boolean_or("error_occurred", false) ||
           (skipped != json.end() && (*skipped == true || skipped->is_string()));
  }

  BenchmarkFile& m_file;
  bool m_by_kvsieve;
  std::unordered_map<std::string, std::size_t> m_places;
};

/// Throws if two files of a folder can't count as one.
void require_alike(const std::filesystem::path& folder, const std::filesystem::path& first_path,
                   const BenchmarkFile& first, const std::filesystem::path& other_path,
                   const BenchmarkFile& other) {
  const std::string first_name = first_path.filename().string();
  const std::string other_name = other_path.filename().string();
  const auto kind_of = [](const BenchmarkFile& file) {
    return file.counters ? "counters" : "timings";
  };
  if (first.counters != other.counters) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: {} holds {} and {} {}", folder.string(), first_name,
                            kind_of(first), other_name, kind_of(other)));
  }
  for (const SetUpDifference& difference : context_differences(first, other)) {
    if (difference.machine) {
      const auto shown = [](const std::string& text) {
        return text.empty() ? std::string("not stated") : printable(text);
      };
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: {} and {} are not of one machine or build: {} is {} and {}",
                              folder.string(), first_name, other_name, printable(difference.what),
                              shown(difference.before), shown(difference.after)));
    }
  }
}

}  // namespace

std::size_t BenchmarkCase::lacking(std::string_view metric) const {
  const auto found = values.find(metric);
  const std::size_t present = found == values.end() ? 0 : found->second.size();
  return repetitions - std::min(repetitions, present);
}

BenchmarkFile parse_benchmarks(std::string_view text) {
  const ordered_json document = traces::parse_json(without_nan(text), "the file");
  const JsonFields fields(document, "the file");
  if (fields.string_or("schema", "") == "kvsieve.comparison/1") {
    throw Error(ErrorKind::kBadInput, "is a report of kvsieve compare and no result");
  }
  if (!fields.has("benchmarks")) {
    throw Error(ErrorKind::kBadInput, "has no benchmarks, expected Google Benchmark's JSON",
                "write it with --benchmark_out=FILE --benchmark_out_format=json");
  }
  BenchmarkFile file;
  bool by_kvsieve = false;
  if (fields.has("context")) {
    const JsonFields context = fields.object("context");
    file.date = context.string_or("date", "");
    flatten(fields.raw("context"), "", file.context);
    by_kvsieve = context.has("kvsieve");
    if (by_kvsieve) {
      const std::string kind = context.object("kvsieve").string_or("kind", "timings");
      if (kind != "timings" && kind != "counters") {
        context.object("kvsieve").fail("kind", "timings or counters");
      }
      file.counters = kind == "counters";
    }
  }
  Reader reader(file, by_kvsieve);
  const std::vector<JsonFields> entries = fields.objects("benchmarks");
  const ordered_json& raw = fields.raw("benchmarks");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    reader.read(entries[i], raw[i]);
  }
  if (file.cases.empty()) {
    throw Error(ErrorKind::kBadInput, "holds no benchmark");
  }
  return file;
}

std::string with_date(std::string_view text, const std::string& date) {
  ordered_json document = traces::parse_json(without_nan(text), "the file");
  document["context"]["date"] = date;
  return document.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string read_benchmark_text(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    try {
      return traces::read_file(path, kMostBytes);
    } catch (const Error& bad) {
      throw Error(bad.kind(), fmt::format("{}: {}", path.string(), bad.what()), bad.hint());
    }
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".json") {
      files.push_back(entry.path());
    }
  }
  if (files.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: is a folder without .json files", path.string()));
  }
  std::sort(files.begin(), files.end());
  const BenchmarkFile first = read_benchmarks(files.front());
  ordered_json merged;
  for (const std::filesystem::path& file : files) {
    require_alike(path, files.front(), first, file, read_benchmarks(file));
    ordered_json one = traces::parse_json(without_nan(read_benchmark_text(file)), "the file");
    if (merged.is_null()) {
      merged = std::move(one);
    } else {
      ordered_json& all = merged["benchmarks"];
      all.insert(all.end(), one["benchmarks"].begin(), one["benchmarks"].end());
    }
  }
  return merged.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

BenchmarkFile read_benchmarks(const std::filesystem::path& path) {
  const std::string text = read_benchmark_text(path);
  try {
    return parse_benchmarks(text);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", path.string(), error.what()), error.hint());
  }
}

}  // namespace kvsieve::sim
