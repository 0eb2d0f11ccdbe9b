#include "kvsieve/kernels/ragged_cache.h"

#include <fmt/format.h>

#include <limits>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {

RaggedLayout make_ragged_layout(std::span<const std::int64_t> budgets, std::int64_t slack,
                                std::int64_t alignment) {
  constexpr std::int64_t kMostRows = std::numeric_limits<std::int32_t>::max();
  if (slack < 0 || slack > kMostRows || alignment < 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("ragged layout: slack {} and alignment {}, expected 0 to {} and at "
                            "least 1",
                            slack, alignment, kMostRows));
  }
  RaggedLayout layout;
  layout.offsets.reserve(budgets.size() + 1);
  layout.lengths.reserve(budgets.size());
  layout.offsets.push_back(0);
  for (const std::int64_t budget : budgets) {
    if (budget < 0 || budget > kMostRows - slack) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("ragged layout: segment {} has a budget of {} rows and {} of slack, "
                              "expected 0 to {} together",
                              layout.segments(), budget, slack, kMostRows));
    }
    const std::int64_t blocks = (budget + slack + alignment - 1) / alignment;
    layout.offsets.push_back(layout.offsets.back() + blocks * alignment);
    layout.lengths.push_back(static_cast<std::int32_t>(budget));
  }
  return layout;
}

}  // namespace kvsieve::kernels
