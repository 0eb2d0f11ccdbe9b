#include "kvsieve/sim/eviction_method.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

using kernels::AlphaMode;
using kernels::GroupReduce;
using kernels::Pooling;

template <class T, std::size_t N>
using Names = std::array<std::pair<std::string_view, T>, N>;

constexpr Names<Granularity, 2> kGranularities{
    {{"kv", Granularity::kKvHead}, {"query", Granularity::kQueryHead}}};
constexpr Names<AlphaMode, 5> kAlphaModes{{{"blend", AlphaMode::kBlend},
                                           {"floor", AlphaMode::kFloor},
                                           {"floor-kvpress", AlphaMode::kFloorKvpress},
                                           {"paper-literal", AlphaMode::kPaperLiteral},
                                           {"official-rounding", AlphaMode::kOfficialRounding}}};
constexpr Names<GroupReduce, 2> kGroupReduces{
    {{"mean", GroupReduce::kMean}, {"max", GroupReduce::kMax}}};
constexpr Names<Scorer, 7> kScorers{{{"none", Scorer::kNone},
                                     {"window-attention", Scorer::kWindowAttention},
                                     {"attention-sum", Scorer::kAttentionSum},
                                     {"last-query", Scorer::kLastQuery},
                                     {"key-norm", Scorer::kKeyNorm},
                                     {"recency", Scorer::kRecency},
                                     {"random", Scorer::kRandom}}};
constexpr Names<LayerRule, 3> kLayerRules{{{"uniform", LayerRule::kUniform},
                                           {"pyramid", LayerRule::kPyramid},
                                           {"pyramid-official", LayerRule::kPyramidOfficial}}};

template <class T, std::size_t N>
std::string_view find_name(const Names<T, N>& names, T value) noexcept {
  for (const auto& [name, known] : names) {
    if (known == value) {
      return name;
    }
  }
  return "?";
}

template <class T, std::size_t N>
T find_value(const Names<T, N>& names, std::string_view option, std::string_view wanted) {
  std::string supported;
  for (const auto& [name, value] : names) {
    if (name == wanted) {
      return value;
    }
    supported += (supported.empty() ? "" : ", ") + std::string(name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("{} '{}' is unknown, supported: {}", option, wanted, supported));
}

constexpr Pooling kNoPooling{Pooling::Kind::kNone, 1};

std::vector<EvictionMethod> make_presets() {
  const EvictionMethod snapkv{.name = "snapkv"};
  const auto with = [&](std::string_view name, auto change) {
    EvictionMethod method = snapkv;
    method.name = name;
    change(method);
    return method;
  };
  const auto scored = [&](std::string_view name, Scorer scorer, std::int64_t sinks = 0) {
    return with(name, [&](EvictionMethod& method) {
      method.scorer = scorer;
      method.pool = kNoPooling;
      method.sinks = sinks;
    });
  };
  return {
      scored("full", Scorer::kNone),
      scored("streaming-llm", Scorer::kRecency, 4),
      scored("h2o", Scorer::kAttentionSum),
      scored("tova", Scorer::kLastQuery),
      scored("knorm", Scorer::kKeyNorm),
      snapkv,
      with("pyramidkv", [](EvictionMethod& m) { m.layer_rule = LayerRule::kPyramid; }),
      with("pyramidkv-official",
           [](EvictionMethod& m) { m.layer_rule = LayerRule::kPyramidOfficial; }),
      with("ada-snapkv", [](EvictionMethod& m) { m.adaptive = true; }),
      with("ada-pyramid",
           [](EvictionMethod& m) {
             m.adaptive = true;
             m.layer_rule = LayerRule::kPyramid;
           }),
      with("criticalkv", [](EvictionMethod& m) { m.two_stage = true; }),
      with("ada-criticalkv",
           [](EvictionMethod& m) {
             m.adaptive = true;
             m.two_stage = true;
           }),
      scored("random", Scorer::kRandom),
  };
}

}  // namespace

const std::vector<EvictionMethod>& eviction_presets() {
  static const std::vector<EvictionMethod> presets = make_presets();
  return presets;
}

const EvictionMethod* find_eviction_preset(std::string_view name) {
  for (const EvictionMethod& preset : eviction_presets()) {
    if (preset.name == name) {
      return &preset;
    }
  }
  return nullptr;
}

std::string_view name_of(Granularity granularity) noexcept {
  return find_name(kGranularities, granularity);
}
std::string_view name_of(AlphaMode mode) noexcept {
  return find_name(kAlphaModes, mode);
}
std::string_view name_of(GroupReduce reduce) noexcept {
  return find_name(kGroupReduces, reduce);
}
std::string_view name_of(Scorer scorer) noexcept {
  return find_name(kScorers, scorer);
}
std::string_view name_of(LayerRule rule) noexcept {
  return find_name(kLayerRules, rule);
}

std::string name_of(const Pooling& pooling) {
  if (pooling.kind == Pooling::Kind::kNone) {
    return "none";
  }
  return fmt::format("{}:{}", pooling.kind == Pooling::Kind::kMax ? "max" : "avg", pooling.kernel);
}

Granularity granularity_from_name(std::string_view name) {
  return find_value(kGranularities, "--granularity", name);
}
AlphaMode alpha_mode_from_name(std::string_view name) {
  return find_value(kAlphaModes, "--alpha-mode", name);
}
GroupReduce group_reduce_from_name(std::string_view name) {
  return find_value(kGroupReduces, "--group-reduce", name);
}

Pooling pooling_from_name(std::string_view name) {
  if (name == "none") {
    return kNoPooling;
  }
  Pooling pooling;
  const std::string_view kind = name.substr(0, name.find(':'));
  const std::string_view kernel =
      name.find(':') == std::string_view::npos ? "" : name.substr(name.find(':') + 1);
  const char* end = kernel.data() + kernel.size();
  const auto [stop, error] = std::from_chars(kernel.data(), end, pooling.kernel);
  const bool number = error == std::errc() && stop == end && pooling.kernel >= 1 &&
                      pooling.kernel % 2 == 1 && pooling.kernel <= 1001;
  if ((kind != "max" && kind != "avg") || !number) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--pool '{}' is unknown, expected max:K or avg:K with K odd, or none", name));
  }
  pooling.kind = kind == "max" ? Pooling::Kind::kMax : Pooling::Kind::kAverage;
  return pooling;
}

}  // namespace kvsieve::sim
