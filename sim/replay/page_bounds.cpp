#include "replay/page_bounds.h"

#include <algorithm>

#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::sim {

void PageBounds::load(const kernels::HeadKeys& keys) {
  const std::int64_t d = keys.head_dim();
  const std::int64_t whole_pages = keys.tokens() / kQuestPageTokens;
  std::vector<float> rows(static_cast<std::size_t>(whole_pages * 2 * d));
  for (std::int64_t page = 0; page < whole_pages; ++page) {
    float* high = rows.data() + page * 2 * d;
    float* low = high + d;
    // Keys are packed 16 to a panel, channel by channel: a page is a panel.
    const float* panel = keys.panels() + page * d * kQuestPageTokens;
    for (std::int64_t t = 0; t < d; ++t) {
      const auto [least, most] =
          std::minmax_element(panel + t * kQuestPageTokens, panel + (t + 1) * kQuestPageTokens);
      high[t] = *most;
      low[t] = *least;
    }
  }
  const traces::TensorView view{reinterpret_cast<const std::byte*>(rows.data()),
                                traces::DType::kF32,
                                {1, whole_pages, 2 * d}};
  m_bounds.load(kernels::HeadSlice(view, 0), nullptr);
}

void PageBounds::score(kernels::MatrixView<const float> queries,
                       const traces::AttentionSpec& attention, std::vector<float>& split,
                       kernels::MatrixView<float> scores) const {
  const std::int64_t d = queries.cols;
  split.resize(static_cast<std::size_t>(queries.rows * 2 * d));
  const kernels::MatrixView<float> halves(split.data(), queries.rows, 2 * d);
  for (std::int64_t r = 0; r < queries.rows; ++r) {
    const auto query = queries.row(r);
    const auto row = halves.row(r);
    for (std::size_t t = 0; t < query.size(); ++t) {
      row[t] = std::max(query[t], 0.0F);
      row[query.size() + t] = std::min(query[t], 0.0F);
    }
  }
  kernels::attention_scores(halves, m_bounds, 0, attention, scores);
}

}  // namespace kvsieve::sim
