#include <fmt/format.h>

#include <charconv>

#include "kvsieve/sim/budget.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/error.h"
#include "replay/named_values.h"

namespace kvsieve::sim {
namespace {

constexpr NamedValues<RetrievalScorer, 12> kScorers{
    "scorer",
    {{{"vq-query-aware", RetrievalScorer::kVqQueryAware},
      {"vq-plain", RetrievalScorer::kVqPlain},
      {"vq-post-rope", RetrievalScorer::kVqPostRope},
      {"exact", RetrievalScorer::kExact},
      {"exact-wrope", RetrievalScorer::kExactWrope},
      {"quest", RetrievalScorer::kQuest},
      {"pq", RetrievalScorer::kPq},
      {"chunk-mean", RetrievalScorer::kChunkMean},
      {"cluster-centroid", RetrievalScorer::kClusterCentroid},
      {"channel-subset", RetrievalScorer::kChannelSubset},
      {"random", RetrievalScorer::kRandom},
      {"none", RetrievalScorer::kNone}}}};
constexpr NamedValues<FinalAttention, 2> kAttentions{
    "--final-attention", {{{"exact", FinalAttention::kExact}, {"wrope", FinalAttention::kWrope}}}};
constexpr NamedValues<RetrievalBudget, 2> kBudgets{
    "--retrieval-budget",
    {{{"uniform", RetrievalBudget::kUniform}, {"adaptive", RetrievalBudget::kAdaptive}}}};
constexpr NamedValues<HotPolicy, 2> kPolicies{
    "--hot-policy", {{{"lru", HotPolicy::kLru}, {"lfu", HotPolicy::kLfu}}}};
constexpr NamedValues<traces::DType, 3> kDTypes{"--codebook-dtype",
                                                {{{"fp32", traces::DType::kF32},
                                                  {"fp16", traces::DType::kF16},
                                                  {"bf16", traces::DType::kBF16}}}};

RetrievalOptions preset(std::string name, RetrievalScorer scorer) {
  RetrievalOptions options;
  options.name = std::move(name);
  options.scorer = scorer;
  return options;
}

}  // namespace

const std::vector<RetrievalOptions>& retrieval_presets() {
  static const std::vector<RetrievalOptions> presets{
      preset("a2ats", RetrievalScorer::kVqQueryAware),
      preset("vq-plain", RetrievalScorer::kVqPlain),
      preset("vq-post-rope", RetrievalScorer::kVqPostRope),
      preset("exact-topk", RetrievalScorer::kExact),
      preset("exact-topk-wrope", RetrievalScorer::kExactWrope),
      preset("quest", RetrievalScorer::kQuest),
      preset("pq", RetrievalScorer::kPq),
      preset("chunk-mean", RetrievalScorer::kChunkMean),
      preset("cluster-centroid", RetrievalScorer::kClusterCentroid),
      preset("channel-subset", RetrievalScorer::kChannelSubset),
      preset("random-topk", RetrievalScorer::kRandom),
      preset("streaming-llm", RetrievalScorer::kNone)};
  return presets;
}

const RetrievalOptions& retrieval_preset(std::string_view name) {
  std::string names;
  for (const RetrievalOptions& candidate : retrieval_presets()) {
    if (candidate.name == name) {
      return candidate;
    }
    names += (names.empty() ? "" : ", ") + candidate.name;
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("retrieval method '{}' is unknown, supported: {}", name, names));
}

TopBudget TopBudget::parse(std::string_view text) {
  TopBudget top;
  if (text.ends_with('%')) {
    top.share = kernels::Decimal::parse(text);
    return top;
  }
  top.is_share = false;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, top.count);
  if (text.empty() || error != std::errc() || stop != end || top.count < 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--top '{}' is neither a share of the tokens so far (3%) nor a number "
                            "of tokens (512)",
                            text));
  }
  return top;
}

std::string TopBudget::text() const {
  Budget budget;
  budget.kind = is_share ? Budget::Kind::kShare : Budget::Kind::kTokens;
  budget.share = share;
  budget.amount = count;
  return budget.text();
}

std::int64_t TopBudget::at(std::int64_t tokens) const {
  return is_share ? share.floor_times(tokens) : count;
}

std::string_view name_of(RetrievalScorer scorer) noexcept {
  return kScorers.name(scorer);
}
std::string_view name_of(FinalAttention attention) noexcept {
  return kAttentions.name(attention);
}
RetrievalScorer retrieval_scorer_from_name(std::string_view name) {
  return kScorers.value(name);
}
FinalAttention final_attention_from_name(std::string_view name) {
  return kAttentions.value(name);
}

std::string_view name_of(RetrievalBudget budget) noexcept {
  return kBudgets.name(budget);
}
std::string_view name_of(HotPolicy policy) noexcept {
  return kPolicies.name(policy);
}
std::string_view codebook_dtype_name(traces::DType dtype) noexcept {
  return kDTypes.name(dtype);
}
RetrievalBudget retrieval_budget_from_name(std::string_view name) {
  return kBudgets.value(name);
}
HotPolicy hot_policy_from_name(std::string_view name) {
  return kPolicies.value(name);
}
traces::DType codebook_dtype_from_name(std::string_view name) {
  return kDTypes.value(name);
}

}  // namespace kvsieve::sim
