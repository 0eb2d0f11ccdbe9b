#pragma once
// What a replay's result depends on, as a canonical document.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::sim {

/// Everything that changes an eviction replay's figures: the trace, method, budget and options, the
/// instruction set and the tool's version.
/// @param trace_hash traces::Trace::hash
[[nodiscard]] nlohmann::ordered_json replay_key(std::string_view trace_hash,
                                                const EvictionPlan& plan,
                                                const EvictionOptions& options);
/// The same of a retrieval replay, but for its placement: the figures of all are there.
/// @param codebook_hash content_hash of options.codebook; empty without one
[[nodiscard]] nlohmann::ordered_json replay_key(std::string_view trace_hash,
                                                const RetrievalOptions& options,
                                                std::string_view codebook_hash);

/// xxh128 of all that replays read of a codebook, 32 hexadecimal digits.
[[nodiscard]] std::string content_hash(const Codebook& codebook);

/// xxh128 of a text, 32 hexadecimal digits.
[[nodiscard]] std::string text_hash(std::string_view text);

}  // namespace kvsieve::sim
