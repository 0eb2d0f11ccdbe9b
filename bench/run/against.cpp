#include "kvsieve/bench/against.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "kvsieve/bench/machine.h"
#include "kvsieve/traces/error.h"
#include "run/interleaving.h"
#include "run/subprocess.h"

namespace kvsieve::bench {
namespace {

using nlohmann::ordered_json;

/// How long a measurement times its case: many short timings, of which some are not interrupted
/// even where others want the processor half of the time.
constexpr double kMeasurementSeconds = 0.05;
constexpr int kLeastTimings = 4;  ///< the first warms up
constexpr int kMostTimings = 20;
/// Blocks of a case for one that is wanted, at most: disturbed ones are measured again, and more of
/// cases whose timings scatter.
constexpr std::size_t kMostBlocks = 2;

/// Seconds that processors were not idle since they started, by number.
double busy_seconds(const std::vector<int>& cpus) {
  constexpr double kSecondsPerTick = 0.01;  // USER_HZ, which /proc always counts in
  constexpr int kFields = 8;                // user nice system idle iowait irq softirq steal
  std::ifstream file("/proc/stat");
  double ticks = 0.0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    const bool is_one = std::any_of(cpus.begin(), cpus.end(),
                                    [&](int cpu) { return name == fmt::format("cpu{}", cpu); });
    for (int field = 0; is_one && field < kFields; ++field) {
      double value = 0.0;
      words >> value;
      ticks += field == 3 || field == 4 ? 0.0 : value;
    }
  }
  return ticks * kSecondsPerTick;
}

/// Seconds of an iteration. Throws a json exception if the entry does not say.
double seconds_of(const ordered_json& entry) {
  const std::string unit = entry.at("time_unit");
  const double scale = unit == "ns" ? 1e-9 : unit == "us" ? 1e-6 : unit == "ms" ? 1e-3 : 1.0;
  return entry.at("real_time").get<double>() * scale;
}

/// One measurement: the entry that counts, and the share of its time that others took.
struct Measurement {
  Side side = Side::kOld;
  ordered_json entry;
  double disturbance = 0.0;
};

/// The measurements of one case that belong together.
struct Block {
  std::vector<Measurement> measurements;
  double disturbance = 0.0;  ///< of the most disturbed one
};

std::size_t quiet_ones(const std::vector<Block>& blocks) {
  return static_cast<std::size_t>(
      std::count_if(blocks.begin(), blocks.end(),
                    [](const Block& block) { return block.disturbance <= kMostDisturbance; }));
}

/// Keeps the blocks that count: quiet ones, and of the others as many as are still wanted. Returns
/// how many were dropped.
std::int64_t keep_counted(std::vector<Block>& blocks, std::size_t wanted) {
  std::vector<double> disturbances;
  for (const Block& block : blocks) {
    disturbances.push_back(block.disturbance);
  }
  std::vector<Block> counted;
  for (const std::size_t block :
       counted_blocks(disturbances, std::max(wanted, quiet_ones(blocks)))) {
    counted.push_back(std::move(blocks[block]));
  }
  const auto dropped = static_cast<std::int64_t>(blocks.size() - counted.size());
  blocks = std::move(counted);
  return dropped;
}

/// Whether what both sides measured in these blocks is noisy; not if one side has no such case.
bool scatters(const std::vector<Block>& blocks) {
  std::vector<double> seconds[2];
  for (const Block& block : blocks) {
    for (const Measurement& one : block.measurements) {
      if (!one.entry.is_null()) {
        seconds[static_cast<std::size_t>(one.side)].push_back(seconds_of(one.entry));
      }
    }
  }
  return !seconds[0].empty() && !seconds[1].empty() && is_noisy(seconds[0], seconds[1]);
}

class Interleaved {
 public:
  explicit Interleaved(const AgainstOptions& options) : m_options(options) {
    const std::vector<std::string> before = names(options.old_program);
    const std::vector<std::string> after = names(options.new_program);
    m_has[0] = {before.begin(), before.end()};
    m_has[1] = {after.begin(), after.end()};
    m_names = after;
    std::copy_if(before.begin(), before.end(), std::back_inserter(m_names),
                 [&](const std::string& name) { return m_has[1].count(name) == 0; });
    if (m_names.empty()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--filter '{}' matches no case of either program", options.filter),
                  "`kvsieve bench --list` names them all");
    }
  }

  AgainstResult run() {
    choose_timings();
    m_blocks.resize(m_names.size());
    const auto wanted = static_cast<std::size_t>(m_options.repetitions) / 2;
    const auto lacks = [&](const std::vector<Block>& blocks) {
      return blocks.size() < kMostBlocks * wanted &&
             (quiet_ones(blocks) < wanted || (m_options.more_where_noisy && scatters(blocks)));
    };
    for (std::size_t round = 0; !stopped() && std::any_of(m_blocks.begin(), m_blocks.end(), lacks);
         ++round) {
      if (m_options.progress) {
        m_options.progress(
            std::min(0.99, static_cast<double>(round) / static_cast<double>(wanted)));
      }
      for (std::size_t i = 0; i < m_names.size(); ++i) {
        if (lacks(m_blocks[i])) {
          m_blocks[i].push_back(measure_block(i, static_cast<std::int64_t>(round)));
        }
      }
    }
    AgainstResult result;
    for (std::size_t i = 0; i < m_names.size(); ++i) {
      result.disturbed_blocks += keep_counted(m_blocks[i], wanted);
      if (!has(Side::kNew, m_names[i])) {
        result.only_old.push_back(m_names[i]);
      } else if (!has(Side::kOld, m_names[i])) {
        result.only_new.push_back(m_names[i]);
      }
    }
    result.old_document = document(Side::kOld, result.disturbed_blocks);
    result.new_document = document(Side::kNew, result.disturbed_blocks);
    return result;
  }

 private:
  [[nodiscard]] bool stopped() const { return m_options.stop && m_options.stop(); }
  [[nodiscard]] const std::vector<std::string>& program(Side side) const {
    return side == Side::kOld ? m_options.old_program : m_options.new_program;
  }
  [[nodiscard]] bool has(Side side, const std::string& name) const {
    return m_has[static_cast<std::size_t>(side)].count(name) > 0;
  }

  /// What a program prints for these words behind `bench`.
  [[nodiscard]] FinishedProcess call(const std::vector<std::string>& program,
                                     std::vector<std::string> words) const {
    std::vector<std::string> all = program;
    all.emplace_back("bench");
    all.insert(all.end(), m_options.case_options.begin(), m_options.case_options.end());
    all.insert(all.end(), words.begin(), words.end());
    return run_process(all);
  }

  [[noreturn]] static void fail(const std::vector<std::string>& program, std::string_view what,
                                const FinishedProcess& process) {
    const std::string line = process.err.substr(0, process.err.find('\n'));
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: {} (exit {}){}", program[0], what, process.exit_code,
                            line.empty() ? "" : ": " + line));
  }

  /// The cases that a program has; none if nothing matches the filter.
  [[nodiscard]] std::vector<std::string> names(const std::vector<std::string>& program) const {
    const FinishedProcess process = call(program, {"--list", "--filter", m_options.filter});
    if (process.exit_code == static_cast<int>(ErrorKind::kUsage) &&
        process.err.find("matches no case") != std::string::npos) {
      return {};
    }
    if (process.exit_code != 0) {
      fail(program, "`bench --list` failed", process);
    }
    std::vector<std::string> found;
    std::istringstream lines(process.out);
    for (std::string line; std::getline(lines, line);) {
      found.push_back(line);
    }
    return found;
  }

  /// As many timings a measurement as fit, by one that does not count.
  void choose_timings() {
    m_timings.assign(m_names.size(), kLeastTimings);
    for (std::size_t i = 0; i < m_names.size() && !stopped(); ++i) {
      const Side side = has(Side::kNew, m_names[i]) ? Side::kNew : Side::kOld;
      const Measurement pilot = measure(side, i);
      if (!pilot.entry.is_null()) {
        const double seconds = seconds_of(pilot.entry) * pilot.entry.value("iterations", 1.0);
        m_timings[i] = std::clamp(static_cast<int>(kMeasurementSeconds / seconds), kLeastTimings,
                                  kMostTimings);
      }
    }
  }

  Block measure_block(std::size_t number, std::int64_t round) {
    Block block;
    const auto seed = m_options.seed + (static_cast<std::uint64_t>(number) << 32U);
    for (const Side side : block_order(seed, round)) {
      if (has(side, m_names[number]) && !stopped()) {
        block.measurements.push_back(measure(side, number));
        block.disturbance = std::max(block.disturbance, block.measurements.back().disturbance);
      }
    }
    return block;
  }

  Measurement measure(Side side, std::size_t number) {
    using Clock = std::chrono::steady_clock;
    const double busy = busy_seconds(m_options.cpus);
    const Clock::time_point begin = Clock::now();
    const FinishedProcess process =
        call(program(side), {"--filter", exact_pattern(m_names[number]), "--format", "json",
                             "--roofline", "no", "--repetitions", std::to_string(m_timings[number]),
                             "--min-time", fmt::format("{}", m_options.min_time_s)});
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (process.exit_code != 0) {
      if (stopped()) {
        return {side, nullptr, 1.0};
      }
      fail(program(side), fmt::format("`bench` failed on {}", m_names[number]), process);
    }
    Measurement measurement{side, quickest(side, process, m_names[number]), 0.0};
    if (m_options.cpus.size() == 1) {
      // What the quickest timing lacks in processor time, others had.
      measurement.disturbance = 1.0 - measurement.entry.value("cpu_time", 0.0) /
                                          measurement.entry.at("real_time").get<double>();
    } else {
      const double others = busy_seconds(m_options.cpus) - busy - process.cpu_seconds;
      measurement.disturbance = others / (seconds * static_cast<double>(m_options.cpus.size()));
    }
    return measurement;
  }

  /// The quickest timing but for the first.
  ordered_json quickest(Side side, const FinishedProcess& process, const std::string& name) {
    ordered_json best;
    try {
      const ordered_json document = ordered_json::parse(process.out);
      ordered_json& context = m_contexts[static_cast<std::size_t>(side)];
      if (context.is_null()) {
        context = document.at("context");
        if (!context["kvsieve"].is_object()) {
          context["kvsieve"] = ordered_json::object();
        }
      }
      int seen = 0;
      for (const ordered_json& entry : document.at("benchmarks")) {
        if (entry.value("run_type", "iteration") == "iteration" &&
            entry.value("run_name", "") == name && seen++ > 0 &&
            (best.is_null() || seconds_of(entry) < seconds_of(best))) {
          best = entry;
        }
      }
      if (!best.is_null() && !(seconds_of(best) > 0.0 && best.at("cpu_time").is_number())) {
        best = nullptr;
      }
    } catch (const nlohmann::json::exception&) {
      best = nullptr;
    }
    if (best.is_null()) {
      fail(program(side), "`bench --format json` printed no timings of " + name, process);
    }
    return best;
  }

  /// A side's measurements as repetitions.
  [[nodiscard]] ordered_json document(Side side, std::int64_t disturbed_blocks) const {
    ordered_json context = m_contexts[static_cast<std::size_t>(side)];
    context["executable"] = fmt::format("{}", fmt::join(program(side), " "));
    ordered_json& own = context["kvsieve"];
    own["schema"] = "kvsieve.bench/1";
    own["kind"] = "timings";
    own["load"]["after"] = read_load();
    own["options"] = {{"filter", m_options.filter},
                      {"repetitions", m_options.repetitions},
                      {"min_time_s", m_options.min_time_s},
                      {"pin", fmt::format("{}", fmt::join(m_options.cpus, ","))}};
    own["interleaved"] = {{"blocks", m_options.repetitions / 2},
                          {"disturbed_blocks", disturbed_blocks}};
    ordered_json benchmarks = ordered_json::array();
    for (std::size_t i = 0; i < m_names.size(); ++i) {
      std::vector<ordered_json> entries;
      for (const Block& block : m_blocks[i]) {
        for (const Measurement& one : block.measurements) {
          if (one.side == side && !one.entry.is_null()) {
            entries.push_back(one.entry);
          }
        }
      }
      for (std::size_t repetition = 0; repetition < entries.size(); ++repetition) {
        entries[repetition]["family_index"] = i;
        entries[repetition]["repetitions"] = entries.size();
        entries[repetition]["repetition_index"] = repetition;
        benchmarks.push_back(std::move(entries[repetition]));
      }
    }
    return {{"context", std::move(context)}, {"benchmarks", std::move(benchmarks)}};
  }

  const AgainstOptions& m_options;
  std::vector<std::string> m_names;          ///< of both sides
  std::vector<std::vector<Block>> m_blocks;  ///< of each case
  std::vector<int> m_timings;                ///< of a measurement of each case
  std::set<std::string> m_has[2];            ///< by side
  ordered_json m_contexts[2];                ///< of each side's first document
};

}  // namespace

AgainstResult run_against(const AgainstOptions& options) {
  return Interleaved(options).run();
}

}  // namespace kvsieve::bench
