#pragma once
// The host's cache at the end of a prompt, the same for every backend.

#include <cstddef>

#include "kvsieve/kernels/retrieval_engine.h"

namespace kvsieve::kernels {

/// Writes the prompt's tokens of a layer: K after RoPE and V adjacent, rounded to the trace's
/// dtype. Rows behind the prompt are left alone.
/// @param rows [Hkv, T, 2, d]
void write_prompt_rows(const RetrievalLayer& layer, std::byte* rows);

}  // namespace kvsieve::kernels
