#pragma once
// How a codebook is held, and how a trained one is put together.

#include <cstdint>
#include <optional>
#include <vector>

#include "kvsieve/sim/codebook.h"
#include "kvsieve/traces/safetensors.h"
#include "replay/head_codebook.h"

namespace kvsieve::sim {

struct Codebook::Storage {
  CodebookInfo info;
  std::vector<CodebookLayer> layers;
  std::optional<traces::SafetensorsFile> file;  ///< what the layers view, or
  std::vector<std::vector<float>> tensors;      ///< what they view
};

/// Collects trained heads, layer by layer and head by head.
class CodebookBuilder {
 public:
  explicit CodebookBuilder(CodebookInfo info);

  /// Begins model layer `layer`; layers come ascending.
  void add_layer(std::int64_t layer);
  /// Sets a head of the layer begun last.
  void set_head(std::int64_t kv_head, TrainedHead trained);
  [[nodiscard]] Codebook finish();

 private:
  std::unique_ptr<Codebook::Storage> m_storage;
};

}  // namespace kvsieve::sim
