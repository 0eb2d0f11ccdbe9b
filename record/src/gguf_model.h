#pragma once
// What a GGUF model file says of its attention: head counts, RoPE, layer kinds and W_O.

#include <cstdint>
#include <vector>

#include "gguf_file.h"
#include "kvsieve/traces/model_shape.h"

namespace kvsieve::record {

/// The shape, RoPE and attention parameters that llama.cpp runs this model with. Throws
/// Error(kMissingCapability) for an architecture or a RoPE variant that a trace cannot state or the
/// recorder does not know, Error(kBadInput) for missing or contradictory metadata.
[[nodiscard]] traces::ModelShape read_model_shape(const GgufFile& file);

/// W_O of layer `layer` in fp32, [Hq, d, D], so that y = sum over h of out_h @ wo[h].
[[nodiscard]] std::vector<float> read_output_projection(const GgufFile& file,
                                                        const traces::ModelShape& model,
                                                        std::int64_t layer);

}  // namespace kvsieve::record
