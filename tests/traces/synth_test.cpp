#include "kvsieve/traces/synth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "fails_with.h"
#include "kvsieve/traces/trace.h"
#include "temporary_folder.h"

namespace kvsieve::traces {
namespace {

using tests::fails_with;
using tests::read_bytes;
using tests::TemporaryFolder;

SynthOptions small_options() {
  SynthOptions options;
  options.layers = 2;
  options.q_heads = 6;
  options.kv_heads = 2;
  options.head_dim = 20;
  options.width = 11;
  options.prompt_tokens = 60;
  options.decode_tokens = 5;
  options.prompt_queries = 7;
  return options;
}

/// Rows of one head of a [heads, rows, columns] tensor.
std::vector<double> head_of(const TensorView& tensor, std::int64_t head) {
  const std::int64_t count = tensor.shape[1] * tensor.shape[2];
  std::vector<float> values(static_cast<std::size_t>(count));
  to_float(tensor.dtype,
           tensor.data + static_cast<std::size_t>(head * count) * size_of(tensor.dtype), values);
  return {values.begin(), values.end()};
}

/// Half-pair RoPE without scaling, straight from its definition.
void rotate_rows(std::vector<double>& rows, std::size_t width, double theta,
                 std::span<const std::int32_t> positions) {
  const std::size_t pairs = width / 2;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    for (std::size_t t = 0; t < pairs; ++t) {
      const double angle =
          positions[i] * std::pow(theta, -static_cast<double>(t) / static_cast<double>(pairs));
      double& a = rows[i * width + t];
      double& b = rows[i * width + t + pairs];
      const double old = a;
      a = old * std::cos(angle) - b * std::sin(angle);
      b = old * std::sin(angle) + b * std::cos(angle);
    }
  }
}

std::vector<std::int32_t> all_positions(const Trace& trace) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(trace.header().total_tokens()));
  std::iota(positions.begin(), positions.end(), 0);
  return positions;
}

/// Attention scores [M][T] of a query head over all keys, causal or not.
std::vector<std::vector<double>> scores_of(const Trace& trace, const TraceLayer& layer,
                                           std::int64_t head) {
  const auto width = static_cast<std::size_t>(trace.header().model.head_dim);
  const RopeSpec& rope = layer.spec.rope;
  std::vector<double> k = head_of(layer.k, head / trace.header().model.group());
  std::vector<double> q = head_of(layer.q, head);
  rotate_rows(k, width, rope.theta, all_positions(trace));
  rotate_rows(q, width, rope.theta, trace.query_positions());
  std::vector<std::vector<double>> scores(trace.query_positions().size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    for (std::size_t j = 0; j < k.size() / width; ++j) {
      scores[i].push_back(layer.spec.attention.scale * std::inner_product(&q[i * width],
                                                                          &q[i * width] + width,
                                                                          &k[j * width], 0.0));
    }
  }
  return scores;
}

/// The largest difference between the stored `out` and softmax(scale q.k) v in double precision,
/// apart from what rounding to the trace's dtype may cost: `half_step` times the value.
double largest_out_error(const Trace& trace, double half_step) {
  const auto width = static_cast<std::size_t>(trace.header().model.head_dim);
  double largest = 0.0;
  for (std::size_t l = 0; l < trace.header().captured_layers.size(); ++l) {
    const TraceLayer layer = trace.layer(l);
    for (std::int64_t head = 0; head < trace.header().model.q_heads; ++head) {
      const std::vector<std::vector<double>> scores = scores_of(trace, layer, head);
      const std::vector<double> v = head_of(layer.v, head / trace.header().model.group());
      const std::vector<double> out = head_of(*layer.out, head);
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const auto keys = static_cast<std::size_t>(trace.query_positions()[i]) + 1;
        const double top =
            *std::max_element(scores[i].begin(), scores[i].begin() + static_cast<long>(keys));
        std::vector<double> expected(width);
        double sum = 0.0;
        for (std::size_t j = 0; j < keys; ++j) {
          const double weight = std::exp(scores[i][j] - top);
          sum += weight;
          for (std::size_t t = 0; t < width; ++t) {
            expected[t] += weight * v[j * width + t];
          }
        }
        for (std::size_t t = 0; t < width; ++t) {
          const double exact = expected[t] / sum;
          largest =
              std::max(largest, std::abs(exact - out[i * width + t]) - half_step * std::abs(exact));
        }
      }
    }
  }
  return largest;
}

double deviation(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0.0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return std::sqrt(squares / count);
}

TEST(synth, trace_has_the_shape_asked_for) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.dtype = DType::kBF16;
  synthesize(folder / "t", options);
  const Trace trace = Trace::open(folder / "t");
  const TraceHeader& header = trace.header();
  EXPECT_EQ(2, header.model.layers);
  EXPECT_EQ((std::vector<std::int64_t>{0, 1}), header.captured_layers);
  EXPECT_EQ(6, header.model.q_heads);
  EXPECT_EQ(2, header.model.kv_heads);
  EXPECT_EQ(20, header.model.head_dim);
  EXPECT_EQ(11, header.model.width);
  EXPECT_EQ(60, header.prompt_tokens);
  EXPECT_EQ(5, header.decode_tokens);
  EXPECT_EQ(7, trace.prompt_queries());
  EXPECT_EQ(53, trace.query_positions().front());
  EXPECT_EQ(65U, trace.tokens().size());
  EXPECT_EQ(DType::kBF16, header.dtype);
  EXPECT_TRUE(trace.layer(1).out.has_value());
}

TEST(synth, width_defaults_to_all_heads) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.width = 0;
  options.with_out = false;
  synthesize(folder / "t", options);
  const Trace trace = Trace::open(folder / "t");
  EXPECT_EQ(120, trace.header().model.width);
  EXPECT_FALSE(trace.layer(0).out.has_value());
}

TEST(synth, queries_are_capped_at_the_prompt) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.prompt_queries = 1000;
  synthesize(folder / "t", options);
  EXPECT_EQ(60, Trace::open(folder / "t").prompt_queries());
}

TEST(synth, equal_options_give_equal_bytes) {
  const TemporaryFolder folder;
  synthesize(folder / "a", small_options());
  synthesize(folder / "b", small_options());
  EXPECT_EQ(read_bytes(folder / "a"), read_bytes(folder / "b"));
}

TEST(synth, seeds_layers_and_heads_differ) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.concentration_min = options.concentration_max = 2.0;
  synthesize(folder / "a", options);
  options.seed = 1;
  synthesize(folder / "b", options);
  const Trace a = Trace::open(folder / "a");
  const Trace b = Trace::open(folder / "b");
  std::vector<std::vector<double>> tensors;
  for (const Trace* trace : {&a, &b}) {
    for (const std::size_t layer : {0U, 1U}) {
      for (const std::int64_t head : {0, 1}) {
        tensors.push_back(head_of(trace->layer(layer).k, head));
        tensors.push_back(head_of(trace->layer(layer).v, head));
        tensors.push_back(head_of(trace->layer(layer).q, head));
        tensors.push_back(head_of(trace->layer(layer).wo, head));
      }
    }
  }
  std::sort(tensors.begin(), tensors.end());
  EXPECT_EQ(tensors.end(), std::adjacent_find(tensors.begin(), tensors.end()));
  EXPECT_FALSE(std::equal(a.tokens().begin(), a.tokens().end(), b.tokens().begin()));
}

TEST(synth, a_longer_trace_continues_a_shorter_one) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.dtype = DType::kF32;
  synthesize(folder / "short", options);
  options.prompt_tokens = 90;
  synthesize(folder / "long", options);
  const std::vector<double> brief = head_of(Trace::open(folder / "short").layer(1).k, 1);
  const std::vector<double> extended = head_of(Trace::open(folder / "long").layer(1).k, 1);
  EXPECT_TRUE(std::equal(brief.begin(), brief.end(), extended.begin()));
}

TEST(synth, out_is_the_attention_of_the_stored_tensors) {
  const TemporaryFolder folder;
  for (const auto& [dtype, half_step] :
       {std::pair{DType::kF32, 0x1p-24}, std::pair{DType::kF16, 0x1p-11},
        std::pair{DType::kBF16, 0x1p-8}}) {
    SynthOptions options = small_options();
    options.dtype = dtype;
    options.overwrite = true;
    synthesize(folder / "t", options);
    EXPECT_LT(largest_out_error(Trace::open(folder / "t"), half_step), 1e-5) << name_of(dtype);
  }
}

TEST(synth, out_stays_exact_in_very_concentrated_heads) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.dtype = DType::kF32;
  options.concentration_min = 30.0;
  options.concentration_max = 50.0;
  synthesize(folder / "t", options);
  EXPECT_LT(largest_out_error(Trace::open(folder / "t"), 0x1p-24), 1e-3);
}

TEST(synth, scores_have_the_concentration_asked_for) {
  const TemporaryFolder folder;
  SynthOptions options;
  options.layers = 1;
  options.q_heads = 5;
  options.kv_heads = 5;
  options.head_dim = 64;
  options.width = 1;
  options.prompt_tokens = 4000;
  options.decode_tokens = 0;
  options.prompt_queries = 40;
  options.concentration_min = 0.5;
  options.concentration_max = 4.5;
  options.drift = 0.5;
  options.with_out = false;
  synthesize(folder / "t", options);
  const Trace trace = Trace::open(folder / "t");
  for (std::int64_t head = 0; head < 5; ++head) {
    double sum = 0.0;
    for (const std::vector<double>& row : scores_of(trace, trace.layer(0), head)) {
      sum += deviation(row);
    }
    const double expected = 0.5 + static_cast<double>(head);
    EXPECT_NEAR(expected, sum / 40.0, 0.03 * expected) << head;
  }
}

TEST(synth, keys_and_values_are_standard_normal) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.prompt_tokens = 2000;
  options.dtype = DType::kF32;
  options.with_out = false;
  synthesize(folder / "t", options);
  const Trace trace = Trace::open(folder / "t");
  for (const TensorView& tensor : {trace.layer(0).k, trace.layer(1).v}) {
    const std::vector<double> values = head_of(tensor, 1);
    const auto count = static_cast<double>(values.size());
    // Four standard errors of the mean, the deviation and the share within one deviation.
    EXPECT_NEAR(0.0, std::accumulate(values.begin(), values.end(), 0.0) / count, 0.02);
    EXPECT_NEAR(1.0, deviation(values), 0.015);
    const auto within = std::count_if(values.begin(), values.end(),
                                      [](double value) { return std::abs(value) < 1.0; });
    EXPECT_NEAR(0.683, static_cast<double>(within) / count, 0.02);
  }
}

TEST(synth, uniform_attention_is_the_mean_of_the_values) {
  const TemporaryFolder folder;
  SynthOptions options = small_options();
  options.concentration_min = options.concentration_max = 0.0;
  options.dtype = DType::kF32;
  synthesize(folder / "t", options);
  const Trace trace = Trace::open(folder / "t");
  const std::vector<double> v = head_of(trace.layer(0).v, 0);
  const std::vector<double> out = head_of(trace.layer(0).out.value(), 0);
  double mean = 0.0;
  for (std::size_t j = 0; j < 65; ++j) {
    mean += v[j * 20] / 65.0;
  }
  EXPECT_NEAR(mean, out[11 * 20], 1e-6);
}

TEST(synth, queries_drift_by_the_cosine_asked_for) {
  const TemporaryFolder folder;
  for (const double drift : {0.0, 0.05, 0.5, 1.0}) {
    SynthOptions options = small_options();
    options.drift = drift;
    options.dtype = DType::kF32;
    options.with_out = false;
    options.overwrite = true;
    synthesize(folder / "t", options);
    const Trace trace = Trace::open(folder / "t");
    const std::vector<double> q = head_of(trace.layer(1).q, 4);
    for (std::size_t i = 1; i < trace.query_positions().size(); ++i) {
      const double* a = &q[(i - 1) * 20];
      const double* b = &q[i * 20];
      const double norms =
          std::sqrt(std::inner_product(a, a + 20, a, 0.0) * std::inner_product(b, b + 20, b, 0.0));
      EXPECT_NEAR(1.0 - drift, std::inner_product(a, a + 20, b, 0.0) / norms, 1e-6);
    }
  }
}

TEST(synth, options_out_of_range_are_named) {
  const TemporaryFolder folder;
  const auto fails = [&](std::string_view part, auto&& change) {
    SynthOptions options = small_options();
    change(options);
    return fails_with(ErrorKind::kUsage, part, [&] { synthesize(folder / "t", options); });
  };
  using O = SynthOptions;
  EXPECT_TRUE(fails("--layers is 0", [](O& o) { o.layers = 0; }));
  EXPECT_TRUE(fails("--layers is 4097", [](O& o) { o.layers = 4097; }));
  EXPECT_TRUE(fails("--kv-heads is 0", [](O& o) { o.kv_heads = 0; }));
  EXPECT_TRUE(fails("--kv-heads is -2", [](O& o) { o.kv_heads = -2; }));
  EXPECT_TRUE(fails("--q-heads is 5", [](O& o) { o.q_heads = 5; }));
  EXPECT_TRUE(fails("--q-heads is 0", [](O& o) { o.q_heads = 0; }));
  EXPECT_TRUE(fails("--head-dim is 7", [](O& o) { o.head_dim = 7; }));
  EXPECT_TRUE(fails("--head-dim is 0", [](O& o) { o.head_dim = 0; }));
  EXPECT_TRUE(fails("--width is -1", [](O& o) { o.width = -1; }));
  EXPECT_TRUE(fails("--prompt-tokens is 0", [](O& o) { o.prompt_tokens = 0; }));
  EXPECT_TRUE(fails("--decode-tokens is -1", [](O& o) { o.decode_tokens = -1; }));
  EXPECT_TRUE(fails("--prompt-queries is -1", [](O& o) { o.prompt_queries = -1; }));
  EXPECT_TRUE(fails("--drift is 1.5", [](O& o) { o.drift = 1.5; }));
  EXPECT_TRUE(fails("--drift is nan", [](O& o) { o.drift = std::nan(""); }));
  EXPECT_TRUE(fails("--concentration is", [](O& o) { o.concentration_max = 51.0; }));
  EXPECT_TRUE(fails("--concentration is", [](O& o) { o.concentration_max = 0.5; }));
  EXPECT_TRUE(fails("-3", [](O& o) { o.concentration_min = -3.0; }));
  EXPECT_TRUE(fails("--concentration is", [](O& o) { o.concentration_min = std::nan(""); }));
  EXPECT_TRUE(fails("--dtype is I32", [](O& o) { o.dtype = DType::kI32; }));
  EXPECT_TRUE(fails("query", [](O& o) { o.prompt_queries = o.decode_tokens = 0; }));
  EXPECT_TRUE(fails("--decode-tokens is 1073741824",
                    [](O& o) { o.prompt_tokens = o.decode_tokens = 1LL << 30; }));
  EXPECT_TRUE(fails("--width", [](O& o) {
    o.width = 0;  // D = Hq * d leaves the range that a trace allows
    o.q_heads = 16'384;
    o.head_dim = 4096;
  }));
  EXPECT_TRUE(folder.entries().empty());
}

TEST(synth, an_existing_file_is_replaced_only_on_request) {
  const TemporaryFolder folder;
  synthesize(folder / "t", small_options());
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "exists already",
                         [&] { synthesize(folder / "t", small_options()); }));
  SynthOptions options = small_options();
  options.overwrite = true;
  EXPECT_NO_THROW(synthesize(folder / "t", options));
}

}  // namespace
}  // namespace kvsieve::traces
