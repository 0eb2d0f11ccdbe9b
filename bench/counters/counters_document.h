#pragma once
// Counters as files and tables.

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "case_counters.h"

namespace kvsieve::bench {

/// Google Benchmark's JSON with one entry a case, kernel and architecture: times are 0, counters
/// and static resources are numbers, `lines` has what each line of source did. Nothing in it
/// depends on the machine, the time or the place of the sources.
[[nodiscard]] nlohmann::ordered_json counters_document(std::span<const CaseCounters> counters);

/// The most telling columns, aligned.
[[nodiscard]] std::string counters_table(std::span<const CaseCounters> counters);

}  // namespace kvsieve::bench
