#pragma once
// Times that others measured, as rows of a CSV file: the documented schema and the forms of public
// data sets (docs/measured-data.md).

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kvsieve::sim {

/// What a row measures.
enum class MeasuredOp {
  kDecodeAttention,  ///< one layer, one new token a sequence
  kGemm,             ///< [m, k] x [k, n]
  kEndToEnd,         ///< a batch of requests from first to last token
};
/// decode_attention, gemm, end_to_end.
[[nodiscard]] std::string_view name_of(MeasuredOp op) noexcept;

/// One measured row. Fields that an op has not are 0 or empty.
struct MeasuredRow {
  std::string gpu;     ///< as the file spells it
  std::string engine;  ///< e.g. VLLM
  std::string engine_version;
  MeasuredOp op = MeasuredOp::kDecodeAttention;
  std::int64_t batch = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::string kv_dtype;  ///< bfloat16, float16, fp8, float32
  std::int64_t context = 0;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::string model;               ///< end_to_end
  std::int64_t output_tokens = 0;  ///< end_to_end; `context` is the prompt
  double latency_us = 0.0;
  std::int64_t line = 0;  ///< in the file, from 1
};

/// A file's rows, and what of it was left out.
struct MeasuredFile {
  std::vector<MeasuredRow> rows;  ///< in the file's order
  std::string form;               ///< kvsieve, aiconfigurator-attention, aiconfigurator-gemm, ...
  std::int64_t skipped_rows = 0;  ///< layers that the model has not (norms, embedding), m = 0
  std::string hash;               ///< xxh128 of the bytes
};

/// Reads a CSV file; its header tells the form. Throws Error(kBadInput), one line "path:line: ...",
/// for a header that is none of the known ones (naming them), a row with too few cells, or a value
/// that is no number or out of range.
[[nodiscard]] MeasuredFile read_measured(const std::filesystem::path& path);

/// Bytes of an element of a kv_dtype. Throws Error(kBadInput) for an unknown name.
[[nodiscard]] std::int64_t element_bytes_of(std::string_view kv_dtype);

}  // namespace kvsieve::sim
