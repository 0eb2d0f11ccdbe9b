#pragma once
// Times that others measured, as rows of a CSV file: the documented schema and the forms of public
// data sets (docs/measured-data.md).

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
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
  std::string engine;  ///< e.g. VLLM; compared without letter case
  std::string engine_version;
  MeasuredOp op = MeasuredOp::kDecodeAttention;
  std::int64_t batch = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::string kv_dtype;  ///< of attention rows: bfloat16, float16, float32, fp8 or int8
  std::int64_t context = 0;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::string model;               ///< end_to_end
  std::int64_t output_tokens = 0;  ///< end_to_end; `context` is the prompt
  double latency_us = 0.0;
  std::int64_t line = 0;    ///< in the file, from 1
  std::int64_t number = 0;  ///< among the file's rows, from 0, skipped ones counted
};

/// A name that nothing here goes by, and the rows that bear it.
struct UnknownName {
  std::string name;
  std::int64_t rows = 0;
};

/// A file's rows, and what of it was left out.
struct MeasuredFile {
  std::vector<MeasuredRow> rows;  ///< in the file's order
  std::string form;               ///< kvsieve, aiconfigurator-attention, aiconfigurator-gemm, ...
  std::string name;               ///< of the file, without its folder
  std::int64_t total_rows = 0;    ///< of the file, skipped and unknown ones included
  std::int64_t skipped_rows =
      0;  ///< what the cost model has not: norms, m = 0, prefill, 8-bit GEMM
  std::vector<UnknownName> unknown_models;  ///< whose rows are left out, too
  std::string hash;                         ///< xxh128 of the bytes
};

/// Reads a CSV file (RFC 4180; a byte-order mark and either line end are fine). Its columns tell
/// the form: the first whose required ones are all there, in any order; others are ignored. Throws
/// Error(kBadInput), one line "path:line: ...", for a header that is none of the known ones (naming
/// them), a row with another number of cells, or a value that is no number or out of range.
[[nodiscard]] MeasuredFile read_measured(const std::filesystem::path& path);

/// Bytes of an element of a kv_dtype. Throws Error(kBadInput) for an unknown name.
[[nodiscard]] std::int64_t element_bytes_of(std::string_view kv_dtype);

/// "VLLM 0.14.0": a row's engine with its version, as far as the file names them.
[[nodiscard]] std::string engine_of(const MeasuredRow& row);

/// Equal but for letter case (ASCII).
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

}  // namespace kvsieve::sim
