#pragma once
// What the tests of the retrieval replay share.

#include <memory>
#include <string>
#include <string_view>

#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"
#include "sim/eviction/trace_fixture.h"

namespace kvsieve::sim::tests {

/// Two layers of two KV heads with three query heads each, d 16, all 180 prompt queries captured,
/// 11 decode steps.
[[nodiscard]] TraceShape small_shape();

/// A preset with a window of 16 and 4 sinks, so that small traces have eligible tokens.
[[nodiscard]] RetrievalOptions small_options(std::string_view preset, std::string_view top);

/// A codebook of the scorer's kind, trained on the trace's prompt.
[[nodiscard]] std::shared_ptr<const Codebook> codebook_for(const traces::Trace& trace,
                                                           RetrievalScorer scorer,
                                                           std::int64_t codewords,
                                                           std::uint64_t seed = 0,
                                                           bool center_keys = false);

/// Replays; a VQ scorer gets a codebook trained on the same trace, which the reference can read.
[[nodiscard]] RetrievalResult replay(const traces::Trace& trace, RetrievalOptions options,
                                     std::int64_t codewords = 16);

/// Expects every record and mean of `result` to be the reference's.
void expect_matches_reference(const traces::Trace& trace, const RetrievalResult& result);

/// Expects what holds for every method on every trace: the ranges, sums and bounds of its figures.
void expect_sound(const traces::Trace& trace, const RetrievalResult& result);

/// Expects two results to agree bit for bit.
void expect_identical(const RetrievalResult& a, const RetrievalResult& b);

}  // namespace kvsieve::sim::tests
