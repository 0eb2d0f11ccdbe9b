#include "device/case_memory.h"

#include <numeric>

#include "kvsieve/kernels/counter_random.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

std::vector<std::byte> as_stored(const std::vector<float>& numbers, traces::DType dtype) {
  std::vector<std::byte> bytes(numbers.size() * traces::size_of(dtype));
  traces::from_float(dtype, numbers, bytes.data());
  return bytes;
}

class MadeOperation final : public DeviceOperation {
 public:
  MadeOperation(CaseMemory memory, std::any arguments, kernels::Work work,
                std::function<void(device::Stream&)> enqueue)
      : m_memory(std::move(memory)),
        m_arguments(std::move(arguments)),
        m_work(work),
        m_enqueue(std::move(enqueue)) {}

  void enqueue(device::Stream& stream) override { m_enqueue(stream); }
  [[nodiscard]] kernels::Work work() const override { return m_work; }
  [[nodiscard]] const std::any& arguments() const override { return m_arguments; }
  [[nodiscard]] std::vector<double> results(device::Stream& stream) const override {
    return m_memory.results(stream);
  }

 private:
  CaseMemory m_memory;
  std::any m_arguments;
  kernels::Work m_work;
  std::function<void(device::Stream&)> m_enqueue;
};

}  // namespace

std::vector<float> normal_numbers(std::int64_t count, std::uint64_t seed) {
  constexpr int kSummands = 12;
  kernels::CounterRandom random(seed);
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& number : numbers) {
    double sum = -kSummands / 2.0;
    for (int i = 0; i < kSummands; ++i) {
      sum += random.uniform();
    }
    number = static_cast<float>(sum);
  }
  return numbers;
}

template <class T>
std::vector<T> whole_numbers(std::int64_t count, std::int64_t below, std::uint64_t seed) {
  kernels::CounterRandom random(seed);
  std::vector<T> numbers(static_cast<std::size_t>(count));
  for (T& number : numbers) {
    number = static_cast<T>(random.bits() % static_cast<std::uint64_t>(below));
  }
  return numbers;
}
template std::vector<std::uint16_t> whole_numbers(std::int64_t, std::int64_t, std::uint64_t);
template std::vector<std::int32_t> whole_numbers(std::int64_t, std::int64_t, std::uint64_t);

void* CaseMemory::space(std::size_t bytes) {
  // A buffer of nothing would have no address.
  m_device.emplace_back(bytes > 0 ? bytes : 1);
  device::fill_device(m_device.back().data(), 0xff, m_device.back().size_bytes(), *m_stream);
  return m_device.back().data();
}

void* CaseMemory::upload(std::span<const std::byte> bytes) {
  void* memory = space(bytes.size());
  device::copy_to_device(memory, bytes.data(), bytes.size(), *m_stream);
  m_stream->synchronize();
  return memory;
}

void* CaseMemory::workspace(std::size_t bytes) {
  void* memory = space(bytes);
  device::fill_device(memory, 0, bytes, *m_stream);
  return memory;
}

void* CaseMemory::normal(std::int64_t count, traces::DType dtype) {
  return upload(as_stored(normal_numbers(count, ++m_seed), dtype));
}

float* CaseMemory::normal(std::int64_t count) {
  return static_cast<float*>(normal(count, traces::DType::kF32));
}

void* CaseMemory::pinned(std::int64_t count, traces::DType dtype) {
  const std::vector<std::byte> bytes = as_stored(normal_numbers(count, ++m_seed), dtype);
  m_pinned.emplace_back(bytes.size());
  std::copy(bytes.begin(), bytes.end(), m_pinned.back().data());
  return m_pinned.back().data();
}

std::vector<double> CaseMemory::results(device::Stream& stream) const {
  std::vector<double> all;
  for (const Result& result : m_results) {
    const std::vector<double> numbers = result.numbers(result.memory, result.count, stream);
    all.insert(all.end(), numbers.begin(), numbers.end());
  }
  return all;
}

std::unique_ptr<DeviceOperation> make_operation(CaseMemory memory, std::any arguments,
                                                kernels::Work work,
                                                std::function<void(device::Stream&)> enqueue) {
  return std::make_unique<MadeOperation>(std::move(memory), std::move(arguments), work,
                                         std::move(enqueue));
}

kernels::Work repeated(std::int64_t count, const kernels::Work& work) {
  return {count * work.bytes_read, count * work.bytes_written, count * work.flops};
}

std::vector<std::int32_t> last_positions(std::int64_t tokens, std::int64_t count) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(tokens - count));
  return positions;
}

std::string case_name_of(traces::DType dtype) {
  return dtype == traces::DType::kBF16 ? "bf16" : dtype == traces::DType::kF16 ? "f16" : "f32";
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
