#include "adakv/layer_losses.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "exec/cpu/parallel.h"
#include "exec/cpu/scratch.h"
#include "exec/cpu/simd.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kRowsPerTask = 16;  // rows of D numbers that stay in the nearest caches

}  // namespace

LayerLosses::LayerLosses(const CapturedLayer& layer, const LossRequest& request)
    : m_layer(layer),
      m_request(request),
      m_positions(layer.query_positions.subspan(static_cast<std::size_t>(request.queries.first),
                                                static_cast<std::size_t>(request.queries.count))),
      m_stride(panel_count(layer.width()) * kPanelWidth),
      m_order(request.selections.size()),
      m_projections(static_cast<std::size_t>(layer.group())) {
  const auto selections = static_cast<std::int64_t>(request.selections.size());
  m_terms.retained_mass.resize(selections, layer.q_heads(), queries());
  m_terms.kept_norm.resize(selections, layer.q_heads(), queries());
  m_terms.total_norm.resize(1, layer.q_heads(), queries());
  std::iota(m_order.begin(), m_order.end(), std::size_t{0});
  if (!request.projected) {
    return;
  }
  m_output.resize(static_cast<std::size_t>(queries() * m_stride));
  m_difference.resize(static_cast<std::size_t>(selections * queries() * m_stride));
  for (const KeptTokens* kept : request.selections) {
    m_terms.unit_l1.emplace_back(kept->size() * m_positions.size(), 0.0);
    m_terms.layer_l1.emplace_back(m_positions.size(), 0.0);
  }
}

std::span<const std::vector<std::int32_t>> LayerLosses::lists(std::size_t selection) const {
  const std::int64_t each = units_of(selection) / m_layer.kv_heads();
  return std::span(*m_request.selections[selection])
      .subspan(static_cast<std::size_t>(m_kv_head * each), static_cast<std::size_t>(each));
}

/// An order in which selections that agree in the present KV head are neighbours.
bool LayerLosses::precedes(std::size_t a, std::size_t b) const {
  if (units_of(a) != units_of(b)) {
    return units_of(a) < units_of(b);
  }
  const auto own = lists(a);
  const auto other = lists(b);
  // Lists of different decisions seldom are equally long.
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (own[i].size() != other[i].size()) {
      return own[i].size() < other[i].size();
    }
  }
  return std::lexicographical_compare(own.begin(), own.end(), other.begin(), other.end());
}

/// Kept prompt tokens plus all decoded ones, a list a unit of every decision.
void LayerLosses::collect_decisions() {
  std::sort(m_order.begin(), m_order.end(),
            [this](std::size_t a, std::size_t b) { return precedes(a, b); });
  m_decisions.clear();
  std::size_t used = 0;
  for (const std::size_t selection : m_order) {
    if (!m_decisions.empty() && !precedes(m_decisions.back().selections.front(), selection)) {
      m_decisions.back().selections.push_back(selection);
      continue;
    }
    m_decisions.push_back({{selection}, used});
    for (const std::vector<std::int32_t>& kept : lists(selection)) {
      if (m_kept_lists.size() == used) {
        m_kept_lists.emplace_back();
      }
      std::vector<std::int32_t>& list = m_kept_lists[used++];
      list.assign(kept.begin(), kept.end());
      list.resize(kept.size() + static_cast<std::size_t>(m_layer.tokens() - m_layer.prompt_tokens));
      std::iota(list.begin() + static_cast<std::ptrdiff_t>(kept.size()), list.end(),
                static_cast<std::int32_t>(m_layer.prompt_tokens));
    }
  }
  m_kept_views.clear();
  for (const Decision& decision : m_decisions) {
    const bool shared = by_kv_head(decision.selections.front());
    for (std::int64_t member = 0; member < m_layer.group(); ++member) {
      m_kept_views.emplace_back(
          m_kept_lists[decision.first_list + static_cast<std::size_t>(shared ? 0 : member)]);
    }
  }
}

void LayerLosses::add_head(std::int64_t kv_head, const HeadKeys& keys, const HeadValues& values) {
  m_kv_head = kv_head;
  load_group_queries(m_layer.q, kv_head, m_layer.group(), m_request.queries.first, m_positions,
                     *m_layer.phases, m_queries);
  collect_decisions();
  HeadLossProblem problem;
  problem.queries = {m_queries.data(), m_layer.group() * queries(), m_layer.head_dim()};
  problem.positions = m_positions;
  problem.keys = &keys;
  problem.values = &values;
  problem.attention = m_layer.attention;
  problem.kept = m_kept_views;
  problem.selections = static_cast<std::int64_t>(m_decisions.size());
  problem.outputs = m_request.projected;
  if (m_request.norms.rows > 0) {
    problem.norms = m_request.norms.rows_from(kv_head * m_layer.group(), m_layer.group());
  }
  eviction_loss(problem, m_head_loss);
  copy_masses();
  if (!m_request.projected) {
    return;
  }
  for (std::int64_t member = 0; member < m_layer.group(); ++member) {
    m_projections[static_cast<std::size_t>(member)].pack(
        HeadSlice(m_layer.wo, kv_head * m_layer.group() + member));
  }
  add_outputs();
  const std::int64_t blocks = (queries() + kRowsPerTask - 1) / kRowsPerTask;
  parallel_blocks(problem.selections * blocks, 1, [&](std::int64_t task, std::int64_t) {
    const auto number = static_cast<std::size_t>(task / blocks);
    const std::int64_t first = task % blocks * kRowsPerTask;
    add_differences(m_decisions[number], number, first, std::min(kRowsPerTask, queries() - first));
  });
}

void LayerLosses::copy_masses() {
  const std::int64_t group = m_layer.group();
  const std::int64_t first = m_kv_head * group;
  const auto copy = [&](const Tensor3& from, std::int64_t i, Tensor3& to, std::int64_t j) {
    std::copy_n(from.matrix(i).data, group * queries(), to.matrix(j).data + first * queries());
  };
  copy(m_head_loss.total_norm, 0, m_terms.total_norm, 0);
  for (std::size_t number = 0; number < m_decisions.size(); ++number) {
    for (const std::size_t selection : m_decisions[number].selections) {
      const auto from = static_cast<std::int64_t>(number);
      const auto to = static_cast<std::int64_t>(selection);
      copy(m_head_loss.retained_mass, from, m_terms.retained_mass, to);
      copy(m_head_loss.kept_norm, from, m_terms.kept_norm, to);
    }
  }
}

void LayerLosses::add_outputs() {
  for (std::int64_t member = 0; member < m_layer.group(); ++member) {
    project(m_head_loss.output.matrix(member), m_projections[static_cast<std::size_t>(member)],
            {m_output.data(), queries(), m_layer.width(), m_stride});
  }
}

/// Adds the present KV head's part of queries [first, first + rows) of one decision to all of its
/// selections.
void LayerLosses::add_differences(const Decision& decision, std::size_t number, std::int64_t first,
                                  std::int64_t rows) {
  const SimdOps& ops = simd();
  const std::int64_t group = m_layer.group();
  const std::size_t one = decision.selections.front();
  const std::int64_t units = units_of(one) / m_layer.kv_heads();
  Scratch<float> scratch(static_cast<std::size_t>(kRowsPerTask * m_stride));
  std::array<double, kRowsPerTask> norms{};
  for (std::int64_t unit = 0; unit < units; ++unit) {
    if (static_cast<std::int64_t>(lists(one)[static_cast<std::size_t>(unit)].size()) ==
        m_layer.prompt_tokens) {
      continue;  // nothing is evicted, so the difference is zero
    }
    float* projected = scratch.data();
    std::fill_n(projected, rows * m_stride, 0.0F);
    for (std::int64_t member = unit * (group / units); member < (unit + 1) * (group / units);
         ++member) {
      const PackedMatrix& projection = m_projections[static_cast<std::size_t>(member)];
      const MatrixView<float> part =
          m_head_loss.difference.matrix(static_cast<std::int64_t>(number) * group + member);
      ops.multiply(part.data + first * part.stride, part.stride, rows, projection.panels(),
                   projection.panel_stride(), panel_count(projection.columns()), projection.depth(),
                   projected, m_stride, /*accumulate=*/true);
    }
    ops.abs_sum_rows(projected, m_stride, rows, m_layer.width(), norms.data());
    const std::int64_t place = (m_kv_head * units + unit) * queries() + first;
    for (const std::size_t selection : decision.selections) {
      std::copy_n(norms.begin(), rows, m_terms.unit_l1[selection].begin() + place);
      ops.axpy(1.0F, projected, difference(selection, first), rows * m_stride);
    }
  }
}

LossTerms LayerLosses::finish() {
  if (m_request.projected) {
    const SimdOps& ops = simd();
    m_terms.output_l1.resize(m_positions.size());
    ops.abs_sum_rows(m_output.data(), m_stride, queries(), m_layer.width(),
                     m_terms.output_l1.data());
    const auto selections = static_cast<std::int64_t>(m_request.selections.size());
    parallel_blocks(selections, 1, [&](std::int64_t s, std::int64_t) {
      const auto selection = static_cast<std::size_t>(s);
      ops.abs_sum_rows(difference(selection, 0), m_stride, queries(), m_layer.width(),
                       m_terms.layer_l1[selection].data());
    });
  }
  return std::move(m_terms);
}

}  // namespace kvsieve::kernels
