#include "a2ats/topk_retrieval.cuh"

#include <algorithm>
#include <string>

#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "exec/device/workspace.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kName = "topk_retrieval";
constexpr const char* kListName = "list_tokens";
constexpr std::int64_t kMaxBlocks = (std::int64_t{1} << 31) - 1;

std::int64_t query_heads(const TopKRetrievalArgs& args) {
  return args.segments * args.group;
}

struct TopKWorkspace {
  explicit TopKWorkspace(const TopKRetrievalArgs& args) : layout(args.workspace) {
    const unsigned chunks = select_chunks(args.range.size(), args.chunk_tokens);
    if (chunks > 1) {
      histograms = layout.take<unsigned>(query_heads(args) * kSelectRowBins);
      zeroed_bytes = layout.bytes();
      ranks = layout.take<Rank>(query_heads(args) * kSelectPasses);
      chunk_counts = layout.take<RankCounts>(query_heads(args) * chunks);
    }
  }

  WorkspaceLayout layout;
  unsigned* histograms = nullptr;
  Rank* ranks = nullptr;
  RankCounts* chunk_counts = nullptr;
  std::size_t zeroed_bytes = 0;  ///< of the beginning
};

void validate(const TopKRetrievalArgs& args) {
  require_group(kName, args.group);
  require_supported(args.segments >= 0, kName, "a number of segments of", args.segments,
                    "0 or more");
  require_supported(args.k >= 0, kName, "a K of", args.k, "0 or more");
  require_contract(args.range.begin >= 0 && args.range.size() >= 0, kName,
                   "the range ends before it begins");
  require_supported(args.range.end <= kSelectMaxTokens, kName, "a number of tokens of",
                    args.range.end, "at most " + std::to_string(kSelectMaxTokens));
  require_supported(is_select_chunk(args.chunk_tokens), kName, "a chunk of", args.chunk_tokens,
                    "multiples of 4 up to " + std::to_string(kSelectMaxTokens));
  require_supported(is_select_grid(query_heads(args), args.range.size(), args.chunk_tokens), kName,
                    "a number of query heads of", query_heads(args),
                    "what fits a grid of 2^31 - 1 blocks");
  require_contract(args.stride >= args.range.end, kName, "rows of scores overlap");
  require_contract(args.mask.stride >= mask_words(args.range.end), kName,
                   "the mask has no room for the range");
}

void validate(const ListTokensArgs& args) {
  const auto require = [](bool kept, std::string_view broken) {
    require_contract(kept, kListName, broken);
  };
  require_supported(args.segments >= 0, kListName, "a number of segments of", args.segments,
                    "0 or more");
  require_supported(std::max(args.tokens, args.range.end) <= kSelectMaxTokens, kListName,
                    "a number of tokens of", std::max(args.tokens, args.range.end),
                    "at most " + std::to_string(kSelectMaxTokens));
  require(args.range.begin >= 0 && args.range.size() >= 0, "the range ends before it begins");
  require(args.stride >= mask_words(args.range.end), "the mask has no room for the range");
  require(!args.with_resident || args.tokens >= args.range.end, "the range ends behind the tokens");
  require(args.lists.capacity >= 0, "a capacity is negative");
  require(args.segments <= kMaxBlocks / blocks_for(mask_words(args.range.end) + 1, kListThreads),
          "the words do not fit a grid of 2^31 - 1 blocks");
}

/// Words with tokens of the range.
std::int64_t range_words(TokenRange range) {
  return range.size() == 0 ? 0 : mask_words(range.end) - range.begin / 32;
}

unsigned word_blocks(const ListTokensArgs& args) {
  return std::max(1U, blocks_for(range_words(args.range), kListThreads));
}

}  // namespace

std::size_t topk_retrieval_workspace_bytes(const TopKRetrievalArgs& args) {
  TopKRetrievalArgs unplaced = args;
  unplaced.workspace = nullptr;
  return TopKWorkspace(unplaced).layout.bytes();
}

LaunchConfig topk_retrieval_config(const TopKRetrievalArgs& args) {
  return {{static_cast<unsigned>(query_heads(args)) *
           select_chunks(args.range.size(), args.chunk_tokens)},
          {kSelectThreads},
          0};
}

void topk_retrieval(const TopKRetrievalArgs& args, Stream& stream) {
  const OperationRange range(kName);
  validate(args);
  clear_mask(args.mask, args.segments, args.group, stream);
  const TopKWorkspace space(args);
  const TopKParams params{args.scores,
                          args.stride,
                          args.head_k,
                          args.range.begin,
                          static_cast<unsigned>(args.range.size()),
                          static_cast<unsigned>(std::min(args.k, args.range.size())),
                          static_cast<int>(args.group),
                          static_cast<unsigned>(args.chunk_tokens),
                          select_chunks(args.range.size(), args.chunk_tokens),
                          args.mask,
                          space.histograms,
                          space.ranks,
                          space.chunk_counts};
  const LaunchConfig config = topk_retrieval_config(args);
  if (params.chunks == 1) {
    launch<select_scores>(config, stream, params);
    return;
  }
  fill_device(args.workspace, 0, space.zeroed_bytes, stream);
  launch<count_score_digits<0>>(config, stream, params);
  launch<count_score_digits<1>>(config, stream, params);
  launch<count_score_digits<2>>(config, stream, params);
  launch<count_score_ranks>(config, stream, params);
  launch<mark_scores>(config, stream, params);
}

LaunchConfig list_tokens_config(const ListTokensArgs& args) {
  return {{static_cast<unsigned>(args.segments) * word_blocks(args)}, {kListThreads}, 0};
}

void list_tokens(const ListTokensArgs& args, Stream& stream) {
  const OperationRange range(kListName);
  validate(args);
  const std::int64_t first_word = args.range.begin / 32;
  const ListParams params{args.words,        args.stride,
                          first_word,        first_word + range_words(args.range),
                          word_blocks(args), args.with_resident ? args.range.begin : 0,
                          args.range.end,    args.with_resident ? args.tokens : args.range.end,
                          args.lists};
  const LaunchConfig config = list_tokens_config(args);
  if (args.lists_on_host) {
    launch<list_tokens_kernel<true>>(config, stream, params);
  } else {
    launch<list_tokens_kernel<false>>(config, stream, params);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
