#pragma once
// The options of `kvsieve run`, turned into a plan for the replay.

#include <optional>
#include <variant>

#include "arguments.h"
#include "kvsieve/sim/decode_replay.h"
#include "kvsieve/sim/eviction_replay.h"

namespace kvsieve::cli {

/// What to replay: an eviction method at a budget, or a retrieval method.
struct EvictionRun {
  sim::EvictionPlan plan;
  sim::EvictionOptions options;
};
struct RetrievalRun {
  sim::RetrievalOptions options;
  /// How decode steps run on the backend; absent for a replay alone.
  std::optional<sim::DecodeOptions> decode;
};
using RunPlan = std::variant<EvictionRun, RetrievalRun>;

/// Adds the options that describe a method to `arguments`. @param method_required for verbs that
/// always have one
void add_method_options(Arguments& arguments, bool method_required = true);

/// The plan that parsed options describe for a trace of `model` on a backend. A preset name shared
/// by both families means retrieval if --top or --placement is given and eviction otherwise. Throws
/// Error(kUsage) for an unknown method, or an option that the method does not have.
[[nodiscard]] RunPlan make_plan(const Arguments& arguments, const traces::ModelShape& model,
                                kernels::Backend backend);

}  // namespace kvsieve::cli
