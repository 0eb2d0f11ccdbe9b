#pragma once
// The engine that runs A2ATS's decode step as device kernels, copies and host work on streams.

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "exec/device/runtime.h"
#include "kvsieve/kernels/retrieval_engine.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// What makes the graph that the engine runs.
using DecodeGraphBuilder = std::function<std::vector<StepTask>(const DecodeGraphShape&)>;

/// `name` is the backend's. Throws Error(kMissingCapability) if there is no device.
[[nodiscard]] std::unique_ptr<RetrievalEngine> make_device_retrieval_engine(
    std::string_view name, DecodeGraphBuilder build_graph = decode_step_graph);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
