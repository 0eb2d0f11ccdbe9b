#include <algorithm>
#include <array>
#include <vector>

#include "exec/cpu/parallel.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/eviction_loss.h"

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kRowsPerTask = kPanelWidth;  // a panel of query rows

/// Everything about the rows [first, last) of member g.
class RowTask {
 public:
  RowTask(const HeadLossProblem& problem, HeadLoss& loss, std::int64_t member, std::int64_t first,
          std::int64_t last)
      : m_problem(problem), m_loss(loss), m_member(member), m_first(first), m_rows(last - first) {}

  void run() {
    const std::int64_t tokens = m_problem.keys->tokens();
    const std::int64_t stride = panel_count(tokens) * kPanelWidth;
    const std::int64_t channels = panel_count(m_problem.values->head_dim()) * kPanelWidth;
    thread_local std::vector<float> weight_buffer;
    thread_local std::vector<float> panel_buffer;
    thread_local std::vector<float> output_buffer;
    weight_buffer.resize(static_cast<std::size_t>(kRowsPerTask * stride));
    panel_buffer.resize(static_cast<std::size_t>(kRowsPerTask * stride));
    output_buffer.resize(static_cast<std::size_t>(2 * kRowsPerTask * channels));
    const MatrixView<float> weights(weight_buffer.data(), m_rows, tokens, stride);
    const MatrixView<float> full(output_buffer.data(), m_rows, m_problem.values->head_dim(),
                                 channels);
    const MatrixView<float> kept(output_buffer.data() + kRowsPerTask * channels, m_rows, full.cols,
                                 channels);

    const auto queries = static_cast<std::int64_t>(m_problem.positions.size());
    attention_scores(m_problem.queries.rows_from(m_member * queries + m_first, m_rows),
                     *m_problem.keys, 0, m_problem.attention, weights);
    softmax_rows(weights,
                 m_problem.positions.subspan(static_cast<std::size_t>(m_first),
                                             static_cast<std::size_t>(m_rows)),
                 m_problem.attention);
    if (m_problem.outputs) {
      weighted_values(weights, *m_problem.values, full);
      for (std::int64_t r = 0; r < m_rows; ++r) {
        std::copy(full.row(r).begin(), full.row(r).end(),
                  m_loss.output.matrix(m_member).row(m_first + r).begin());
      }
    }
    for (std::int64_t r = 0; r < m_rows && m_problem.norms.rows > 0; ++r) {
      m_loss.total_norm.at(0, m_member, m_first + r) =
          simd().dot(weights.row(r).data(), m_problem.norms.row(m_member).data(), tokens);
    }
    if (m_problem.selections > 0) {
      fill_panel(weights, panel_buffer.data());
    }
    for (std::int64_t selection = 0; selection < m_problem.selections; ++selection) {
      evict(selection, weights, panel_buffer.data(), full, kept);
    }
  }

 private:
  /// The weights token by token, so that the sums over a selection's tokens are those of all rows
  /// at once.
  void fill_panel(MatrixView<const float> weights, float* panel) const {
    for (std::int64_t first = 0; first < weights.cols; first += kPanelWidth) {
      const std::int64_t last = std::min(first + kPanelWidth, weights.cols);
      for (std::int64_t r = 0; r < weights.rows; ++r) {
        const float* row = weights.data + r * weights.stride;
        for (std::int64_t j = first; j < last; ++j) {
          panel[j * kPanelWidth + r] = row[j];
        }
      }
    }
  }

  void evict(std::int64_t selection, MatrixView<const float> weights, const float* panel,
             MatrixView<const float> full, MatrixView<float> kept) {
    const std::int64_t slot = selection * m_loss.retained_mass.b + m_member;
    const std::span<const std::int32_t> tokens = m_problem.kept[static_cast<std::size_t>(slot)];
    const auto count = static_cast<std::int64_t>(tokens.size());
    if (count == m_problem.keys->tokens()) {
      // Nothing is evicted: rounding must not show as a loss.
      keep_all(selection, slot);
      return;
    }
    std::array<float, kPanelWidth> sums{};
    simd().panel_sums_indexed(panel, nullptr, tokens.data(), count, sums.data());
    std::copy_n(sums.begin(), m_rows, row_of(m_loss.retained_mass, selection));
    if (m_problem.outputs) {
      weighted_values(weights, *m_problem.values, tokens, kept);
      for (std::int64_t r = 0; r < m_rows; ++r) {
        const float mass = sums[static_cast<std::size_t>(r)];
        // Not times 1 / mass, which overflows for the smallest masses. Without mass, kept is 0.
        const float divisor = mass > 0.0F ? mass : 1.0F;
        const std::span<float> difference = m_loss.difference.matrix(slot).row(m_first + r);
        for (std::size_t t = 0; t < difference.size(); ++t) {
          difference[t] = full.row(r)[t] - kept.row(r)[t] / divisor;
        }
      }
    }
    if (m_problem.norms.rows > 0) {
      simd().panel_sums_indexed(panel, m_problem.norms.row(m_member).data(), tokens.data(), count,
                                sums.data());
      std::copy_n(sums.begin(), m_rows, row_of(m_loss.kept_norm, selection));
    }
  }

  void keep_all(std::int64_t selection, std::int64_t slot) {
    std::fill_n(row_of(m_loss.retained_mass, selection), m_rows, 1.0F);
    std::copy_n(row_of(m_loss.total_norm, 0), m_rows, row_of(m_loss.kept_norm, selection));
    for (std::int64_t r = 0; r < m_rows && m_problem.outputs; ++r) {
      const std::span<float> difference = m_loss.difference.matrix(slot).row(m_first + r);
      std::fill(difference.begin(), difference.end(), 0.0F);
    }
  }

  /// Where this task's rows of a tensor [.., G, R] begin.
  [[nodiscard]] float* row_of(Tensor3& tensor, std::int64_t selection) const {
    return tensor.matrix(selection).row(m_member).data() + m_first;
  }

  const HeadLossProblem& m_problem;
  HeadLoss& m_loss;
  std::int64_t m_member;
  std::int64_t m_first;
  std::int64_t m_rows;
};

}  // namespace

void eviction_loss(const HeadLossProblem& problem, HeadLoss& loss) {
  const auto queries = static_cast<std::int64_t>(problem.positions.size());
  const std::int64_t members = queries == 0 ? 0 : problem.queries.rows / queries;
  const std::int64_t d = problem.values->head_dim();
  loss.output.resize(problem.outputs ? members : 0, queries, d);
  loss.difference.resize(problem.outputs ? problem.selections * members : 0, queries, d);
  loss.retained_mass.resize(problem.selections, members, queries);
  loss.total_norm.resize(1, members, queries);
  loss.kept_norm.resize(problem.selections, members, queries);
  const std::int64_t tasks = (queries + kRowsPerTask - 1) / kRowsPerTask;
  parallel_blocks(members * tasks, 1, [&](std::int64_t task, std::int64_t) {
    const std::int64_t first = task % tasks * kRowsPerTask;
    RowTask(problem, loss, task / tasks, first, std::min(first + kRowsPerTask, queries)).run();
  });
}

void project(MatrixView<const float> x, const PackedMatrix& projection, MatrixView<float> y) {
  parallel_blocks(x.rows, kRowsPerTask, [&](std::int64_t first, std::int64_t last) {
    simd().multiply(x.data + first * x.stride, x.stride, last - first, projection.panels(),
                    projection.panel_stride(), panel_count(projection.columns()),
                    projection.depth(), y.data + first * y.stride, y.stride, /*accumulate=*/true);
  });
}

}  // namespace kvsieve::kernels
