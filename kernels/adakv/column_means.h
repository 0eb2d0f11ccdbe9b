#pragma once
// Mean attention of each key over observed queries, for keys in any of the layouts that the CPU
// backend meets.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/matrix_view.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::kernels {

/// Rows of numbers in memory: row i begins at data + i * stride elements.
struct StoredRows {
  const std::byte* data = nullptr;
  traces::DType dtype = traces::DType::kF32;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
};

/// Memory for the exponentials between the two passes over the keys, kept from one call to the
/// next. Not to be shared by calls at the same time.
class ExponentialStore {
 public:
  /// Beyond this many bytes the second pass computes the exponentials again, which is slower but
  /// needs no memory.
  static constexpr std::int64_t kDefaultLimit = std::int64_t{256} << 20U;

  explicit ExponentialStore(std::int64_t limit_bytes = kDefaultLimit) : m_limit(limit_bytes) {}

  /// Uninitialised memory for `count` numbers, null beyond the limit.
  [[nodiscard]] float* reserve(std::int64_t count);

 private:
  struct FreeMemory {
    void operator()(float* memory) const { std::free(memory); }
  };

  std::int64_t m_limit;
  std::int64_t m_capacity = 0;
  std::unique_ptr<float[], FreeMemory> m_memory;
};

/// means[i, j] = mean over the queries of row block i that see key j of softmax(scale q.k)[j], 0
/// where none does; the rows of `queries` are cut into means.rows blocks of as many. Softmax over
/// the keys among the first means.cols that a query sees, in fp32.
/// @param queries `rows` rotated rows; row r has the position positions[r mod R]
/// @param rows a multiple of R and of means.rows
/// @param positions [R] ascending
/// @param keys at least means.cols rotated keys
/// Parallel over tiles of keys; bits depend neither on the thread count nor on the store's limit.
void column_means(const StoredRows& queries, std::int64_t rows,
                  std::span<const std::int32_t> positions, const HeadKeys& keys,
                  const traces::AttentionSpec& attention, ExponentialStore& store,
                  MatrixView<float> means);

/// The same for keys as they lie in a cache. bfloat16 queries and keys are multiplied as they are
/// where the processor can.
void column_means(const StoredRows& queries, std::int64_t rows,
                  std::span<const std::int32_t> positions, const StoredRows& keys,
                  const traces::AttentionSpec& attention, ExponentialStore& store,
                  MatrixView<float> means);

}  // namespace kvsieve::kernels
