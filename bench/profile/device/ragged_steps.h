#pragma once
// Decode steps of an eviction method: attention over the ragged cache of every layer.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "exec/device/runtime.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/ragged_cache.h"
#include "kvsieve/sim/eviction_replay.h"

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {

/// The layers that an eviction touched, on the device in the trace's dtype: keys after RoPE, and as
/// many segments as the eviction has units, so that of query heads each has a cache of its own.
class RaggedSteps {
 public:
  /// Compacts every layer, under the range `compaction`. The result must hold the kept tokens.
  /// Throws Error(kMissingCapability) if there is no GPU or not enough memory, Error(kUsage) for a
  /// shape that has no kernel.
  RaggedSteps(const traces::Trace& trace, const sim::EvictionResult& result);

  /// Runs decode step `step`, from 0, one after the other: appends its token to every layer, and
  /// attends to all that stayed, under the range `attention`.
  void run(std::int64_t step);

  /// Outputs of the last step in the i-th of these layers, [Hq, d].
  [[nodiscard]] std::vector<float> outputs(std::size_t layer);

 private:
  template <class T>
  using DeviceBuffer = kernels::KVSIEVE_BACKEND_NS::DeviceBuffer<T>;

  struct Layer {
    traces::AttentionSpec attention;
    kernels::RaggedCacheView cache;
    DeviceBuffer<std::byte> keys;
    DeviceBuffer<std::byte> values;
    DeviceBuffer<std::int64_t> offsets;
    DeviceBuffer<std::int32_t> lengths;
    // Of all steps:
    DeviceBuffer<float> queries;         ///< [steps, Hq, d], rotated
    DeviceBuffer<std::byte> new_keys;    ///< [steps, segments, d], rotated
    DeviceBuffer<std::byte> new_values;  ///< [steps, segments, d]
    DeviceBuffer<float> out;             ///< [Hq, d]
  };

  void add_layer(const traces::TraceLayer& layer, const sim::LayerEviction& eviction,
                 const kernels::RopePhases& phases);
  void load_queries(const traces::TraceLayer& layer, const kernels::RopePhases& phases,
                    Layer& loaded);
  /// @param dense_keys, dense_values [segments, n, d] of the prompt
  void compact(const std::vector<std::byte>& dense_keys, const std::vector<std::byte>& dense_values,
               const sim::LayerEviction& eviction, const Layer& loaded);
  [[nodiscard]] static std::string range_text(std::string_view stage, std::int32_t step,
                                              std::size_t layer);
  void require_room(const char* operation);

  const traces::Trace& m_trace;
  kernels::KVSIEVE_BACKEND_NS::Stream m_stream;
  std::vector<Layer> m_layers;
  DeviceBuffer<std::int32_t> m_failed_segment;
  DeviceBuffer<std::byte> m_workspace;
};

}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
