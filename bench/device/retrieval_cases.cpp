// A decode step's retrieval: windowed RoPE, scores by code, and the top tokens of each query head.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "a2ats/code_buckets_device.h"
#include "a2ats/score_lookup_device.h"
#include "a2ats/windowed_rope_device.h"
#include "device/case_groups.h"
#include "device/case_memory.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

using kernels::TokenRange;
using traces::DType;

constexpr std::int64_t kSinks = 8;

DeviceCase rotate_rows_case(CaseSize size, std::int64_t rows, std::int64_t head_dim,
                            std::int64_t rope_dim) {
  return {fmt::format("rotate_rows/d:{}/rope:{}/rows:{}", head_dim, rope_dim, rows), size,
          [=](device::Stream& stream) {
            CaseMemory memory(stream);
            std::vector<float> cosines;
            std::vector<float> sines;
            for (std::int64_t pair = 0; pair < rope_dim / 2; ++pair) {
              cosines.push_back(std::cos(static_cast<float>(pair)));
              sines.push_back(std::sin(static_cast<float>(pair)));
            }
            device::RotateRowsArgs args;
            args.rows = memory.normal(rows * head_dim);
            args.row_count = rows;
            args.head_dim = head_dim;
            args.cos = memory.copy(cosines);
            args.sin = memory.copy(sines);
            args.rope_dim = rope_dim;
            args.out = memory.output<float>(rows * head_dim);
            return make_operation(std::move(memory), args,
                                  kernels::windowed_rope_work(rows, head_dim, rope_dim),
                                  device::rotate_rows);
          }};
}

DeviceCase windowed_scores_case(CaseSize size, std::int64_t rows, std::int64_t tokens,
                                std::int64_t window) {
  return {fmt::format("windowed_scores/rows:{}/n:{}/window:{}", rows, tokens, window), size,
          [=](device::Stream& stream) {
            CaseMemory memory(stream);
            // Every row sees all tokens, so that all results are written.
            const std::vector<std::int32_t> positions(static_cast<std::size_t>(rows),
                                                      static_cast<std::int32_t>(tokens - 1));
            device::WindowedScoresArgs args;
            args.near = memory.normal(rows * tokens);
            args.far = memory.normal(rows * tokens);
            args.positions = memory.copy(positions);
            args.rows = rows;
            args.tokens = tokens;
            args.stride = tokens;
            args.window = window;
            args.out = memory.output<float>(rows * tokens);
            return make_operation(std::move(memory), args,
                                  kernels::windowed_scores_work(rows, rows * tokens),
                                  device::windowed_scores);
          }};
}

struct TableShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t segments;
  std::int64_t kv_heads;
  std::int64_t group;
  std::int64_t codewords;
};

DeviceCase score_table_case(const TableShape& shape) {
  return {fmt::format("score_table/dtype:{}/d:{}/segments:{}/group:{}/codewords:{}",
                      case_name_of(shape.dtype), shape.head_dim, shape.segments, shape.group,
                      shape.codewords),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t rows = shape.segments * shape.group;
            device::ScoreTableArgs args;
            args.queries = memory.normal(rows * shape.head_dim);
            args.codewords =
                memory.normal(shape.kv_heads * shape.codewords * shape.head_dim, shape.dtype);
            args.dtype = shape.dtype;
            args.segments = shape.segments;
            args.kv_heads = shape.kv_heads;
            args.group = shape.group;
            args.codeword_count = shape.codewords;
            args.head_dim = shape.head_dim;
            args.scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
            args.table = memory.output<float>(rows * shape.codewords);
            return make_operation(std::move(memory), args,
                                  kernels::score_table_work(
                                      shape.segments, shape.kv_heads, shape.group, shape.codewords,
                                      shape.head_dim, element_bytes(shape.dtype)),
                                  device::score_table);
          }};
}

struct LookupShape {
  CaseSize size;
  std::int64_t segments;
  std::int64_t group;
  std::int64_t codewords;
  std::int64_t tokens;  ///< of a segment, sinks included

  [[nodiscard]] TokenRange range() const { return {kSinks, tokens}; }
  [[nodiscard]] std::int64_t k() const { return std::max<std::int64_t>(1, tokens * 3 / 100); }
  [[nodiscard]] std::string name(const char* operation) const {
    return fmt::format("{}/segments:{}/group:{}/codewords:{}/n:{}", operation, segments, group,
                       codewords, tokens);
  }
  [[nodiscard]] std::vector<std::uint16_t> codes() const {
    return whole_numbers<std::uint16_t>(segments * tokens, codewords, 1);
  }
};

DeviceCase lookup_scores_case(const LookupShape& shape) {
  return {shape.name("lookup_scores"), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            device::LookupScoresArgs args;
            args.table = memory.normal(shape.segments * shape.group * shape.codewords);
            args.codes = memory.copy(shape.codes());
            args.codes_stride = shape.tokens;
            args.segments = shape.segments;
            args.group = shape.group;
            args.codeword_count = shape.codewords;
            args.range = {0, shape.tokens};
            args.scores = memory.output<float>(shape.segments * shape.group * shape.tokens);
            args.stride = shape.tokens;
            return make_operation(std::move(memory), args,
                                  kernels::lookup_scores_work(shape.segments, shape.group,
                                                              shape.codewords, shape.tokens),
                                  device::lookup_scores);
          }};
}

device::RetrievedMask output_mask(const LookupShape& shape, CaseMemory& memory) {
  const std::int64_t words = kernels::mask_words(shape.tokens);
  return {.words = memory.output<std::uint32_t>(shape.segments * words),
          .stride = words,
          .boundary_ties = memory.output<std::int32_t>(shape.segments * shape.group),
          .member_words = nullptr};
}

DeviceCase topk_retrieval_case(const LookupShape& shape) {
  return {shape.name("topk_retrieval"), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            device::TopKRetrievalArgs args;
            args.scores = memory.normal(shape.segments * shape.group * shape.tokens);
            args.stride = shape.tokens;
            args.segments = shape.segments;
            args.group = shape.group;
            args.range = shape.range();
            args.k = shape.k();
            args.mask = output_mask(shape, memory);
            args.workspace = memory.workspace(device::topk_retrieval_workspace_bytes(args));
            return make_operation(
                std::move(memory), args,
                kernels::topk_retrieval_work(shape.segments, shape.group, shape.range().size()),
                device::topk_retrieval);
          }};
}

DeviceCase list_tokens_case(const LookupShape& shape) {
  return {shape.name("list_tokens"), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            // One in eight of the tokens behind the sinks' word.
            const std::int64_t words = kernels::mask_words(shape.tokens);
            std::vector<std::uint32_t> mask(static_cast<std::size_t>(shape.segments * words),
                                            0x01010101U);
            const std::int64_t capacity = 4 * (words - 2);
            for (std::int64_t s = 0; s < shape.segments; ++s) {
              mask[static_cast<std::size_t>(s * words)] = 0;
              mask[static_cast<std::size_t>((s + 1) * words - 1)] = 0;
            }
            device::ListTokensArgs args;
            args.words = memory.copy(mask);
            args.stride = words;
            args.segments = shape.segments;
            args.range = shape.range();
            args.lists = {memory.output<std::int32_t>(shape.segments * capacity),
                          memory.output<std::int32_t>(shape.segments), capacity};
            return make_operation(std::move(memory), args,
                                  kernels::list_tokens_work(shape.segments, shape.range().size(),
                                                            shape.segments * capacity),
                                  device::list_tokens);
          }};
}

/// Buckets up to `tail` tokens before the end, written by build_buckets.
device::BuildBucketsArgs buckets_of(const LookupShape& shape, std::int64_t tail,
                                    const std::uint16_t* codes, CaseMemory& memory) {
  device::BuildBucketsArgs args;
  args.codes = codes;
  args.codes_stride = shape.tokens;
  args.segments = shape.segments;
  args.codeword_count = shape.codewords;
  args.buckets.range = {kSinks, shape.tokens - tail};
  args.buckets.stride = args.buckets.range.size();
  args.buckets.offsets = memory.output<std::int32_t>(shape.segments * (shape.codewords + 1));
  args.buckets.tokens = memory.output<std::int32_t>(shape.segments * args.buckets.stride);
  args.workspace = memory.workspace(device::build_buckets_workspace_bytes(args));
  return args;
}

DeviceCase build_buckets_case(const LookupShape& shape) {
  return {shape.name("build_buckets"), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const device::BuildBucketsArgs args =
                buckets_of(shape, 0, memory.copy(shape.codes()), memory);
            return make_operation(
                std::move(memory), args,
                kernels::build_buckets_work(shape.segments, shape.range().size(), shape.codewords),
                device::build_buckets);
          }};
}

DeviceCase bucket_retrieval_case(const LookupShape& shape) {
  constexpr std::int64_t kTail = 16;
  return {shape.name("bucket_retrieval"), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const device::BuildBucketsArgs built =
                buckets_of(shape, kTail, memory.copy(shape.codes()), memory);
            device::build_buckets(built, stream);
            stream.synchronize();
            device::BucketRetrievalArgs args;
            args.table = memory.normal(shape.segments * shape.group * shape.codewords);
            args.codes = built.codes;
            args.codes_stride = shape.tokens;
            args.segments = shape.segments;
            args.group = shape.group;
            args.codeword_count = shape.codewords;
            args.buckets = built.buckets;
            args.range = shape.range();
            args.k = shape.k();
            args.mask = output_mask(shape, memory);
            args.workspace = memory.workspace(device::bucket_retrieval_workspace_bytes(args));
            return make_operation(
                std::move(memory), args,
                kernels::code_buckets_work(shape.segments, shape.group, shape.codewords,
                                           shape.range().size(), shape.k(), kTail),
                device::bucket_retrieval);
          }};
}

}  // namespace

std::vector<DeviceCase> retrieval_cases() {
  constexpr CaseSize kCounted = CaseSize::kCounted;
  constexpr CaseSize kTimed = CaseSize::kTimed;
  std::vector<DeviceCase> cases{
      rotate_rows_case(kCounted, 32, 128, 128),
      rotate_rows_case(kCounted, 7, 80, 64),
      rotate_rows_case(kTimed, 4096, 128, 128),
      windowed_scores_case(kCounted, 4, 1024, 64),
      windowed_scores_case(kCounted, 3, 517, 16),
      windowed_scores_case(kTimed, 32, 131'072, 64),
      score_table_case({kCounted, DType::kBF16, 128, 2, 2, 4, 128}),
      score_table_case({kCounted, DType::kF16, 64, 2, 1, 3, 100}),
      score_table_case({kCounted, DType::kF32, 80, 1, 1, 1, 129}),
      score_table_case({kTimed, DType::kBF16, 128, 8, 8, 4, 4096}),
  };
  for (const LookupShape& shape :
       {LookupShape{kCounted, 2, 4, 256, 1024}, LookupShape{kCounted, 1, 3, 100, 1517},
        LookupShape{kTimed, 8, 4, 4096, 32'768}, LookupShape{kTimed, 8, 4, 4096, 131'072}}) {
    cases.push_back(lookup_scores_case(shape));
    cases.push_back(topk_retrieval_case(shape));
    cases.push_back(list_tokens_case(shape));
    cases.push_back(build_buckets_case(shape));
    cases.push_back(bucket_retrieval_case(shape));
  }
  return cases;
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
