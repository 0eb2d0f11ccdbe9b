#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <exception>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "exec/cuda/check.h"
#include "exec/device/bus_counter.h"
#include "exec/device/pieces_to_host.h"
#include "exec/device/runtime.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::cuda_ {
namespace {

cudaStream_t as_stream(void* handle) {
  return static_cast<cudaStream_t>(handle);
}
cudaEvent_t as_event(void* handle) {
  return static_cast<cudaEvent_t>(handle);
}

/// The two ways in which a machine says that it has no GPU: no driver, or a driver without device.
bool means_no_gpu(cudaError_t status) {
  return status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice;
}

std::string describe(cudaError_t status) {
  return fmt::format("CUDA error {}: {}", static_cast<int>(status), cudaGetErrorString(status));
}

/// Copies that were enqueued.
struct Copies {
  BusCounter to_device;
  BusCounter to_host;
};
Copies& copies() {
  static Copies copies;
  return copies;
}

/// The first exception of a stream's work on the host since somebody asked.
class HostProblem {
 public:
  void set(std::exception_ptr problem) {
    const std::lock_guard lock(m_mutex);
    if (m_problem == nullptr) {
      m_problem = std::move(problem);
    }
  }
  void rethrow() {
    std::exception_ptr problem;
    {
      const std::lock_guard lock(m_mutex);
      problem = std::exchange(m_problem, nullptr);
    }
    if (problem != nullptr) {
      std::rethrow_exception(problem);
    }
  }

 private:
  std::mutex m_mutex;
  std::exception_ptr m_problem;
};

/// Of the streams that run work on the host. Work that outlives its stream keeps its own.
class HostProblems {
 public:
  std::shared_ptr<HostProblem> of(void* stream) {
    const std::lock_guard lock(m_mutex);
    std::shared_ptr<HostProblem>& problem = m_problems[stream];
    if (problem == nullptr) {
      problem = std::make_shared<HostProblem>();
    }
    return problem;
  }
  /// Null if the stream has run no work on the host.
  std::shared_ptr<HostProblem> find(void* stream) {
    const std::lock_guard lock(m_mutex);
    const auto found = m_problems.find(stream);
    return found == m_problems.end() ? nullptr : found->second;
  }
  void forget(void* stream) {
    const std::lock_guard lock(m_mutex);
    m_problems.erase(stream);
  }

 private:
  std::mutex m_mutex;
  std::unordered_map<void*, std::shared_ptr<HostProblem>> m_problems;
};
HostProblems& host_problems() {
  static HostProblems problems;
  return problems;
}

struct HostWork {
  std::function<void()> work;
  std::shared_ptr<HostProblem> problem;

  static void CUDART_CB run(void* data) {
    const std::unique_ptr<HostWork> self(static_cast<HostWork*>(data));
    try {
      self->work();
    } catch (...) {
      self->problem->set(std::current_exception());
    }
  }
};

#if CUDART_VERSION >= 12080
/// The pieces in the form of cudaMemcpyBatchAsync, whose arrays are kept from call to call.
struct CopyBatch {
  std::vector<void*> targets;
  std::vector<const void*> sources;
  std::vector<std::size_t> sizes;

  void assign(std::span<const CopyPiece> pieces) {
    targets.clear();
    sources.clear();
    sizes.clear();
    for (const CopyPiece& piece : pieces) {
      if (piece.bytes > 0) {
        targets.push_back(piece.target);
        sources.push_back(piece.source);
        sizes.push_back(piece.bytes);
      }
    }
  }

  cudaError_t enqueue(cudaStream_t stream) {
    cudaMemcpyAttributes attributes{};
    attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    std::size_t first = 0;
#if CUDART_VERSION >= 13000
    return cudaMemcpyBatchAsync(targets.data(), sources.data(), sizes.data(), sizes.size(),
                                &attributes, &first, 1, stream);
#else
    std::size_t failed = 0;
    return cudaMemcpyBatchAsync(targets.data(), const_cast<void**>(sources.data()), sizes.data(),
                                sizes.size(), &attributes, &first, 1, &failed, stream);
#endif
  }
};
#endif

/// One batch, if the toolkit and the driver have them. Returns whether they do.
bool enqueue_batch([[maybe_unused]] std::span<const CopyPiece> pieces,
                   [[maybe_unused]] cudaStream_t stream) {
#if CUDART_VERSION >= 12080
  thread_local CopyBatch batch;
  batch.assign(pieces);
  if (batch.sizes.empty()) {
    return true;
  }
  const cudaError_t status = batch.enqueue(stream);
  if (status != cudaErrorCallRequiresNewerDriver && status != cudaErrorNotSupported) {
    check(status, "cudaMemcpyBatchAsync");
    return true;
  }
#endif
  return false;
}

void copy_pieces(std::span<const CopyPiece> pieces, cudaMemcpyKind kind, BusCounter& counter,
                 Stream& stream) {
  if (!enqueue_batch(pieces, as_stream(stream.handle()))) {
    for (const CopyPiece& piece : pieces) {
      check(cudaMemcpyAsync(piece.target, piece.source, piece.bytes, kind,
                            as_stream(stream.handle())),
            "cudaMemcpyAsync");
    }
  }
  for (const CopyPiece& piece : pieces) {
    counter.add(piece.bytes);
  }
}

}  // namespace

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) {
    return;
  }
  const bool missing = means_no_gpu(status) || status == cudaErrorMemoryAllocation;
  throw Error(missing ? ErrorKind::kMissingCapability : ErrorKind::kInternal,
              fmt::format("{}: {}", call, describe(status)));
}

std::optional<std::string> why_unavailable() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) {
    return fmt::format("no usable GPU ({})", describe(status));
  }
  return devices > 0 ? std::nullopt : std::optional<std::string>("no GPU in this machine");
}

Stream::Stream() {
  if (const auto reason = why_unavailable()) {
    throw Error(ErrorKind::kMissingCapability, *reason,
                "--backend simt runs the kernels without one");
  }
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  m_handle = stream;
}
Stream::~Stream() {
  host_problems().forget(m_handle);
  cudaStreamDestroy(as_stream(m_handle));
}
void Stream::synchronize() {
  check(cudaStreamSynchronize(as_stream(m_handle)), "cudaStreamSynchronize");
  if (const auto problem = host_problems().find(m_handle)) {
    problem->rethrow();
  }
}

Event::Event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  m_handle = event;
}
Event::~Event() {
  cudaEventDestroy(as_event(m_handle));
}
void Event::record(Stream& stream) {
  check(cudaEventRecord(as_event(m_handle), as_stream(stream.handle())), "cudaEventRecord");
}
void Event::block(Stream& stream) const {
  check(cudaStreamWaitEvent(as_stream(stream.handle()), as_event(m_handle), 0),
        "cudaStreamWaitEvent");
}
void Event::synchronize() const {
  check(cudaEventSynchronize(as_event(m_handle)), "cudaEventSynchronize");
}
std::optional<double> Event::microseconds_since(const Event& earlier) const {
  constexpr double kMicrosecondsPerMillisecond = 1e3;
  float milliseconds = 0.0F;
  check(cudaEventElapsedTime(&milliseconds, as_event(earlier.m_handle), as_event(m_handle)),
        "cudaEventElapsedTime");
  return static_cast<double>(milliseconds) * kMicrosecondsPerMillisecond;
}

void* allocate_device(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes > 0) {
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
      throw Error(ErrorKind::kMissingCapability,
                  fmt::format("the GPU has no room for another {} bytes", bytes));
    }
    check(status, "cudaMalloc");
  }
  return memory;
}
void free_device(void* memory) noexcept {
  cudaFree(memory);
}

void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes > 0) {
    const cudaError_t status =
        cudaHostAlloc(&memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable);
    if (status == cudaErrorMemoryAllocation) {
      throw Error(ErrorKind::kMissingCapability,
                  fmt::format("the machine has no room for another {} page-locked bytes", bytes));
    }
    check(status, "cudaHostAlloc");
  }
  return memory;
}
void free_pinned(void* memory) noexcept {
  cudaFreeHost(memory);
}

void copy_to_device(void* target, const void* source, std::size_t bytes, Stream& stream) {
  copies().to_device.add(bytes);
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyHostToDevice, as_stream(stream.handle())),
        "cudaMemcpyAsync");
}
void copy_to_host(void* target, const void* source, std::size_t bytes, Stream& stream) {
  copies().to_host.add(bytes);
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToHost, as_stream(stream.handle())),
        "cudaMemcpyAsync");
}
void copy_on_device(void* target, const void* source, std::size_t bytes, Stream& stream) {
  check(
      cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, as_stream(stream.handle())),
      "cudaMemcpyAsync");
}
void fill_device(void* target, unsigned char value, std::size_t bytes, Stream& stream) {
  check(cudaMemsetAsync(target, value, bytes, as_stream(stream.handle())), "cudaMemsetAsync");
}

void copy_pieces_to_device(std::span<const CopyPiece> pieces, Stream& stream) {
  copy_pieces(pieces, cudaMemcpyHostToDevice, copies().to_device, stream);
}
void copy_pieces_to_host(std::span<const CopyPiece> pieces, Stream& stream) {
  copy_pieces(pieces, cudaMemcpyDeviceToHost, copies().to_host, stream);
}

void run_on_host(std::function<void()> work, Stream& stream) {
  auto item =
      std::make_unique<HostWork>(HostWork{std::move(work), host_problems().of(stream.handle())});
  check(cudaLaunchHostFunc(as_stream(stream.handle()), &HostWork::run, item.get()),
        "cudaLaunchHostFunc");
  // It deletes itself when it has run.
  (void)item.release();
}

std::optional<BusTraffic> bus_traffic(BusPath path) {
  switch (path) {
    case BusPath::kCopyToDevice:
      return BusTraffic{copies().to_device.bytes(), copies().to_device.pieces()};
    case BusPath::kCopyToHost:
      return BusTraffic{copies().to_host.bytes(), copies().to_host.pieces()};
    case BusPath::kReadByKernel:
    case BusPath::kWrittenByKernel:
      break;
  }
  return std::nullopt;
}

}  // namespace kvsieve::kernels::cuda_
