#include "counters_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "source_path.h"

namespace kvsieve::bench {
namespace {

using nlohmann::ordered_json;

std::string entry_name(const CaseCounters& item) {
  return fmt::format("{}/kernel:{}/sm:{}", item.case_name, item.kernel, item.architecture);
}

ordered_json lines_of(const ptx::KernelCounters& counters) {
  std::map<std::pair<std::string, int>, ptx::Counters> lines;
  for (const auto& [line, counted] : counters.lines) {
    lines[{relative_source_path(line.file), line.line}] += counted;
  }
  ordered_json list = ordered_json::array();
  for (const auto& [line, counted] : lines) {
    ordered_json entry{{"file", line.first}, {"line", line.second}};
    ptx::for_each_counter(counted, [&](std::string_view name, std::int64_t value) {
      if (value != 0) {
        entry[std::string(name)] = value;
      }
    });
    list.push_back(std::move(entry));
  }
  return list;
}

ordered_json entry_of(const CaseCounters& item) {
  const std::string name = entry_name(item);
  const ptx::KernelCounters& counters = item.run.counters;
  ordered_json entry{{"name", name},
                     {"run_name", name},
                     {"run_type", "iteration"},
                     {"repetitions", 1},
                     {"repetition_index", 0},
                     {"threads", 1},
                     {"iterations", 1},
                     {"real_time", 0.0},
                     {"cpu_time", 0.0},
                     {"time_unit", "ns"},
                     {"launches", counters.launches},
                     {"blocks", counters.blocks},
                     {"block_threads", item.run.block_threads}};
  ptx::for_each_counter(counters.total, [&](std::string_view counter, std::int64_t value) {
    entry[std::string(counter)] = value;
  });
  entry["registers"] = item.resources.registers;
  entry["stack_bytes"] = item.resources.stack_bytes;
  entry["static_shared_bytes"] = item.resources.static_shared_bytes;
  entry["dynamic_shared_bytes"] = item.run.dynamic_shared_bytes;
  entry["blocks_per_multiprocessor"] = item.occupancy.blocks;
  entry["occupancy"] = item.occupancy.share;
  entry["lines"] = lines_of(counters);
  return entry;
}

}  // namespace

ordered_json counters_document(std::span<const CaseCounters> counters) {
  ordered_json entries = ordered_json::array();
  for (const CaseCounters& item : counters) {
    entries.push_back(entry_of(item));
  }
  return {{"context",
           {{"executable", "kvsieve-counters"},
            {"kvsieve",
             {{"schema", "kvsieve.bench/1"},
              {"kind", "counters"},
              {"tool_version", KVSIEVE_VERSION},
              {"compiler", "nvcc " KVSIEVE_NVCC_VERSION}}}}},
          {"benchmarks", std::move(entries)}};
}

std::string counters_table(std::span<const CaseCounters> counters) {
  std::vector<std::vector<std::string>> rows{{"instructions", "load sectors", "store sectors",
                                              "excess", "bank conflicts", "divergent", "local",
                                              "registers", "stack", "occupancy", "name"}};
  for (const CaseCounters& item : counters) {
    const ptx::Counters& total = item.run.counters.total;
    rows.push_back(
        {fmt::to_string(total.instructions), fmt::to_string(total.global_load_sectors),
         fmt::to_string(total.global_store_sectors), fmt::to_string(total.global_excess_sectors),
         fmt::to_string(total.shared_bank_conflicts), fmt::to_string(total.divergent_branches),
         fmt::to_string(total.local_requests), fmt::to_string(item.resources.registers),
         fmt::to_string(item.resources.stack_bytes),
         fmt::format("{:.0f}%", 100.0 * item.occupancy.share), entry_name(item)});
  }
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      text += fmt::format("{:>{}}  ", row[i], widths[i]);
    }
    text += row.back() + '\n';
  }
  return text;
}

}  // namespace kvsieve::bench
