#include "adakv/cache_compaction.cuh"

#include <algorithm>
#include <cstdint>
#include <string>

#include "adakv/cache_compaction_device.h"
#include "exec/device/dispatch.h"
#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

std::int64_t element_bytes_of(traces::DType dtype) {
  return static_cast<std::int64_t>(traces::size_of(dtype));
}

std::int64_t row_bytes_of(const RaggedCacheView& cache) {
  return cache.head_dim * element_bytes_of(cache.dtype);
}

bool aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % kVectorBytes == 0;
}

[[noreturn]] void fail(const char* operation, const std::string& what) {
  throw Error(ErrorKind::kUsage, operation + std::string(": ") + what);
}

void require_aligned(const char* operation, bool condition) {
  if (!condition) {
    fail(operation, "K, V and the strides of their rows have to be multiples of 16 bytes");
  }
}

std::string shape_text(traces::DType dtype, std::int64_t head_dim, std::int64_t segments) {
  return std::to_string(segments) + " segments of " + std::string(traces::name_of(dtype)) +
         " rows with d = " + std::to_string(head_dim);
}

void require_same_shape(const char* operation, const RaggedCacheView& cache, traces::DType dtype,
                        std::int64_t head_dim, std::int64_t segments) {
  if (dtype != cache.dtype || head_dim != cache.head_dim || segments != cache.segments) {
    fail(operation, shape_text(dtype, head_dim, segments) + " do not fit a cache of " +
                        shape_text(cache.dtype, cache.head_dim, cache.segments));
  }
}

/// Calls body.template operator()<vectors of a row>().
template <class Body>
void dispatch_row(const char* operation, const RaggedCacheView& cache, const Body& body) {
  dispatch_dtype(operation, cache.dtype, [&]<class T>() {
    dispatch_head_dim(operation, cache.head_dim, [&]<int kHeadDim>() {
      body.template operator()<kHeadDim* static_cast<int>(sizeof(T)) / kVectorBytes>();
    });
  });
}

std::int64_t tile_rows_of(std::int64_t row_bytes) {
  return tile_rows(static_cast<int>(row_bytes / kVectorBytes));
}

}  // namespace

LaunchConfig copy_rows_config(std::int64_t rows, std::int64_t segments, std::int64_t row_bytes) {
  const unsigned tiles = blocks_for(rows, tile_rows_of(row_bytes));
  return {.grid = {std::max(tiles, blocks_for(segments, kCopyThreads))}, .block = {kCopyThreads}};
}

LaunchConfig append_tokens_config(std::int64_t segments, std::int64_t t, std::int64_t row_bytes) {
  const unsigned tiles = blocks_for(t, tile_rows_of(row_bytes));
  return {.grid = {static_cast<unsigned>(segments) * tiles}, .block = {kCopyThreads}};
}

LaunchConfig change_lengths_config(std::int64_t segments) {
  return {.grid = {blocks_for(segments, kCopyThreads)}, .block = {kCopyThreads}};
}

void compact_cache(const CompactCacheArgs& args, Stream& stream) {
  constexpr const char* kName = "compact_cache";
  const OperationRange range(kName);
  const DenseCacheView& dense = args.dense;
  const RaggedCacheView& cache = args.cache;
  require_same_shape(kName, cache, dense.dtype, dense.head_dim, dense.segments);
  const std::int64_t element_bytes = element_bytes_of(dense.dtype);
  require_aligned(kName, aligned(dense.keys) && aligned(dense.values) && aligned(cache.keys) &&
                             aligned(cache.values) &&
                             dense.segment_stride * element_bytes % kVectorBytes == 0 &&
                             dense.token_stride * element_bytes % kVectorBytes == 0);
  dispatch_row(kName, cache, [&]<int kRowVectors>() {
    launch<compact_cache_kernel<kRowVectors>>(
        copy_rows_config(args.kept.rows, cache.segments, row_bytes_of(cache)), stream, dense,
        args.kept, cache, args.failed_segment);
  });
}

void append_tokens(const AppendTokensArgs& args, Stream& stream) {
  constexpr const char* kName = "append_tokens";
  const OperationRange range(kName);
  const NewTokens& rows = args.rows;
  const RaggedCacheView& cache = args.cache;
  if (rows.per_segment < 0) {
    fail(kName, std::to_string(rows.per_segment) + " tokens");
  }
  require_aligned(kName, aligned(rows.keys) && aligned(rows.values) && aligned(cache.keys) &&
                             aligned(cache.values));
  const std::int64_t row_bytes = row_bytes_of(cache);
  dispatch_row(kName, cache, [&]<int kRowVectors>() {
    const unsigned tiles = blocks_for(rows.per_segment, tile_rows(kRowVectors));
    launch<append_tokens_kernel<kRowVectors>>(
        append_tokens_config(cache.segments, rows.per_segment, row_bytes), stream, rows, cache,
        tiles, args.failed_segment);
    if (tiles > 1) {
      launch<change_lengths_kernel>(change_lengths_config(cache.segments), stream, cache,
                                    rows.per_segment, args.failed_segment);
    }
  });
}

void remove_last_tokens(const RemoveLastTokensArgs& args, Stream& stream) {
  constexpr const char* kName = "remove_last_tokens";
  const OperationRange range(kName);
  if (args.count < 0) {
    fail(kName, "cannot take " + std::to_string(args.count) + " tokens off");
  }
  launch<change_lengths_kernel>(change_lengths_config(args.cache.segments), stream, args.cache,
                                -args.count, args.failed_segment);
}

void regrow_cache(const RegrowCacheArgs& args, Stream& stream) {
  constexpr const char* kName = "regrow_cache";
  const OperationRange range(kName);
  const RaggedCacheView& from = args.from;
  const RaggedCacheView& to = args.to;
  require_same_shape(kName, to, from.dtype, from.head_dim, from.segments);
  require_aligned(
      kName, aligned(from.keys) && aligned(from.values) && aligned(to.keys) && aligned(to.values));
  const std::int64_t places = from.pages == nullptr
                                  ? args.from_rows
                                  : from.segments * from.pages_per_segment * from.page_rows;
  dispatch_row(kName, to, [&]<int kRowVectors>() {
    launch<regrow_cache_kernel<kRowVectors>>(
        copy_rows_config(places, to.segments, row_bytes_of(to)), stream, from, places, to,
        args.failed_segment);
  });
}

void require_no_failed_segment(const char* operation, std::int32_t failed_segment) {
  if (failed_segment != 0) {
    fail(operation, "segment " + std::to_string(failed_segment - 1) +
                        " has no room for its rows, or fewer than are to be removed");
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
