#pragma once
// A decode step of the heterogeneous GPU + CPU design as a task graph: which stage runs on which
// lane, and what it waits for. The engines run it, and its dependencies are what a timeline is made
// of.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kvsieve::kernels {

/// Who computes the attention over retrieved tokens, and how their rows get there.
enum class Placement {
  kCpuAttention,    ///< the query moves to the host, which sends back a partial result (A2ATS)
  kFetchDma,        ///< the rows move to the GPU by batched copies, one a run of tokens
  kFetchKernel,     ///< a kernel reads the rows over the bus
  kFetchHotBuffer,  ///< the same for rows that the GPU's hot buffer does not hold
};
inline constexpr std::array<Placement, 4> kPlacements{Placement::kCpuAttention,
                                                      Placement::kFetchDma, Placement::kFetchKernel,
                                                      Placement::kFetchHotBuffer};

/// cpu-attention, fetch-dma, fetch-kernel, fetch-hot-buffer.
[[nodiscard]] std::string_view name_of(Placement placement) noexcept;
/// The inverse of name_of. Throws Error(kUsage) listing the supported names.
[[nodiscard]] Placement placement_from_name(std::string_view name);

/// How the stages of a step follow one another.
enum class Schedule {
  kSerial,      ///< one after the other, as published
  kOverlapped,  ///< two micro-batches, each stage as soon as what it needs is there
};

/// serial, overlapped.
[[nodiscard]] std::string_view name_of(Schedule schedule) noexcept;
/// The inverse of name_of. Throws Error(kUsage) listing the supported names.
[[nodiscard]] Schedule schedule_from_name(std::string_view name);

/// What is done for one layer of one micro-batch.
enum class StepStage {
  kRotate,             ///< q R_b, q and k at their own position, the message to the host
  kEncode,             ///< the new token's code
  kScore,              ///< table q~ C^T
  kTopK,               ///< top K of each query head, united over the group
  kUnion,              ///< the lists of retrieved tokens
  kDown,               ///< new K and V to the host, and the query for attention there
  kAppend,             ///< new K and V into the host's cache
  kCpuAttention,       ///< over the retrieved tokens, on the host
  kUp,                 ///< its result to the GPU
  kFetch,              ///< the retrieved rows to the GPU
  kFetchedAttention,   ///< over the fetched rows
  kResidentAttention,  ///< over sinks and window, which stay on the GPU
  kMerge,              ///< of both parts by their log-sum-exp
};
inline constexpr std::size_t kStepStages = 13;
/// rotate, encode, score, topk, union, down, append, cpu-attention, up, fetch, fetched-attention,
/// resident-attention, merge.
[[nodiscard]] std::string_view name_of(StepStage stage) noexcept;

/// What a stage occupies.
enum class StepLane { kGpu, kToHost, kToGpu, kCpu };
inline constexpr std::size_t kStepLanes = 4;
/// gpu, to-host, to-gpu, cpu.
[[nodiscard]] std::string_view name_of(StepLane lane) noexcept;
/// The lane of a stage.
[[nodiscard]] StepLane lane_of(StepStage stage) noexcept;

struct StepTask {
  StepStage stage = StepStage::kRotate;
  std::int32_t layer = 0;
  std::int32_t micro_batch = 0;
  std::vector<std::int32_t> after;  ///< earlier tasks that it waits for, ascending, none implied
                                    ///< by others or by the order of its own lane
};

struct DecodeGraphShape {
  std::int64_t layers = 1;
  Placement placement = Placement::kCpuAttention;
  Schedule schedule = Schedule::kSerial;

  [[nodiscard]] std::int64_t micro_batches() const noexcept {
    return schedule == Schedule::kOverlapped ? 2 : 1;
  }
};

/// The tasks of a step, in the order in which they are issued; each waits for earlier ones only.
/// Tasks of one lane and micro-batch run in this order.
[[nodiscard]] std::vector<StepTask> decode_step_graph(const DecodeGraphShape& shape);

}  // namespace kvsieve::kernels
