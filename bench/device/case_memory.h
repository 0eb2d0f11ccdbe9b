#pragma once
// The memory that a device case works on: inputs from fixed seeds, uploaded once, and outputs.

#include <any>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kvsieve/bench/device_case.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {

/// Numbers with mean 0 and deviation 1, the same on every machine: each the sum of twelve even
/// ones.
[[nodiscard]] std::vector<float> normal_numbers(std::int64_t count, std::uint64_t seed);
/// Whole numbers from 0 to below - 1, as normal_numbers.
template <class T>
[[nodiscard]] std::vector<T> whole_numbers(std::int64_t count, std::int64_t below,
                                           std::uint64_t seed);

/// Owns the device and pinned memory of one case.
class CaseMemory {
 public:
  explicit CaseMemory(device::Stream& stream) : m_stream(&stream) {}

  /// normal_numbers on the device, of another seed with every call.
  [[nodiscard]] void* normal(std::int64_t count, traces::DType dtype);
  [[nodiscard]] float* normal(std::int64_t count);
  /// Elements of the host on the device.
  template <class T>
  [[nodiscard]] T* copy(const std::vector<T>& elements) {
    return static_cast<T*>(upload(std::as_bytes(std::span(elements))));
  }
  /// normal_numbers in pinned host memory.
  [[nodiscard]] void* pinned(std::int64_t count, traces::DType dtype);
  /// What the operation writes: `count` elements, all bits set until then, among the results.
  template <class T>
  [[nodiscard]] T* output(std::int64_t count) {
    void* memory = space(static_cast<std::size_t>(count) * sizeof(T));
    m_results.push_back({memory, count, &numbers_of<T>});
    return static_cast<T*>(memory);
  }
  /// Device memory that is no result, zero.
  [[nodiscard]] void* workspace(std::size_t bytes);

  /// Every output in the order of the calls, as numbers.
  [[nodiscard]] std::vector<double> results(device::Stream& stream) const;

 private:
  struct Result {
    const void* memory;
    std::int64_t count;
    std::vector<double> (*numbers)(const void* memory, std::int64_t count, device::Stream& stream);
  };

  [[nodiscard]] void* space(std::size_t bytes);
  [[nodiscard]] void* upload(std::span<const std::byte> bytes);

  template <class T>
  static std::vector<double> numbers_of(const void* memory, std::int64_t count,
                                        device::Stream& stream) {
    std::vector<T> elements(static_cast<std::size_t>(count));
    device::copy_to_host(elements.data(), memory, elements.size() * sizeof(T), stream);
    stream.synchronize();
    return {elements.begin(), elements.end()};
  }

  device::Stream* m_stream;
  std::uint64_t m_seed = 0;
  std::vector<device::DeviceBuffer<std::byte>> m_device;
  std::vector<device::PinnedBuffer<std::byte>> m_pinned;
  std::vector<Result> m_results;
};

/// An operation of its memory, its launcher's arguments, its work, and what enqueues it.
[[nodiscard]] std::unique_ptr<DeviceOperation> make_operation(
    CaseMemory memory, std::any arguments, kernels::Work work,
    std::function<void(device::Stream&)> enqueue);
/// One that a launcher enqueues by its arguments.
template <class Args>
[[nodiscard]] std::unique_ptr<DeviceOperation> make_operation(
    CaseMemory memory, const Args& args, const kernels::Work& work,
    void (*launch)(const Args& args, device::Stream& stream)) {
  return make_operation(std::move(memory), args, work,
                        [args, launch](device::Stream& at) { launch(args, at); });
}

/// The work of `count` heads that do the same.
[[nodiscard]] kernels::Work repeated(std::int64_t count, const kernels::Work& work);

/// Positions of the last `count` of `tokens` tokens.
[[nodiscard]] std::vector<std::int32_t> last_positions(std::int64_t tokens, std::int64_t count);

/// As case names have it: "bf16".
[[nodiscard]] std::string case_name_of(traces::DType dtype);

/// Bytes of an element, signed as Work counts them.
[[nodiscard]] inline std::int64_t element_bytes(traces::DType dtype) {
  return static_cast<std::int64_t>(traces::size_of(dtype));
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
