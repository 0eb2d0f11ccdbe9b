#include "capture.h"

#include <fmt/format.h>
#include <ggml-backend.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "kvsieve/traces/error.h"

namespace kvsieve::record {
namespace {

/// llama.cpp accumulates angles in fp32, which leaves about 1e-3 at some 10,000 tokens; a wrong
/// theta, pairing or scaling leaves an error near 1.
constexpr double kRotationTolerance = 2e-2;

bool is_view(const ggml_tensor& node) {
  return node.op == GGML_OP_VIEW || node.op == GGML_OP_RESHAPE || node.op == GGML_OP_PERMUTE ||
         node.op == GGML_OP_TRANSPOSE;
}

const ggml_tensor* behind_views(const ggml_tensor* node) {
  while (node != nullptr && is_view(*node)) {
    node = node->src[0];
  }
  return node;
}

[[noreturn]] void unexpected(const ggml_tensor& node, std::string_view what) {
  throw Error(ErrorKind::kInternal,
              fmt::format("llama.cpp's node {} ({}): {}", node.name, ggml_op_name(node.op), what),
              "this build of llama.cpp lays out its graph differently; see docs/recording.md for "
              "the version that is known to work");
}

}  // namespace

Capture::Capture(const traces::TraceHeader& header, std::int64_t first_query,
                 traces::TraceWriter& writer)
    : m_header(header), m_first_query(first_query), m_writer(writer) {
  for (const std::int64_t layer : header.captured_layers) {
    m_rope.emplace_back(header.model.layer(layer).rope, header.model.head_dim);
  }
}

std::int64_t Capture::heads(NodeRole role) const noexcept {
  return role == NodeRole::kQuery || role == NodeRole::kOutput ? m_header.model.q_heads
                                                               : m_header.model.kv_heads;
}

std::size_t Capture::index_of(std::int64_t layer) const {
  const auto& layers = m_header.captured_layers;
  return static_cast<std::size_t>(std::lower_bound(layers.begin(), layers.end(), layer) -
                                  layers.begin());
}

void Capture::begin(std::int64_t first_token, std::int64_t tokens) {
  m_first_token = first_token;
  m_tokens = tokens;
  m_layers_written = 0;
}

void Capture::finish() {
  if (m_error) {
    std::rethrow_exception(m_error);
  }
  if (m_layers_written != m_header.captured_layers.size()) {
    throw Error(
        ErrorKind::kInternal,
        fmt::format("llama.cpp showed {} of {} layers for tokens {} to {}", m_layers_written,
                    m_header.captured_layers.size(), m_first_token, m_first_token + m_tokens - 1));
  }
}

bool Capture::on_node(ggml_tensor* node, bool ask, void* capture) {
  Capture& self = *static_cast<Capture*>(capture);
  if (self.m_error) {
    return false;
  }
  const std::optional<NodeName> name = parse_node_name(node->name);
  if (!name || !self.wants(*node, *name)) {
    return !ask;
  }
  if (ask) {
    return true;
  }
  // llama.cpp cannot carry an exception out of its callback.
  try {
    self.take(*node, *name);
    return true;
  } catch (...) {
    self.m_error = std::current_exception();
    return false;
  }
}

bool Capture::wants(const ggml_tensor& node, const NodeName& name) const {
  if (is_view(node) || (name.role == NodeRole::kQuery && !has_queries())) {
    return false;
  }
  const auto& layers = m_header.captured_layers;
  return std::binary_search(layers.begin(), layers.end(), name.layer);
}

void Capture::take(const ggml_tensor& node, const NodeName& name) {
  Pending& target = pending(name.role);
  if (node.op == GGML_OP_ROPE) {
    check_rotation(node, name, target);
    return;
  }
  if (target.rotated) {
    return;  // anything after RoPE is of no interest
  }
  const std::int64_t elements = m_tokens * heads(name.role) * m_header.model.head_dim;
  if (node.type != GGML_TYPE_F32 || !ggml_is_contiguous(&node) ||
      ggml_nelements(&node) != elements) {
    unexpected(node, fmt::format("{} {} values, expected {} contiguous f32 ones",
                                 ggml_nelements(&node), ggml_type_name(node.type), elements));
  }
  target.node = &node;
  target.values.resize(static_cast<std::size_t>(elements));
  ggml_backend_tensor_get(&node, target.values.data(), 0, ggml_nbytes(&node));
  if (name.role == NodeRole::kOutput) {
    write_layer(name.layer);
  }
}

void Capture::check_rotation(const ggml_tensor& rope, const NodeName& name,
                             Pending& pending) const {
  if (pending.node == nullptr || behind_views(rope.src[0]) != pending.node) {
    unexpected(rope, "its source was not seen before it");
  }
  pending.rotated = true;
  // One token a micro-batch suffices: it proves theta, scaling and pairing of the layer.
  const auto width = static_cast<std::size_t>(heads(name.role) * m_header.model.head_dim);
  const std::size_t offset = static_cast<std::size_t>(m_tokens - 1) * width;
  std::vector<float> theirs(width);
  ggml_backend_tensor_get(&rope, theirs.data(), offset * sizeof(float), width * sizeof(float));
  std::vector<float> ours(pending.values.begin() + static_cast<std::ptrdiff_t>(offset),
                          pending.values.end());
  const traces::RopeTable& table = m_rope[index_of(name.layer)];
  const traces::RopePhase phase = table.phase(m_first_token + m_tokens - 1);
  const auto head_dim = static_cast<std::size_t>(m_header.model.head_dim);
  double error = 0.0;
  double norm = 0.0;
  for (std::size_t head = 0; head < width; head += head_dim) {
    table.rotate(phase, std::span(ours).subspan(head, head_dim));
  }
  for (std::size_t i = 0; i < width; ++i) {
    const double value = static_cast<double>(theirs[i]);
    error += (static_cast<double>(ours[i]) - value) * (static_cast<double>(ours[i]) - value);
    norm += value * value;
  }
  // Written so that a NaN fails too.
  if (!(error <= kRotationTolerance * kRotationTolerance * norm)) {
    throw Error(
        ErrorKind::kInternal,
        fmt::format("layer {}: rotating the captured {} by the RoPE parameters of the model "
                    "file does not give llama.cpp's own (relative error {:.2g})",
                    name.layer, name.role == NodeRole::kQuery ? "queries" : "keys",
                    std::sqrt(error / norm)));
  }
}

void Capture::write_layer(std::int64_t layer) {
  const auto head_dim = static_cast<std::size_t>(m_header.model.head_dim);
  const auto gather = [&](NodeRole role, std::int64_t head, std::int64_t first) {
    const auto stride = static_cast<std::size_t>(heads(role)) * head_dim;
    const std::vector<float>& values = pending(role).values;
    m_rows.clear();
    for (std::int64_t token = first; token < m_tokens; ++token) {
      const auto row =
          values.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(token) * stride +
                                                       static_cast<std::size_t>(head) * head_dim);
      m_rows.insert(m_rows.end(), row, row + static_cast<std::ptrdiff_t>(head_dim));
    }
    return std::span<const float>(m_rows);
  };

  const bool complete = pending(NodeRole::kKey).rotated && pending(NodeRole::kValue).node &&
                        (!has_queries() || pending(NodeRole::kQuery).rotated);
  if (!complete) {
    throw Error(ErrorKind::kInternal,
                fmt::format("layer {}: llama.cpp showed the attention output before its queries, "
                            "keys and values",
                            layer));
  }
  for (std::int64_t head = 0; head < m_header.model.kv_heads; ++head) {
    m_writer.write_k(layer, head, m_first_token, gather(NodeRole::kKey, head, 0));
    m_writer.write_v(layer, head, m_first_token, gather(NodeRole::kValue, head, 0));
  }
  if (has_queries()) {
    const std::int64_t skipped = std::max<std::int64_t>(m_first_query - m_first_token, 0);
    const std::int64_t query = m_first_token + skipped - m_first_query;
    for (std::int64_t head = 0; head < m_header.model.q_heads; ++head) {
      m_writer.write_q(layer, head, query, gather(NodeRole::kQuery, head, skipped));
      m_writer.write_out(layer, head, query, gather(NodeRole::kOutput, head, skipped));
    }
  }
  for (Pending& done : m_pending) {
    done.node = nullptr;
    done.rotated = false;
  }
  ++m_layers_written;
}

}  // namespace kvsieve::record
