#include "kvsieve/kernels/token_selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "exec/cpu/parallel.h"
#include "exec/cpu/radix_select.h"
#include "exec/cpu/scratch.h"
#include "exec/cpu/simd.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

/// Writes the indices of the `count` largest keys, ascending, ties to the lower index. `out` has
/// room for kPanelWidth more.
void take_top(std::span<const std::uint32_t> keys, std::int64_t count, std::int32_t* out) {
  const RankThreshold threshold = select_threshold(keys, count);
  simd().indices_above(keys.data(), static_cast<std::int64_t>(keys.size()), threshold.key,
                       threshold.ties, 0, out);
}

/// `count`, but none below 0 and no more than there are.
std::int64_t possible(std::int64_t count, std::size_t size) {
  return std::clamp<std::int64_t>(count, 0, static_cast<std::int64_t>(size));
}

/// Appends what take_top writes.
void append_top(std::span<const std::uint32_t> keys, std::int64_t count,
                std::vector<std::int32_t>& selected) {
  const std::size_t before = selected.size();
  const std::size_t after = before + static_cast<std::size_t>(count);
  selected.resize(after + static_cast<std::size_t>(kPanelWidth));
  take_top(keys, count, selected.data() + before);
  selected.resize(after);
}

}  // namespace

void select_tokens(std::span<const float> scores, std::int64_t count,
                   std::vector<std::int32_t>& selected) {
  count = possible(count, scores.size());
  if (count == 0) {
    return;
  }
  Scratch<std::uint32_t> keys(scores.size());
  simd().rank_keys(scores.data(), keys.data(), static_cast<std::int64_t>(scores.size()));
  append_top({keys.data(), scores.size()}, count, selected);
}

void select_layer_tokens(MatrixView<const float> scores, std::span<const std::int64_t> budgets,
                         std::int64_t window, LayerSelection& selection) {
  if (static_cast<std::int64_t>(budgets.size()) != scores.rows || window < 0) {
    throw Error(ErrorKind::kUsage, fmt::format("{} budgets and a window of {} for {} heads",
                                               budgets.size(), window, scores.rows));
  }
  const auto m = static_cast<std::size_t>(scores.cols);
  selection.offsets.assign(1, 0);
  for (const std::int64_t budget : budgets) {
    selection.offsets.push_back(selection.offsets.back() + possible(budget, m) + window);
  }
  selection.tokens.resize(static_cast<std::size_t>(selection.offsets.back()));
  parallel_blocks(scores.rows, 1, [&](std::int64_t head, std::int64_t) {
    const auto slot = static_cast<std::size_t>(head);
    const std::int64_t count = possible(budgets[slot], m);
    std::int32_t* out = selection.tokens.data() + selection.offsets[slot];
    if (count > 0) {
      // A list of this thread's own: what indices_above writes beyond it belongs to other heads.
      Scratch<std::uint32_t> keys(m);
      Scratch<std::int32_t> list(static_cast<std::size_t>(count + kPanelWidth));
      simd().rank_keys(scores.row(head).data(), keys.data(), scores.cols);
      take_top({keys.data(), m}, count, list.data());
      std::copy_n(list.data(), count, out);
    }
    std::iota(out + count, out + count + window, static_cast<std::int32_t>(m));
  });
}

void select_tokens_critical(std::span<const float> scores, std::span<const float> norms,
                            std::int64_t count, std::vector<std::int32_t>& selected) {
  count = possible(count, scores.size());
  if (count == 0) {
    return;
  }
  constexpr std::uint32_t kFirstStage = 0xffffffffU;
  const std::size_t m = scores.size();
  Scratch<std::uint32_t> keys(m);
  simd().rank_keys(scores.data(), keys.data(), static_cast<std::int64_t>(m));
  std::vector<std::int32_t> first;
  if (count / 2 > 0) {
    append_top({keys.data(), m}, count / 2, first);
  }
  for (std::size_t j = 0; j < m; ++j) {
    keys.data()[j] = rank_key(scores[j] * norms[j]);
  }
  for (const std::int32_t j : first) {
    keys.data()[j] = kFirstStage;
  }
  append_top({keys.data(), m}, count, selected);
}

}  // namespace kvsieve::kernels
