#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "kvsieve/kernels/topk_retrieval.h"
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

std::int64_t uniform_top(const RetrievalOptions& options, std::int64_t position) {
  return options.scorer == RetrievalScorer::kNone
             ? 0
             : std::min(options.top.at(position + 1),
                        kernels::eligible_tokens(position, options.sinks, options.window).size());
}

void check_ranges(const RetrievalOptions& options) {
  const auto require = [](bool holds, std::string_view option, std::int64_t value,
                          std::string_view range) {
    if (!holds) {
      throw Error(ErrorKind::kUsage, fmt::format("--{} is {}, expected {}", option, value, range));
    }
  };
  require(options.sinks >= 0, "sinks", options.sinks, "0 or more");
  require(options.window >= 1, "window", options.window, "1 or more");
  // Otherwise a page or chunk that could be retrieved might hold tokens of the future.
  const std::int64_t part = options.scorer == RetrievalScorer::kQuest       ? kQuestPageTokens
                            : options.scorer == RetrievalScorer::kChunkMean ? kChunkTokens
                                                                            : 1;
  require(options.window >= part - 1, "window", options.window,
          fmt::format("{} or more with pages of {} tokens", part - 1, part));
  require(options.distance >= 0 && options.distance <= INT32_MAX, "distance", options.distance,
          "0 to 2^31 - 1");
  require(options.hot_buffer >= 0, "hot-buffer", options.hot_buffer, "0 or more tokens");
  require(options.top.is_share || options.top.count >= 0, "top", options.top.count, "0 or more");
  require(options.codewords >= 0 && options.codewords <= 65536, "codewords", options.codewords,
          "1 to 65536, or 0 for as many as the rows allow");
  require(options.pq_subvectors >= 1, "pq-subvectors", options.pq_subvectors, "1 or more");
  require(options.pq_bits >= 1 && options.pq_bits <= 12, "pq-bits", options.pq_bits, "1 to 12");
  require(options.channels >= 1, "channels", options.channels, "1 or more");
  require(options.alpha.units <= options.alpha.scale, "alpha", options.alpha.units, "0 to 1");
  if (options.mass && (options.mass->units == 0 || options.mass->units > options.mass->scale)) {
    throw Error(ErrorKind::kUsage, fmt::format("--mass is {}, expected more than 0, at most 100%",
                                               options.mass->text()));
  }
  const bool adaptive = options.budget == RetrievalBudget::kAdaptive;
  if ((adaptive || options.mass) && !ranks_by_attention(options.scorer)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--{} does not apply to {}, whose scores are no attention",
                            adaptive ? "retrieval-budget adaptive" : "mass", options.name));
  }
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
