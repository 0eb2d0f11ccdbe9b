#include "kvsieve/sim/sweep_runner.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace kvsieve::sim {
namespace {

/// Enough for the points of a trace to share most of its scoring, few enough that little is lost
/// when a process dies.
constexpr std::size_t kTracePoints = 256;

}  // namespace

std::vector<SweepChunk> sweep_chunks(std::span<const SweepPoint> points,
                                     const nlohmann::ordered_json& context,
                                     std::span<const std::string> finished,
                                     std::size_t cost_points) {
  std::vector<SweepChunk> chunks;
  std::map<std::string, std::size_t, std::less<>> open;  // by trace, the chunk that is not full
  for (const SweepPoint& point : points) {
    std::string key = point_key(canonical_point(point, context));
    if (std::binary_search(finished.begin(), finished.end(), key)) {
      continue;
    }
    const std::string_view trace = point.find("trace").value_or("");
    const std::size_t limit = trace.empty() ? cost_points : kTracePoints;
    auto found = open.find(trace);
    if (found == open.end() || chunks[found->second].points.size() >= limit) {
      found = open.insert_or_assign(std::string(trace), chunks.size()).first;
      chunks.emplace_back();
    }
    SweepChunk& chunk = chunks[found->second];
    chunk.points.push_back(point);
    chunk.keys.push_back(std::move(key));
  }
  return chunks;
}

SweepState state_before(std::span<const SweepPoint> points, std::span<const SweepChunk> chunks) {
  SweepState state;
  state.total = static_cast<std::int64_t>(points.size());
  state.finished = state.total;
  for (const SweepChunk& chunk : chunks) {
    state.finished -= static_cast<std::int64_t>(chunk.points.size());
  }
  state.reused = state.finished;
  return state;
}

void record(std::span<const SweepRow> rows, SweepStore& store, SweepState& state) {
  store.add(rows);
  state.finished += static_cast<std::int64_t>(rows.size());
  state.failed += std::count_if(rows.begin(), rows.end(),
                                [](const SweepRow& row) { return !row.error.empty(); });
}

SweepState run_sweep(std::span<const SweepPoint> points, const nlohmann::ordered_json& context,
                     SweepEvaluator& evaluator, SweepStore& store, const SweepProgress& progress,
                     const std::function<bool()>& stop) {
  const std::vector<SweepChunk> chunks = sweep_chunks(points, context, store.finished_keys());
  SweepState state = state_before(points, chunks);
  const auto report = [&](double share) {
    if (progress) {
      progress(state, share);
    }
  };
  report(0.0);
  for (const SweepChunk& chunk : chunks) {
    if (stop && stop()) {
      state.stopped = true;
      break;
    }
    const auto size = static_cast<double>(chunk.points.size());
    const std::vector<SweepRow> rows =
        evaluator.evaluate(chunk.points, chunk.keys, [&](double share) {
          report((static_cast<double>(state.finished) + share * size) /
                 static_cast<double>(std::max<std::int64_t>(state.total, 1)));
        });
    record(rows, store, state);
    report(static_cast<double>(state.finished) / static_cast<double>(state.total));
  }
  return state;
}

}  // namespace kvsieve::sim
