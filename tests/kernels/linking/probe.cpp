// Compiled once a backend: the same calls, each meaning its own backend's kernels.

#include "linking/probe.h"

#include <vector>

#include "adakv/token_selection_device.h"
#include "exec/device/runtime.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

std::vector<std::int32_t> select_on_device(const std::vector<float>& scores, std::int32_t count) {
  Stream stream;
  const DeviceBuffer<float> device_scores(std::span<const float>(scores), stream);
  const DeviceBuffer<std::int32_t> counts(std::span<const std::int32_t>(&count, 1), stream);
  const DeviceBuffer<std::int64_t> offsets(2);
  const DeviceBuffer<std::int32_t> kept(scores.size());
  TokenSelectionArgs args;
  args.scores = device_scores.data();
  args.counts = counts.data();
  args.units = 1;
  args.m = static_cast<std::int64_t>(scores.size());
  args.stride = args.m;
  args.offsets = offsets.data();
  args.kept = kept.data();
  const DeviceBuffer<std::byte> workspace(token_selection_workspace_bytes(args));
  args.workspace = workspace.data();
  token_selection(args, stream);
  std::vector<std::int32_t> tokens = kept.download(stream);
  tokens.resize(static_cast<std::size_t>(offsets.download(stream)[1]));
  return tokens;
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
