#pragma once
// Batched copies to the host. Apart from runtime.h, which every kernel is compiled with: none of
// them needs this.

#include <span>

#include "exec/device/runtime.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Copies pieces from the device to pinned host memory, as copy_pieces_to_device() does the other
/// way.
void copy_pieces_to_host(std::span<const CopyPiece> pieces, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
