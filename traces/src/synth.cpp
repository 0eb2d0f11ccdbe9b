#include "kvsieve/traces/synth.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/rope.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::traces {
namespace {

/// SplitMix64: a full-period generator whose streams are told apart by their seed.
class Random {
 public:
  explicit Random(std::uint64_t seed) : m_state(seed) {}

  std::uint64_t bits() {
    m_state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = m_state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }

  /// Nearly normal with mean 0 and variance 1: a sum of eight 16-bit uniforms. It needs no
  /// transcendental function, so every machine draws the same numbers.
  float normal() {
    std::int64_t sum = 0;
    for (int draw = 0; draw < 2; ++draw) {
      for (std::uint64_t word = bits(), part = 0; part < 4; ++part, word >>= 16U) {
        sum += static_cast<std::int64_t>(word & 0xffffU);
      }
    }
    constexpr double kMean = 8.0 * 65535.0 / 2.0;
    constexpr double kDeviation = 53509.9;  // sqrt(8 * 65536^2 / 12)
    return static_cast<float>((static_cast<double>(sum) - kMean) / kDeviation);
  }

  void fill(std::span<float> values, float deviation) {
    for (float& value : values) {
      value = normal() * deviation;
    }
  }

 private:
  std::uint64_t m_state;
};

enum class Stream : std::uint64_t { kKeys = 1, kValues, kQueries, kProjection, kTokens };

/// A generator of its own for every tensor and head, so that sizes do not disturb each other.
Random stream(const SynthOptions& options, Stream kind, std::int64_t layer, std::int64_t head) {
  Random mix(options.seed);
  for (const std::uint64_t part :
       {static_cast<std::uint64_t>(kind), static_cast<std::uint64_t>(layer),
        static_cast<std::uint64_t>(head)}) {
    mix = Random(mix.bits() ^ (part * 0xd6e8feb86659fd93ULL));
  }
  return mix;
}

void check(const SynthOptions& options) {
  const auto require = [](bool holds, std::string_view option, auto value, std::string_view range) {
    if (!holds) {
      throw Error(ErrorKind::kUsage, fmt::format("--{} is {}, expected {}", option, value, range));
    }
  };
  require(options.layers >= 1 && options.layers <= 4'096, "layers", options.layers, "1 to 4096");
  require(options.kv_heads >= 1 && options.kv_heads <= 16'384, "kv-heads", options.kv_heads,
          "1 to 16384");
  require(
      options.q_heads >= 1 && options.q_heads <= 16'384 && options.q_heads % options.kv_heads == 0,
      "q-heads", options.q_heads, fmt::format("a multiple of --kv-heads {}", options.kv_heads));
  require(options.head_dim >= 2 && options.head_dim % 2 == 0 && options.head_dim <= 4096,
          "head-dim", options.head_dim, "an even number from 2 to 4096");
  const std::int64_t width =
      options.width == 0 ? options.q_heads * options.head_dim : options.width;
  require(width >= 0 && width <= (1 << 24), "width", width, "at most 16777216 (0 means Hq * d)");
  require(options.prompt_tokens >= 1 && options.prompt_tokens <= (1LL << 30), "prompt-tokens",
          options.prompt_tokens, "1 to 2^30");
  const std::int64_t decode_limit = INT32_MAX - options.prompt_tokens;
  require(options.decode_tokens >= 0 && options.decode_tokens <= decode_limit, "decode-tokens",
          options.decode_tokens, fmt::format("0 to {}", decode_limit));
  require(options.prompt_queries >= 0, "prompt-queries", options.prompt_queries, "0 or more");
  require(options.prompt_queries > 0 || options.decode_tokens > 0, "prompt-queries", 0,
          "at least 1 without decode steps, as a trace needs a query");
  require(options.concentration_min >= 0.0 &&
              options.concentration_max >= options.concentration_min &&
              options.concentration_max <= 50.0,
          "concentration",
          fmt::format("{} to {}", options.concentration_min, options.concentration_max),
          "0 <= minimum <= maximum <= 50");
  require(options.drift >= 0.0 && options.drift <= 1.0, "drift", options.drift, "0 to 1");
  require(options.dtype != DType::kI32, "dtype", name_of(options.dtype), "F16, BF16 or F32");
}

TraceHeader make_header(const SynthOptions& options) {
  TraceHeader header;
  ModelShape& model = header.model;
  model.name = "synthetic";
  model.architecture = "synthetic";
  model.layers = options.layers;
  model.q_heads = options.q_heads;
  model.kv_heads = options.kv_heads;
  model.head_dim = options.head_dim;
  model.width = options.width > 0 ? options.width : options.q_heads * options.head_dim;
  model.defaults.rope.dim = options.head_dim;
  model.defaults.attention.scale = 1.0 / std::sqrt(static_cast<double>(options.head_dim));
  for (std::int64_t layer = 0; layer < options.layers; ++layer) {
    header.captured_layers.push_back(layer);
  }
  header.prompt_tokens = options.prompt_tokens;
  header.decode_tokens = options.decode_tokens;
  header.dtype = options.dtype;
  header.source = {"kvsieve synth", "1", "",
                   fmt::format("concentration {}-{}, drift {}, seed {}", options.concentration_min,
                               options.concentration_max, options.drift, options.seed)};
  return header;
}

/// q [M, d] of one head: a direction that drifts from step to step, scaled so that the scores
/// against white-noise keys have the deviation `concentration`.
std::vector<float> make_queries(Random random, std::int64_t queries, std::int64_t head_dim,
                                double concentration, double drift, double scale) {
  const auto width = static_cast<std::size_t>(head_dim);
  const auto normalise = [](std::span<double> x) {
    double norm = 0.0;
    for (const double value : x) {
      norm += value * value;
    }
    norm = norm > 0.0 ? std::sqrt(norm) : 1.0;
    for (double& value : x) {
      value /= norm;
    }
  };
  std::vector<double> direction(width);
  std::vector<double> step(width);
  std::vector<float> rows(static_cast<std::size_t>(queries) * width);
  const double keep = 1.0 - drift;
  const double turn = std::sqrt(1.0 - keep * keep);
  for (std::size_t query = 0; query < static_cast<std::size_t>(queries); ++query) {
    std::generate(step.begin(), step.end(), [&] { return random.normal(); });
    if (query > 0) {
      // Removing the part along the old direction makes the cosine to it exactly 1 - drift.
      double along = 0.0;
      for (std::size_t t = 0; t < width; ++t) {
        along += step[t] * direction[t];
      }
      for (std::size_t t = 0; t < width; ++t) {
        step[t] -= along * direction[t];
      }
    }
    normalise(step);
    for (std::size_t t = 0; t < width; ++t) {
      direction[t] = query == 0 ? step[t] : keep * direction[t] + turn * step[t];
    }
    normalise(direction);
    for (std::size_t t = 0; t < width; ++t) {
      rows[query * width + t] = static_cast<float>(direction[t] * concentration / scale);
    }
  }
  return rows;
}

/// Rounds values as the file will, so that `out` belongs to the stored tensors.
void round_to(DType dtype, std::span<float> values) {
  std::vector<std::byte> stored(values.size() * size_of(dtype));
  from_float(dtype, values, stored.data());
  to_float(dtype, stored.data(), values);
}

float dot(const float* a, const float* b, std::size_t n) {
  std::array<float, 16> lanes{};
  std::size_t t = 0;
  for (; t + lanes.size() <= n; t += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      lanes[lane] += a[t + lane] * b[t + lane];
    }
  }
  float sum = 0.0F;
  for (const float lane : lanes) {
    sum += lane;
  }
  for (; t < n; ++t) {
    sum += a[t] * b[t];
  }
  return sum;
}

/// out [d] of one query at `position`: softmax(scale q.k) v over keys 0..position.
void attend(std::span<const float> q, const std::vector<float>& k, const std::vector<float>& v,
            std::int64_t position, double scale, std::vector<double>& weights,
            std::span<float> out) {
  const std::size_t width = q.size();
  const auto keys = static_cast<std::size_t>(position) + 1;
  weights.resize(keys);
  double largest = -HUGE_VAL;
  for (std::size_t j = 0; j < keys; ++j) {
    weights[j] = scale * static_cast<double>(dot(q.data(), &k[j * width], width));
    largest = std::max(largest, weights[j]);
  }
  double sum = 0.0;
  for (double& weight : weights) {
    weight = std::exp(weight - largest);
    sum += weight;
  }
  std::vector<double> result(width);
  for (std::size_t j = 0; j < keys; ++j) {
    for (std::size_t t = 0; t < width; ++t) {
      result[t] += weights[j] * static_cast<double>(v[j * width + t]);
    }
  }
  for (std::size_t t = 0; t < width; ++t) {
    out[t] = static_cast<float>(result[t] / sum);
  }
}

}  // namespace

void synthesize(const std::filesystem::path& path, const SynthOptions& options) {
  check(options);
  const TraceHeader header = make_header(options);
  const ModelShape& model = header.model;
  const std::int64_t tokens = header.total_tokens();
  const std::int64_t prompt_queries = std::min(options.prompt_queries, options.prompt_tokens);
  const std::int64_t queries = prompt_queries + options.decode_tokens;

  const std::int64_t first_query = options.prompt_tokens - prompt_queries;
  std::vector<std::int32_t> positions;
  for (std::int64_t i = 0; i < queries; ++i) {
    positions.push_back(static_cast<std::int32_t>(first_query + i));
  }
  TraceWriter writer(path, header, positions, {options.with_out, true, options.overwrite});

  Random token_source = stream(options, Stream::kTokens, 0, 0);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
  std::generate(ids.begin(), ids.end(),
                [&] { return static_cast<std::int32_t>(token_source.bits() % 32'000); });
  writer.write_tokens(0, ids);

  const double scale = model.defaults.attention.scale;
  const auto width = static_cast<std::size_t>(model.head_dim);
  const RopeTable rope(model.defaults.rope, model.head_dim);
  std::vector<float> k(static_cast<std::size_t>(tokens) * width);
  std::vector<float> v(k.size());
  std::vector<float> projection(width * static_cast<std::size_t>(model.width));
  std::vector<double> weights;
  for (std::int64_t layer = 0; layer < options.layers; ++layer) {
    for (std::int64_t kv_head = 0; kv_head < model.kv_heads; ++kv_head) {
      stream(options, Stream::kKeys, layer, kv_head).fill(k, 1.0F);
      stream(options, Stream::kValues, layer, kv_head).fill(v, 1.0F);
      writer.write_k(layer, kv_head, 0, k);
      writer.write_v(layer, kv_head, 0, v);
      if (options.with_out) {
        round_to(options.dtype, k);
        round_to(options.dtype, v);
        for (std::int64_t j = 0; j < tokens; ++j) {
          rope.rotate(j, std::span(k).subspan(static_cast<std::size_t>(j) * width, width));
        }
      }
      for (std::int64_t member = 0; member < model.group(); ++member) {
        const std::int64_t head = kv_head * model.group() + member;
        const double spread =
            model.q_heads > 1 ? static_cast<double>(head) / static_cast<double>(model.q_heads - 1)
                              : 0.0;
        const double concentration =
            options.concentration_min +
            spread * (options.concentration_max - options.concentration_min);
        std::vector<float> q = make_queries(stream(options, Stream::kQueries, layer, head), queries,
                                            model.head_dim, concentration, options.drift, scale);
        writer.write_q(layer, head, 0, q);
        if (options.with_out) {
          round_to(options.dtype, q);
          std::vector<float> out(q.size());
          for (std::size_t i = 0; i < static_cast<std::size_t>(queries); ++i) {
            const std::span<float> row = std::span(q).subspan(i * width, width);
            rope.rotate(positions[i], row);
            attend(row, k, v, positions[i], scale, weights,
                   std::span(out).subspan(i * width, width));
          }
          writer.write_out(layer, head, 0, out);
        }
        stream(options, Stream::kProjection, layer, head)
            .fill(projection, static_cast<float>(1.0 / std::sqrt(static_cast<double>(
                                                           model.q_heads * model.head_dim))));
        writer.write_wo(layer, head, projection);
      }
    }
  }
  writer.commit();
}

}  // namespace kvsieve::traces
