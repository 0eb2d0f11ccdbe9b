// Attention of decode steps, and the norms of values.

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "attention/ragged_decode_device.h"
#include "attention/sparse_decode_device.h"
#include "attention/value_norms_device.h"
#include "device/case_groups.h"
#include "device/case_memory.h"
#include "kvsieve/kernels/dense_attention.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

float scale_of(std::int64_t head_dim) {
  return 1.0F / std::sqrt(static_cast<float>(head_dim));
}

struct RaggedShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t group;
  std::vector<std::int32_t> lengths;
  std::int64_t shares;  ///< 0: as the launcher chooses
};

DeviceCase ragged_decode_case(const RaggedShape& shape) {
  const std::int64_t tokens =
      std::accumulate(shape.lengths.begin(), shape.lengths.end(), std::int64_t{0});
  return {fmt::format("ragged_decode/dtype:{}/d:{}/group:{}/n:{}", case_name_of(shape.dtype),
                      shape.head_dim, shape.group, tokens),
          shape.size, [shape, tokens](device::Stream& stream) {
            CaseMemory memory(stream);
            const auto segments = static_cast<std::int64_t>(shape.lengths.size());
            std::vector<std::int64_t> offsets{0};
            for (const std::int32_t length : shape.lengths) {
              offsets.push_back(offsets.back() + length);
            }
            kernels::RaggedDecodeArgs args;
            args.cache.keys = memory.normal(tokens * shape.head_dim, shape.dtype);
            args.cache.values = memory.normal(tokens * shape.head_dim, shape.dtype);
            args.cache.dtype = shape.dtype;
            args.cache.head_dim = shape.head_dim;
            args.cache.segments = segments;
            args.cache.offsets = memory.copy(offsets);
            args.cache.lengths = memory.copy(shape.lengths);
            args.queries = memory.normal(segments * shape.group * shape.head_dim);
            args.group = shape.group;
            args.scale = scale_of(shape.head_dim);
            args.shares = shape.shares;
            args.out = memory.output<float>(segments * shape.group * shape.head_dim);
            args.log_sums = memory.output<float>(segments * shape.group);
            void* workspace = memory.workspace(device::ragged_decode_workspace_bytes(args));
            const kernels::Work work =
                kernels::ragged_decode_work(tokens, segments, shape.group, shape.head_dim,
                                            element_bytes(shape.dtype), sizeof(float));
            return make_operation(std::move(memory), args, work,
                                  [args, workspace](device::Stream& at) {
                                    device::ragged_decode(args, workspace, at);
                                  });
          }};
}

struct SparseShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t group;
  std::int64_t segments;
  std::int64_t tokens;    ///< rows of a segment
  std::int64_t selected;  ///< of them
  std::int64_t shares;    ///< 0: as the launcher chooses
};

DeviceCase sparse_decode_case(const SparseShape& shape) {
  return {
      fmt::format("sparse_decode/dtype:{}/d:{}/group:{}/n:{}/selected:{}",
                  case_name_of(shape.dtype), shape.head_dim, shape.group, shape.tokens,
                  shape.selected),
      shape.size, [shape](device::Stream& stream) {
        CaseMemory memory(stream);
        std::vector<std::int32_t> rows;
        for (std::int64_t i = 0; i < shape.segments * shape.selected; ++i) {
          // Evenly over the segment, ascending.
          rows.push_back(
              static_cast<std::int32_t>(i % shape.selected * shape.tokens / shape.selected));
        }
        kernels::SparseDecodeArgs args;
        args.cache = {
            memory.normal(shape.segments * shape.tokens * 2 * shape.head_dim, shape.dtype),
            shape.dtype, shape.head_dim, shape.tokens};
        args.segments = shape.segments;
        args.queries = memory.normal(shape.segments * shape.group * shape.head_dim);
        args.group = shape.group;
        args.rows = memory.copy(rows);
        args.capacity = shape.selected;
        args.counts = memory.copy(std::vector<std::int32_t>(
            static_cast<std::size_t>(shape.segments), static_cast<int>(shape.selected)));
        args.scale = scale_of(shape.head_dim);
        args.shares = shape.shares;
        args.out = memory.output<float>(shape.segments * shape.group * shape.head_dim);
        args.log_sums = memory.output<float>(shape.segments * shape.group);
        void* workspace = memory.workspace(device::sparse_decode_workspace_bytes(args));
        const kernels::Work work =
            kernels::sparse_decode_work(shape.segments * shape.selected, shape.segments,
                                        shape.group, shape.head_dim, element_bytes(shape.dtype));
        return make_operation(std::move(memory), args, work, [args, workspace](device::Stream& at) {
          device::sparse_decode(args, workspace, at);
        });
      }};
}

DeviceCase merge_partial_case(CaseSize size, std::int64_t rows, std::int64_t head_dim) {
  return {fmt::format("merge_partial/d:{}/rows:{}", head_dim, rows), size,
          [rows, head_dim](device::Stream& stream) {
            CaseMemory memory(stream);
            const float* out = memory.normal(rows * head_dim);
            const float* log_sums = memory.normal(rows);
            device::MergePartialArgs args;
            args.other = memory.normal(rows * head_dim);
            args.other_log_sums = memory.normal(rows);
            args.out = memory.output<float>(rows * head_dim);
            args.log_sums = memory.output<float>(rows);
            args.n = rows;
            args.head_dim = head_dim;
            return make_operation(
                std::move(memory), args, kernels::merge_partial_work(rows, head_dim),
                [args, out, log_sums](device::Stream& at) {
                  const auto n = static_cast<std::size_t>(args.n);
                  const auto d = static_cast<std::size_t>(args.head_dim);
                  device::copy_on_device(args.out, out, n * d * sizeof(float), at);
                  device::copy_on_device(args.log_sums, log_sums, n * sizeof(float), at);
                  device::merge_partial(args, at);
                });
          }};
}

struct NormsShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t kv_heads;
  std::int64_t group;
  std::int64_t tokens;
  std::int64_t width;
};

DeviceCase value_norms_case(const NormsShape& shape) {
  return {fmt::format("value_norms/dtype:{}/d:{}/n:{}/width:{}", case_name_of(shape.dtype),
                      shape.head_dim, shape.tokens, shape.width),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t heads = shape.kv_heads * shape.group;
            device::ValueNormsArgs args;
            args.kv_heads = shape.kv_heads;
            args.group = shape.group;
            args.tokens = shape.tokens;
            args.head_dim = shape.head_dim;
            args.width = shape.width;
            args.value_dtype = shape.dtype;
            args.projection_dtype = shape.dtype;
            args.values =
                memory.normal(shape.kv_heads * shape.tokens * shape.head_dim, shape.dtype);
            args.projections = memory.normal(heads * shape.head_dim * shape.width, shape.dtype);
            args.norms = memory.output<float>(heads * shape.tokens);
            const kernels::Work work =
                repeated(heads, kernels::value_norms_work(shape.tokens, shape.head_dim, shape.width,
                                                          element_bytes(shape.dtype)));
            return make_operation(std::move(memory), args, work, device::value_norms);
          }};
}

}  // namespace

std::vector<DeviceCase> attention_cases() {
  constexpr CaseSize kCounted = CaseSize::kCounted;
  constexpr CaseSize kTimed = CaseSize::kTimed;
  std::vector<DeviceCase> cases{
      ragged_decode_case({kCounted, DType::kBF16, 128, 4, {96, 160}, 4}),
      ragged_decode_case({kCounted, DType::kF16, 64, 3, {65, 31, 129}, 4}),
      ragged_decode_case({kCounted, DType::kF32, 80, 1, {64, 63}, 3}),
      sparse_decode_case({kCounted, DType::kBF16, 128, 4, 2, 512, 96, 4}),
      sparse_decode_case({kCounted, DType::kF16, 64, 8, 2, 256, 37, 4}),
      sparse_decode_case({kCounted, DType::kF32, 96, 1, 1, 300, 65, 3}),
      merge_partial_case(kCounted, 32, 128),
      merge_partial_case(kCounted, 7, 80),
      value_norms_case({kCounted, DType::kBF16, 128, 1, 2, 64, 128}),
      value_norms_case({kCounted, DType::kF16, 64, 2, 1, 33, 72}),
      value_norms_case({kCounted, DType::kF32, 80, 1, 1, 65, 60}),
      merge_partial_case(kTimed, 4096, 128),
      value_norms_case({kTimed, DType::kBF16, 128, 8, 4, 8192, 4096}),
  };
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    for (const std::int32_t tokens : {32'768, 131'072}) {
      // A fifth stays, from half to one and a half times the mean.
      std::vector<std::int32_t> lengths;
      for (int head = 0; head < 8; ++head) {
        lengths.push_back(tokens / 5 * (7 + 2 * head) / 14);
      }
      cases.push_back(ragged_decode_case({kTimed, dtype, 128, 4, lengths, 0}));
      cases.push_back(sparse_decode_case({kTimed, dtype, 128, 4, 8, tokens, tokens * 6 / 100, 0}));
    }
  }
  return cases;
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
