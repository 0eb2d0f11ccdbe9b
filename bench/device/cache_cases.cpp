// The ragged cache: compaction, and its life during decoding.

#include <fmt/format.h>

#include <algorithm>

#include "adakv/cache_compaction_device.h"
#include "device/case_groups.h"
#include "device/case_memory.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

struct CacheShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t segments;
  std::int64_t tokens;  ///< of a segment before compaction
};

std::string name_of(const char* operation, const CacheShape& shape) {
  return fmt::format("{}/dtype:{}/d:{}/segments:{}/n:{}", operation, case_name_of(shape.dtype),
                     shape.head_dim, shape.segments, shape.tokens);
}

/// Kept rows of each segment: about a fifth of its tokens, of unequal number.
std::vector<std::int64_t> kept_rows(const CacheShape& shape) {
  std::vector<std::int64_t> rows;
  for (std::int64_t s = 0; s < shape.segments; ++s) {
    rows.push_back(std::max<std::int64_t>(1, shape.tokens / (4 + s % 3)));
  }
  return rows;
}

/// A ragged cache with room for one more token a segment. Its rows are results.
struct Cache {
  Cache(const CacheShape& shape, CaseMemory& memory, std::int64_t slack)
      : layout(kernels::make_ragged_layout(kept_rows(shape), slack)) {
    const std::int64_t bytes = layout.rows() * shape.head_dim * element_bytes(shape.dtype);
    view.keys = memory.output<std::uint8_t>(bytes);
    view.values = memory.output<std::uint8_t>(bytes);
    view.dtype = shape.dtype;
    view.head_dim = shape.head_dim;
    view.segments = shape.segments;
    view.offsets = memory.copy(layout.offsets);
    view.lengths = memory.output<std::int32_t>(shape.segments);
    failed = memory.output<std::int32_t>(1);
  }

  /// Lengths as they were at first, and no failure.
  void reset(const std::int32_t* lengths, device::Stream& stream) const {
    device::copy_on_device(view.lengths, lengths,
                           static_cast<std::size_t>(view.segments) * sizeof(std::int32_t), stream);
    device::fill_device(failed, 0, sizeof(std::int32_t), stream);
  }

  kernels::RaggedLayout layout;
  kernels::RaggedCacheView view;
  std::int32_t* failed = nullptr;
};

DeviceCase compact_cache_case(const CacheShape& shape) {
  return {name_of("compact_cache", shape), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const Cache cache(shape, memory, 0);
            std::vector<std::int32_t> tokens;
            for (const std::int64_t rows : kept_rows(shape)) {
              for (std::int64_t i = 0; i < rows; ++i) {
                tokens.push_back(static_cast<std::int32_t>(i * shape.tokens / rows));
              }
            }
            const std::int64_t elements = shape.segments * shape.tokens * shape.head_dim;
            device::CompactCacheArgs args;
            args.dense = {memory.normal(elements, shape.dtype),
                          memory.normal(elements, shape.dtype),
                          shape.dtype,
                          shape.head_dim,
                          shape.segments,
                          shape.tokens,
                          shape.tokens * shape.head_dim,
                          shape.head_dim};
            args.kept = {memory.copy(tokens), cache.view.offsets, cache.layout.rows()};
            args.cache = cache.view;
            args.failed_segment = cache.failed;
            return make_operation(
                std::move(memory), args,
                kernels::compact_cache_work(cache.layout.rows(), shape.segments, shape.head_dim,
                                            element_bytes(shape.dtype)),
                [args](device::Stream& at) {
                  device::fill_device(args.failed_segment, 0, sizeof(std::int32_t), at);
                  device::compact_cache(args, at);
                });
          }};
}

DeviceCase append_tokens_case(const CacheShape& shape, std::int64_t per_segment) {
  return {name_of("append_tokens", shape) + fmt::format("/new:{}", per_segment), shape.size,
          [shape, per_segment](device::Stream& stream) {
            CaseMemory memory(stream);
            const Cache cache(shape, memory, per_segment);
            const std::int32_t* lengths = memory.copy(cache.layout.lengths);
            const std::int64_t elements = shape.segments * per_segment * shape.head_dim;
            device::AppendTokensArgs args;
            args.rows = {memory.normal(elements, shape.dtype), memory.normal(elements, shape.dtype),
                         per_segment};
            args.cache = cache.view;
            args.failed_segment = cache.failed;
            return make_operation(
                std::move(memory), args,
                kernels::append_tokens_work(shape.segments, per_segment, shape.head_dim,
                                            element_bytes(shape.dtype)),
                [args, cache, lengths](device::Stream& at) {
                  cache.reset(lengths, at);
                  device::append_tokens(args, at);
                });
          }};
}

DeviceCase remove_last_tokens_case(const CacheShape& shape) {
  return {name_of("remove_last_tokens", shape), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const Cache cache(shape, memory, 0);
            const std::int32_t* lengths = memory.copy(cache.layout.lengths);
            device::RemoveLastTokensArgs args;
            args.count = 1;
            args.cache = cache.view;
            args.failed_segment = cache.failed;
            return make_operation(std::move(memory), args,
                                  kernels::remove_last_tokens_work(shape.segments),
                                  [args, cache, lengths](device::Stream& at) {
                                    cache.reset(lengths, at);
                                    device::remove_last_tokens(args, at);
                                  });
          }};
}

DeviceCase regrow_cache_case(const CacheShape& shape) {
  return {name_of("regrow_cache", shape), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const Cache grown(shape, memory, 8);
            const kernels::RaggedLayout layout = kernels::make_ragged_layout(kept_rows(shape));
            device::RegrowCacheArgs args;
            args.from = grown.view;
            args.from.keys = memory.normal(layout.rows() * shape.head_dim, shape.dtype);
            args.from.values = memory.normal(layout.rows() * shape.head_dim, shape.dtype);
            args.from.offsets = memory.copy(layout.offsets);
            args.from.lengths = memory.copy(layout.lengths);
            args.from_rows = layout.rows();
            args.to = grown.view;
            args.failed_segment = grown.failed;
            return make_operation(
                std::move(memory), args,
                kernels::regrow_cache_work(layout.rows(), shape.segments, shape.head_dim,
                                           element_bytes(shape.dtype)),
                [args](device::Stream& at) {
                  device::fill_device(args.failed_segment, 0, sizeof(std::int32_t), at);
                  device::regrow_cache(args, at);
                });
          }};
}

}  // namespace

std::vector<DeviceCase> cache_cases() {
  constexpr CaseSize kCounted = CaseSize::kCounted;
  constexpr CaseSize kTimed = CaseSize::kTimed;
  const CacheShape whole{kCounted, DType::kBF16, 128, 2, 256};
  const CacheShape tail{kCounted, DType::kF16, 80, 3, 101};
  const CacheShape wide{kCounted, DType::kF32, 64, 1, 129};
  const CacheShape short_prompt{kTimed, DType::kBF16, 128, 8, 32'768};
  const CacheShape long_prompt{kTimed, DType::kBF16, 128, 8, 131'072};
  std::vector<DeviceCase> cases;
  for (const CacheShape& shape : {whole, tail, wide, short_prompt, long_prompt}) {
    cases.push_back(compact_cache_case(shape));
    cases.push_back(append_tokens_case(shape, 1));
    cases.push_back(remove_last_tokens_case(shape));
    cases.push_back(regrow_cache_case(shape));
  }
  cases.push_back(append_tokens_case(tail, 37));
  return cases;
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
