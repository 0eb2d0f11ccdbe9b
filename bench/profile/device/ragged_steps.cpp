#include "device/ragged_steps.h"

#include <algorithm>
#include <string>

#include "adakv/cache_compaction_device.h"
#include "attention/ragged_decode_device.h"
#include "exec/device/operation_range.h"
#include "kvsieve/kernels/stage_range.h"
#include "kvsieve/traces/rope.h"

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {
namespace {

namespace device = kernels::KVSIEVE_BACKEND_NS;
using kernels::HeadSlice;

std::size_t as_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// Rows [rows, d] of a KV head as the cache holds them.
std::vector<std::byte> rounded(traces::DType dtype, const std::vector<float>& rows) {
  std::vector<std::byte> bytes(rows.size() * traces::size_of(dtype));
  traces::from_float(dtype, rows, bytes.data());
  return bytes;
}

template <class T>
std::span<const T> view(const std::vector<T>& elements) {
  return elements;
}

/// All tokens of a KV head: keys after RoPE and values, in the trace's dtype.
struct HeadRows {
  std::vector<std::byte> keys;
  std::vector<std::byte> values;
};

HeadRows head_rows(const traces::TraceLayer& layer, std::int64_t head,
                   const kernels::RopePhases& phases) {
  const std::int64_t tokens = layer.k.shape[1];
  const std::int64_t d = layer.k.shape[2];
  std::vector<float> rows(as_size(tokens * d));
  HeadRows loaded;
  kernels::load_rotated_rows(HeadSlice(layer.k, head), phases, {rows.data(), tokens, d});
  loaded.keys = rounded(layer.k.dtype, rows);
  kernels::load_rows(HeadSlice(layer.v, head), 0, {rows.data(), tokens, d});
  loaded.values = rounded(layer.k.dtype, rows);
  return loaded;
}

}  // namespace

RaggedSteps::RaggedSteps(const traces::Trace& trace, const sim::EvictionResult& result)
    : m_trace(trace), m_failed_segment(1) {
  const traces::TraceHeader& header = trace.header();
  device::fill_device(m_failed_segment.data(), 0, m_failed_segment.size_bytes(), m_stream);
  for (const sim::LayerEviction& eviction : result.layers) {
    if (eviction.touched) {
      const traces::TraceLayer layer = trace.layer(*trace.find_layer(eviction.layer));
      add_layer(layer, eviction,
                kernels::RopePhases(traces::RopeTable(layer.spec.rope, header.model.head_dim),
                                    header.total_tokens()));
      trace.release(layer);
    }
  }
  require_room("compact_cache");
}

void RaggedSteps::add_layer(const traces::TraceLayer& layer, const sim::LayerEviction& eviction,
                            const kernels::RopePhases& phases) {
  Layer& loaded = m_layers.emplace_back();
  loaded.attention = layer.spec.attention;
  const auto units = static_cast<std::int64_t>(eviction.heads.size());
  const traces::ModelShape& model = m_trace.header().model;
  std::vector<std::int64_t> budgets;
  for (const sim::HeadEviction& head : eviction.heads) {
    budgets.push_back(static_cast<std::int64_t>(head.kept.size()));
  }
  const kernels::RaggedLayout layout =
      kernels::make_ragged_layout(budgets, m_trace.header().decode_tokens);
  const std::size_t bytes =
      as_size(layout.rows() * model.head_dim) * traces::size_of(layer.k.dtype);
  loaded.keys = DeviceBuffer<std::byte>(bytes);
  loaded.values = DeviceBuffer<std::byte>(bytes);
  loaded.offsets = DeviceBuffer<std::int64_t>(view(layout.offsets), m_stream);
  loaded.lengths = DeviceBuffer<std::int32_t>(view(layout.lengths), m_stream);
  loaded.out = DeviceBuffer<float>(as_size(model.q_heads * model.head_dim));
  loaded.cache.keys = loaded.keys.data();
  loaded.cache.values = loaded.values.data();
  loaded.cache.dtype = layer.k.dtype;
  loaded.cache.head_dim = model.head_dim;
  loaded.cache.segments = units;
  loaded.cache.offsets = loaded.offsets.data();
  loaded.cache.lengths = loaded.lengths.data();
  const std::int64_t per_head = units / model.kv_heads;

  // The prompt of every unit as prefill leaves it, and the rows of the steps behind it.
  const std::int64_t tokens = layer.k.shape[1];
  const std::int64_t prompt = m_trace.header().prompt_tokens;
  const std::size_t row_bytes = as_size(model.head_dim) * traces::size_of(layer.k.dtype);
  const std::int64_t steps = tokens - prompt;
  std::vector<std::byte> dense_keys(as_size(units * prompt) * row_bytes);
  std::vector<std::byte> dense_values(dense_keys.size());
  std::vector<std::byte> new_keys(as_size(units * steps) * row_bytes);
  std::vector<std::byte> new_values(new_keys.size());
  for (std::int64_t unit = 0; unit < units; ++unit) {
    const HeadRows rows = head_rows(layer, unit / per_head, phases);
    const auto put = [&](const std::vector<std::byte>& from, std::vector<std::byte>& dense,
                         std::vector<std::byte>& added) {
      std::copy_n(from.begin(), as_size(prompt) * row_bytes,
                  dense.begin() + static_cast<std::ptrdiff_t>(as_size(unit * prompt) * row_bytes));
      for (std::int64_t step = 0; step < steps; ++step) {
        std::copy_n(
            from.begin() + static_cast<std::ptrdiff_t>(as_size(prompt + step) * row_bytes),
            row_bytes,
            added.begin() + static_cast<std::ptrdiff_t>(as_size(step * units + unit) * row_bytes));
      }
    };
    put(rows.keys, dense_keys, new_keys);
    put(rows.values, dense_values, new_values);
  }
  loaded.new_keys = DeviceBuffer<std::byte>(view(new_keys), m_stream);
  loaded.new_values = DeviceBuffer<std::byte>(view(new_values), m_stream);
  load_queries(layer, phases, loaded);
  compact(dense_keys, dense_values, eviction, loaded);
}

void RaggedSteps::load_queries(const traces::TraceLayer& layer, const kernels::RopePhases& phases,
                               Layer& loaded) {
  const traces::ModelShape& model = m_trace.header().model;
  const std::int64_t steps = m_trace.header().decode_tokens;
  const std::int64_t first = m_trace.prompt_queries();
  const std::int64_t group = model.q_heads / model.kv_heads;
  std::vector<float> queries(as_size(steps * model.q_heads * model.head_dim));
  std::vector<float> rows;
  for (std::int64_t head = 0; head < model.kv_heads; ++head) {
    kernels::load_group_queries(layer.q, head, group, first,
                                m_trace.query_positions().subspan(as_size(first), as_size(steps)),
                                phases, rows);
    for (std::int64_t member = 0; member < group; ++member) {
      for (std::int64_t step = 0; step < steps; ++step) {
        std::copy_n(
            rows.begin() + (member * steps + step) * model.head_dim, model.head_dim,
            queries.begin() + (step * model.q_heads + head * group + member) * model.head_dim);
      }
    }
  }
  loaded.queries = DeviceBuffer<float>(view(queries), m_stream);
}

void RaggedSteps::compact(const std::vector<std::byte>& dense_keys,
                          const std::vector<std::byte>& dense_values,
                          const sim::LayerEviction& eviction, const Layer& loaded) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
  for (const sim::HeadEviction& head : eviction.heads) {
    tokens.insert(tokens.end(), head.kept.begin(), head.kept.end());
    offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  const DeviceBuffer<std::byte> keys(view(dense_keys), m_stream);
  const DeviceBuffer<std::byte> values(view(dense_values), m_stream);
  const DeviceBuffer<std::int32_t> kept(view(tokens), m_stream);
  const DeviceBuffer<std::int64_t> kept_offsets(view(offsets), m_stream);
  device::CompactCacheArgs args;
  args.dense.keys = keys.data();
  args.dense.values = values.data();
  args.dense.dtype = loaded.cache.dtype;
  args.dense.head_dim = loaded.cache.head_dim;
  args.dense.segments = loaded.cache.segments;
  args.dense.tokens = m_trace.header().prompt_tokens;
  args.dense.segment_stride = args.dense.tokens * args.dense.head_dim;
  args.dense.token_stride = args.dense.head_dim;
  args.kept = {kept.data(), kept_offsets.data(), static_cast<std::int64_t>(tokens.size())};
  args.cache = loaded.cache;
  args.failed_segment = m_failed_segment.data();
  {
    const device::OperationRange range(
        range_text(kernels::kCompactionStage, -1, m_layers.size() - 1).c_str());
    device::compact_cache(args, m_stream);
  }
  // What was uploaded goes away.
  m_stream.synchronize();
}

void RaggedSteps::run(std::int64_t step) {
  const traces::ModelShape& model = m_trace.header().model;
  for (std::size_t l = 0; l < m_layers.size(); ++l) {
    const Layer& layer = m_layers[l];
    const std::int64_t segments = layer.cache.segments;
    const std::size_t new_rows =
        as_size(step * segments * model.head_dim) * traces::size_of(layer.cache.dtype);
    device::AppendTokensArgs append;
    append.rows = {layer.new_keys.data() + new_rows, layer.new_values.data() + new_rows, 1};
    append.cache = layer.cache;
    append.failed_segment = m_failed_segment.data();
    device::append_tokens(append, m_stream);
    kernels::RaggedDecodeArgs args;
    args.cache = layer.cache;
    args.queries = layer.queries.data() + step * model.q_heads * model.head_dim;
    args.group = model.q_heads / segments;
    args.scale = static_cast<float>(layer.attention.scale);
    if (layer.attention.softcap) {
      args.softcap = static_cast<float>(*layer.attention.softcap);
    }
    args.out = layer.out.data();
    const std::size_t bytes = device::ragged_decode_workspace_bytes(args);
    if (m_workspace.size() < bytes) {
      m_workspace = DeviceBuffer<std::byte>(bytes);
    }
    const device::OperationRange range(
        range_text(kernels::kAttentionStage, static_cast<std::int32_t>(step), l).c_str());
    device::ragged_decode(args, m_workspace.data(), m_stream);
  }
  require_room("append_tokens");
}

std::vector<float> RaggedSteps::outputs(std::size_t layer) {
  return m_layers[layer].out.download(m_stream);
}

std::string RaggedSteps::range_text(std::string_view stage, std::int32_t step, std::size_t layer) {
  return kernels::stage_range_text({std::string(stage), step, static_cast<std::int32_t>(layer), 0});
}

void RaggedSteps::require_room(const char* operation) {
  device::require_no_failed_segment(operation, m_failed_segment.download(m_stream).front());
}

}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
