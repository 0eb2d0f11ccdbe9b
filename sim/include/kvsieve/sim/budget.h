#pragma once
// A cache budget as users give it: tokens, a share of the prompt, or bytes.

#include <cstdint>
#include <string>
#include <string_view>

#include "kvsieve/kernels/decimal.h"
#include "kvsieve/sim/eviction_method.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// "512" tokens a head, "20%" of the prompt a head, or "64MiB" for K and V of all layers.
struct Budget {
  enum class Kind { kTokens, kShare, kBytes };
  Kind kind = Kind::kShare;
  std::int64_t amount = 0;  ///< tokens or bytes
  kernels::Decimal share{2, 10};

  /// Throws Error(kUsage) naming the text and the accepted forms. Byte units: B, KB, MB, GB
  /// (powers of 1000), KiB, MiB, GiB (powers of 1024).
  [[nodiscard]] static Budget parse(std::string_view text);
  [[nodiscard]] std::string text() const;

  /// Tokens a head, window included: share is floor(share * prompt tokens); bytes are divided by
  /// K + V of one token in every head of all L layers at the trace's dtype.
  [[nodiscard]] std::int64_t tokens_per_head(const traces::TraceHeader& trace,
                                             Granularity granularity) const;
};

}  // namespace kvsieve::sim
