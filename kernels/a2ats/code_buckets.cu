#include "a2ats/code_buckets.cuh"

#include <algorithm>
#include <string>

#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "exec/device/workspace.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kBuildName = "build_buckets";
constexpr const char* kRetrievalName = "bucket_retrieval";
constexpr std::int64_t kMaxCodewords = 65536;
constexpr std::int64_t kMaxBlocks = (std::int64_t{1} << 31) - 1;

int sort_passes(const BuildBucketsArgs& args) {
  return args.codeword_count <= kSortBins ? 1 : 2;
}

unsigned sort_chunks(const BuildBucketsArgs& args) {
  return blocks_for(args.buckets.range.size(), kSortTokens);
}

struct SortWorkspace {
  explicit SortWorkspace(const BuildBucketsArgs& args) : layout(args.workspace) {
    const std::int64_t tokens_of_all = args.segments * args.buckets.range.size();
    counts = layout.take<unsigned>(args.segments * sort_chunks(args) * kSortBins);
    for (int pass = 0; pass < sort_passes(args); ++pass) {
      codes[pass] = layout.take<std::uint16_t>(tokens_of_all);
    }
    if (sort_passes(args) > 1) {
      tokens = layout.take<std::int32_t>(tokens_of_all);
    }
  }

  WorkspaceLayout layout;
  unsigned* counts = nullptr;
  std::uint16_t* codes[2] = {};    ///< after each pass
  std::int32_t* tokens = nullptr;  ///< after the first of two
};

void require_range(const char* operation, TokenRange range, std::int64_t codewords) {
  require_supported(codewords >= 1 && codewords <= kMaxCodewords, operation,
                    "a number of codewords of", codewords, "1 to " + std::to_string(kMaxCodewords));
  require_supported(range.end <= kSelectMaxTokens, operation, "a number of tokens of", range.end,
                    "at most " + std::to_string(kSelectMaxTokens));
  require_contract(range.begin >= 0 && range.size() >= 0, operation,
                   "a range ends before it begins");
}

void validate(const BuildBucketsArgs& args) {
  require_range(kBuildName, args.buckets.range, args.codeword_count);
  require_supported(args.segments >= 0, kBuildName, "a number of segments of", args.segments,
                    "0 or more");
  require_contract(args.codes_stride >= args.buckets.range.end, kBuildName,
                   "rows of codes overlap");
  require_contract(args.buckets.stride >= args.buckets.range.size(), kBuildName,
                   "rows of tokens overlap");
  const std::int64_t blocks =
      std::max(sort_chunks(args), blocks_for(kMaxCodewords + 1, kSortThreads));
  require_contract(args.segments <= kMaxBlocks / blocks, kBuildName,
                   "the tokens do not fit a grid of 2^31 - 1 blocks");
}

std::int64_t query_heads(const BucketRetrievalArgs& args) {
  return args.segments * args.group;
}

unsigned code_blocks(const BucketRetrievalArgs& args) {
  return blocks_for(args.codeword_count, kSelectThreads);
}
unsigned tail_blocks(const BucketRetrievalArgs& args) {
  return blocks_for(args.range.end - args.buckets.range.end, kSelectThreads);
}

void validate(const BucketRetrievalArgs& args) {
  const auto require = [](bool kept, std::string_view broken) {
    require_contract(kept, kRetrievalName, broken);
  };
  require_group(kRetrievalName, args.group);
  require_range(kRetrievalName, args.range, args.codeword_count);
  require_supported(args.segments >= 0, kRetrievalName, "a number of segments of", args.segments,
                    "0 or more");
  require_supported(args.k >= 0, kRetrievalName, "a K of", args.k, "0 or more");
  require(args.range.begin == args.buckets.range.begin,
          "the range does not begin with the buckets");
  require(args.range.end >= args.buckets.range.end, "the range ends before the buckets");
  require(args.codes_stride >= args.range.end, "rows of codes overlap");
  require(args.mask.stride >= mask_words(args.range.end), "the mask has no room for the range");
  require(query_heads(args) <= kMaxBlocks / (std::int64_t{code_blocks(args)} + tail_blocks(args)),
          "the codes do not fit a grid of 2^31 - 1 blocks");
}

LaunchConfig blocks_of_256(std::int64_t blocks) {
  static_assert(kSortThreads == 256 && kSelectThreads == 256);
  return {{static_cast<unsigned>(blocks)}, {256}, 0};
}

struct RetrievalWorkspace {
  explicit RetrievalWorkspace(const BucketRetrievalArgs& args)
      : layout(args.workspace), thresholds(layout.take<BucketThreshold>(query_heads(args))) {}

  WorkspaceLayout layout;
  BucketThreshold* thresholds;
};

}  // namespace

std::size_t build_buckets_workspace_bytes(const BuildBucketsArgs& args) {
  BuildBucketsArgs unplaced = args;
  unplaced.workspace = nullptr;
  return SortWorkspace(unplaced).layout.bytes();
}

void build_buckets(const BuildBucketsArgs& args, Stream& stream) {
  const OperationRange range(kBuildName);
  validate(args);
  const SortWorkspace space(args);
  const TokenRange tokens = args.buckets.range;
  const LaunchConfig config = blocks_of_256(args.segments * sort_chunks(args));
  const int passes = sort_passes(args);
  for (int pass = 0; pass < passes; ++pass) {
    SortParams params{args.codes + tokens.begin,
                      args.codes_stride,
                      nullptr,
                      tokens.begin,
                      static_cast<unsigned>(tokens.size()),
                      sort_chunks(args),
                      kSortBits * pass,
                      space.counts,
                      space.codes[pass],
                      args.buckets.tokens,
                      args.buckets.stride};
    if (pass > 0) {
      params.codes = space.codes[pass - 1];
      params.codes_stride = tokens.size();
      params.tokens = space.tokens;
    }
    if (pass + 1 < passes) {
      params.sorted_tokens = space.tokens;
      params.tokens_stride = tokens.size();
    }
    launch<count_codes>(config, stream, params);
    launch<place_codes>(config, stream, params);
  }
  const unsigned blocks = blocks_for(args.codeword_count + 1, kSortThreads);
  launch<find_offsets>(blocks_of_256(args.segments * blocks), stream, space.codes[passes - 1],
                       static_cast<unsigned>(tokens.size()),
                       static_cast<unsigned>(args.codeword_count), blocks, args.buckets.offsets);
}

std::size_t bucket_retrieval_workspace_bytes(const BucketRetrievalArgs& args) {
  BucketRetrievalArgs unplaced = args;
  unplaced.workspace = nullptr;
  return RetrievalWorkspace(unplaced).layout.bytes();
}

void bucket_retrieval(const BucketRetrievalArgs& args, Stream& stream) {
  const OperationRange range(kRetrievalName);
  validate(args);
  clear_mask(args.mask, args.segments, args.group, stream);
  const BucketParams params{args.table,
                            args.codes,
                            args.codes_stride,
                            args.buckets.offsets,
                            args.buckets.tokens,
                            args.buckets.stride,
                            static_cast<int>(args.codeword_count),
                            static_cast<int>(args.group),
                            static_cast<unsigned>(args.buckets.range.end),
                            static_cast<unsigned>(args.range.end),
                            static_cast<unsigned>(args.range.size()),
                            static_cast<unsigned>(std::min(args.k, args.range.size())),
                            args.head_k,
                            code_blocks(args),
                            tail_blocks(args),
                            args.mask,
                            RetrievalWorkspace(args).thresholds};
  launch<find_thresholds>(blocks_of_256(query_heads(args)), stream, params);
  launch<mark_codes>(
      blocks_of_256(query_heads(args) * (std::int64_t{params.code_blocks} + params.tail_blocks)),
      stream, params);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
