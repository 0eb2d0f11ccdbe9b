#include "adakv/allocation_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

/// kvpress counts the protected tokens in the floor and keeps at least one token if alpha > 0.
std::int64_t kvpress_floor(std::int64_t b, const AllocationOptions& options) {
  const std::int64_t least = options.alpha.units > 0 ? 1 : 0;
  const std::int64_t safe =
      std::max(options.alpha.floor_times(b + options.protected_tokens), least);
  return std::clamp(safe - options.protected_tokens, std::int64_t{0}, b);
}

std::int64_t divide_half_even(std::int64_t numerator, std::int64_t denominator) {
  const std::int64_t down = numerator / denominator;
  const std::int64_t twice_rest = 2 * (numerator % denominator);
  const bool up = twice_rest > denominator || (twice_rest == denominator && down % 2 != 0);
  return down + (up ? 1 : 0);
}

}  // namespace

AllocationRule allocation_rule(std::int64_t b, const AllocationOptions& options) {
  const Decimal& alpha = options.alpha;
  if (alpha.units > alpha.scale) {
    throw Error(ErrorKind::kUsage, fmt::format("alpha is {}, expected 0 to 1", alpha.text()));
  }
  switch (options.mode) {
    case AlphaMode::kBlend:
      return {0, alpha.scale - alpha.units, alpha.units * b, alpha.scale, false};
    case AlphaMode::kPaperLiteral:
      return {0, alpha.units, (alpha.scale - alpha.units) * b, alpha.scale, false};
    case AlphaMode::kFloor:
      return {alpha.floor_times(b), 1, 0, 1, false};
    case AlphaMode::kFloorKvpress:
      return {kvpress_floor(b, options), 1, 0, 1, false};
    case AlphaMode::kOfficialRounding:
      break;
  }
  return {0, alpha.scale - alpha.units, alpha.floor_times(b) * alpha.scale, alpha.scale, true};
}

std::vector<std::int64_t> round_budgets(const AllocationRule& rule,
                                        std::vector<std::int64_t> shares, std::int64_t total) {
  for (std::int64_t& share : shares) {
    share = rule.slope * share + rule.constant;
    if (rule.half_even) {
      share = divide_half_even(share, rule.scale);
    }
  }
  return rule.half_even ? shares : round_largest_remainder(shares, rule.scale, total);
}

void fail_for_score(std::int64_t head, std::int64_t token, float score) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("the score of head {}, token {} is {}, expected a finite number", head,
                          token, score));
}

void fail_for_first_bad_score(MatrixView<const float> scores) {
  for (std::int64_t head = 0; head < scores.rows; ++head) {
    const std::span<const float> row = scores.row(head);
    const auto bad =
        std::find_if(row.begin(), row.end(), [](float x) { return !std::isfinite(x); });
    if (bad != row.end()) {
      fail_for_score(head, bad - row.begin(), *bad);
    }
  }
  throw Error(ErrorKind::kInternal, "every score is finite after all");
}

}  // namespace kvsieve::kernels
