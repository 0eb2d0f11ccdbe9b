#include "a2ats/score_lookup.cuh"

#include <bit>

#include "a2ats/score_lookup_device.h"
#include "exec/device/dispatch.h"
#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kTableName = "score_table";
constexpr const char* kLookupName = "lookup_scores";
constexpr std::int64_t kMaxBlocks = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMaxCodewords = 65536;
/// What a block can have on every architecture that the kernels are compiled for but sm_80, which
/// has 163 KiB: tables between the two are read through the caches there.
constexpr std::size_t kMaxTableBytes = std::size_t{163} * 1024;

void require_codewords(const char* operation, std::int64_t codewords) {
  require_supported(codewords >= 1 && codewords <= kMaxCodewords, operation,
                    "a number of codewords of", codewords, "1 to " + std::to_string(kMaxCodewords));
}

/// Rows of a KV head: one a query head of the group and sequence.
std::int64_t table_rows(const ScoreTableArgs& args) {
  return args.kv_heads == 0 ? 0 : args.segments / args.kv_heads * args.group;
}

/// Rows of a block: the smallest power of two from 2 that takes all, or kMaxTableRows.
int rows_of_block(const ScoreTableArgs& args) {
  return static_cast<int>(std::clamp<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(table_rows(args))), 2, kMaxTableRows));
}

std::int64_t table_blocks(const ScoreTableArgs& args) {
  return args.kv_heads * blocks_for(table_rows(args), rows_of_block(args)) *
         blocks_for(args.codeword_count, kTableCodewords);
}

void validate(const ScoreTableArgs& args) {
  require_group(kTableName, args.group);
  dispatch_head_dim(kTableName, args.head_dim, [&]<int kHeadDim> {});
  dispatch_dtype(kTableName, args.dtype, [&]<class T> {});
  require_codewords(kTableName, args.codeword_count);
  const auto require = [](bool kept, std::string_view broken) {
    require_contract(kept, kTableName, broken);
  };
  require(args.segments >= 0 && args.kv_heads >= 0, "a number of segments is negative");
  require(args.kv_heads == 0 ? args.segments == 0 : args.segments % args.kv_heads == 0,
          "segments are no multiple of the KV heads");
  require(reinterpret_cast<std::uintptr_t>(args.codewords) % 16 == 0,
          "the codewords are not aligned to 16 bytes");
  require(!args.softcap || *args.softcap > 0.0F, "the softcap is not positive");
  require(args.segments <= kMaxBlocks / blocks_for(kMaxCodewords, kTableCodewords),
          "the tables do not fit a grid of 2^31 - 1 blocks");
}

std::size_t table_bytes(const LookupScoresArgs& args) {
  return static_cast<std::size_t>(args.group * args.codeword_count) * sizeof(float);
}

bool fits_shared(const LookupScoresArgs& args) {
  return table_bytes(args) <= kMaxTableBytes;
}

void validate(const LookupScoresArgs& args) {
  require_group(kLookupName, args.group);
  require_codewords(kLookupName, args.codeword_count);
  const auto require = [](bool kept, std::string_view broken) {
    require_contract(kept, kLookupName, broken);
  };
  require(args.segments >= 0, "a number of segments is negative");
  require(args.range.begin >= 0 && args.range.size() >= 0, "the range ends before it begins");
  require(args.codes_stride >= args.range.end && args.stride >= args.range.end,
          "rows of codes or scores overlap");
  require(args.segments <= kMaxBlocks / blocks_for(args.range.size() + 1, kLookupTokens),
          "the tokens do not fit a grid of 2^31 - 1 blocks");
}

}  // namespace

LaunchConfig score_table_config(const ScoreTableArgs& args) {
  return {{static_cast<unsigned>(table_blocks(args))}, {kTableThreads}, 0};
}

void score_table(const ScoreTableArgs& args, Stream& stream) {
  const OperationRange range(kTableName);
  validate(args);
  const int block_rows = rows_of_block(args);
  const TableProblem problem{args.queries,
                             args.kv_heads,
                             table_rows(args),
                             static_cast<int>(args.group),
                             static_cast<int>(args.codeword_count),
                             static_cast<int>(args.head_dim),
                             blocks_for(args.codeword_count, kTableCodewords),
                             blocks_for(table_rows(args), block_rows),
                             args.scale,
                             args.softcap.value_or(0.0F),
                             args.table};
  const LaunchConfig config = score_table_config(args);
  dispatch_dtype(kTableName, args.dtype, [&]<class T> {
    const auto* codewords = static_cast<const T*>(args.codewords);
    if (block_rows == 2) {
      launch<score_table_kernel<T, 2>>(config, stream, problem, codewords);
    } else if (block_rows == 4) {
      launch<score_table_kernel<T, 4>>(config, stream, problem, codewords);
    } else {
      launch<score_table_kernel<T, kMaxTableRows>>(config, stream, problem, codewords);
    }
  });
}

LaunchConfig lookup_scores_config(const LookupScoresArgs& args) {
  return {{static_cast<unsigned>(args.segments) * blocks_for(args.range.size(), kLookupTokens)},
          {kLookupThreads},
          fits_shared(args) ? table_bytes(args) : 0};
}

void lookup_scores(const LookupScoresArgs& args, Stream& stream) {
  const OperationRange range(kLookupName);
  validate(args);
  const LookupProblem problem{args.table,
                              args.codes,
                              args.codes_stride,
                              static_cast<int>(args.group),
                              static_cast<int>(args.codeword_count),
                              args.range,
                              blocks_for(args.range.size(), kLookupTokens),
                              args.scores,
                              args.stride};
  const LaunchConfig config = lookup_scores_config(args);
  if (fits_shared(args)) {
    launch<lookup_scores_kernel<true>>(config, stream, problem);
  } else {
    launch<lookup_scores_kernel<false>>(config, stream, problem);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
