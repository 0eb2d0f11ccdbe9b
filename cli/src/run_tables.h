#pragma once
// What `kvsieve run` prints for people.

#include <string>
#include <string_view>

#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::cli {

/// A row a layer in one of the formats of Table, after a summary unless `format` is csv.
[[nodiscard]] std::string describe(const traces::Trace& trace, const sim::EvictionResult& result,
                                   std::string_view format);
[[nodiscard]] std::string describe(const traces::Trace& trace, const sim::RetrievalResult& result,
                                   std::string_view format);

}  // namespace kvsieve::cli
