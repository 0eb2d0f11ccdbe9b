#pragma once
// From which context and batch a method pays against full attention on the same hardware.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <vector>

#include "kvsieve/sim/cost_report.h"

namespace kvsieve::sim {

/// One point of the map. Tokens a second are absent where the batch does not fit.
struct BreakEvenPoint {
  std::int64_t context = 0;
  std::int64_t batch = 0;
  std::optional<double> full_tokens_per_second;
  std::optional<double> method_tokens_per_second;
  /// Method / full at this batch; absent where either does not fit.
  std::optional<double> same_batch;
  /// Method at this batch / full attention at its largest.
  std::optional<double> against_best;
};

/// One context, each side at its largest batch.
struct BreakEvenContext {
  std::int64_t context = 0;
  std::int64_t full_batch = 0;
  std::int64_t method_batch = 0;
  std::optional<double> full_tokens_per_second;
  std::optional<double> method_tokens_per_second;
  std::optional<double> ratio;
};

/// The smallest context of the map from which the method is faster at all larger ones, too.
struct BreakEvenBatch {
  std::int64_t batch = 0;
  std::optional<std::int64_t> pays_from_context;
};

struct BreakEvenMap {
  std::vector<BreakEvenPoint> points;             ///< [contexts, batches]
  std::vector<BreakEvenContext> contexts;         ///< [contexts]
  std::vector<BreakEvenBatch> batches;            ///< [batches]
  std::optional<std::int64_t> pays_from_context;  ///< at each side's largest batch
};

/// Maps contexts x batches, both ascending.
[[nodiscard]] BreakEvenMap break_even(const CostRequest& request,
                                      std::span<const std::int64_t> contexts,
                                      std::span<const std::int64_t> batches);

[[nodiscard]] nlohmann::ordered_json to_json(const BreakEvenMap& map);

}  // namespace kvsieve::sim
