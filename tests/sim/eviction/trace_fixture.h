#pragma once
// Small traces with chosen shapes and heads, written by TraceWriter into a temporary folder.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/traces/trace.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {

/// One layer's tensors before they are rounded to the trace's dtype.
struct LayerTensors {
  std::int64_t layer = 0;
  std::int64_t head_dim = 0;
  std::vector<std::vector<float>> k;    ///< [Hkv][T * d], before RoPE
  std::vector<std::vector<float>> v;    ///< [Hkv][T * d]
  std::vector<std::vector<float>> q;    ///< [Hq][T * d], a query for every token
  std::vector<std::vector<float>> wo;   ///< [Hq][d * D]
  std::vector<std::vector<float>> out;  ///< [Hq][M * d], empty until the replay's output is known

  /// Row `row` of a head of k, v or q.
  [[nodiscard]] std::span<float> row(std::vector<std::vector<float>>& tensor, std::int64_t head,
                                     std::int64_t row_index) const;
};

/// What a trace looks like; the random numbers depend on seed, layer and head alone.
struct TraceShape {
  std::int64_t layers = 2;
  std::int64_t q_heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 16;
  std::int64_t width = 24;
  std::int64_t prompt_tokens = 96;
  std::int64_t decode_tokens = 5;
  std::int64_t prompt_queries = 48;                      ///< capped at prompt_tokens
  traces::RopeSpec rope;                                 ///< dim 0 means head_dim
  std::map<std::int64_t, traces::RopeSpec> layer_ropes;  ///< of layers that differ
  std::optional<double> softcap;
  std::map<std::int64_t, std::int64_t> sliding_windows;  ///< layer -> window
  std::vector<std::int64_t> captured;                    ///< empty means all layers
  std::optional<traces::Needle> needle;
  traces::DType dtype = traces::DType::kF32;
  /// Deviation of the scores in nats: first and last query head, the others in between.
  double flattest = 0.5;
  double peakiest = 4.0;
  bool with_out = false;
  std::uint64_t seed = 1;
  std::int64_t rows_per_write = 0;                 ///< q is written in pieces; 0 is all at once
  std::function<void(LayerTensors&)> edit;         ///< before anything is written
  std::function<void(LayerTensors&)> edit_stored;  ///< after `out` was computed
  std::function<void(traces::TraceHeader&)> edit_header;  ///< after `out` was computed
};

/// A trace file that lives as long as this object.
class TraceFixture {
 public:
  explicit TraceFixture(const TraceShape& shape);

  [[nodiscard]] const traces::Trace& trace() const { return *m_trace; }
  [[nodiscard]] const kvsieve::tests::TemporaryFolder& folder() const { return m_folder; }

 private:
  void write(const std::string& name, const traces::TraceHeader& header, const TraceShape& shape,
             const std::vector<LayerTensors>& layers, bool with_out);

  kvsieve::tests::TemporaryFolder m_folder;
  std::optional<traces::Trace> m_trace;
};

/// A layer in which RoPE does nothing: rotate only the first pair (rope.dim 2) and clear it in k.
void clear_first_pair(LayerTensors& tensors);

/// Makes every query of all heads zero, so that attention is uniform over the visible keys.
void clear_queries(LayerTensors& tensors);

}  // namespace kvsieve::sim::tests
