// Tokens sorted by code, and the top tokens of each query head by their buckets.

#include <algorithm>
#include <utility>

#include "a2ats/code_buckets_device.h"
#include "adakv/radix_select_shape.h"
#include "traffic/kernel_tiles.h"
#include "traffic/traffic.h"
#include "traffic/warp_requests.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kNumberBytes = sizeof(float);
constexpr std::int64_t kCountBytes = sizeof(std::int32_t);
constexpr std::int64_t kCodeBytes = sizeof(std::uint16_t);
constexpr std::int64_t kTokenBytes = sizeof(std::int32_t);
/// Where a bucket begins and where it ends.
constexpr std::int64_t kBoundsBytes = 2 * kCountBytes;

/// The tokens of one segment in the order of their codes.
struct Buckets {
  std::vector<std::uint16_t> codes;  ///< ascending
  std::vector<std::int32_t> tokens;  ///< that have them, ascending among equal codes

  /// @param code_of by token
  Buckets(const std::vector<std::uint16_t>& code_of, kernels::TokenRange range) {
    std::vector<std::pair<std::uint16_t, std::int32_t>> sorted;
    for (std::int64_t token = range.begin; token < range.end; ++token) {
      sorted.emplace_back(code_of[static_cast<std::size_t>(token)],
                          static_cast<std::int32_t>(token));
    }
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [code, token] : sorted) {
      codes.push_back(code);
      tokens.push_back(token);
    }
  }

  [[nodiscard]] std::int64_t begin(std::int64_t code) const {
    return std::lower_bound(codes.begin(), codes.end(), code) - codes.begin();
  }
  [[nodiscard]] std::int64_t end(std::int64_t code) const { return begin(code + 1); }
  [[nodiscard]] std::int64_t size(std::int64_t code) const { return end(code) - begin(code); }
};

/// Of up to kSortDigits codewords: one pass of the sort.
Traffic build_buckets(const device::BuildBucketsArgs& args, const kernels::Work& work) {
  const kernels::TokenRange range = args.buckets.range;
  const std::int64_t chunks = kernels::blocks_for(range.size(), kSortedTokens);
  const std::int64_t counts = args.segments * chunks * kSortDigits * kCountBytes;
  const std::int64_t codes = args.segments * range.size() * kCodeBytes;
  // Codes are counted by chunk, then by warp, then placed; a block reads the counts of all chunks.
  std::int64_t loaded = work.bytes_read + 2 * codes + chunks * counts;
  for (std::int64_t s = 0; s < args.segments; ++s) {
    const Buckets buckets(from_device(args.codes + s * args.codes_stride, range.end), range);
    // A lane searches the sorted codes for the first token of its code; one more for the end.
    for (std::int64_t first = 0; first <= args.codeword_count; first += kWarpLanes) {
      std::vector<LaneSearch> lanes;
      for (std::int64_t code = first; code < std::min(first + kWarpLanes, args.codeword_count + 1);
           ++code) {
        lanes.push_back({0, range.size(), code});
      }
      loaded += searched_elements(buckets.codes, std::move(lanes)) * kCodeBytes;
    }
  }
  return {loaded, work.bytes_written + counts + codes};
}

/// One segment of bucket_retrieval.
struct Segment {
  std::vector<std::uint16_t> codes;  ///< by token
  Buckets buckets;

  Segment(const device::BucketRetrievalArgs& args, std::int64_t s)
      : codes(from_device(args.codes + s * args.codes_stride, args.range.end)),
        buckets(codes, args.buckets.range) {}
};

/// Where a query head's K-th best token is.
struct Boundary {
  float score = 0.0F;
  std::int64_t taken = 0;        ///< of the tokens with this score
  bool is_cut = false;           ///< whether more tokens have it than are taken
  std::int32_t first_token = 0;  ///< of those that are taken, if it is cut
};

/// @param scores by code
Boundary boundary_of(const device::BucketRetrievalArgs& args, const Segment& segment,
                     const std::vector<float>& scores) {
  std::vector<std::pair<float, std::int32_t>> best;
  for (std::int64_t token = args.range.begin; token < args.range.end; ++token) {
    best.emplace_back(scores[segment.codes[static_cast<std::size_t>(token)]],
                      static_cast<std::int32_t>(token));
  }
  // The most recent of equal scores first.
  std::sort(best.rbegin(), best.rend());
  const auto last_taken = best.begin() + std::min(args.k, args.range.size()) - 1;
  const auto has_score = [&](const auto& other) { return other.first == last_taken->first; };
  const auto first = std::find_if(best.begin(), best.end(), has_score);
  const std::int64_t equal = std::count_if(best.begin(), best.end(), has_score);
  Boundary boundary{.score = last_taken->first, .taken = last_taken - first + 1};
  boundary.is_cut = boundary.taken < equal;
  boundary.first_token = boundary.is_cut ? last_taken->second : 0;
  return boundary;
}

/// A pass over the tokens that are not in the buckets: their codes, and the scores of those that
/// the lanes of a warp have.
std::int64_t tail_reads(const device::BucketRetrievalArgs& args, const Segment& segment) {
  std::int64_t bytes = 0;
  for (std::int64_t first = args.buckets.range.end; first < args.range.end; first += kWarpLanes) {
    const std::int64_t end = std::min(first + kWarpLanes, args.range.end);
    bytes += (end - first) * kCodeBytes +
             distinct({segment.codes.begin() + first, segment.codes.begin() + end}) * kNumberBytes;
  }
  return bytes;
}

/// find_thresholds: a select over codes, and over the tokens of the boundary's codes if it cuts
/// through them.
std::int64_t threshold_reads(const device::BucketRetrievalArgs& args, const Segment& segment,
                             const std::vector<float>& scores, const Boundary& boundary) {
  // Of each code its bounds, and its score if it has tokens.
  std::int64_t pass = args.codeword_count * kBoundsBytes + tail_reads(args, segment);
  // Of each code its score, of those at the boundary their bounds and as many tokens as could be
  // taken.
  std::int64_t tied_pass = args.codeword_count * kNumberBytes + tail_reads(args, segment);
  for (std::int64_t code = 0; code < args.codeword_count; ++code) {
    const std::int64_t tokens = segment.buckets.size(code);
    pass += tokens > 0 ? kNumberBytes : 0;
    if (scores[static_cast<std::size_t>(code)] == boundary.score) {
      tied_pass += kBoundsBytes + std::min(tokens, boundary.taken) * kTokenBytes;
    }
  }
  return kernels::kSelectPasses * (pass + (boundary.is_cut ? tied_pass : 0));
}

/// mark_codes: every code's score, and the bounds and tokens of those that are taken.
std::int64_t mark_reads(const device::BucketRetrievalArgs& args, const Segment& segment,
                        const std::vector<float>& scores, const Boundary& boundary) {
  const Buckets& buckets = segment.buckets;
  constexpr std::int64_t kWarps = kernels::kSelectThreads / kWarpLanes;
  const std::int64_t blocks =
      kernels::blocks_for(args.codeword_count, kernels::kSelectThreads) +
      kernels::blocks_for(args.range.end - args.buckets.range.end, kernels::kSelectThreads);
  std::int64_t bytes = blocks * kWarps * kThresholdBytes + args.codeword_count * kNumberBytes +
                       tail_reads(args, segment);
  for (std::int64_t first = 0; first < args.codeword_count; first += kWarpLanes) {
    // Lanes with a code of the boundary search its tokens for the first that is taken.
    std::vector<LaneSearch> lanes;
    for (std::int64_t code = first; code < std::min(first + kWarpLanes, args.codeword_count);
         ++code) {
      const float score = scores[static_cast<std::size_t>(code)];
      if (score >= boundary.score) {
        const std::int64_t least = score > boundary.score ? 0 : boundary.first_token;
        const auto end = buckets.tokens.begin() + buckets.end(code);
        const auto taken =
            std::lower_bound(buckets.tokens.begin() + buckets.begin(code), end, least);
        bytes += kBoundsBytes + (end - taken) * kTokenBytes;
        if (score == boundary.score) {
          lanes.push_back({buckets.begin(code), buckets.end(code), least});
        }
      }
    }
    bytes += searched_elements(buckets.tokens, std::move(lanes)) * kTokenBytes;
  }
  return bytes;
}

/// Of one K, at least 1, for all query heads.
Traffic bucket_retrieval(const device::BucketRetrievalArgs& args, const kernels::Work& work) {
  std::int64_t loaded = 0;
  for (std::int64_t s = 0; s < args.segments; ++s) {
    const Segment segment(args, s);
    for (std::int64_t head = s * args.group; head < (s + 1) * args.group; ++head) {
      const std::vector<float> scores =
          from_device(args.table + head * args.codeword_count, args.codeword_count);
      const Boundary boundary = boundary_of(args, segment, scores);
      loaded += threshold_reads(args, segment, scores, boundary) +
                mark_reads(args, segment, scores, boundary);
    }
  }
  return {loaded, work.bytes_written - mask_bytes(args.segments, args.range) +
                      args.segments * args.group * kThresholdBytes};
}

constexpr OperationTraffic kTraffic[] = {
    {"bucket_retrieval", traffic_of<device::BucketRetrievalArgs, bucket_retrieval>},
    {"build_buckets", traffic_of<device::BuildBucketsArgs, build_buckets>},
};

}  // namespace

std::span<const OperationTraffic> buckets_traffic() {
  return kTraffic;
}

}  // namespace kvsieve::bench
