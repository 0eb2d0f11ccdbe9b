#include "kvsieve/bench/bench_run.h"

#include <benchmark/benchmark.h>

#include <array>
#include <map>
#include <optional>

#include "kvsieve/bench/roofline.h"
#include "kvsieve/sim/hardware_profile.h"

namespace kvsieve::bench {
namespace {

constexpr double kSecondsPerUs = 1e-6;
constexpr std::int64_t kGatheredRowBytes = 512;  ///< K and V of 128 16-bit numbers

/// This machine as the cost model describes a host: what was measured here, and threads that start
/// at once.
sim::HostTimes measured_host(int threads) {
  const Roofline& limits = roofline(threads);
  sim::CpuSpec cpu;
  cpu.fp32_gflops.value = limits.flops_per_second * 1e-9;
  cpu.dram_gbps.value = limits.read_bytes_per_second * 1e-9;
  cpu.dram_efficiency.value = 1.0;
  cpu.gather_efficiency.value =
      measure_row_reads(threads, kGatheredRowBytes) / limits.read_bytes_per_second;
  return sim::HostTimes(cpu);
}

/// Ends a run early.
struct Stopped {};

/// What the registered benchmarks share.
class Run {
 public:
  Run(const std::vector<BenchCase>& cases, const BenchRunOptions& options)
      : m_cases(cases), m_options(options) {}

  /// The body of the benchmark of a case. What it throws passes through Google Benchmark:
  /// State::SkipWithError would leave repetitions of one case that its statistics do not take.
  void measure(benchmark::State& state, std::size_t number) {
    if (m_options.stop && m_options.stop()) {
      throw Stopped{};
    }
    const BenchCase& item = m_cases[number];
    const PreparedCase& prepared = prepare(number);
    with_threads(item.threads, [&] { iterate(state, item, prepared); });
    report(state, item, prepared);
  }

 private:
  /// The case's inputs, which stay for as long as no other case runs.
  const PreparedCase& prepare(std::size_t number) {
    if (m_number != number) {
      m_prepared.reset();
      m_prepared = m_cases[number].prepare();
      m_number = number;
    }
    return *m_prepared;
  }

  static void iterate(benchmark::State& state, const BenchCase& item,
                      const PreparedCase& prepared) {
    if (item.device_bandwidth) {
      for ([[maybe_unused]] auto iteration : state) {
        state.SetIterationTime(prepared.timed_iterate());
      }
      return;
    }
    for ([[maybe_unused]] auto iteration : state) {
      prepared.iterate();
      benchmark::ClobberMemory();
    }
  }

  void report(benchmark::State& state, const BenchCase& item, const PreparedCase& prepared) {
    using benchmark::Counter;
    const auto rate = [&state](const std::string& name, double per_iteration) {
      state.counters[name] = Counter(per_iteration, Counter::kIsIterationInvariantRate);
    };
    if (!prepared.items.empty()) {
      rate(prepared.items + "_per_second", prepared.items_per_iteration);
    }
    if (prepared.work) {
      const kernels::Work work = prepared.work();
      const auto bytes = static_cast<double>(work.bytes_read + work.bytes_written);
      const auto flops = static_cast<double>(work.flops);
      state.counters["bytes"] = bytes;
      rate("bytes_per_second", bytes);
      if (flops > 0.0) {
        state.counters["flops"] = flops;
        rate("flops_per_second", flops);
      }
      if (m_options.roofline && item.device_bandwidth) {
        rate("share_of_bandwidth", bytes / item.device_bandwidth());
      } else if (m_options.roofline) {
        const Roofline& limits = roofline(item.threads);
        rate("share_of_bandwidth", bytes / limits.read_bytes_per_second);
        if (flops > 0.0) {
          rate("share_of_peak", flops / limits.flops_per_second);
        }
      }
    }
    if (m_options.roofline && prepared.modelled_us) {
      const auto found = m_hosts.find(item.threads);
      const sim::HostTimes& host =
          found != m_hosts.end()
              ? found->second
              : m_hosts.emplace(item.threads, measured_host(item.threads)).first->second;
      state.counters["modelled_us"] = prepared.modelled_us(host);
    }
  }

  const std::vector<BenchCase>& m_cases;
  const BenchRunOptions& m_options;
  std::optional<PreparedCase> m_prepared;
  std::optional<std::size_t> m_number;
  std::map<int, sim::HostTimes> m_hosts;
};

/// Takes the results over.
class Reporter final : public benchmark::BenchmarkReporter {
 public:
  Reporter(const std::vector<BenchCase>& cases, const BenchRunOptions& options)
      : m_cases(cases), m_options(options) {}

  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      BenchEntry& entry = entries.emplace_back();
      entry.case_name = run.run_name.function_name;
      entry.family = run.family_index;
      entry.repetitions = run.repetitions;
      entry.threads = m_cases[static_cast<std::size_t>(run.family_index)].threads;
      entry.iterations = run.iterations;
      entry.real_time_us = run.GetAdjustedRealTime();
      entry.cpu_time_us = run.GetAdjustedCPUTime();
      if (run.run_type == Run::RT_Aggregate) {
        entry.aggregate = run.aggregate_name;
        entry.is_share = run.aggregate_unit == benchmark::kPercentage;
        if (entry.is_share) {
          entry.real_time_us = run.real_accumulated_time;
          entry.cpu_time_us = run.cpu_accumulated_time;
        }
      } else {
        entry.repetition = run.repetition_index;
        ++m_done;
      }
      for (const auto& [name, counter] : run.counters) {
        entry.counters.emplace_back(name, counter.value);
      }
    }
    if (m_options.progress) {
      m_options.progress(static_cast<double>(m_done) / static_cast<double>(m_cases.size()) /
                         m_options.repetitions);
    }
  }

  std::vector<BenchEntry> entries;

 private:
  const std::vector<BenchCase>& m_cases;
  const BenchRunOptions& m_options;
  std::int64_t m_done = 0;
};

}  // namespace

std::vector<BenchEntry> run_cases(const std::vector<BenchCase>& cases,
                                  const BenchRunOptions& options) {
  std::string program = "kvsieve bench";
  std::string interleaving = "--benchmark_enable_random_interleaving=" +
                             std::string(options.interleave ? "true" : "false");
  std::array<char*, 2> words{program.data(), interleaving.data()};
  int count = words.size();
  benchmark::Initialize(&count, words.data());
  benchmark::ClearRegisteredBenchmarks();
  Run run(cases, options);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    benchmark::internal::Benchmark* registered = benchmark::RegisterBenchmark(
        cases[i].name.c_str(), [&run, i](benchmark::State& state) { run.measure(state, i); });
    registered->Unit(benchmark::kMicrosecond)
        ->Repetitions(options.repetitions)
        ->MinTime(options.min_time_s)
        ->MeasureProcessCPUTime();
    if (cases[i].device_bandwidth) {
      registered->UseManualTime();
    } else {
      registered->UseRealTime();
    }
  }
  Reporter reporter(cases, options);
  try {
    benchmark::RunSpecifiedBenchmarks(&reporter, "all");
  } catch (const Stopped&) {
    // What was reported until then is what there is.
  }
  benchmark::ClearRegisteredBenchmarks();
  return std::move(reporter.entries);
}

}  // namespace kvsieve::bench
