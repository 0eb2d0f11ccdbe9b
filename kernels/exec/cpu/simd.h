#pragma once
// The vector inner loops of the CPU backend, chosen once at run time by instruction set.
//
// Matrices on the right-hand side are packed in panels: panel p holds columns 16p .. 16p+15 as
// [k][16], so that a row of a panel is one cache line. Sums run over k in ascending order with one
// accumulator an output element, whatever the vector width, and long reductions use 16 fixed
// partial sums: results do not depend on the thread count, and differ between instruction sets
// only by fused multiply-add.

#include <cstdint>

namespace kvsieve::kernels {

struct DecodeBlock;
struct ScreenBlock;

/// Columns of a panel.
inline constexpr std::int64_t kPanelWidth = 16;

/// Numbers that list_bits may write behind its list.
inline constexpr std::int64_t kListSlack = 4;

/// Panels needed for `columns` columns.
[[nodiscard]] constexpr std::int64_t panel_count(std::int64_t columns) noexcept {
  return (columns + kPanelWidth - 1) / kPanelWidth;
}

/// One instruction set's implementation of the inner loops.
struct SimdOps {
  const char* name;  ///< "avx512bf16", "avx512", "avx2" or "baseline"

  /// c [rows, 16 * panels] (row stride ldc) = or += a [rows, depth] (row stride lda) times the
  /// panels; consecutive panels lie `panel_stride` floats apart.
  void (*multiply)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                   std::int64_t panel_stride, std::int64_t panels_n, std::int64_t depth, float* c,
                   std::int64_t ldc, bool accumulate);

  /// As multiply, over the listed depths only: c = sum over i of a[., index[i]] * panel[index[i]].
  void (*multiply_indexed)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                           std::int64_t panel_stride, std::int64_t panels_n,
                           const std::int32_t* index, std::int64_t count, float* c,
                           std::int64_t ldc, bool accumulate);

  /// sums [rows] += sum over all columns of |a times panels|; the product is never stored.
  void (*multiply_abs_sum)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                           std::int64_t panel_stride, std::int64_t panels_n, std::int64_t depth,
                           float* sums);

  /// For each row of a: the smallest bias[c] - a . column c, and the lowest such column. `best`
  /// and `best_index` [rows] hold the running minimum on entry (columns seen before, all lower)
  /// and on return. Panels are numbered from `first_column` / 16.
  void (*multiply_argmin)(const float* a, std::int64_t lda, std::int64_t rows, const float* panels,
                          std::int64_t panel_stride, std::int64_t panels_n, std::int64_t depth,
                          const float* bias, std::int64_t first_column, float* best,
                          std::int32_t* best_index);

  /// As multiply, overwriting, of bfloat16 numbers with sums in fp32: panel p holds columns 16p ..
  /// 16p+15 as [depth / 2][16][2], `panel_stride` numbers apart; depth is even, `a` has any
  /// alignment. Products are exact, each sum of two of them is rounded at most twice; subnormal
  /// numbers count as zero. Null where no instruction does it: convert and multiply instead.
  void (*multiply_bfloat)(const void* a, std::int64_t lda, std::int64_t rows,
                          const std::uint16_t* panels, std::int64_t panel_stride,
                          std::int64_t panels_n, std::int64_t depth, float* c, std::int64_t ldc);

  /// For each column c of x [rows, 16 * panels] (row stride ld): maxima[c] = scale * the largest,
  /// x = exp(scale * x - maxima[c]), sums[c] = the sum of that over the rows, in ascending order.
  /// scale > 0. Entries of -inf become 0; a column of nothing else has the maximum -inf, sum 0. The
  /// exponential is exp_shift_sum's.
  void (*softmax_columns)(float* x, std::int64_t ld, std::int64_t rows, std::int64_t panels,
                          float scale, float* maxima, float* sums);
  /// out[i] += sum over c < n of x[i, c] * weights[c], i < rows (row stride ld).
  void (*add_row_dots)(const float* x, std::int64_t ld, std::int64_t rows, const float* weights,
                       std::int64_t n, float* out);

  /// sum of a[i] * b[i], i < n.
  float (*dot)(const float* a, const float* b, std::int64_t n);
  /// sum of a[index[i]] * b[index[i]], i < count.
  float (*dot_indexed)(const float* a, const float* b, const std::int32_t* index,
                       std::int64_t count);
  /// sum of a[index[i]], i < count.
  float (*sum_indexed)(const float* a, const std::int32_t* index, std::int64_t count);
  /// sums[c] = sum of panel[index[i]][c], i < count, for the 16 columns of panel [n][16]; each as
  /// sum_indexed adds, or with factors [n] as dot_indexed adds panel[.][c] * factors. `factors` may
  /// be null.
  void (*panel_sums_indexed)(const float* panel, const float* factors, const std::int32_t* index,
                             std::int64_t count, float* sums);
  /// sum of |a[i]|, i < n.
  float (*abs_sum)(const float* a, std::int64_t n);
  /// sums[r] = sum of |x[r, i]|, i < n ascending, for `rows` rows (row stride ld), in fp64.
  void (*abs_sum_rows)(const float* x, std::int64_t ld, std::int64_t rows, std::int64_t n,
                       double* sums);
  /// y[i] += factor * x[i], i < n.
  void (*axpy)(float factor, const float* x, float* y, std::int64_t n);
  /// y[i] = the larger of y[i] and x[i], i < n.
  void (*raise_to)(const float* x, float* y, std::int64_t n);
  /// The largest of x [n], n >= 1.
  float (*max)(const float* x, std::int64_t n);
  /// x[i] = exp(x[i] - shift), i < n; returns the sum. x[i] <= shift. The difference is rounded to
  /// fp32; its exponential has a relative error below 3e-7 down to -87 and is 0 below, -inf too.
  float (*exp_shift_sum)(float* x, std::int64_t n, float shift);
  /// x[i] *= factor, i < n.
  void (*scale)(float* x, std::int64_t n, float factor);
  /// IEEE binary16 and bfloat16 to fp32, exact; source may have any alignment.
  void (*half_to_float)(const void* source, float* out, std::int64_t n);
  void (*bfloat_to_float)(const void* source, float* out, std::int64_t n);

  /// keys[i] = rank_key(x[i]) (exec/cpu/radix_select.h), i < n; whether all x are finite.
  bool (*rank_keys)(const float* x, std::uint32_t* keys, std::int64_t n);
  /// How many of keys [n] are above `key`; `equal` becomes the number of those equal to it.
  std::int64_t (*count_above)(const std::uint32_t* keys, std::int64_t n, std::uint32_t key,
                              std::int64_t* equal);
  /// Raises the keys above `key` to the largest number, 0xffffffff.
  void (*pin_above)(std::uint32_t* keys, std::int64_t n, std::uint32_t key);
  /// Copies the keys within [low, high] to `out`, which has room for n + kPanelWidth, in order, and
  /// returns their number; `above` becomes the number of keys above `high`.
  std::int64_t (*keys_within)(const std::uint32_t* keys, std::int64_t n, std::uint32_t low,
                              std::uint32_t high, std::uint32_t* out, std::int64_t* above);
  /// Writes the indices, first_index more than i, of the keys above `key` and of the first `ties`
  /// of those equal to it, ascending, and returns their number. `out` has room for kPanelWidth
  /// more.
  std::int64_t (*indices_above)(const std::uint32_t* keys, std::int64_t n, std::uint32_t key,
                                std::int64_t ties, std::int32_t first_index, std::int32_t* out);
  /// Bit i % 64 of words[i / 64] tells whether keys[i] is `key` or more; i < n, the rest of the
  /// last word is zero.
  void (*mask_at_least)(const std::uint32_t* keys, std::int64_t n, std::uint32_t key,
                        std::uint64_t* words);
  /// Writes first_index more than the places of the bits in words [n], ascending, and returns their
  /// number. `out` has room for kListSlack more.
  std::int64_t (*list_bits)(const std::uint64_t* words, std::int64_t n, std::int32_t first_index,
                            std::int32_t* out);
  /// out[i] = table[codes[i]], i < n, of numbers of 32 bits.
  void (*look_up)(const void* table, const std::uint16_t* codes, std::int64_t n, void* out);

  std::int64_t lanes;  ///< floats of a vector
  /// Takes one block of tokens into running softmax attention (exec/cpu/decode_block.h).
  void (*decode_block)(const DecodeBlock& block);

  bool screens_codes;  ///< whether screen_block takes codes
  /// Looks for the centroids that can be nearest to points (exec/cpu/screen_block.h). False, the
  /// hits then worth nothing, if there are more of them than fit.
  bool (*screen_block)(ScreenBlock& block);
};

/// The implementation for this machine: the best it supports, or what the environment variable
/// KVSIEVE_ISA (avx512bf16, avx512, avx2, baseline) asks for. Throws Error(kUsage) for an unknown
/// or unsupported value.
[[nodiscard]] const SimdOps& simd();

/// Every implementation that this machine can run, best first, for tests.
struct SimdList {
  const SimdOps* items[4];
  int count;
};
[[nodiscard]] SimdList simd_supported();

extern const SimdOps simd_baseline;
#if defined(__x86_64__)
extern const SimdOps simd_avx2;
extern const SimdOps simd_avx512;
extern const SimdOps simd_avx512bf16;
#endif

}  // namespace kvsieve::kernels
