#pragma once
// Takes queries, keys, values and attention outputs out of llama.cpp's compute graph while it runs.

#include <ggml.h>

#include <array>
#include <cstdint>
#include <exception>
#include <span>
#include <vector>

#include "kvsieve/traces/rope.h"
#include "kvsieve/traces/trace.h"
#include "node_name.h"

namespace kvsieve::record {

/// The evaluation callback of a llama.cpp context, and what it collects. llama.cpp asks for each
/// node whether it is wanted and shows it right after computing it, when its memory is still its
/// own.
///
/// A layer's query and key nodes carry one name through projection, bias, norm and RoPE: the last
/// one before RoPE is kept, and the RoPE node's source must lead back to it. Each micro-batch is
/// written to the trace as soon as its layer's attention output has been seen, so that memory holds
/// one layer of one micro-batch.
class Capture {
 public:
  /// Captures header.captured_layers; queries and outputs from token `first_query` on.
  Capture(const traces::TraceHeader& header, std::int64_t first_query, traces::TraceWriter& writer);

  /// The next evaluation holds tokens [first_token, first_token + tokens).
  void begin(std::int64_t first_token, std::int64_t tokens);

  /// The evaluation is over. Rethrows what went wrong inside the callback; throws Error(kInternal)
  /// if a layer was not seen.
  void finish();

  /// For llama_context_params::cb_eval, with the Capture as its user data.
  static bool on_node(ggml_tensor* node, bool ask, void* capture);

 private:
  struct Pending {
    const ggml_tensor* node = nullptr;
    bool rotated = false;
    std::vector<float> values;  ///< [tokens, heads, d]
  };

  [[nodiscard]] bool wants(const ggml_tensor& node, const NodeName& name) const;
  void take(const ggml_tensor& node, const NodeName& name);
  void check_rotation(const ggml_tensor& rope, const NodeName& name, Pending& pending) const;
  void write_layer(std::int64_t layer);

  [[nodiscard]] Pending& pending(NodeRole role) {
    return m_pending[static_cast<std::size_t>(role)];
  }
  [[nodiscard]] std::int64_t heads(NodeRole role) const noexcept;
  [[nodiscard]] std::size_t index_of(std::int64_t layer) const;
  [[nodiscard]] bool has_queries() const noexcept {
    return m_first_token + m_tokens > m_first_query;
  }

  const traces::TraceHeader& m_header;
  std::int64_t m_first_query;
  traces::TraceWriter& m_writer;
  std::vector<traces::RopeTable> m_rope;  ///< a captured layer each
  std::int64_t m_first_token = 0;
  std::int64_t m_tokens = 0;
  std::size_t m_layers_written = 0;
  std::array<Pending, 4> m_pending;  ///< by NodeRole, of the layer being computed
  std::vector<float> m_rows;         ///< one head's rows, gathered for writing
  std::exception_ptr m_error;
};

}  // namespace kvsieve::record
