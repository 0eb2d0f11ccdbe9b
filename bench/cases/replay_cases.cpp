// What `kvsieve run` does with a method, the trace open and in memory: on all captured layers or on
// the first one alone.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>

#include "cases/case_groups.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::bench {
namespace {

/// Which layers a case replays.
struct Layers {
  const char* name;
  bool first_only;

  [[nodiscard]] std::vector<std::int64_t> of(const traces::Trace& trace) const {
    return first_only ? std::vector<std::int64_t>{trace.header().captured_layers.front()}
                      : std::vector<std::int64_t>{};
  }
};

constexpr Layers kLayers[] = {{"first", true}, {"all", false}};

std::string name_of(const char* method, const Layers& layers, int threads) {
  return fmt::format("replay/method:{}/layers:{}/threads:{}", method, layers.name, threads);
}

BenchCase eviction_case(int threads, const std::string& path, const char* method,
                        const Layers& layers) {
  return {name_of(method, layers, threads), threads, [=] {
            const auto trace = std::make_shared<const traces::Trace>(traces::Trace::open(path));
            sim::EvictionPlan plan;
            plan.method = *sim::find_eviction_preset(method);
            plan.budget = sim::Budget::parse("20%");
            PreparedCase prepared;
            prepared.iterate = [=, options = sim::EvictionOptions{.layers = layers.of(*trace)}] {
              benchmark::DoNotOptimize(sim::replay_eviction(*trace, {&plan, 1}, options).data());
            };
            return prepared;
          }};
}

BenchCase retrieval_case(int threads, const std::string& path, const char* method,
                         const Layers& layers) {
  return {name_of(method, layers, threads), threads, [=] {
            const auto trace = std::make_shared<const traces::Trace>(traces::Trace::open(path));
            sim::RetrievalOptions options = sim::retrieval_preset(method);
            options.layers = layers.of(*trace);
            PreparedCase prepared;
            prepared.iterate = [=] {
              benchmark::DoNotOptimize(sim::replay_retrieval(*trace, options).layers.data());
            };
            return prepared;
          }};
}

}  // namespace

std::vector<BenchCase> replay_cases(int threads, const std::string& trace) {
  std::vector<BenchCase> cases;
  for (const Layers& layers : kLayers) {
    for (const char* method : {"snapkv", "ada-snapkv", "criticalkv", "h2o"}) {
      cases.push_back(eviction_case(threads, trace, method, layers));
    }
    for (const char* method : {"exact-topk", "quest"}) {
      cases.push_back(retrieval_case(threads, trace, method, layers));
    }
  }
  return cases;
}

}  // namespace kvsieve::bench
