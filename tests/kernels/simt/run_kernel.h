#pragma once
// One launch on the executor, from host values to host values.

#include <cstddef>
#include <span>
#include <vector>

#include "exec/device/device.cuh"

namespace kvsieve::kernels::simt_ {

/// Runs a kernel (const T* in, R* out) and returns the `out_size` values it leaves. `out` starts
/// with zero bytes.
template <auto Kernel, class R, class T>
std::vector<R> run_kernel(const LaunchConfig& config, const std::vector<T>& input,
                          std::size_t out_size) {
  Stream stream;
  const DeviceBuffer<T> in(std::span<const T>(input), stream);
  const DeviceBuffer<R> out(out_size);
  fill_device(out.data(), 0, out.size_bytes(), stream);
  launch<Kernel>(config, stream, in.data(), out.data());
  return out.download(stream);
}

}  // namespace kvsieve::kernels::simt_
