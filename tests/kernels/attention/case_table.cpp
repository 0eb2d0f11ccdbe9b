#include "kernels/attention/case_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

namespace kvsieve::kernels::tests {
namespace {

/// Which pairs (factor i at level a, factor j at level b) no row holds yet.
class OpenPairs {
 public:
  explicit OpenPairs(std::span<const std::size_t> levels) : m_levels(levels) {
    m_offsets.push_back(0);
    for (const std::size_t count : levels) {
      m_offsets.push_back(m_offsets.back() + count);
    }
    const std::size_t total = m_offsets.back();
    m_open.assign(total * total, false);
    for (std::size_t i = 0; i < levels.size(); ++i) {
      for (std::size_t j = i + 1; j < levels.size(); ++j) {
        for (std::size_t a = 0; a < levels[i]; ++a) {
          for (std::size_t b = 0; b < levels[j]; ++b) {
            m_open[slot(i, a, j, b)] = true;
          }
        }
      }
    }
  }

  [[nodiscard]] bool open(std::size_t i, std::size_t a, std::size_t j, std::size_t b) const {
    return i < j ? m_open[slot(i, a, j, b)] : m_open[slot(j, b, i, a)];
  }

  void close(const std::vector<std::size_t>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      for (std::size_t j = i + 1; j < row.size(); ++j) {
        m_open[slot(i, row[i], j, row[j])] = false;
      }
    }
  }

 private:
  [[nodiscard]] std::size_t slot(std::size_t i, std::size_t a, std::size_t j, std::size_t b) const {
    return (m_offsets[i] + a) * m_offsets.back() + m_offsets[j] + b;
  }

  std::span<const std::size_t> m_levels;
  std::vector<std::size_t> m_offsets;
  std::vector<bool> m_open;
};

constexpr std::size_t kUnset = static_cast<std::size_t>(-1);

/// Fills what `row` leaves unset with the level that closes most pairs. `turn` varies which of
/// several equally good levels is taken, so that nothing is tested at its first level only.
void complete(const OpenPairs& pairs, std::span<const std::size_t> levels, std::size_t turn,
              std::vector<std::size_t>& row) {
  for (std::size_t factor = 0; factor < levels.size(); ++factor) {
    if (row[factor] != kUnset) {
      continue;
    }
    std::size_t best_gain = 0;
    std::size_t best = turn % levels[factor];
    for (std::size_t step = 0; step < levels[factor]; ++step) {
      const std::size_t level = (turn + step) % levels[factor];
      std::size_t gain = 0;
      for (std::size_t other = 0; other < levels.size(); ++other) {
        if (row[other] != kUnset && pairs.open(factor, level, other, row[other])) {
          ++gain;
        }
      }
      if (gain > best_gain) {
        best_gain = gain;
        best = level;
      }
    }
    row[factor] = best;
  }
}

enum class Mask { kCausal, kSliding, kSoftcap, kBoth };

std::vector<AttentionCase> make_cases() {
  const std::size_t levels[] = {std::size(kTokenCounts),
                                std::size(kHeadDims),
                                std::size(kGroups),
                                std::size(kQueryCounts),
                                std::size(kDTypes),
                                4,
                                2,
                                2,
                                2};
  std::vector<AttentionCase> cases;
  for (const std::vector<std::size_t>& row : pairwise(levels)) {
    AttentionCase& item = cases.emplace_back();
    item.tokens = kTokenCounts[row[0]];
    item.head_dim = kHeadDims[row[1]];
    item.group = kGroups[row[2]];
    item.queries = std::min(kQueryCounts[row[3]], item.tokens);
    item.dtype = kDTypes[row[4]];
    const auto mask = static_cast<Mask>(row[5]);
    item.rope.pairing =
        row[6] == 0 ? traces::RopePairing::kHalf : traces::RopePairing::kInterleaved;
    // Some models rotate only the first dimensions of a head.
    item.rope.dim = row[7] == 0 ? item.head_dim : std::max<std::int64_t>(2, item.head_dim / 4 * 2);
    item.later_tokens = row[8] == 0 ? 0 : 5;
    item.attention.scale = 1.0 / std::sqrt(static_cast<double>(item.head_dim));
    if (mask == Mask::kSliding || mask == Mask::kBoth) {
      item.attention.sliding_window = std::max<std::int64_t>(1, item.tokens / 3);
    }
    if (mask == Mask::kSoftcap || mask == Mask::kBoth) {
      item.attention.softcap = 4.0;
    }
  }
  return cases;
}

}  // namespace

std::vector<std::vector<std::size_t>> pairwise(std::span<const std::size_t> levels) {
  OpenPairs pairs(levels);
  std::vector<std::vector<std::size_t>> rows;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    for (std::size_t j = i + 1; j < levels.size(); ++j) {
      for (std::size_t a = 0; a < levels[i]; ++a) {
        for (std::size_t b = 0; b < levels[j]; ++b) {
          if (!pairs.open(i, a, j, b)) {
            continue;
          }
          std::vector<std::size_t> row(levels.size(), kUnset);
          row[i] = a;
          row[j] = b;
          complete(pairs, levels, rows.size(), row);
          pairs.close(row);
          rows.push_back(row);
        }
      }
    }
  }
  return rows;
}

std::vector<std::int32_t> AttentionCase::positions() const {
  std::vector<std::int32_t> result(static_cast<std::size_t>(queries));
  std::iota(result.begin(), result.end(), static_cast<std::int32_t>(tokens - queries));
  return result;
}

std::string AttentionCase::name() const {
  std::string text =
      fmt::format("G{} d{} n{}+{} R{} {} {}/{}", group, head_dim, tokens, later_tokens, queries,
                  traces::name_of(dtype),
                  rope.pairing == traces::RopePairing::kHalf ? "half" : "interleaved", rope.dim);
  if (attention.sliding_window) {
    text += fmt::format(" sliding {}", *attention.sliding_window);
  }
  if (attention.softcap) {
    text += " softcap";
  }
  return text;
}

const std::vector<AttentionCase>& attention_cases() {
  static const std::vector<AttentionCase> cases = make_cases();
  return cases;
}

}  // namespace kvsieve::kernels::tests
