#include "kvsieve/sim/break_even.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/version.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

/// One side of the comparison at one context.
class Side {
 public:
  Side(const StepModel& model, const HardwareProfile& hardware, CostPoint point)
      : m_model(model),
        m_point(std::move(point)),
        m_largest(largest_batch(
            memory_ledger(model.model(), m_point.method, m_point.context, m_point.capacity),
            hardware, m_point.capacity)) {}

  [[nodiscard]] std::int64_t largest() const { return m_largest; }

  [[nodiscard]] std::optional<double> at(std::int64_t batch) {
    if (batch > m_largest || batch < 1) {
      return std::nullopt;
    }
    m_point.batch = batch;
    return m_model.step(m_point).tokens_per_second;
  }

 private:
  const StepModel& m_model;
  CostPoint m_point;
  std::int64_t m_largest;
};

template <class T>
void set_optional(ordered_json& json, const char* key, const std::optional<T>& value) {
  if (value) {
    json[key] = *value;
  }
}

std::optional<double> ratio(std::optional<double> over, std::optional<double> under) {
  return over && under ? std::optional(*over / *under) : std::nullopt;
}

/// The first context from which the ratio stays above 1. @param wins [contexts]
std::optional<std::int64_t> pays_from(std::span<const std::int64_t> contexts,
                                      const std::vector<bool>& wins) {
  std::optional<std::int64_t> from;
  for (std::size_t c = contexts.size(); c-- > 0 && wins[c];) {
    from = contexts[c];
  }
  return from;
}

}  // namespace

BreakEvenMap break_even(const CostRequest& request, std::span<const std::int64_t> contexts,
                        std::span<const std::int64_t> batches) {
  const StepModel model(request.hardware, request.model);
  BreakEvenMap map;
  std::vector<std::vector<bool>> wins(batches.size());
  std::vector<bool> best_wins;
  for (const std::int64_t context : contexts) {
    CostPoint point = request.point;
    point.context = context;
    Side method(model, request.hardware, point);
    point.method = cost_method("full");
    Side full(model, request.hardware, point);
    BreakEvenContext& at = map.contexts.emplace_back();
    at.context = context;
    at.full_batch = full.largest();
    at.method_batch = method.largest();
    at.full_tokens_per_second = full.at(full.largest());
    at.method_tokens_per_second = method.at(method.largest());
    at.ratio = ratio(at.method_tokens_per_second, at.full_tokens_per_second);
    // What full attention cannot hold at all, the method pays for.
    best_wins.push_back(at.method_tokens_per_second &&
                        (!at.full_tokens_per_second || at.ratio > 1.0));
    for (std::size_t b = 0; b < batches.size(); ++b) {
      BreakEvenPoint& cell = map.points.emplace_back();
      cell.context = context;
      cell.batch = batches[b];
      cell.full_tokens_per_second = full.at(batches[b]);
      cell.method_tokens_per_second = method.at(batches[b]);
      cell.same_batch = ratio(cell.method_tokens_per_second, cell.full_tokens_per_second);
      cell.against_best = ratio(cell.method_tokens_per_second, at.full_tokens_per_second);
      wins[b].push_back(cell.method_tokens_per_second &&
                        (!cell.full_tokens_per_second || cell.same_batch > 1.0));
    }
  }
  for (std::size_t b = 0; b < batches.size(); ++b) {
    map.batches.push_back({batches[b], pays_from(contexts, wins[b])});
  }
  map.pays_from_context = pays_from(contexts, best_wins);
  return map;
}

ordered_json to_json(const BreakEvenMap& map) {
  ordered_json json = {{"schema", "kvsieve.break-even/1"},
                       {"tool_version", version()},
                       {"origin", "modelled"},
                       {"batches", ordered_json::array()},
                       {"contexts", ordered_json::array()},
                       {"points", ordered_json::array()}};
  set_optional(json, "pays_from_context", map.pays_from_context);
  for (const BreakEvenBatch& batch : map.batches) {
    ordered_json& row = json["batches"].emplace_back(ordered_json{{"batch", batch.batch}});
    set_optional(row, "pays_from_context", batch.pays_from_context);
  }
  for (const BreakEvenContext& context : map.contexts) {
    ordered_json& row =
        json["contexts"].emplace_back(ordered_json{{"context", context.context},
                                                   {"full_batch", context.full_batch},
                                                   {"method_batch", context.method_batch}});
    set_optional(row, "full_tokens_per_second", context.full_tokens_per_second);
    set_optional(row, "method_tokens_per_second", context.method_tokens_per_second);
    set_optional(row, "ratio", context.ratio);
  }
  for (const BreakEvenPoint& point : map.points) {
    ordered_json& row = json["points"].emplace_back(
        ordered_json{{"context", point.context}, {"batch", point.batch}});
    set_optional(row, "full_tokens_per_second", point.full_tokens_per_second);
    set_optional(row, "method_tokens_per_second", point.method_tokens_per_second);
    set_optional(row, "same_batch", point.same_batch);
    set_optional(row, "against_best", point.against_best);
  }
  return json;
}

}  // namespace kvsieve::sim
