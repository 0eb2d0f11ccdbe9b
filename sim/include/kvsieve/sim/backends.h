#pragma once
// Which backends this build has, and the engines behind them.

#include <memory>
#include <optional>
#include <string>

#include "kvsieve/kernels/backend.h"
#include "kvsieve/kernels/eviction_engine.h"
#include "kvsieve/kernels/retrieval_engine.h"

namespace kvsieve::sim {

/// Why `backend` cannot run here, in one line, or nothing if it can.
[[nodiscard]] std::optional<std::string> why_unavailable(kernels::Backend backend);

/// Each throws Error(kMissingCapability) if the backend cannot run here.
[[nodiscard]] std::unique_ptr<kernels::EvictionEngine> make_eviction_engine(
    kernels::Backend backend);
[[nodiscard]] std::unique_ptr<kernels::RetrievalEngine> make_retrieval_engine(
    kernels::Backend backend);

}  // namespace kvsieve::sim
