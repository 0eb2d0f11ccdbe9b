#pragma once
// A captured attention trace: one safetensors file (docs/file-formats.md).

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvsieve/traces/model_shape.h"
#include "kvsieve/traces/safetensors.h"

namespace kvsieve::traces {

/// Where a trace came from.
struct TraceSource {
  std::string tool;
  std::string version;
  std::string prompt_sha256;
  std::string note;
};

/// A marked stretch of the prompt, tokens [begin, end), to be found again by a method.
struct Needle {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::string text;
};

/// Everything a trace says of itself apart from its tensors.
struct TraceHeader {
  ModelShape model;
  std::vector<std::int64_t> captured_layers;  ///< ascending layer indices
  std::int64_t prompt_tokens = 0;             ///< n
  std::int64_t decode_tokens = 0;             ///< m; T = n + m
  DType dtype = DType::kF16;                  ///< of k, q, v, wo and out
  TraceSource source;
  std::optional<Needle> needle;

  [[nodiscard]] std::int64_t total_tokens() const noexcept { return prompt_tokens + decode_tokens; }
};

/// One captured layer, tensors still in the file's dtype. k and q are before RoPE.
struct TraceLayer {
  std::int64_t layer = 0;  ///< index in the model
  LayerSpec spec;
  TensorView k;                   ///< [Hkv, T, d]
  TensorView q;                   ///< [Hq, M, d]
  TensorView v;                   ///< [Hkv, T, d]
  TensorView wo;                  ///< [Hq, d, D]
  std::optional<TensorView> out;  ///< [Hq, M, d] attention output before W_O
};

/// A trace opened for reading. The file stays mapped; layers are views into it.
class Trace {
 public:
  /// Opens and checks shapes and metadata (not values). Throws Error(kBadInput), one line that
  /// names the file, the field or tensor, what it holds and what was expected.
  static Trace open(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return m_file.path(); }
  [[nodiscard]] std::uint64_t file_size() const noexcept { return m_file.file_size(); }
  [[nodiscard]] const TraceHeader& header() const noexcept { return m_header; }

  /// [M] positions of the captured queries, strictly ascending: the last prompt positions, then
  /// every decode step.
  [[nodiscard]] std::span<const std::int32_t> query_positions() const noexcept {
    return m_query_positions;
  }
  /// Number of captured queries at prompt positions; they come first.
  [[nodiscard]] std::int64_t prompt_queries() const noexcept { return m_prompt_queries; }

  /// [T] token ids; empty if the trace has none.
  [[nodiscard]] std::span<const std::int32_t> tokens() const noexcept { return m_tokens; }

  /// The i-th captured layer, i in [0, header().captured_layers.size()).
  [[nodiscard]] TraceLayer layer(std::size_t i) const;

  /// Position of model layer `layer` among the captured ones, if it was captured.
  [[nodiscard]] std::optional<std::size_t> find_layer(std::int64_t layer) const noexcept;

  /// Lets the kernel drop a layer's pages, which keeps resident memory to one layer.
  void release(const TraceLayer& layer) const noexcept;

  /// xxh128 of the file, 32 hexadecimal digits.
  [[nodiscard]] std::string hash() const { return m_file.hash(); }

 private:
  explicit Trace(SafetensorsFile file) : m_file(std::move(file)) {}

  SafetensorsFile m_file;
  TraceHeader m_header;
  std::vector<std::int32_t> m_query_positions;
  std::vector<std::int32_t> m_tokens;
  std::int64_t m_prompt_queries = 0;
};

/// Writes a trace piece by piece: shapes are fixed at construction, rows arrive in any order.
class TraceWriter {
 public:
  struct Options {
    bool with_out = true;     ///< the trace has `out` tensors
    bool with_tokens = true;  ///< the trace has token ids
    bool overwrite = false;   ///< replace an existing file
  };

  /// `query_positions` [M] as in Trace::query_positions. Throws Error(kUsage) if the header is
  /// inconsistent or the file exists and `overwrite` is false.
  TraceWriter(const std::filesystem::path& path, const TraceHeader& header,
              std::span<const std::int32_t> query_positions, const Options& options);

  /// rows [n, d] of KV head `kv_head` from token `first_token` on; `layer` is the model's index.
  void write_k(std::int64_t layer, std::int64_t kv_head, std::int64_t first_token,
               std::span<const float> rows);
  void write_v(std::int64_t layer, std::int64_t kv_head, std::int64_t first_token,
               std::span<const float> rows);
  /// rows [n, d] of query head `q_head` from captured query `first_query` on.
  void write_q(std::int64_t layer, std::int64_t q_head, std::int64_t first_query,
               std::span<const float> rows);
  void write_out(std::int64_t layer, std::int64_t q_head, std::int64_t first_query,
                 std::span<const float> rows);
  /// rows [d, D] of query head `q_head`'s slice of the output projection.
  void write_wo(std::int64_t layer, std::int64_t q_head, std::span<const float> rows);
  /// ids [n] from token `first_token` on.
  void write_tokens(std::int64_t first_token, std::span<const std::int32_t> ids);

  /// Syncs and renames into place. Throws Error(kInternal) if any element was never written.
  void commit();

 private:
  struct HeadShape {
    std::int64_t rows;
    std::int64_t columns;
  };

  void write_rows(std::int64_t layer, std::string_view part, const HeadShape& shape,
                  std::int64_t head, std::int64_t first_row, std::span<const float> rows);

  TraceHeader m_header;
  std::int64_t m_queries;
  SafetensorsWriter m_writer;
};

/// The name of a layer's tensor in the file, e.g. "layers.3.k".
[[nodiscard]] std::string tensor_name(std::int64_t layer, std::string_view part);

}  // namespace kvsieve::traces
