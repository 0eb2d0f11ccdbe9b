// A decode step's retrieval: windowed RoPE, scores by code, and the top tokens of each query head.

#include <algorithm>
#include <bit>

#include "a2ats/score_lookup_device.h"
#include "a2ats/topk_retrieval_device.h"
#include "a2ats/windowed_rope_device.h"
#include "traffic/kernel_tiles.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kNumberBytes = sizeof(float);
constexpr std::int64_t kCountBytes = sizeof(std::int32_t);
constexpr std::int64_t kWordBytes = sizeof(std::uint32_t);

Traffic rotate_rows(const device::RotateRowsArgs& args, const kernels::Work& work) {
  // Cosine and sine of a pair; neighbouring threads have different pairs.
  const std::int64_t phases_again = (args.row_count - 1) * args.rope_dim * kNumberBytes;
  return {work.bytes_read + phases_again, work.bytes_written};
}

/// Of rows that see all tokens, into memory of their own.
Traffic windowed_scores(const device::WindowedScoresArgs& args, const kernels::Work& work) {
  // Every warp reads the position of its row.
  const std::int64_t positions_again = warps_of(device::windowed_scores_config(args)) - args.rows;
  return {work.bytes_read + positions_again * kCountBytes, work.bytes_written};
}

Traffic score_table(const device::ScoreTableArgs& args, const kernels::Work& work) {
  const std::int64_t d = args.head_dim;
  const std::int64_t head_rows = args.segments / args.kv_heads * args.group;
  const std::int64_t blocks = blocks_of(device::score_table_config(args));
  const std::int64_t codeword_tiles = kernels::blocks_for(args.codeword_count, kScoredCodewords);
  const std::int64_t row_tiles = blocks / (args.kv_heads * codeword_tiles);
  // Half a block has half the rows, a power of two. Rows that it lacks repeat the last.
  const auto block_rows = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(head_rows))), 2,
      kMostScoredRows);
  const std::int64_t queries_again = blocks * block_rows - args.segments * args.group;
  // A slice of a codeword is some vectors; codewords that a tile lacks repeat its last.
  const std::int64_t slice_vectors = codeword_slice_vectors(args.dtype);
  const std::int64_t codeword_bytes = d * element_bytes(args.dtype);
  std::int64_t vectors = 0;
  for (std::int64_t first = 0; first < args.codeword_count; first += kScoredCodewords) {
    vectors += vectors_asked_for({first, kScoredCodewords, slice_vectors, args.codeword_count});
  }
  const std::int64_t codewords_again =
      args.kv_heads * (row_tiles * vectors / slice_vectors - args.codeword_count);
  return {work.bytes_read + queries_again * d * kNumberBytes + codewords_again * codeword_bytes,
          work.bytes_written};
}

/// Of tables that fit shared memory.
Traffic lookup_scores(const device::LookupScoresArgs& args, const kernels::Work& work) {
  // Every block of a segment copies the tables of its group.
  const std::int64_t tables_again = blocks_of(device::lookup_scores_config(args)) - args.segments;
  return {work.bytes_read + tables_again * args.group * args.codeword_count * kNumberBytes,
          work.bytes_written};
}

/// Of rows of one chunk.
Traffic topk_retrieval(const device::TopKRetrievalArgs& args, const kernels::Work& work) {
  return {work.bytes_read, work.bytes_written - mask_bytes(args.segments, args.range)};
}

Traffic list_tokens(const device::ListTokensArgs& args, const kernels::Work& work) {
  // A block counts the bits before its own.
  const kernels::LaunchConfig config = device::list_tokens_config(args);
  const std::int64_t blocks = blocks_of(config) / args.segments;
  const std::int64_t words_again = args.segments * blocks * (blocks - 1) / 2 * config.block.x;
  return {work.bytes_read + words_again * kWordBytes, work.bytes_written};
}

constexpr OperationTraffic kTraffic[] = {
    {"list_tokens", traffic_of<device::ListTokensArgs, list_tokens>},
    {"lookup_scores", traffic_of<device::LookupScoresArgs, lookup_scores>},
    {"rotate_rows", traffic_of<device::RotateRowsArgs, rotate_rows>},
    {"score_table", traffic_of<device::ScoreTableArgs, score_table>},
    {"topk_retrieval", traffic_of<device::TopKRetrievalArgs, topk_retrieval>},
    {"windowed_scores", traffic_of<device::WindowedScoresArgs, windowed_scores>},
};

}  // namespace

std::span<const OperationTraffic> retrieval_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
