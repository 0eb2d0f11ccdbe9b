#include "kvsieve/sim/cost_method.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr std::array<std::string_view, 5> kFetchPaths{"dma", "batched-dma", "kernel", "zero-copy",
                                                      "cpu-gather"};

/// Stated, not measured: how far the longest head of an adaptive method lies above the mean.
constexpr double kAdaptiveLongest = 2.0;

CostMethod eviction(const EvictionMethod& preset) {
  CostMethod method;
  method.name = preset.name;
  method.family = preset.scorer == Scorer::kNone ? CostFamily::kFull : CostFamily::kEviction;
  method.longest_over_mean = preset.adaptive ? kAdaptiveLongest : 1.0;
  return method;
}

IndexCost index_of(const RetrievalOptions& options) {
  IndexCost index;
  switch (options.scorer) {
    case RetrievalScorer::kVqQueryAware:
    case RetrievalScorer::kVqPlain:
    case RetrievalScorer::kVqPostRope:
      index.codes = true;
      index.codewords = options.codewords > 0 ? options.codewords : 4096;
      break;
    case RetrievalScorer::kExact:
    case RetrievalScorer::kExactWrope:
      index.rows_per_token = 1.0;
      break;
    case RetrievalScorer::kQuest:
      index.rows_per_token = 2.0 / static_cast<double>(kQuestPageTokens);
      index.unit_tokens = kQuestPageTokens;
      break;
    case RetrievalScorer::kPq:
      index.bytes_per_token = static_cast<double>(options.pq_subvectors * options.pq_bits) / 8.0;
      break;
    case RetrievalScorer::kChunkMean:
      index.rows_per_token = 1.0 / static_cast<double>(kChunkTokens);
      index.unit_tokens = kChunkTokens;
      break;
    case RetrievalScorer::kClusterCentroid:
      // A centroid for 80 tokens, and each token's label.
      index.rows_per_token = 1.0 / 80.0;
      index.bytes_per_token = 4.0;
      break;
    case RetrievalScorer::kChannelSubset:
      index.bytes_per_token = 2.0 * static_cast<double>(options.channels);
      break;
    case RetrievalScorer::kRandom:
    case RetrievalScorer::kNone:
      break;
  }
  return index;
}

CostMethod retrieval(const RetrievalOptions& options) {
  CostMethod method;
  method.name = options.name;
  method.family = CostFamily::kRetrieval;
  method.index = index_of(options);
  method.top = options.top;
  if (options.scorer == RetrievalScorer::kNone) {
    method.top.is_share = false;
    method.top.count = 0;
  }
  method.sinks = options.sinks;
  method.window = options.window;
  method.placement = options.placement;
  method.hot_buffer = options.hot_buffer;
  return method;
}

/// Chunks of 8 tokens ranked by their mean key, keys of rank 160 on the GPU, values fetched;
/// 1.56 % of the tokens, 48 outlier chunks, and 60 % of the chunks kept from the step before.
CostMethod shadowkv() {
  CostMethod method = retrieval(retrieval_preset("chunk-mean"));
  method.name = "shadowkv";
  method.index.key_rank = 160;
  method.top = TopBudget::parse("1.56%");
  method.union_factor = 1.0;
  method.sinks = 48 * kChunkTokens;
  method.window = 4 * kChunkTokens;
  method.placement = Placement::kFetchHotBuffer;
  return method;
}

/// 150 hash tables of 32-bit token numbers on the host, which scores and attends.
CostMethod magicpig() {
  CostMethod method;
  method.name = "magicpig";
  method.family = CostFamily::kRetrieval;
  method.index.on_host = true;
  method.index.table_bytes_per_token = 150 * 4;
  method.top = TopBudget::parse("2%");
  method.sinks = 4;
  method.window = 64;
  return method;
}

std::vector<CostMethod> all_methods() {
  std::vector<CostMethod> methods;
  for (const EvictionMethod& preset : eviction_presets()) {
    methods.push_back(eviction(preset));
  }
  for (const RetrievalOptions& preset : retrieval_presets()) {
    const auto same = [&](const CostMethod& method) { return method.name == preset.name; };
    if (std::none_of(methods.begin(), methods.end(), same)) {
      methods.push_back(retrieval(preset));
      methods.back().placement = Placement::kCpuAttention;
    }
  }
  methods.push_back(shadowkv());
  methods.push_back(magicpig());
  return methods;
}

}  // namespace

std::string_view name_of(FetchPath path) noexcept {
  return kFetchPaths[static_cast<std::size_t>(path)];
}

FetchPath fetch_path_from_name(std::string_view name) {
  const auto found = std::find(kFetchPaths.begin(), kFetchPaths.end(), name);
  if (found == kFetchPaths.end()) {
    throw Error(ErrorKind::kUsage, fmt::format("--fetch-path '{}' is unknown, supported: {}", name,
                                               fmt::join(kFetchPaths, ", ")));
  }
  return static_cast<FetchPath>(found - kFetchPaths.begin());
}

std::string_view name_of(CostFamily family) noexcept {
  switch (family) {
    case CostFamily::kFull:
      return "full";
    case CostFamily::kEviction:
      return "eviction";
    case CostFamily::kRetrieval:
      break;
  }
  return "retrieval";
}

const std::vector<CostMethod>& cost_methods() {
  static const std::vector<CostMethod> methods = all_methods();
  return methods;
}

const CostMethod& cost_method(std::string_view name) {
  std::vector<std::string_view> names;
  for (const CostMethod& method : cost_methods()) {
    if (method.name == name) {
      return method;
    }
    names.push_back(method.name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("method '{}' is unknown, supported: {}", name, fmt::join(names, ", ")));
}

LayerLoad stated_load(const CostMethod& method, double context, std::int64_t group) {
  LayerLoad load;
  if (context <= 0.0) {
    return load;
  }
  if (method.family == CostFamily::kEviction) {
    const auto tokens = static_cast<std::int64_t>(context);
    const double kept = method.budget.kind == Budget::Kind::kShare
                            ? static_cast<double>(method.budget.share.floor_times(tokens))
                            : static_cast<double>(method.budget.amount);
    load.kept_share = std::min(1.0, kept / context);
    load.longest_over_mean = std::clamp(method.longest_over_mean, 1.0, 1.0 / load.kept_share);
  }
  if (method.family == CostFamily::kRetrieval) {
    const double eligible =
        std::max(0.0, context - static_cast<double>(method.sinks + method.window));
    const double top =
        std::min(static_cast<double>(method.top.at(static_cast<std::int64_t>(context))), eligible);
    const double factor =
        std::clamp(method.union_factor.value_or(std::sqrt(static_cast<double>(group))), 1.0,
                   static_cast<double>(group));
    load.union_share = std::min(eligible, top * factor) / context;
    load.run_share = 1.0 / std::max(1.0, method.run_tokens);
    load.miss_share = method.placement == Placement::kFetchHotBuffer ? 1.0 - method.hit_rate : 1.0;
  }
  return load;
}

StepLoads captured_loads(const EvictionResult& result, const traces::TraceHeader& trace) {
  std::vector<LayerLoad> layers;
  for (const LayerEviction& layer : result.layers) {
    if (!layer.touched || layer.heads.empty()) {
      continue;
    }
    // Units may be query heads, each with a cache of its own.
    double total = 0.0;
    double longest = 0.0;
    for (const HeadEviction& head : layer.heads) {
      total += static_cast<double>(head.budget);
      longest = std::max(longest, static_cast<double>(head.budget));
    }
    const double mean_unit = total / static_cast<double>(layer.heads.size());
    LayerLoad& load = layers.emplace_back();
    load.kept_share = total / static_cast<double>(trace.model.kv_heads) /
                      static_cast<double>(std::max<std::int64_t>(trace.prompt_tokens, 1));
    load.longest_over_mean = mean_unit > 0.0 ? longest / mean_unit : 1.0;
  }
  StepLoads loads;
  loads.layers = static_cast<std::int64_t>(layers.size());
  for (std::int64_t step = 0; step < std::max<std::int64_t>(trace.decode_tokens, 1); ++step) {
    loads.loads.insert(loads.loads.end(), layers.begin(), layers.end());
  }
  return loads;
}

StepLoads captured_loads(const RetrievalResult& result, const traces::TraceHeader& trace) {
  StepLoads loads;
  loads.layers = std::count_if(result.layers.begin(), result.layers.end(),
                               [](const LayerRetrieval& layer) { return layer.touched; });
  const bool buffered = result.options.hot_buffer > 0;
  for (std::size_t step = 0; step < result.steps.size(); ++step) {
    const double context =
        static_cast<double>(trace.prompt_tokens) + static_cast<double>(step) + 1.0;
    for (const LayerRetrieval& layer : result.layers) {
      if (!layer.touched) {
        continue;
      }
      double tokens = 0.0;
      double hits = 0.0;
      double runs = 0.0;
      for (const HeadRetrieval& head : layer.heads) {
        const HeadStep& at = head.steps[step];
        tokens += static_cast<double>(at.union_tokens);
        hits += static_cast<double>(at.hot_hits);
        runs += static_cast<double>(at.fetch_pieces);
      }
      LayerLoad& load = loads.loads.emplace_back();
      load.union_share = tokens / static_cast<double>(layer.heads.size()) / context;
      load.miss_share = buffered && tokens > 0.0 ? 1.0 - hits / tokens : 1.0;
      load.run_share = tokens > 0.0 ? runs / tokens : 1.0;
    }
  }
  return loads;
}

CostMethod cost_method_of(const EvictionPlan& plan) {
  CostMethod method = eviction(plan.method);
  method.budget = plan.budget;
  return method;
}

CostMethod cost_method_of(const RetrievalOptions& options) {
  return retrieval(options);
}

CostMethod cost_method_of(const EvictionResult& result) {
  CostMethod method = cost_method_of(result.plan);
  if (method.budget.kind == Budget::Kind::kBytes) {
    method.budget.kind = Budget::Kind::kTokens;
    method.budget.amount = result.budget_tokens;
  }
  return method;
}

CostMethod cost_method_of(const RetrievalResult& result) {
  RetrievalOptions options = result.options;
  if (result.codebook) {
    options.codewords = result.codebook->info.codewords;
  }
  return cost_method_of(options);
}

}  // namespace kvsieve::sim
