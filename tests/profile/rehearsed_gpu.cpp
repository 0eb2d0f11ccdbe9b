#include "profile/rehearsed_gpu.h"

#include <dlfcn.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <stdexcept>

#include "activity_layout.h"

namespace kvsieve::profile::tests {
namespace {

constexpr std::uint32_t kVersion = 130001;
constexpr std::int64_t kFirstNs = 1'000'000'000;
constexpr std::int64_t kLaunchLatencyNs = 500;
constexpr std::size_t kFullBufferBytes = std::size_t{64} << 10U;
constexpr double kNsPerMs = 1e6;

// CUPTI's numbers of the calls.
constexpr std::uint32_t kMemsetAsync = 51;
constexpr std::uint32_t kStreamSynchronize = 131;
constexpr std::uint32_t kLaunchKernel = 211;
constexpr std::uint32_t kLaunchHostFunc = 284;

int NVTX_API push_range(const char* name) {
  RehearsedGpu::get().begin_range(name);
  return 0;
}
int NVTX_API pop_range() {
  RehearsedGpu::get().end_range();
  return 0;
}

/// Takes NVTX's ranges, as CUPTI does where NVTX finds it.
void take_ranges(const void* export_table_getter) {
  const auto get =
      reinterpret_cast<NvtxGetExportTableFunc_t>(const_cast<void*>(export_table_getter));
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(get(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (callbacks == nullptr ||
      callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size) == 0 ||
      size <= NVTX_CBID_CORE_RangePop) {
    throw std::runtime_error("NVTX has no table of its calls");
  }
  *table[NVTX_CBID_CORE_RangePushA] = reinterpret_cast<NvtxFunctionPointer>(&push_range);
  *table[NVTX_CBID_CORE_RangePop] = reinterpret_cast<NvtxFunctionPointer>(&pop_range);
}

}  // namespace

RehearsedGpu::RehearsedGpu() : m_builder(kVersion) {}

RehearsedGpu& RehearsedGpu::get() {
  // Never destroyed: streams are, after main().
  static auto* const gpu = new RehearsedGpu;
  return *gpu;
}

CuptiStub* RehearsedGpu::stub() {
  if (m_stub == nullptr) {
    if (void* library = dlopen(stub_path().c_str(), RTLD_NOW | RTLD_NOLOAD); library != nullptr) {
      m_stub =
          reinterpret_cast<decltype(&kvsieve_cupti_stub)>(dlsym(library, "kvsieve_cupti_stub"))();
      m_stub->version = kVersion;
      m_stub->on_nvtx = &take_ranges;
      m_stub->before_flush = [this] {
        const std::lock_guard lock(m_mutex);
        m_stub->buffers = m_builder.buffers();
      };
    }
  }
  return m_stub;
}

bool RehearsedGpu::records(std::uint32_t kind) {
  CuptiStub* const listener = stub();
  return listener != nullptr && listener->enabled.contains(static_cast<int>(kind));
}

void RehearsedGpu::initialise() {
  const std::lock_guard lock(m_mutex);
  if (!m_initialised && records(static_cast<std::uint32_t>(ActivityKind::kDevice))) {
    m_builder.device("Rehearsed GPU, made-up times");
  }
  m_initialised = true;
}

RehearsedGpu::Host& RehearsedGpu::host() {
  const auto [at, added] = m_hosts.emplace(std::this_thread::get_id(), Host{});
  if (added) {
    at->second.number = static_cast<std::uint32_t>(m_hosts.size());
    at->second.now_ns = kFirstNs;
  }
  return at->second;
}

std::uint32_t RehearsedGpu::number_of(const void* stream) {
  return m_stream_numbers.emplace(stream, static_cast<std::uint32_t>(7 + m_stream_numbers.size()))
      .first->second;
}

std::uint32_t RehearsedGpu::call(std::uint32_t callback) {
  Host& caller = host();
  const std::int64_t begin = caller.now_ns;
  caller.now_ns += kRehearsedCallNs;
  ++m_correlation;
  if (records(static_cast<std::uint32_t>(ActivityKind::kRuntime))) {
    m_builder.call(caller.number, begin, caller.now_ns, m_correlation, callback);
  }
  return m_correlation;
}

RehearsedGpu::Span RehearsedGpu::run(const void* stream, std::int64_t ns) {
  std::int64_t& free_ns = m_stream_free_ns[stream];
  const std::int64_t begin = std::max(free_ns, host().now_ns - kRehearsedCallNs + kLaunchLatencyNs);
  free_ns = begin + ns;
  return {begin, free_ns};
}

void RehearsedGpu::launch(const RehearsedKernel& kernel, const void* stream) {
  const std::lock_guard lock(m_mutex);
  const std::uint32_t correlation = call(kLaunchKernel);
  const Span span = run(stream, kRehearsedKernelNs + kernel.memory_bytes / kRehearsedMemoryANs +
                                    kernel.link_bytes / kRehearsedBytesANs);
  if (records(static_cast<std::uint32_t>(ActivityKind::kConcurrent))) {
    m_builder.kernel(kernel.name, number_of(stream), span.begin_ns, span.end_ns, correlation);
  }
  hand_over_full_buffer();
}

void RehearsedGpu::copy(std::uint8_t kind, std::int64_t bytes, std::int64_t pieces,
                        const void* stream, std::uint32_t callback) {
  const std::lock_guard lock(m_mutex);
  const std::uint32_t correlation = call(callback);
  const Span span = run(stream, pieces * kRehearsedPieceNs + bytes / kRehearsedBytesANs);
  if (records(static_cast<std::uint32_t>(ActivityKind::kCopy))) {
    m_builder.copy(kind, number_of(stream), span.begin_ns, span.end_ns, correlation, bytes, pieces);
  }
  hand_over_full_buffer();
}

void RehearsedGpu::fill(std::int64_t bytes, const void* stream) {
  const std::lock_guard lock(m_mutex);
  const std::uint32_t correlation = call(kMemsetAsync);
  const Span span = run(stream, kRehearsedKernelNs + bytes / kRehearsedMemoryANs);
  if (records(static_cast<std::uint32_t>(ActivityKind::kFill))) {
    m_builder.fill(number_of(stream), span.begin_ns, span.end_ns, correlation, bytes);
  }
}

void RehearsedGpu::begin_range(const std::string& name) {
  const std::lock_guard lock(m_mutex);
  Host& caller = host();
  caller.open_ranges.push_back(++m_range);
  if (records(static_cast<std::uint32_t>(ActivityKind::kMarker))) {
    m_builder.range_begin(caller.number, caller.now_ns, m_range, name);
  }
}

void RehearsedGpu::end_range() {
  const std::lock_guard lock(m_mutex);
  Host& caller = host();
  caller.now_ns += caller.works ? kRehearsedHostStageNs : 0;
  if (records(static_cast<std::uint32_t>(ActivityKind::kMarker))) {
    m_builder.range_end(caller.number, caller.now_ns, caller.open_ranges.back());
  }
  caller.open_ranges.pop_back();
}

void RehearsedGpu::enqueue_host_work() {
  const std::lock_guard lock(m_mutex);
  call(kLaunchHostFunc);
}

void RehearsedGpu::begin_host_work(const void* stream) {
  const std::lock_guard lock(m_mutex);
  Host& caller = host();
  caller.works = true;
  caller.now_ns = std::max(caller.now_ns, m_stream_free_ns[stream]);
}

void RehearsedGpu::end_host_work(const void* stream) {
  const std::lock_guard lock(m_mutex);
  Host& caller = host();
  caller.works = false;
  m_stream_free_ns[stream] = caller.now_ns;
}

void RehearsedGpu::record_event(const void* event, const void* stream) {
  const std::lock_guard lock(m_mutex);
  m_events_ns[event] = std::max(m_stream_free_ns[stream], host().now_ns);
}

void RehearsedGpu::wait_for_event(const void* event, const void* stream) {
  const std::lock_guard lock(m_mutex);
  m_stream_free_ns[stream] = std::max(m_stream_free_ns[stream], m_events_ns[event]);
}

void RehearsedGpu::synchronize(const void* stream) {
  const std::lock_guard lock(m_mutex);
  call(kStreamSynchronize);
  Host& caller = host();
  caller.now_ns = std::max(caller.now_ns, m_stream_free_ns[stream]);
}

float RehearsedGpu::milliseconds_between(const void* begin, const void* end) {
  const std::lock_guard lock(m_mutex);
  return static_cast<float>(static_cast<double>(m_events_ns[end] - m_events_ns[begin]) / kNsPerMs);
}

void RehearsedGpu::hand_over_full_buffer() {
  const std::vector<std::uint8_t>& buffer = m_builder.buffers().back();
  if (buffer.size() < kFullBufferBytes || stub() == nullptr) {
    return;
  }
  // As CUPTI does while the program runs on.
  std::thread([&] { m_stub->hand_over(buffer); }).join();
  m_builder = RecordBuilder(kVersion);
}

}  // namespace kvsieve::profile::tests
