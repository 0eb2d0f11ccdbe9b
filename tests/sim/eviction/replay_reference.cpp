#include "sim/eviction/replay_reference.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <numeric>
#include <stdexcept>

namespace kvsieve::sim::tests {
namespace {

using traces::RopePairing;
using traces::RopeScalingType;

/// All rows of one head of a [heads, rows, cols] tensor.
Matrix read_head(const traces::TensorView& tensor, std::int64_t head) {
  Matrix matrix(tensor.shape[1], tensor.shape[2]);
  std::vector<float> values(matrix.data.size());
  const std::size_t offset = static_cast<std::size_t>(head) * values.size();
  traces::to_float(tensor.dtype, tensor.data + offset * traces::size_of(tensor.dtype), values);
  std::copy(values.begin(), values.end(), matrix.data.begin());
  return matrix;
}

double frequency(const traces::RopeSpec& spec, std::int64_t pair) {
  const double plain =
      std::pow(spec.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(spec.dim));
  const traces::RopeScaling& scaling = spec.scaling;
  if (scaling.type == RopeScalingType::kNone) {
    return plain;
  }
  if (scaling.type == RopeScalingType::kLinear) {
    return plain / scaling.factor;
  }
  if (scaling.type != RopeScalingType::kLlama3) {
    throw std::logic_error("the reference has no such scaling");
  }
  // In Llama's own terms: short wavelengths stay, long ones are divided, a ramp lies between.
  const double wavelength = 2.0 * std::numbers::pi / plain;
  const auto context = static_cast<double>(scaling.original_max_position_embeddings);
  if (wavelength < context / scaling.high_freq_factor) {
    return plain;
  }
  if (wavelength > context / scaling.low_freq_factor) {
    return plain / scaling.factor;
  }
  const double smooth = (context / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1.0 - smooth) * plain / scaling.factor + smooth * plain;
}

/// Row r turned to the position at(r): each pair of dimensions is a complex number.
template <class At>
Matrix rotate(Matrix rows, const traces::RopeSpec& spec, At at) {
  const std::int64_t pairs = spec.dim / 2;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const bool half = spec.pairing == RopePairing::kHalf;
      double& x = rows.at(r, half ? pair : 2 * pair);
      double& y = rows.at(r, half ? pair + pairs : 2 * pair + 1);
      const auto turned =
          std::complex<double>(x, y) *
          std::polar(spec.attention_factor, static_cast<double>(at(r)) * frequency(spec, pair));
      x = turned.real();
      y = turned.imag();
    }
  }
  return rows;
}

struct Cell {
  double score = 0.0;
  std::int64_t head = 0;
  std::int64_t token = 0;
};

/// Score descending, then head ascending, then token ascending.
void rank(std::vector<Cell>& cells) {
  std::sort(cells.begin(), cells.end(), [](const Cell& a, const Cell& b) {
    if (a.score != b.score) {
      return a.score > b.score;
    }
    return a.head != b.head ? a.head < b.head : a.token < b.token;
  });
}

void note_margin(const std::vector<Cell>& ranked, std::int64_t count, double& margin) {
  if (count <= 0 || count >= static_cast<std::int64_t>(ranked.size())) {
    return;
  }
  const double last = ranked[static_cast<std::size_t>(count) - 1].score;
  const double next = ranked[static_cast<std::size_t>(count)].score;
  if (last != next) {
    margin = std::min(margin, (last - next) / std::max(std::abs(last), std::abs(next)));
  }
}

std::vector<Cell> row_cells(const Matrix& scores, std::int64_t head, std::int64_t first,
                            std::int64_t end) {
  std::vector<Cell> cells;
  for (std::int64_t j = first; j < end; ++j) {
    cells.push_back({scores.at(head, j), head, j});
  }
  return cells;
}

std::vector<std::int64_t> count_heads(const std::vector<Cell>& ranked, std::int64_t heads,
                                      std::int64_t total) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(heads), 0);
  for (std::int64_t i = 0; i < total; ++i) {
    ++counts.at(static_cast<std::size_t>(ranked.at(static_cast<std::size_t>(i)).head));
  }
  return counts;
}

/// Rounds shares numerator / denominator to integers of the same total: each is rounded down, then
/// the largest fractions get one more.
std::vector<std::int64_t> largest_remainder(const std::vector<std::int64_t>& numerators,
                                            std::int64_t denominator) {
  std::vector<std::int64_t> rounded;
  std::vector<std::pair<std::int64_t, std::size_t>> fractions;
  std::int64_t rest = 0;
  for (std::size_t i = 0; i < numerators.size(); ++i) {
    rounded.push_back(numerators[i] / denominator);
    fractions.emplace_back(-(numerators[i] % denominator), i);
    rest += numerators[i] % denominator;
  }
  std::sort(fractions.begin(), fractions.end());
  for (std::int64_t i = 0; i < rest / denominator; ++i) {
    ++rounded[fractions[static_cast<std::size_t>(i)].second];
  }
  return rounded;
}

std::vector<double> pool(const std::vector<double>& scores, const kernels::Pooling& pooling) {
  if (pooling.kind == kernels::Pooling::Kind::kNone) {
    return scores;
  }
  const bool max = pooling.kind == kernels::Pooling::Kind::kMax;
  std::vector<double> pooled;
  const auto n = static_cast<std::int64_t>(scores.size());
  for (std::int64_t j = 0; j < n; ++j) {
    double sum = 0.0;
    double largest = -HUGE_VAL;
    for (std::int64_t i = j - pooling.kernel / 2; i <= j + pooling.kernel / 2; ++i) {
      const bool inside = i >= 0 && i < n;
      sum += inside ? scores[static_cast<std::size_t>(i)] : 0.0;
      largest = std::max(largest, inside ? scores[static_cast<std::size_t>(i)] : -HUGE_VAL);
    }
    pooled.push_back(max ? largest : sum / static_cast<double>(pooling.kernel));
  }
  return pooled;
}

double abs_sum(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0,
                         [](double sum, double value) { return sum + std::abs(value); });
}

}  // namespace

ReferenceLayer::ReferenceLayer(const traces::Trace& trace, std::size_t index)
    : m_header(trace.header()),
      m_prompt_queries(trace.prompt_queries()),
      m_positions(trace.query_positions().begin(), trace.query_positions().end()) {
  const traces::TraceLayer layer = trace.layer(index);
  m_layer = layer.layer;
  m_spec = layer.spec;
  const traces::ModelShape& model = m_header.model;
  for (std::int64_t head = 0; head < model.kv_heads; ++head) {
    m_raw_keys.push_back(read_head(layer.k, head));
    m_keys.push_back(rotate(m_raw_keys.back(), m_spec.rope, [](std::int64_t r) { return r; }));
    m_values.push_back(read_head(layer.v, head));
  }
  m_norms = Matrix(model.q_heads, m_header.total_tokens());
  for (std::int64_t head = 0; head < model.q_heads; ++head) {
    m_queries.push_back(rotate(read_head(layer.q, head), m_spec.rope, [&](std::int64_t r) {
      return m_positions[static_cast<std::size_t>(r)];
    }));
    m_projections.push_back(read_head(layer.wo, head));
    for (std::int64_t j = 0; j < m_norms.cols; ++j) {
      m_norms.at(head, j) = value_norm(head, j);
    }
  }
}

double ReferenceLayer::value_norm(std::int64_t head, std::int64_t token) const {
  const Matrix& values = m_values[static_cast<std::size_t>(head / m_header.model.group())];
  const Matrix& projection = m_projections[static_cast<std::size_t>(head)];
  double norm = 0.0;
  for (std::int64_t c = 0; c < projection.cols; ++c) {
    double sum = 0.0;
    for (std::int64_t t = 0; t < projection.rows; ++t) {
      sum += values.at(token, t) * projection.at(t, c);
    }
    norm += std::abs(sum);
  }
  return norm;
}

std::int64_t ReferenceLayer::units(Granularity granularity) const {
  return granularity == Granularity::kKvHead ? m_header.model.kv_heads : m_header.model.q_heads;
}

std::int64_t ReferenceLayer::unit_of(Granularity granularity, std::int64_t head) const {
  return granularity == Granularity::kKvHead ? head / m_header.model.group() : head;
}

std::vector<double> ReferenceLayer::weights(std::int64_t head, std::int64_t query,
                                            const std::vector<bool>& present) const {
  const Matrix& keys = m_keys[static_cast<std::size_t>(head / m_header.model.group())];
  const Matrix& queries = m_queries[static_cast<std::size_t>(head)];
  const std::int64_t position = m_positions[static_cast<std::size_t>(query)];
  const traces::AttentionSpec& attention = m_spec.attention;
  std::vector<double> scores(static_cast<std::size_t>(keys.rows), -HUGE_VAL);
  for (std::int64_t j = 0; j <= position; ++j) {
    if (!present.at(static_cast<std::size_t>(j)) ||
        (attention.sliding_window && position - j >= *attention.sliding_window)) {
      continue;
    }
    double score = 0.0;
    for (std::int64_t t = 0; t < keys.cols; ++t) {
      score += queries.at(query, t) * keys.at(j, t);
    }
    score *= attention.scale;
    scores[static_cast<std::size_t>(j)] =
        attention.softcap ? *attention.softcap * std::tanh(score / *attention.softcap) : score;
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (double& score : scores) {
    score = largest == -HUGE_VAL ? 0.0 : std::exp(score - largest);
    sum += score;
  }
  for (double& score : scores) {
    score /= sum > 0.0 ? sum : 1.0;
  }
  return scores;
}

Matrix ReferenceLayer::output(std::int64_t head) const {
  const Matrix& values = m_values[static_cast<std::size_t>(head / m_header.model.group())];
  const std::vector<bool> all(static_cast<std::size_t>(values.rows), true);
  Matrix result(static_cast<std::int64_t>(m_positions.size()), values.cols);
  for (std::int64_t query = 0; query < result.rows; ++query) {
    const std::vector<double> attention = weights(head, query, all);
    for (std::int64_t j = 0; j < values.rows; ++j) {
      for (std::int64_t t = 0; t < values.cols; ++t) {
        result.at(query, t) += attention[static_cast<std::size_t>(j)] * values.at(j, t);
      }
    }
  }
  return result;
}

std::vector<double> ReferenceLayer::column_means(std::int64_t head, std::int64_t first,
                                                 std::int64_t count) const {
  const std::vector<bool> all(static_cast<std::size_t>(m_header.total_tokens()), true);
  std::vector<double> means(static_cast<std::size_t>(m_header.prompt_tokens), 0.0);
  std::vector<std::int64_t> viewers(means.size(), 0);
  for (std::int64_t query = first; query < first + count; ++query) {
    const std::vector<double> attention = weights(head, query, all);
    const std::int64_t position = m_positions[static_cast<std::size_t>(query)];
    for (std::int64_t j = 0; j <= position && j < m_header.prompt_tokens; ++j) {
      means[static_cast<std::size_t>(j)] += attention[static_cast<std::size_t>(j)];
      ++viewers[static_cast<std::size_t>(j)];
    }
  }
  for (std::size_t j = 0; j < means.size(); ++j) {
    means[j] /= static_cast<double>(std::max<std::int64_t>(1, viewers[j]));
  }
  return means;
}

Matrix ReferenceLayer::scores(const EvictionMethod& method) const {
  const traces::ModelShape& model = m_header.model;
  const std::int64_t tokens = std::max<std::int64_t>(0, m_header.prompt_tokens - method.window);
  Matrix scores(units(method.granularity), tokens);
  const auto fill = [&](std::int64_t unit, const std::vector<double>& row) {
    for (std::int64_t j = 0; j < tokens; ++j) {
      scores.at(unit, j) = row.at(static_cast<std::size_t>(j));
    }
  };
  if (method.scorer == Scorer::kRecency || method.scorer == Scorer::kKeyNorm) {
    for (std::int64_t unit = 0; unit < scores.rows; ++unit) {
      const std::int64_t kv_head = unit * model.kv_heads / scores.rows;
      const Matrix& keys = m_raw_keys[static_cast<std::size_t>(kv_head)];
      for (std::int64_t j = 0; j < tokens; ++j) {
        double squares = 0.0;
        for (std::int64_t t = 0; t < keys.cols; ++t) {
          squares += keys.at(j, t) * keys.at(j, t);
        }
        scores.at(unit, j) =
            method.scorer == Scorer::kRecency ? static_cast<double>(j) : -std::sqrt(squares);
      }
    }
    return scores;
  }
  std::int64_t count = std::min(method.window, m_header.prompt_tokens);
  if (method.scorer == Scorer::kAttentionSum) {
    count = m_prompt_queries;
  } else if (method.scorer == Scorer::kLastQuery) {
    count = 1;
  } else if (method.scorer != Scorer::kWindowAttention) {
    throw std::logic_error("the reference has no such scorer");
  }
  std::vector<std::vector<double>> heads;
  for (std::int64_t head = 0; head < model.q_heads; ++head) {
    heads.push_back(column_means(head, m_prompt_queries - count, count));
    heads.back().resize(static_cast<std::size_t>(tokens));
  }
  if (method.scorer == Scorer::kLastQuery) {
    std::vector<double> mean(static_cast<std::size_t>(tokens), 0.0);
    for (std::size_t j = 0; j < mean.size(); ++j) {
      for (const std::vector<double>& head : heads) {
        mean[j] += head[j] / static_cast<double>(model.q_heads);
      }
    }
    for (std::int64_t unit = 0; unit < scores.rows; ++unit) {
      fill(unit, mean);
    }
    return scores;
  }
  const std::int64_t members = model.q_heads / scores.rows;
  for (std::int64_t unit = 0; unit < scores.rows; ++unit) {
    std::vector<double> reduced(static_cast<std::size_t>(tokens), 0.0);
    for (std::size_t j = 0; j < reduced.size(); ++j) {
      for (std::int64_t member = 0; member < members; ++member) {
        const double value = heads[static_cast<std::size_t>(unit * members + member)][j];
        reduced[j] = method.group_reduce == kernels::GroupReduce::kMean
                         ? reduced[j] + value / static_cast<double>(members)
                         : std::max(reduced[j], value);
      }
    }
    fill(unit, pool(reduced, method.pool));
  }
  return scores;
}

std::vector<std::int64_t> reference_pyramid(std::int64_t layers, std::int64_t b, std::int64_t m,
                                            bool official) {
  std::int64_t smallest = b / 20;
  std::int64_t largest = 2 * b - smallest;
  if (largest >= m) {
    largest = m;
    smallest = 2 * b - m;
  }
  if (layers == 1) {
    return {b};
  }
  std::vector<std::int64_t> budgets;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    budgets.push_back(official ? largest - layer * ((largest - smallest) / (layers - 1))
                               : largest * (layers - 1) - layer * (largest - smallest));
  }
  return official ? budgets : largest_remainder(budgets, layers - 1);
}

std::int64_t ReferenceLayer::layer_budget(LayerRule rule, std::int64_t b, std::int64_t m) const {
  if (rule == LayerRule::kUniform) {
    return b;
  }
  std::int64_t layers = 0;
  std::int64_t rank = 0;
  for (std::int64_t layer = 0; layer < m_header.model.layers; ++layer) {
    if (!m_header.model.layer(layer).attention.sliding_window) {
      rank = layer == m_layer ? layers : rank;
      ++layers;
    }
  }
  return reference_pyramid(layers, b, m, rule == LayerRule::kPyramidOfficial)
      .at(static_cast<std::size_t>(rank));
}

std::vector<std::int64_t> reference_budgets(const Matrix& scores, std::int64_t b,
                                            const EvictionMethod& method,
                                            std::int64_t protected_tokens, double& margin) {
  using kernels::AlphaMode;
  const std::int64_t heads = scores.rows;
  if (b >= scores.cols) {
    return std::vector<std::int64_t>(static_cast<std::size_t>(heads), scores.cols);
  }
  const std::int64_t units = method.alpha.units;
  const std::int64_t scale = method.alpha.scale;
  std::int64_t pinned = 0;
  if (method.alpha_mode == AlphaMode::kFloor) {
    pinned = units * b / scale;
  } else if (method.alpha_mode == AlphaMode::kFloorKvpress) {
    const std::int64_t safe =
        std::max<std::int64_t>(units * (b + protected_tokens) / scale, units > 0 ? 1 : 0);
    pinned = std::min(b, std::max<std::int64_t>(0, safe - protected_tokens));
  }
  std::vector<Cell> open;
  for (std::int64_t head = 0; head < heads; ++head) {
    std::vector<Cell> cells = row_cells(scores, head, 0, scores.cols);
    rank(cells);
    note_margin(cells, pinned, margin);
    open.insert(open.end(), cells.begin() + pinned, cells.end());
  }
  rank(open);
  const std::int64_t total = heads * (b - pinned);
  note_margin(open, total, margin);
  std::vector<std::int64_t> budgets = count_heads(open, heads, total);
  switch (method.alpha_mode) {
    case AlphaMode::kFloor:
    case AlphaMode::kFloorKvpress:
      for (std::int64_t& budget : budgets) {
        budget += pinned;
      }
      return budgets;
    case AlphaMode::kOfficialRounding:
      for (std::int64_t& budget : budgets) {
        const double alpha = static_cast<double>(units) / static_cast<double>(scale);
        budget = static_cast<std::int64_t>(std::nearbyint(
            static_cast<double>(budget) * (1.0 - alpha) + static_cast<double>(units * b / scale)));
      }
      return budgets;
    case AlphaMode::kBlend:
    case AlphaMode::kPaperLiteral:
      break;
  }
  const std::int64_t uniform = method.alpha_mode == AlphaMode::kBlend ? units : scale - units;
  for (std::int64_t& budget : budgets) {
    budget = (scale - uniform) * budget + uniform * b;
  }
  return largest_remainder(budgets, scale);
}

ReferenceSelection ReferenceLayer::select(const EvictionMethod& method, std::int64_t budget,
                                          bool twin) const {
  const std::int64_t n = m_header.prompt_tokens;
  ReferenceSelection selection;
  selection.kept.resize(static_cast<std::size_t>(units(method.granularity)));
  if (method.scorer == Scorer::kNone) {
    for (std::vector<std::int32_t>& kept : selection.kept) {
      kept.resize(static_cast<std::size_t>(n));
      std::iota(kept.begin(), kept.end(), 0);
    }
    return selection;
  }
  const std::int64_t window = std::min(method.window, n);
  const std::int64_t sinks =
      std::min({method.sinks, std::max<std::int64_t>(0, budget - window), n - window});
  const std::int64_t m = n - window - sinks;
  const std::int64_t free = std::min(m, std::max<std::int64_t>(0, budget - window - sinks));
  const std::int64_t b = twin ? free : layer_budget(method.layer_rule, free, m);
  const Matrix all = m > 0 ? scores(method) : Matrix(units(method.granularity), 0);
  Matrix candidates(all.rows, m);
  for (std::int64_t unit = 0; unit < all.rows; ++unit) {
    for (std::int64_t j = 0; j < m; ++j) {
      candidates.at(unit, j) = all.at(unit, sinks + j);
    }
  }
  std::vector<std::int64_t> budgets(selection.kept.size(), b);
  if (method.adaptive && !twin) {
    budgets = reference_budgets(candidates, b, method, window + sinks, selection.margin);
  }
  const std::int64_t members = m_header.model.q_heads / all.rows;
  for (std::int64_t unit = 0; unit < all.rows; ++unit) {
    const std::int64_t count = budgets[static_cast<std::size_t>(unit)];
    std::vector<bool> keep(static_cast<std::size_t>(n), false);
    for (std::int64_t j = 0; j < n; ++j) {
      keep[static_cast<std::size_t>(j)] = j < sinks || j >= n - window;
    }
    std::vector<Cell> cells = row_cells(candidates, unit, 0, m);
    rank(cells);
    std::int64_t first = method.two_stage && count < m ? count / 2 : count;
    note_margin(cells, first, selection.margin);
    for (std::int64_t i = 0; i < first; ++i) {
      keep[static_cast<std::size_t>(sinks + cells[static_cast<std::size_t>(i)].token)] = true;
    }
    if (first < count) {
      std::vector<Cell> left(cells.begin() + first, cells.end());
      for (Cell& cell : left) {
        double norm = 0.0;
        for (std::int64_t member = 0; member < members; ++member) {
          norm += m_norms.at(unit * members + member, sinks + cell.token);
        }
        cell.score *= norm / static_cast<double>(members);
      }
      rank(left);
      note_margin(left, count - first, selection.margin);
      for (std::int64_t i = 0; i < count - first; ++i) {
        keep[static_cast<std::size_t>(sinks + left[static_cast<std::size_t>(i)].token)] = true;
      }
    }
    for (std::int64_t j = 0; j < n; ++j) {
      if (keep[static_cast<std::size_t>(j)]) {
        selection.kept[static_cast<std::size_t>(unit)].push_back(static_cast<std::int32_t>(j));
      }
    }
  }
  return selection;
}

ReferenceLoss ReferenceLayer::loss(Granularity granularity, const KeptLists& kept,
                                   std::int64_t first, std::int64_t count) const {
  const traces::ModelShape& model = m_header.model;
  const std::int64_t tokens = m_header.total_tokens();
  const std::int64_t unit_count = units(granularity);
  const auto members = static_cast<double>(model.q_heads / unit_count);
  std::vector<std::vector<bool>> present;
  for (const std::vector<std::int32_t>& list : kept) {
    std::vector<bool> row(static_cast<std::size_t>(tokens), false);
    for (std::int64_t j = m_header.prompt_tokens; j < tokens; ++j) {
      row[static_cast<std::size_t>(j)] = true;
    }
    for (const std::int32_t j : list) {
      row.at(static_cast<std::size_t>(j)) = true;
    }
    present.push_back(std::move(row));
  }
  const std::vector<bool> all(static_cast<std::size_t>(tokens), true);
  const double largest = *std::max_element(m_norms.data.begin(), m_norms.data.end());

  ReferenceLoss loss;
  loss.unit_mass.assign(kept.size(), 0.0);
  loss.unit_loss.assign(kept.size(), 0.0);
  for (std::int64_t query = first; query < first + count; ++query) {
    QueryLoss terms;
    terms.position = m_positions[static_cast<std::size_t>(query)];
    std::vector<double> y(static_cast<std::size_t>(model.width), 0.0);
    Matrix change(unit_count, model.width);
    for (std::int64_t head = 0; head < model.q_heads; ++head) {
      const std::int64_t unit = unit_of(granularity, head);
      const std::vector<bool>& keep = present[static_cast<std::size_t>(unit)];
      const Matrix& values = m_values[static_cast<std::size_t>(head / model.group())];
      const Matrix& projection = m_projections[static_cast<std::size_t>(head)];
      const std::vector<double> before = weights(head, query, all);
      const std::vector<double> after = weights(head, query, keep);
      std::vector<double> o(static_cast<std::size_t>(model.head_dim), 0.0);
      std::vector<double> difference(o.size(), 0.0);
      double mass = 0.0;
      double total_norm = 0.0;
      double kept_norm = 0.0;
      double head_constant = 0.0;
      for (std::int64_t j = 0; j < tokens; ++j) {
        const double a = before[static_cast<std::size_t>(j)];
        const double moved = a - after[static_cast<std::size_t>(j)];
        const double norm = m_norms.at(head, j);
        head_constant = std::max(head_constant, norm);
        total_norm += a * norm;
        if (keep[static_cast<std::size_t>(j)]) {
          mass += a;
          kept_norm += a * norm;
        }
        for (std::int64_t t = 0; t < model.head_dim; ++t) {
          o[static_cast<std::size_t>(t)] += a * values.at(j, t);
          difference[static_cast<std::size_t>(t)] += moved * values.at(j, t);
        }
      }
      for (std::int64_t c = 0; c < model.width; ++c) {
        for (std::int64_t t = 0; t < model.head_dim; ++t) {
          y[static_cast<std::size_t>(c)] += o[static_cast<std::size_t>(t)] * projection.at(t, c);
          change.at(unit, c) += difference[static_cast<std::size_t>(t)] * projection.at(t, c);
        }
      }
      const double evicted = std::max(0.0, 1.0 - mass);
      terms.evicted_mass += evicted / static_cast<double>(model.q_heads);
      loss.unit_mass[static_cast<std::size_t>(unit)] += evicted / members;
      terms.bounds.eps += 2.0 * largest * evicted;
      terms.bounds.head += 2.0 * head_constant * evicted;
      terms.bounds.theta += mass > 0.0 ? total_norm - (2.0 - 1.0 / mass) * kept_norm : total_norm;
    }
    terms.output_l1 = abs_sum(y);
    std::vector<double> sum(y.size(), 0.0);
    for (std::int64_t unit = 0; unit < unit_count; ++unit) {
      const std::span<const double> row = std::span(change.data)
                                              .subspan(static_cast<std::size_t>(unit * model.width),
                                                       static_cast<std::size_t>(model.width));
      loss.unit_loss[static_cast<std::size_t>(unit)] += abs_sum(row);
      std::transform(sum.begin(), sum.end(), row.begin(), sum.begin(), std::plus<>());
    }
    terms.l1_loss = abs_sum(sum);
    loss.queries.push_back(terms);
  }
  for (std::size_t unit = 0; unit < kept.size() && count > 0; ++unit) {
    loss.unit_mass[unit] /= static_cast<double>(count);
    loss.unit_loss[unit] /= static_cast<double>(count);
  }
  return loss;
}

LossFigures reference_figures(std::span<const QueryLoss> queries) {
  const auto mean = [&](auto part) {
    double sum = 0.0;
    for (const QueryLoss& query : queries) {
      sum += part(query);
    }
    return sum / static_cast<double>(queries.size());
  };
  LossFigures figures;
  figures.evicted_mass = mean([](const QueryLoss& query) { return query.evicted_mass; });
  figures.l1_loss = mean([](const QueryLoss& query) { return query.l1_loss; });
  const double output = mean([](const QueryLoss& query) { return query.output_l1; });
  figures.l1_loss_relative = output > 0.0 ? figures.l1_loss / output : 0.0;
  figures.bounds.eps = mean([](const QueryLoss& query) { return query.bounds.eps; });
  figures.bounds.head = mean([](const QueryLoss& query) { return query.bounds.head; });
  figures.bounds.theta = mean([](const QueryLoss& query) { return query.bounds.theta; });
  return figures;
}

}  // namespace kvsieve::sim::tests
