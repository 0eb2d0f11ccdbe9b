#include "exec/ptx/standin.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string_view>

#include "exec/ptx/standin_device.h"

namespace kvsieve::ptx {
namespace {

constexpr int kDefaultArchitecture = 80;

int architecture_of_environment() {
  const char* text = std::getenv("KVSIEVE_PTX_ARCH");
  if (text == nullptr) {
    return kDefaultArchitecture;
  }
  const std::string_view digits = text;
  int architecture = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), architecture);
  if (error != std::errc{} || end != digits.data() + digits.size() || architecture <= 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("KVSIEVE_PTX_ARCH is '{}', expected a number such as 80", digits));
  }
  return architecture;
}

/// Texts of failures. Their pointers stay valid, as those of cudaGetErrorString() do.
class Failures {
 public:
  static Failures& get() {
    // Never destroyed: objects of other files may fail while the program ends.
    static auto* const failures = new Failures;
    return *failures;
  }

  void set(cudaError_t status, const std::string& text) {
    const std::lock_guard lock(m_mutex);
    m_last[status] = m_texts.emplace_back(text).c_str();
  }
  void set_late(cudaError_t status) {
    const std::lock_guard lock(m_mutex);
    if (m_late == cudaSuccess) {
      std::atexit([] { Failures::get().end_with_late_failure(); });
      m_late = status;
    }
  }
  cudaError_t take_late() {
    const std::lock_guard lock(m_mutex);
    return std::exchange(m_late, cudaSuccess);
  }
  const char* text(cudaError_t status) {
    const std::lock_guard lock(m_mutex);
    const auto found = m_last.find(status);
    return found == m_last.end() ? nullptr : found->second;
  }

 private:
  void end_with_late_failure() {
    if (m_late != cudaSuccess) {
      std::fprintf(stderr, "error: %s\n", m_last.at(m_late));
      std::_Exit(static_cast<int>(ErrorKind::kInternal));
    }
  }

  std::mutex m_mutex;
  std::deque<std::string> m_texts;
  std::map<cudaError_t, const char*> m_last;
  cudaError_t m_late = cudaSuccess;
};

}  // namespace

thread_local bool HostWorkScope::s_inside = false;

StandinDevice& StandinDevice::get() {
  // Never destroyed: nvcc's objects unregister themselves when the program ends.
  static auto* const device = new StandinDevice;
  return *device;
}

int StandinDevice::current_architecture() {
  if (architecture == 0) {
    architecture = architecture_of_environment();
  }
  return architecture;
}

cudaError_t fail(cudaError_t status, const std::string& text) {
  Failures::get().set(status, text);
  return status;
}
void fail_later(cudaError_t status, const std::string& text) {
  Failures::get().set(status, text);
  Failures::get().set_late(status);
}
cudaError_t take_late_failure() {
  return Failures::get().take_late();
}
const char* failure_text(cudaError_t status) {
  return Failures::get().text(status);
}

void set_architecture(int architecture) {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  device.architecture = architecture;
}
int architecture() {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  return device.current_architecture();
}

void set_seed(std::uint64_t seed) {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  device.seed = seed;
}

std::map<std::string, KernelRun> counters_by_kernel() {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  return device.runs;
}
void reset_counters() {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  device.runs.clear();
}

std::vector<std::string> kernel_names() {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  return device.registry.names();
}
KernelResources resources_of(const std::string& kernel) {
  StandinDevice& device = StandinDevice::get();
  const std::lock_guard lock(device.mutex);
  return device.registry.resources(kernel, device.current_architecture());
}

}  // namespace kvsieve::ptx
