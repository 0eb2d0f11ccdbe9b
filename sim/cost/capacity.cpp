#include "kvsieve/sim/capacity.h"

#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/kernels/retrieval_ledger.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

/// What activations take besides the logits: a few matrices of the width of the MLP for a chunk of
/// prefill.
constexpr std::int64_t kChunkTokens = 2048;
/// Context of the driver, the libraries' workspaces and the kernels' code.
constexpr std::int64_t kRuntimeBytes = std::int64_t{1} << 30;

class LedgerBuilder {
 public:
  LedgerBuilder(const ModelDimensions& model, const CostMethod& method, std::int64_t context,
                const CapacityOptions& options)
      : m_model(model),
        m_method(method),
        m_context(context),
        m_options(options),
        m_global{model.global_layers(), model.q_heads, model.kv_heads, model.head_dim,
                 options.element_bytes} {}

  MemoryLedger build() {
    const std::int64_t chunk = std::min(kChunkTokens, std::max<std::int64_t>(m_context, 1));
    gpu("weights", m_model.parameters() * m_model.weight_bytes, 0);
    gpu("activations",
        chunk * (2 * m_model.mlp_width * m_model.experts_per_token + 4 * m_model.width) * 2,
        m_model.vocabulary * 4);
    gpu("runtime", kRuntimeBytes, 0);
    switch (m_method.family) {
      case CostFamily::kFull:
        gpu("kv-cache", 0, kv_cache_bytes(m_model, tokens(m_context), m_options));
        break;
      case CostFamily::kEviction:
        gpu("kv-cache", 0, global_bytes(tokens(kept_tokens())) + sliding_bytes());
        break;
      case CostFamily::kRetrieval:
        retrieval();
        break;
    }
    return std::move(m_ledger);
  }

 private:
  void gpu(std::string_view name, std::int64_t fixed, std::int64_t sequence) {
    m_ledger.gpu.push_back({name, fixed, sequence});
  }
  void host(std::string_view name, std::int64_t fixed, std::int64_t sequence) {
    m_ledger.host.push_back({name, fixed, sequence});
  }

  [[nodiscard]] std::int64_t tokens(std::int64_t cached) const {
    return cached + m_options.new_tokens;
  }
  [[nodiscard]] std::int64_t kept_tokens() const {
    return static_cast<std::int64_t>(
        stated_load(m_method, static_cast<double>(m_context), m_model.group()).kept_share *
            static_cast<double>(m_context) +
        0.5);
  }
  [[nodiscard]] std::int64_t pages(std::int64_t cached) const {
    return (cached + m_options.page_tokens - 1) / m_options.page_tokens * m_options.page_tokens;
  }
  [[nodiscard]] std::int64_t global_bytes(std::int64_t cached) const {
    return kernels::kv_bytes(m_global, pages(cached));
  }
  [[nodiscard]] std::int64_t sliding_bytes() const {
    return kv_cache_bytes(m_model, tokens(m_context), m_options) - global_bytes(tokens(m_context));
  }

  void retrieval() {
    const IndexCost& index = m_method.index;
    const std::int64_t cached = tokens(m_context);
    const std::int64_t heads = m_global.layers * m_global.kv_heads;
    gpu("resident-kv", 0, global_bytes(m_method.sinks + m_method.window) + sliding_bytes());
    if (index.codes) {
      gpu("codebooks", kernels::codebook_bytes(m_global, index.codewords), 0);
      gpu("factors", kernels::factor_bytes(m_global), 0);
      gpu("codes", 0, kernels::code_bytes(m_global, cached, index.packed));
      if (index.buckets) {
        // Tokens sorted by code and the counts of all codes, 32 bits each.
        gpu("code-buckets", 0, heads * (cached + index.codewords + 1) * 4);
      }
    } else if (!index.on_host) {
      gpu("index", 0,
          static_cast<std::int64_t>(
              (index.rows_per_token * static_cast<double>(m_global.head_dim * 2) +
               index.bytes_per_token) *
              static_cast<double>(heads * cached)));
    }
    if (index.key_rank > 0) {
      gpu("low-rank-keys", 0,
          m_global.layers * index.key_rank * (cached + m_global.kv_heads * m_global.head_dim) *
              m_global.element_bytes);
    }
    if (m_method.placement == Placement::kFetchHotBuffer) {
      gpu("hot-buffer", 0, kernels::kv_bytes(m_global, m_method.hot_buffer));
    }
    if (m_method.placement != Placement::kCpuAttention) {
      // One layer's fetched rows; the next layer's reuse them.
      const double share =
          stated_load(m_method, static_cast<double>(m_context), m_model.group()).union_share;
      const auto rows = static_cast<std::int64_t>(share * static_cast<double>(m_context) + 0.5);
      gpu("fetched-rows", 0,
          kernels::kv_bytes(m_global, rows) / std::max<std::int64_t>(m_global.layers, 1));
    }
    host("kv-cache", 0, global_bytes(cached));
    if (index.table_bytes_per_token > 0) {
      host("hash-tables", 0, heads * cached * index.table_bytes_per_token);
    }
  }

  const ModelDimensions& m_model;
  const CostMethod& m_method;
  std::int64_t m_context;
  const CapacityOptions& m_options;
  kernels::LedgerShape m_global;
  MemoryLedger m_ledger;
};

std::int64_t sum(const std::vector<MemoryItem>& items, std::int64_t batch) {
  std::int64_t total = 0;
  for (const MemoryItem& item : items) {
    total += item.bytes(batch);
  }
  return total;
}

/// The most sequences that fit `capacity`, at most kMostSequences.
std::int64_t sequences(const std::vector<MemoryItem>& items, double capacity) {
  const std::int64_t fixed = sum(items, 0);
  const std::int64_t each = sum(items, 1) - fixed;
  const double left = capacity - static_cast<double>(fixed);
  if (left < 0.0) {
    return 0;
  }
  const auto most = static_cast<double>(kMostSequences);
  return static_cast<std::int64_t>(each > 0 ? std::min(most, left / static_cast<double>(each))
                                            : most);
}

}  // namespace

std::int64_t MemoryLedger::gpu_bytes(std::int64_t batch) const noexcept {
  return sum(gpu, batch);
}
std::int64_t MemoryLedger::host_bytes(std::int64_t batch) const noexcept {
  return sum(host, batch);
}

std::int64_t kv_cache_bytes(const ModelDimensions& model, std::int64_t tokens,
                            const CapacityOptions& options) {
  const std::int64_t page = options.page_tokens;
  const auto pages = [page](std::int64_t cached) { return (cached + page - 1) / page * page; };
  kernels::LedgerShape shape{model.global_layers(), model.q_heads, model.kv_heads, model.head_dim,
                             options.element_bytes};
  std::int64_t bytes = kernels::kv_bytes(shape, pages(tokens));
  if (model.sliding_window) {
    shape.layers = static_cast<std::int64_t>(model.sliding_layers.size());
    bytes += kernels::kv_bytes(shape, pages(std::min(tokens, *model.sliding_window)));
  }
  return bytes;
}

MemoryLedger memory_ledger(const ModelDimensions& model, const CostMethod& method,
                           std::int64_t context, const CapacityOptions& options) {
  if (model.attention == AttentionKind::kLatent) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} caches a compressed latent instead of keys and values (MLA), which "
                            "the methods here do not act on",
                            model.id),
                "choose a model with grouped attention");
  }
  return LedgerBuilder(model, method, context, options).build();
}

std::int64_t largest_batch(const MemoryLedger& ledger, const HardwareProfile& profile,
                           const CapacityOptions& options) {
  return std::min(sequences(ledger.gpu, profile.gpu.memory_bytes.value * options.gpu_share),
                  sequences(ledger.host, profile.cpu.memory_bytes.value * options.host_share));
}

}  // namespace kvsieve::sim
