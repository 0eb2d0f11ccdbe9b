#include "profile/sample_recording.h"

#include <algorithm>
#include <array>

#include "kvsieve/kernels/stage_range.h"
#include "profile/record_builder.h"

namespace kvsieve::profile::tests {
namespace {

using kernels::StepLane;
using kernels::StepStage;

constexpr std::uint32_t kMain = 1;
constexpr std::uint32_t kHelper = 2;  ///< of the first micro-batch; the next one's is 3
constexpr std::int64_t kCallNs = 400;
constexpr std::int64_t kGapNs = 250;
constexpr std::int64_t kPromptNs = 3000;
constexpr std::int64_t kCopyBytes = 4096;
constexpr std::int64_t kCopyPieces = 3;

/// Runs the graph on a clock of its own.
class Sampler {
 public:
  explicit Sampler(const SampleRun& run) : m_run(run), m_builder(run.cupti_version) {}

  ActivityRecording record() {
    m_builder.device("NVIDIA Sample GPU");
    before_steps("codeword_table");
    for (std::int32_t batch = 0; batch < m_run.shape.micro_batches(); ++batch) {
      for (std::int32_t layer = 0; layer < m_run.shape.layers; ++layer) {
        before_steps(
            kernels::stage_range_text({std::string(kernels::kKeyEncodingStage), -1, layer, batch}));
      }
    }
    for (std::int32_t step = 0; step < m_run.steps; ++step) {
      run_step(step);
    }
    return m_builder.record();
  }

 private:
  /// A range with one kernel, one after the other.
  void before_steps(const std::string& range) {
    m_builder.range(kMain, m_now_ns, m_now_ns + 5000, range);
    m_builder.call(kMain, m_now_ns + 100, m_now_ns + 500, ++m_correlation);
    m_builder.kernel("_ZN7kvsieve14prompt_kernelEv", 1, m_now_ns + 1000,
                     m_now_ns + 1000 + kPromptNs, m_correlation);
    m_now_ns += 10000;
  }

  void run_step(std::int32_t step) {
    const std::vector<kernels::StepTask> graph = kernels::decode_step_graph(m_run.shape);
    std::vector<std::int64_t> ends;
    // [micro-batches, lanes]
    std::vector<std::int64_t> free(
        static_cast<std::size_t>(m_run.shape.micro_batches()) * kernels::kStepLanes, m_now_ns);
    for (const kernels::StepTask& task : graph) {
      const StepLane lane = kernels::lane_of(task.stage);
      std::int64_t& lane_free =
          free[static_cast<std::size_t>(task.micro_batch) * kernels::kStepLanes +
               static_cast<std::size_t>(lane)];
      std::int64_t begin = std::max(lane_free, m_now_ns + 2 * kCallNs);
      for (const std::int32_t before : task.after) {
        begin = std::max(begin, ends[static_cast<std::size_t>(before)]);
      }
      lane_free = enqueue(step, task, lane, begin);
      ends.push_back(lane_free);
    }
    m_now_ns = *std::max_element(ends.begin(), ends.end()) + 5000;
  }

  /// Returns when the task ends.
  std::int64_t enqueue(std::int32_t step, const kernels::StepTask& task, StepLane lane,
                       std::int64_t begin) {
    const std::string name = kernels::stage_range_text(
        {std::string(kernels::name_of(task.stage)), step, task.layer, task.micro_batch});
    const std::int64_t ns = sample_ns(task.stage);
    const std::uint32_t stream =
        10 + static_cast<std::uint32_t>(task.micro_batch) * 4 + static_cast<std::uint32_t>(lane);
    m_builder.range(kMain, m_now_ns, m_now_ns + kCallNs + 20, name);
    m_builder.call(kMain, m_now_ns + 10, m_now_ns + 10 + kCallNs, ++m_correlation);
    m_now_ns += kCallNs + 30;
    begin = std::max(begin, m_now_ns);
    switch (lane) {
      case StepLane::kCpu:
        m_builder.range(kHelper + static_cast<std::uint32_t>(task.micro_batch), begin, begin + ns,
                        name);
        return begin + ns;
      case StepLane::kToHost:
        m_builder.copy(2, stream, begin, begin + ns, m_correlation, kCopyBytes, kCopyPieces);
        return begin + ns;
      case StepLane::kToGpu:
        m_builder.copy(1, stream, begin, begin + ns, m_correlation, kCopyBytes, kCopyPieces);
        return begin + ns;
      case StepLane::kGpu:
        break;
    }
    const std::int64_t half = ns / 2;
    m_builder.kernel("first_kernel", stream, begin, begin + half, m_correlation);
    m_builder.kernel("second_kernel", stream, begin + half + kGapNs, begin + ns + kGapNs,
                     m_correlation);
    return begin + ns + kGapNs;
  }

  const SampleRun& m_run;
  RecordBuilder m_builder;
  std::int64_t m_now_ns = 1'000'000;
  std::uint32_t m_correlation = 0;
};

}  // namespace

std::int64_t sample_ns(StepStage stage) {
  return 1000 * (static_cast<std::int64_t>(stage) + 1);
}

ActivityRecording sample_recording(const SampleRun& run) {
  ActivityRecording recording = Sampler(run).record();
  recording.run = {"0.1.0", run.words, run.trace_name, run.trace_hash, run.layers};
  return recording;
}

}  // namespace kvsieve::profile::tests
