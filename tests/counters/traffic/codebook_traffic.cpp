// Codebooks: moments of queries, whitening, seeds of k-means, and the codes of keys.

#include <algorithm>

#include "a2ats/codebook_training_device.h"
#include "a2ats/codeword_table_device.h"
#include "a2ats/key_encoding_device.h"
#include "a2ats/kmeans_seeds_device.h"
#include "traffic/kernel_tiles.h"
#include "traffic/projection_reads.h"
#include "traffic/search_reads.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kNumberBytes = sizeof(float);
constexpr std::int64_t kIndexBytes = sizeof(std::int32_t);
constexpr std::int64_t kSumBytes = sizeof(double);
constexpr std::int64_t kWordBytes = sizeof(std::uint32_t);
constexpr std::int64_t kWordBits = 8 * kWordBytes;

Traffic query_moment(const device::QueryMomentArgs& args, const kernels::Work& work) {
  const std::int64_t d = args.head_dim;
  const std::int64_t side = kernels::blocks_for(d, kMomentColumns);
  const std::int64_t query_bytes =
      args.kv_heads * args.group * args.rows * d * element_bytes(args.dtype);
  // A tile reads the columns of its rows and those of its columns, which are the same on the
  // diagonal; of all tiles on and below it that makes each column `side` times.
  const std::int64_t queries_again = (side - 1) * query_bytes;
  // Sums of every share, in parts on and below the diagonal.
  const std::int64_t parts = d / kMomentPartColumns;
  const std::int64_t shares = device::moment_shares_config(args).grid.y;
  const std::int64_t sum_bytes = args.kv_heads * shares * parts * (parts + 1) / 2 *
                                 kMomentPartColumns * kMomentPartColumns * kSumBytes;
  return {work.bytes_read + queries_again + sum_bytes, work.bytes_written + sum_bytes};
}

Traffic whiten(const device::WhitenArgs& args, const kernels::Work& work) {
  const std::int64_t d = args.keys.head_dim;
  const std::int64_t keys_again =
      projected_rows(args.keys.rows) * projection_column_tiles(d) - args.keys.rows;
  const std::int64_t factors_again = projection_row_tiles(args.keys.rows) - 1;
  return {work.bytes_read + keys_again * d * element_bytes(args.keys.dtype) +
              factors_again * d * d * kNumberBytes,
          work.bytes_written};
}

/// Of candidates that one block sums, so that every draw finds its point among them.
Traffic kmeans_seeds(const device::SeedsArgs& args, const kernels::Work& work) {
  const std::int64_t candidates = device::seed_candidates(args);
  const std::int64_t draws = args.clusters - 1;
  const bool sampled = args.seeding == kernels::KMeansSeeding::kSampled;
  // A warp takes two points at a time and reads the seed beside them.
  const std::int64_t pairs = kernels::blocks_for(candidates * kDistanceLanes, kWarpLanes);
  const std::int64_t seeds_again = pairs * args.points.head_dim * kNumberBytes;
  // Every warp finds out which seed; a draw begins with the distances' sum.
  const std::int64_t warps = warps_of(device::seed_distances_config(args));
  const std::int64_t numbers_again = (warps - 1) * kIndexBytes;
  // Rows of candidates: of those that are measured, of the seed for each warp, and of all seeds at
  // the end.
  const std::int64_t lookups = sampled ? draws * (candidates + warps) * kIndexBytes : 0;
  const std::int64_t rows = sampled ? args.clusters * kIndexBytes : 0;
  return {work.bytes_read + draws * (seeds_again + numbers_again + kSumBytes) + lookups + 2 * rows,
          work.bytes_written + draws * kSumBytes + rows};
}

Traffic codeword_table(const device::CodewordTableArgs& args, const kernels::Work& work) {
  const std::int64_t d = args.head_dim;
  const std::int64_t codeword_bytes = args.kv_heads * args.codeword_count * d * kNumberBytes;
  // For the mean and for the table; and a number of the mean with every one of a codeword.
  const std::int64_t codewords_again = codeword_bytes;
  const std::int64_t centers = codeword_bytes;
  // The triangle for each of two products and each block.
  const std::int64_t triangle_bytes = d * (d + 1) / 2 * kNumberBytes;
  const std::int64_t factors_again =
      (blocks_of(device::codeword_table_config(args)) * 2 - args.kv_heads) * triangle_bytes;
  return {work.bytes_read + codewords_again + centers + factors_again, work.bytes_written};
}

/// Bytes of packed codes that are kept beside a new one that begins within a word.
std::int64_t older_codes(const device::KeyEncodingArgs& args) {
  const bool within = args.store.format == kernels::CodeFormat::kPacked12 &&
                      args.first * kernels::kPackedCodeBits % kWordBits != 0;
  return within ? args.segments * kWordBytes : 0;
}

Traffic key_encoding(const device::KeyEncodingArgs& args, const kernels::Work& work) {
  const std::int64_t d = args.head_dim;
  const std::int64_t codewords = args.table.codewords;
  const std::int64_t key_bytes = element_bytes(args.dtype);
  const std::int64_t once =
      args.segments * d * (args.tokens * key_bytes + codewords * kNumberBytes);
  return {work.bytes_read - once +
              args.segments * search_reads(args.tokens, d, codewords, key_bytes) +
              older_codes(args),
          work.bytes_written};
}

Traffic append_code(const device::KeyEncodingArgs& args, const kernels::Work& work) {
  const std::int64_t d = args.head_dim;
  const std::int64_t blocks = blocks_of(device::append_code_config(args));
  // A block reads the key, the mean codeword, and the weights and biases of its codewords.
  const std::int64_t keys_again = (blocks - args.segments) * d * element_bytes(args.dtype);
  const std::int64_t centers = blocks * d * kNumberBytes;
  const std::int64_t weights = blocks * device::kSearchCodewords * d * kNumberBytes;
  const std::int64_t biases = blocks * device::kSearchCodewords * kNumberBytes;
  const std::int64_t codewords_once = args.segments * args.table.codewords * d * kNumberBytes;
  // The words of a packed code are read before they are written.
  const std::int64_t words = args.store.format == kernels::CodeFormat::kPacked12
                                 ? kernels::packed_words(args.first + 1) -
                                       args.first * kernels::kPackedCodeBits / kWordBits
                                 : 0;
  return {work.bytes_read - codewords_once + keys_again + centers + weights + biases +
              args.segments * words * kWordBytes,
          work.bytes_written};
}

Traffic unpack_codes(const device::UnpackCodesArgs& args, const kernels::Work& work) {
  // A warp reads the words in which its codes begin, then those into which some of them reach.
  std::int64_t words = 0;
  for (std::int64_t warp = 0; warp < args.tokens; warp += kWarpLanes) {
    std::vector<std::int64_t> beginnings;
    std::vector<std::int64_t> ends;
    for (std::int64_t j = warp; j < std::min(warp + kWarpLanes, args.tokens); ++j) {
      const std::int64_t bit = (args.first + j) * kernels::kPackedCodeBits;
      beginnings.push_back(bit / kWordBits);
      const std::int64_t last_word = (bit + kernels::kPackedCodeBits - 1) / kWordBits;
      if (last_word != beginnings.back()) {
        ends.push_back(last_word);
      }
    }
    words += distinct(std::move(beginnings)) + distinct(std::move(ends));
  }
  const std::int64_t words_once = kernels::packed_words(args.tokens);
  return {work.bytes_read + args.segments * (words - words_once) * kWordBytes, work.bytes_written};
}

constexpr OperationTraffic kTraffic[] = {
    {"append_code", traffic_of<device::KeyEncodingArgs, append_code>},
    {"codeword_table", traffic_of<device::CodewordTableArgs, codeword_table>},
    {"key_encoding", traffic_of<device::KeyEncodingArgs, key_encoding>},
    {"kmeans_seeds", traffic_of<device::SeedsArgs, kmeans_seeds>},
    {"query_moment", traffic_of<device::QueryMomentArgs, query_moment>},
    {"unpack_codes", traffic_of<device::UnpackCodesArgs, unpack_codes>},
    {"whiten", traffic_of<device::WhitenArgs, whiten>},
};

}  // namespace

std::span<const OperationTraffic> codebook_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
