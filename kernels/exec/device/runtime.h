#pragma once
// Device memory, streams and events: one set of calls, which the CUDA runtime implements in
// exec/cuda and the host SIMT executor in exec/simt. It needs no CUDA header, so that host code and
// tests can use it.
//
// Everything lives in the namespace of one backend, simt_ or cuda_, so that a process may hold both
// (docs/design.md, "Backends").

#ifndef KVSIEVE_BACKEND_NS
#error "define KVSIEVE_BACKEND_NS as simt_ or cuda_: link kvsieve::kernels_simt or _cuda"
#endif

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Why kernels cannot run here, in one line ("no CUDA device: ..."), or nothing if they can.
[[nodiscard]] std::optional<std::string> why_unavailable();

/// A queue of copies and kernels that run in order, concurrently with other streams. The device
/// that is current when it is made is its device.
/// Throws Error(kMissingCapability) if there is no device, Error(kInternal) for a failed call.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Waits for everything enqueued so far; throws what went wrong in it.
  void synchronize();
  /// The backend's own handle (cudaStream_t, or the executor's queue).
  [[nodiscard]] void* handle() const noexcept { return m_handle; }

 private:
  void* m_handle = nullptr;
};

/// A point in a stream that other streams can wait for.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  /// Marks the end of what `stream` holds now.
  void record(Stream& stream);
  /// Makes everything that is enqueued on `stream` from now on wait for the recorded point.
  void block(Stream& stream) const;
  /// Waits on the host for the recorded point.
  void synchronize() const;
  /// Microseconds from `earlier` to this point, both reached: the device's clock. Absent on simt,
  /// where time means nothing.
  [[nodiscard]] std::optional<double> microseconds_since(const Event& earlier) const;

 private:
  void* m_handle = nullptr;
};

/// Device memory, aligned to 256 bytes, contents undefined. Throws Error(kMissingCapability) with
/// the bytes asked for if there is not enough.
[[nodiscard]] void* allocate_device(std::size_t bytes);
void free_device(void* memory) noexcept;

/// Copies between host and device, ordered in `stream`. Host memory must stay valid and unchanged
/// until the stream is synchronised.
void copy_to_device(void* target, const void* source, std::size_t bytes, Stream& stream);
void copy_to_host(void* target, const void* source, std::size_t bytes, Stream& stream);
void copy_on_device(void* target, const void* source, std::size_t bytes, Stream& stream);
/// Sets every byte to `value`.
void fill_device(void* target, unsigned char value, std::size_t bytes, Stream& stream);

/// Host memory that is page-locked and mapped: the device reads and writes it over the bus, with
/// the addresses of the host, and copies to and from it run beside other work. Aligned to 256
/// bytes, contents undefined. Throws Error(kMissingCapability) with the bytes asked for if there is
/// not enough.
[[nodiscard]] void* allocate_pinned(std::size_t bytes);
void free_pinned(void* memory) noexcept;

/// One of many copies.
struct CopyPiece {
  void* target = nullptr;
  const void* source = nullptr;
  std::size_t bytes = 0;
};
/// Copies pieces from pinned host memory to the device, in any order among themselves, as one
/// batch where the CUDA runtime has one (12.8) and one by one otherwise.
void copy_pieces_to_device(std::span<const CopyPiece> pieces, Stream& stream);

/// Runs `work` on a thread of the host when the stream comes to it. It may not call the runtime.
/// What it throws is thrown by the next Stream::synchronize().
void run_on_host(std::function<void()> work, Stream& stream);

/// Ways over the bus between host and device.
enum class BusPath {
  kCopyToDevice,    ///< copies down from the host
  kCopyToHost,      ///< copies up to the host
  kReadByKernel,    ///< loads of kernels from pinned memory
  kWrittenByKernel  ///< stores of kernels to pinned memory
};
/// What went over the bus: bytes, and separate copies or, for kernels, accesses of one thread.
struct BusTraffic {
  std::int64_t bytes = 0;
  std::int64_t pieces = 0;

  bool operator==(const BusTraffic&) const = default;
};
/// Everything since the process started. Copies count when they are enqueued; what kernels access
/// counts when they run, on simt only, through exec/device/host_memory.cuh: absent on cuda.
[[nodiscard]] std::optional<BusTraffic> bus_traffic(BusPath path);

/// `size()` elements that this object owns, of the memory that Allocate and Free deal in.
template <class T, void* (*Allocate)(std::size_t), void (*Free)(void*) noexcept>
class OwnedArray {
 public:
  OwnedArray() = default;
  explicit OwnedArray(std::size_t size)
      : m_data(static_cast<T*>(Allocate(size * sizeof(T)))), m_size(size) {}
  ~OwnedArray() { Free(m_data); }
  OwnedArray(OwnedArray&& other) noexcept
      : m_data(std::exchange(other.m_data, nullptr)), m_size(std::exchange(other.m_size, 0)) {}
  OwnedArray& operator=(OwnedArray&& other) noexcept {
    std::swap(m_data, other.m_data);
    std::swap(m_size, other.m_size);
    return *this;
  }

  [[nodiscard]] T* data() const noexcept { return m_data; }
  [[nodiscard]] std::size_t size() const noexcept { return m_size; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return m_size * sizeof(T); }

 private:
  T* m_data = nullptr;
  std::size_t m_size = 0;
};

/// Elements of pinned host memory.
template <class T>
using PinnedBuffer = OwnedArray<T, allocate_pinned, free_pinned>;

/// Elements of device memory.
template <class T>
class DeviceBuffer : public OwnedArray<T, allocate_device, free_device> {
 public:
  using OwnedArray<T, allocate_device, free_device>::OwnedArray;
  /// Uploads host elements and waits for the copy.
  DeviceBuffer(std::span<const T> elements, Stream& stream) : DeviceBuffer(elements.size()) {
    copy_to_device(this->data(), elements.data(), elements.size_bytes(), stream);
    stream.synchronize();
  }

  /// Everything in it, after waiting for the stream.
  [[nodiscard]] std::vector<T> download(Stream& stream) const {
    std::vector<T> elements(this->size());
    copy_to_host(elements.data(), this->data(), this->size_bytes(), stream);
    stream.synchronize();
    return elements;
  }
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
