#pragma once
// A small captured sequence of a few layers with codebooks, and what A2ATS's decode step makes of
// it by its formulas (docs/methods.md), in double precision.

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/retrieval_engine.h"

namespace kvsieve::kernels::tests {

struct DecodeCase {
  std::int64_t layers = 2;
  std::int64_t kv_heads = 2;
  std::int64_t group = 2;
  std::int64_t head_dim = 64;
  std::int64_t prompt_tokens = 90;
  std::int64_t steps = 4;
  std::int64_t codewords = 16;
  traces::DType dtype = traces::DType::kF32;
  std::int64_t sinks = 4;
  std::int64_t window = 16;
  std::int64_t distance = 300;
  std::int64_t top = 7;
  std::int64_t hot_buffer = 24;
  bool softcap = false;
  bool interleaved = false;

  [[nodiscard]] std::int64_t tokens() const { return prompt_tokens + steps; }
  [[nodiscard]] std::int64_t q_heads() const { return kv_heads * group; }
  [[nodiscard]] std::string name() const;
};

/// What a layer's step has to give.
struct ExpectedStep {
  std::vector<std::vector<std::int32_t>> selected;   ///< [Hq]
  std::vector<std::vector<std::int32_t>> retrieved;  ///< [Hkv]
  Matrix output;                                     ///< [Hq, d]
};

/// Every factor at its boundaries, one at a time: no factor's choice depends on another's.
[[nodiscard]] std::vector<DecodeCase> decode_cases();

class DecodeProblem {
 public:
  explicit DecodeProblem(const DecodeCase& item, std::uint32_t seed = 1);

  [[nodiscard]] const DecodeCase& item() const { return m_item; }
  /// Valid as long as this object lives.
  [[nodiscard]] std::vector<RetrievalLayer> layers() const;
  [[nodiscard]] RetrievalEngineOptions options(Placement placement, Schedule schedule) const;
  [[nodiscard]] ExpectedStep expected(std::int64_t layer, std::int64_t step) const;
  /// [Hq, d] what the published throughput path makes of the same tokens: queries at the constant
  /// distance against keys at their positions.
  [[nodiscard]] Matrix release_output(std::int64_t layer, std::int64_t step) const;

 private:
  struct Layer {
    RandomHeads q;
    RandomHeads k;
    RandomHeads v;
    std::vector<float> codewords;  ///< [Hkv, C, d]
    std::vector<float> factors;    ///< [Hkv, d, d], lower triangular
  };
  /// The step with queries rotated to `position` for the final attention.
  [[nodiscard]] ExpectedStep attend_at(std::int64_t layer, std::int64_t step,
                                       std::int64_t position) const;
  /// The codes of all T tokens of a KV head, by A2ATS eq. 14.
  [[nodiscard]] std::vector<std::int64_t> codes(const Layer& layer, std::int64_t kv_head) const;

  DecodeCase m_item;
  traces::RopeSpec m_rope;
  traces::AttentionSpec m_attention;
  std::unique_ptr<RopePhases> m_phases;
  std::vector<Layer> m_layers;
};

/// Expects of a step what the formulas say: selections exactly, outputs within the rounding of the
/// cache's dtype.
void expect_step(const DecodeProblem& problem, std::int64_t step, const DecodeStepRecord& record);

/// Traffic of a step by the ledger, from what it retrieved.
[[nodiscard]] StepTraffic ledger_traffic(const DecodeCase& item, Placement placement,
                                         const DecodeStepRecord& record);

}  // namespace kvsieve::kernels::tests
