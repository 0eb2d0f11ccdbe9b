#pragma once
// One layer with random heads and eviction decisions, on the host for references and on the device
// for the launchers under test.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "adakv/eviction_loss_device.h"
#include "adakv/projected_loss_device.h"
#include "attention/value_norms_device.h"
#include "kernels/attention/random_heads.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// What a unit keeps.
enum class KeptKind { kNothing, kAll, kWindow, kSome, kMost };
inline constexpr std::size_t kKeptKinds = 5;

struct LossCase {
  std::int64_t kv_heads = 1;
  std::int64_t group = 1;
  std::int64_t head_dim = 64;
  std::int64_t tokens = 64;
  std::int64_t queries = 1;
  std::int64_t selections = 1;
  bool unit_a_query_head = false;
  bool norms = true;
  bool scattered = false;           ///< positions anywhere, in any order, instead of the last ones
  KeptKind kept = KeptKind::kSome;  ///< of selection 0; each further selection the next kind
  traces::DType dtype = traces::DType::kF32;
  std::int64_t width = 64;
  traces::DType projection_dtype = traces::DType::kF32;
  traces::AttentionSpec attention;

  [[nodiscard]] std::int64_t heads() const { return kv_heads * group; }
  [[nodiscard]] std::int64_t units() const { return unit_a_query_head ? heads() : kv_heads; }
  [[nodiscard]] std::string name() const;
};

/// Results as eviction_loss leaves them.
struct LossResult {
  std::vector<float> output;         // [Hq, R, d]
  std::vector<float> difference;     // [S, Hq, R, d]
  std::vector<float> retained_mass;  // [S, Hq, R]
  std::vector<float> kept_norm;      // [S, Hq, R]
  std::vector<float> total_norm;     // [Hq, R]

  bool operator==(const LossResult&) const = default;
};

/// Results as projected_loss leaves them.
struct ProjectedResult {
  std::vector<float> unit_loss;    // [S, U, R]
  std::vector<float> layer_loss;   // [S, R]
  std::vector<float> output_norm;  // [R]

  bool operator==(const ProjectedResult&) const = default;
};

/// A layer's random tensors. kept and norms may be replaced before a run.
struct LossLayer {
  LossCase item;
  tests::RandomRows queries;  ///< [Hq R, d]
  tests::RandomHeads keys;
  tests::RandomHeads values;
  tests::RandomHeads projections;
  std::vector<std::int32_t> positions;
  std::vector<std::vector<std::int32_t>> kept;  ///< [S U] ascending
  std::vector<float> norms;                     ///< [Hq, T] or empty

  explicit LossLayer(const LossCase& loss_case, std::uint32_t seed = 1);

  /// What query head `head` keeps under a selection.
  [[nodiscard]] const std::vector<std::int32_t>& kept_of(std::int64_t selection,
                                                         std::int64_t head) const;
};

/// Elements on the device.
template <class T>
[[nodiscard]] DeviceBuffer<T> upload(const std::vector<T>& elements, Stream& stream) {
  return DeviceBuffer<T>(std::span<const T>(elements), stream);
}
/// `count` results, all NaN until a kernel writes them.
[[nodiscard]] DeviceBuffer<float> unwritten(std::int64_t count, Stream& stream);

[[nodiscard]] LossResult run_eviction_loss(const LossLayer& layer);
[[nodiscard]] std::vector<float> run_value_norms(const LossLayer& layer);
[[nodiscard]] ProjectedResult run_projected_loss(const LossLayer& layer, const LossResult& loss);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
