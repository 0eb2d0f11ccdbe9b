#include "kernels/a2ats/decode_problem.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/a2ats/a2ats_reference.h"
#include "kvsieve/kernels/topk_retrieval.h"

namespace kvsieve::kernels::tests {
namespace {

std::vector<float> normal(std::int64_t count, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> numbers(static_cast<std::size_t>(count));
  std::generate(numbers.begin(), numbers.end(), [&] { return distribution(generator); });
  return numbers;
}

/// Lower triangles [heads, d, d] with diagonals around 1.
std::vector<float> random_factors(std::int64_t heads, std::int64_t d, std::uint32_t seed) {
  std::vector<float> factors = normal(heads * d * d, seed);
  for (std::int64_t at = 0; at < heads * d * d; ++at) {
    const std::int64_t row = at / d % d;
    const std::int64_t column = at % d;
    float& value = factors[static_cast<std::size_t>(at)];
    value = column > row ? 0.0F : column == row ? 0.5F + std::abs(value) : 0.2F * value;
  }
  return factors;
}

HeadSlice slice(const std::vector<float>& values, std::int64_t heads, std::int64_t rows,
                std::int64_t cols, std::int64_t head) {
  return {traces::TensorView{reinterpret_cast<const std::byte*>(values.data()),
                             traces::DType::kF32,
                             {heads, rows, cols}},
          head};
}

double tolerance(traces::DType dtype) {
  return dtype == traces::DType::kF32 ? 2e-5 : dtype == traces::DType::kF16 ? 6e-3 : 5e-2;
}

}  // namespace

std::vector<DecodeCase> decode_cases() {
  std::vector<DecodeCase> cases(1);
  const auto add = [&](auto change) { change(cases.emplace_back(cases.front())); };
  add([](DecodeCase& item) { item.dtype = traces::DType::kF16; });
  add([](DecodeCase& item) { item.dtype = traces::DType::kBF16; });
  add([](DecodeCase& item) { item.group = 1; });
  add([](DecodeCase& item) {
    item.group = 8;
    item.kv_heads = 1;
  });
  add([](DecodeCase& item) {
    item.head_dim = 128;
    item.interleaved = true;
  });
  add([](DecodeCase& item) {
    item.head_dim = 80;
    item.softcap = true;
  });
  // Everything is sinks and window; the first tokens become sinks while steps go on.
  add([](DecodeCase& item) {
    item.prompt_tokens = 14;
    item.steps = 8;
  });
  add([](DecodeCase& item) {
    item.prompt_tokens = 19;
    item.steps = 5;
  });
  add([](DecodeCase& item) {
    item.prompt_tokens = 1;
    item.window = 1;
    item.sinks = 0;
  });
  add([](DecodeCase& item) { item.sinks = 0; });
  add([](DecodeCase& item) { item.top = 0; });
  add([](DecodeCase& item) { item.top = 1; });
  add([](DecodeCase& item) { item.top = 1000; });
  add([](DecodeCase& item) { item.hot_buffer = 0; });
  add([](DecodeCase& item) { item.hot_buffer = 3; });
  add([](DecodeCase& item) {
    item.codewords = 300;
    item.prompt_tokens = 200;
  });
  return cases;
}

std::string DecodeCase::name() const {
  return fmt::format("L{} Hkv{} G{} d{} n{}+{} C{} {} sinks {} w {} K {} hot {}{}{}", layers,
                     kv_heads, group, head_dim, prompt_tokens, steps, codewords,
                     traces::name_of(dtype), sinks, window, top, hot_buffer,
                     softcap ? " softcap" : "", interleaved ? " interleaved" : "");
}

DecodeProblem::DecodeProblem(const DecodeCase& item, std::uint32_t seed) : m_item(item) {
  m_rope.dim = item.head_dim;
  m_rope.pairing =
      item.interleaved ? traces::RopePairing::kInterleaved : traces::RopePairing::kHalf;
  m_attention.scale = 1.0 / std::sqrt(static_cast<double>(item.head_dim));
  if (item.softcap) {
    m_attention.softcap = 5.0;
  }
  m_phases = std::make_unique<RopePhases>(traces::RopeTable(m_rope, item.head_dim), item.tokens());
  const std::int64_t d = item.head_dim;
  for (std::int64_t l = 0; l < item.layers; ++l) {
    const std::uint32_t first = seed + 10 * static_cast<std::uint32_t>(l);
    m_layers.push_back({RandomHeads(item.q_heads(), item.steps + 3, d, item.dtype, first, 2.0),
                        RandomHeads(item.kv_heads, item.tokens(), d, item.dtype, first + 1),
                        RandomHeads(item.kv_heads, item.tokens(), d, item.dtype, first + 2),
                        normal(item.kv_heads * item.codewords * d, first + 3),
                        random_factors(item.kv_heads, d, first + 4)});
  }
}

std::vector<RetrievalLayer> DecodeProblem::layers() const {
  std::vector<RetrievalLayer> result;
  for (const Layer& layer : m_layers) {
    RetrievalLayer& view = result.emplace_back();
    view.q = layer.q.view();
    view.k = layer.k.view();
    view.v = layer.v.view();
    view.first_query = 3;  // prompt queries come first
    view.prompt_tokens = m_item.prompt_tokens;
    view.phases = m_phases.get();
    view.attention = m_attention;
    const std::int64_t d = m_item.head_dim;
    for (std::int64_t h = 0; h < m_item.kv_heads; ++h) {
      view.codebooks.push_back({slice(layer.codewords, m_item.kv_heads, m_item.codewords, d, h),
                                slice(layer.factors, m_item.kv_heads, d, d, h)});
    }
  }
  return result;
}

RetrievalEngineOptions DecodeProblem::options(Placement placement, Schedule schedule) const {
  RetrievalEngineOptions options;
  options.sinks = m_item.sinks;
  options.window = m_item.window;
  options.distance = m_item.distance;
  options.placement = placement;
  options.schedule = schedule;
  options.max_top = m_item.top;
  options.hot_buffer = m_item.hot_buffer;
  return options;
}

std::vector<std::int64_t> DecodeProblem::codes(const Layer& layer, std::int64_t kv_head) const {
  const std::int64_t d = m_item.head_dim;
  const Matrix keys = layer.k.exact(kv_head);
  const Matrix factor = to_matrix({layer.factors.data() + kv_head * d * d, d, d});
  const Matrix words =
      to_matrix({layer.codewords.data() + kv_head * m_item.codewords * d, m_item.codewords, d});
  const Matrix z = reference_product(keys, factor);
  const Matrix zeta = reference_product(words, factor);
  std::vector<std::int64_t> result;
  for (std::int64_t j = 0; j < keys.rows; ++j) {
    double best = std::numeric_limits<double>::infinity();
    std::int64_t code = 0;
    for (std::int64_t m = 0; m < zeta.rows; ++m) {
      double distance = 0.0;
      for (std::int64_t t = 0; t < d; ++t) {
        distance += (z.at(j, t) - zeta.at(m, t)) * (z.at(j, t) - zeta.at(m, t));
      }
      if (distance < best) {
        best = distance;
        code = m;
      }
    }
    result.push_back(code);
  }
  return result;
}

ExpectedStep DecodeProblem::expected(std::int64_t layer, std::int64_t step) const {
  return attend_at(layer, step, m_item.prompt_tokens + step);
}

Matrix DecodeProblem::release_output(std::int64_t layer, std::int64_t step) const {
  return attend_at(layer, step, m_item.distance).output;
}

ExpectedStep DecodeProblem::attend_at(std::int64_t l, std::int64_t step,
                                      std::int64_t position) const {
  const Layer& layer = m_layers[static_cast<std::size_t>(l)];
  const std::int64_t d = m_item.head_dim;
  const std::int64_t i = m_item.prompt_tokens + step;
  const TokenRange range = eligible_tokens(i, m_item.sinks, m_item.window);
  ExpectedStep expected;
  expected.output = Matrix(m_item.q_heads(), d);
  for (std::int64_t h = 0; h < m_item.kv_heads; ++h) {
    const std::vector<std::int64_t> code_of = codes(layer, h);
    const Matrix words =
        to_matrix({layer.codewords.data() + h * m_item.codewords * d, m_item.codewords, d});
    const Matrix keys = reference_rope(layer.k.exact(h), 0, m_rope);
    std::vector<bool> attended(static_cast<std::size_t>(i + 1), false);
    std::vector<std::int32_t> united;
    for (std::int64_t g = 0; g < m_item.group; ++g) {
      const Matrix query = rows_of(layer.q.exact(h * m_item.group + g), 3 + step, 1);
      const Matrix table =
          reference_scores(reference_rope(query, m_item.distance, m_rope), words, m_attention);
      std::vector<double> scores(static_cast<std::size_t>(i + 1));
      for (std::size_t j = 0; j < scores.size(); ++j) {
        scores[j] = table.at(0, code_of[j]);
      }
      expected.selected.push_back(
          reference_top(scores, range.begin, range.end, std::min(m_item.top, range.size())));
      for (const std::int32_t j : expected.selected.back()) {
        attended[static_cast<std::size_t>(j)] = true;
      }
    }
    for (std::int64_t j = range.begin; j < range.end; ++j) {
      if (attended[static_cast<std::size_t>(j)]) {
        united.push_back(static_cast<std::int32_t>(j));
      }
    }
    expected.retrieved.push_back(united);
    for (std::int64_t j = 0; j <= i; ++j) {
      if (j < range.begin || j >= range.end) {
        attended[static_cast<std::size_t>(j)] = true;
      }
    }
    for (std::int64_t g = 0; g < m_item.group; ++g) {
      const std::int64_t row = h * m_item.group + g;
      const Matrix query =
          reference_rope(rows_of(layer.q.exact(row), 3 + step, 1), position, m_rope);
      const Matrix scores = reference_scores(query, keys, m_attention);
      double total = 0.0;
      for (std::int64_t j = 0; j <= i; ++j) {
        if (attended[static_cast<std::size_t>(j)]) {
          const double weight = std::exp(scores.at(0, j));
          total += weight;
          for (std::int64_t t = 0; t < d; ++t) {
            expected.output.at(row, t) += weight * layer.v.exact(h).at(j, t);
          }
        }
      }
      for (std::int64_t t = 0; t < d; ++t) {
        expected.output.at(row, t) /= total;
      }
    }
  }
  return expected;
}

void expect_step(const DecodeProblem& problem, std::int64_t step, const DecodeStepRecord& record) {
  const DecodeCase& item = problem.item();
  ASSERT_EQ(static_cast<std::int64_t>(record.layers.size()), item.layers);
  for (std::int64_t l = 0; l < item.layers; ++l) {
    SCOPED_TRACE("layer " + std::to_string(l) + ", step " + std::to_string(step));
    const LayerStep& layer = record.layers[static_cast<std::size_t>(l)];
    const ExpectedStep expected = problem.expected(l, step);
    EXPECT_EQ(layer.selected, expected.selected);
    EXPECT_EQ(layer.retrieved, expected.retrieved);
    ASSERT_EQ(layer.output.size(), expected.output.data.size());
    double worst = 0.0;
    for (std::size_t at = 0; at < layer.output.size(); ++at) {
      const double error =
          std::abs(static_cast<double>(layer.output[at]) - expected.output.data[at]);
      worst = std::isnan(error) ? error : std::max(worst, error);
    }
    EXPECT_LE(worst, tolerance(item.dtype));
  }
}

StepTraffic ledger_traffic(const DecodeCase& item, Placement placement,
                           const DecodeStepRecord& record) {
  const LedgerShape shape{1, item.q_heads(), item.kv_heads, item.head_dim,
                          static_cast<std::int64_t>(traces::size_of(item.dtype))};
  StepTraffic total;
  for (const LayerStep& layer : record.layers) {
    std::int64_t tokens = 0;
    std::int64_t misses = 0;
    std::int64_t runs = 0;
    std::vector<TokenRun> found;
    for (std::size_t h = 0; h < layer.retrieved.size(); ++h) {
      tokens += static_cast<std::int64_t>(layer.retrieved[h].size());
      misses += layer.misses.empty() ? 0 : layer.misses[h];
      find_runs(layer.retrieved[h], found);
      runs += static_cast<std::int64_t>(found.size());
    }
    total += step_traffic(shape, placement, tokens, misses, runs);
  }
  return total;
}

}  // namespace kvsieve::kernels::tests
