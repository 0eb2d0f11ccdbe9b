#pragma once
// Measured rows that tests make up, and the published ones that the repository keeps.

#include <string>
#include <vector>

#include "kvsieve/sim/calibration.h"
#include "kvsieve/sim/validation.h"

namespace kvsieve::sim::tests {

/// A row of decode attention on an H100, d 128.
[[nodiscard]] MeasuredRow attention_row(std::int64_t batch, std::int64_t q_heads,
                                        std::int64_t kv_heads, std::int64_t context,
                                        double latency_us);

[[nodiscard]] MeasuredRow gemm_row(std::int64_t m, std::int64_t n, std::int64_t k,
                                   double latency_us);

/// Rows as a file, numbered from 0.
[[nodiscard]] MeasuredFile as_file(std::vector<MeasuredRow> rows);

/// A file of tests/golden/validation.
[[nodiscard]] MeasuredFile published(const std::string& name);

/// The one entry of these; a failure of the test, and nothing, if there are several or none.
[[nodiscard]] ErrorFigures figures_of(const std::vector<RegimeError>& errors,
                                      const std::string& regime, const std::string& device,
                                      const std::string& engine, const std::string& kv_dtype,
                                      const std::string& selection = "all");

}  // namespace kvsieve::sim::tests
