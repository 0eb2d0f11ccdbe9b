#include "sim/eviction/trace_fixture.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kvsieve/kernels/counter_random.h"
#include "sim/eviction/replay_reference.h"

namespace kvsieve::sim::tests {
namespace {

class Normal {
 public:
  Normal(std::uint64_t seed, std::uint64_t tensor, std::int64_t layer, std::int64_t head)
      : m_random(seed * 1'000'003 + tensor * 7'919 + static_cast<std::uint64_t>(layer) * 131 +
                 static_cast<std::uint64_t>(head)) {}

  double operator()() {
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) {
      sum += m_random.uniform();
    }
    return sum;
  }

  std::vector<float> rows(std::int64_t count, double deviation) {
    std::vector<float> values(static_cast<std::size_t>(count));
    std::generate(values.begin(), values.end(),
                  [&] { return static_cast<float>((*this)() * deviation); });
    return values;
  }

 private:
  kernels::CounterRandom m_random;
};

/// Queries that keep about half of their direction from step to step, so that a window's attention
/// says something about later queries; `deviation` is that of their scores.
std::vector<float> query_rows(Normal normal, std::int64_t tokens, std::int64_t head_dim,
                              double deviation, double scale) {
  std::vector<double> lasting(static_cast<std::size_t>(head_dim));
  std::generate(lasting.begin(), lasting.end(), [&] { return normal(); });
  std::vector<float> rows;
  std::vector<double> row(lasting.size());
  for (std::int64_t i = 0; i < tokens; ++i) {
    double norm = 0.0;
    for (std::size_t t = 0; t < row.size(); ++t) {
      row[t] = lasting[t] + normal();
      norm += row[t] * row[t];
    }
    for (const double value : row) {
      rows.push_back(static_cast<float>(value / std::sqrt(norm) * deviation / scale));
    }
  }
  return rows;
}

LayerTensors make_layer(const TraceShape& shape, const traces::ModelShape& model,
                        std::int64_t layer) {
  LayerTensors tensors;
  tensors.layer = layer;
  tensors.head_dim = model.head_dim;
  const std::int64_t tokens = shape.prompt_tokens + shape.decode_tokens;
  for (std::int64_t head = 0; head < model.kv_heads; ++head) {
    tensors.k.push_back(Normal(shape.seed, 1, layer, head).rows(tokens * model.head_dim, 1.0));
    tensors.v.push_back(Normal(shape.seed, 2, layer, head).rows(tokens * model.head_dim, 1.0));
  }
  for (std::int64_t head = 0; head < model.q_heads; ++head) {
    const double place = model.q_heads > 1
                             ? static_cast<double>(head) / static_cast<double>(model.q_heads - 1)
                             : 0.5;
    tensors.q.push_back(query_rows(Normal(shape.seed, 3, layer, head), tokens, model.head_dim,
                                   shape.flattest + place * (shape.peakiest - shape.flattest),
                                   model.defaults.attention.scale));
    tensors.wo.push_back(Normal(shape.seed, 4, layer, head)
                             .rows(model.head_dim * model.width,
                                   1.0 / std::sqrt(static_cast<double>(model.head_dim))));
  }
  return tensors;
}

traces::TraceHeader make_header(const TraceShape& shape) {
  traces::TraceHeader header;
  traces::ModelShape& model = header.model;
  model.name = "fixture";
  model.architecture = "test";
  model.layers = shape.layers;
  model.q_heads = shape.q_heads;
  model.kv_heads = shape.kv_heads;
  model.head_dim = shape.head_dim;
  model.width = shape.width;
  model.defaults.rope = shape.rope;
  if (model.defaults.rope.dim == 0) {
    model.defaults.rope.dim = shape.head_dim;
  }
  model.defaults.attention.scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
  model.defaults.attention.softcap = shape.softcap;
  const auto override_of = [&](std::int64_t layer) -> traces::LayerSpec& {
    return model.layer_overrides.try_emplace(layer, model.defaults).first->second;
  };
  for (const auto& [layer, window] : shape.sliding_windows) {
    override_of(layer).attention.sliding_window = window;
  }
  for (const auto& [layer, rope] : shape.layer_ropes) {
    override_of(layer).rope = rope;
  }
  for (std::int64_t layer = 0; layer < shape.layers && shape.captured.empty(); ++layer) {
    header.captured_layers.push_back(layer);
  }
  if (!shape.captured.empty()) {
    header.captured_layers = shape.captured;
  }
  header.prompt_tokens = shape.prompt_tokens;
  header.decode_tokens = shape.decode_tokens;
  header.dtype = shape.dtype;
  header.source = {"fixture", "1", "", ""};
  header.needle = shape.needle;
  return header;
}

}  // namespace

std::span<float> LayerTensors::row(std::vector<std::vector<float>>& tensor, std::int64_t head,
                                   std::int64_t row_index) const {
  return std::span(tensor.at(static_cast<std::size_t>(head)))
      .subspan(static_cast<std::size_t>(row_index * head_dim), static_cast<std::size_t>(head_dim));
}

TraceFixture::TraceFixture(const TraceShape& shape) {
  traces::TraceHeader header = make_header(shape);
  std::vector<LayerTensors> layers;
  for (const std::int64_t layer : header.captured_layers) {
    layers.push_back(make_layer(shape, header.model, layer));
    if (shape.edit) {
      shape.edit(layers.back());
    }
  }
  if (shape.with_out) {
    // The output belongs to the values as stored, so they are read back first.
    write("rounded", header, shape, layers, false);
    const traces::Trace rounded = traces::Trace::open(m_folder / "rounded");
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const ReferenceLayer reference(rounded, i);
      for (std::int64_t head = 0; head < header.model.q_heads; ++head) {
        const Matrix output = reference.output(head);
        layers[i].out.emplace_back(output.data.begin(), output.data.end());
      }
    }
  }
  for (LayerTensors& layer : layers) {
    if (shape.edit_stored) {
      shape.edit_stored(layer);
    }
  }
  if (shape.edit_header) {
    shape.edit_header(header);
  }
  write("fixture.kvtrace", header, shape, layers, shape.with_out);
  m_trace = traces::Trace::open(m_folder / "fixture.kvtrace");
}

void TraceFixture::write(const std::string& name, const traces::TraceHeader& header,
                         const TraceShape& shape, const std::vector<LayerTensors>& layers,
                         bool with_out) {
  const std::int64_t captured = std::min(shape.prompt_queries, shape.prompt_tokens);
  const std::int64_t first = shape.prompt_tokens - captured;
  std::vector<std::int32_t> positions;
  for (std::int64_t i = first; i < header.total_tokens(); ++i) {
    positions.push_back(static_cast<std::int32_t>(i));
  }
  traces::TraceWriter writer(m_folder / name, header, positions,
                             {.with_out = with_out, .with_tokens = false});
  for (const LayerTensors& layer : layers) {
    for (std::size_t head = 0; head < layer.k.size(); ++head) {
      writer.write_k(layer.layer, static_cast<std::int64_t>(head), 0, layer.k[head]);
      writer.write_v(layer.layer, static_cast<std::int64_t>(head), 0, layer.v[head]);
    }
    for (std::size_t head = 0; head < layer.q.size(); ++head) {
      const std::span<const float> rows =
          std::span(layer.q[head]).subspan(static_cast<std::size_t>(first * layer.head_dim));
      const auto queries = static_cast<std::int64_t>(positions.size());
      const std::int64_t piece = shape.rows_per_write > 0 ? shape.rows_per_write : queries;
      for (std::int64_t r = 0; r < queries; r += piece) {
        writer.write_q(
            layer.layer, static_cast<std::int64_t>(head), r,
            rows.subspan(static_cast<std::size_t>(r * layer.head_dim),
                         static_cast<std::size_t>(std::min(piece, queries - r) * layer.head_dim)));
      }
      writer.write_wo(layer.layer, static_cast<std::int64_t>(head), layer.wo[head]);
      if (with_out) {
        writer.write_out(layer.layer, static_cast<std::int64_t>(head), 0, layer.out[head]);
      }
    }
  }
  writer.commit();
}

void clear_first_pair(LayerTensors& tensors) {
  for (std::vector<float>& head : tensors.k) {
    for (std::size_t i = 0; i < head.size(); i += static_cast<std::size_t>(tensors.head_dim)) {
      head[i] = 0.0F;
      head[i + 1] = 0.0F;
    }
  }
}

void clear_queries(LayerTensors& tensors) {
  for (std::vector<float>& head : tensors.q) {
    std::fill(head.begin(), head.end(), 0.0F);
  }
}

}  // namespace kvsieve::sim::tests
