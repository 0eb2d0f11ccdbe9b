#include "kvsieve/sim/capacity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t k128K = 131'072;

const MemoryItem& item(const std::vector<MemoryItem>& items, std::string_view name) {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const MemoryItem& entry) { return entry.name == name; });
  EXPECT_NE(found, items.end()) << name;
  return *found;
}

struct CacheCase {
  const char* model;
  std::int64_t tokens;
  std::int64_t element_bytes;
  std::int64_t page_tokens;
  std::int64_t bytes;
};

// 2 x layers x kv_heads x d x element bytes x tokens, by hand.
TEST(Capacity, CacheBytes) {
  const CacheCase cases[] = {
      // GQA: 2 x 32 x 8 x 128 x 2 = 128 KiB a token.
      {"llama-3.1-8b", 1, 2, 1, 131'072},
      {"llama-3.1-8b", k128K, 2, 16, std::int64_t{17'179'869'184}},
      // 8-bit caches take half.
      {"llama-3.1-8b", k128K, 1, 16, std::int64_t{8'589'934'592}},
      // MHA: 2 x 32 x 32 x 128 x 2 = 512 KiB a token.
      {"llama-2-7b", 4096, 2, 16, std::int64_t{2'147'483'648}},
      // Whole pages: 17 tokens take 32.
      {"llama-3.1-8b", 17, 2, 16, 32 * std::int64_t{131'072}},
      {"llama-3.1-8b", 16, 2, 16, 16 * std::int64_t{131'072}},
      {"llama-3.1-8b", 0, 2, 16, 0},
      // Gemma 2 9B: 42 layers, half of them see 4,096 tokens; 2 x 8 x 256 x 2 = 8 KiB a layer.
      {"gemma-2-9b", 8192, 2, 16, std::int64_t{8192} * (21 * 8192 + 21 * 4096)},
      {"gemma-2-9b", 1024, 2, 16, std::int64_t{8192} * 42 * 1024},
  };
  for (const CacheCase& c : cases) {
    CapacityOptions options;
    options.element_bytes = c.element_bytes;
    options.page_tokens = c.page_tokens;
    EXPECT_EQ(kv_cache_bytes(load_model(c.model), c.tokens, options), c.bytes)
        << c.model << " " << c.tokens;
  }
}

TEST(Capacity, TheLedgerOfA2atsFollowsItsFormulas) {
  const ModelDimensions model = load_model("llama-3.1-8b");
  CostMethod method = cost_method("a2ats");
  const MemoryLedger ledger = memory_ledger(model, method, k128K);
  EXPECT_EQ(item(ledger.gpu, "codes").sequence_bytes, 64 * kMiB);
  EXPECT_EQ(item(ledger.gpu, "codebooks").fixed_bytes, 256 * kMiB);
  EXPECT_EQ(item(ledger.host, "kv-cache").sequence_bytes, 16'384 * kMiB);
  method.index.packed = true;
  EXPECT_EQ(item(memory_ledger(model, method, k128K).gpu, "codes").sequence_bytes, 48 * kMiB);
}

// 150 tables x 32-bit token numbers x 32 layers x 8 KV heads x 98,304 tokens.
TEST(Capacity, TheHashTablesOfMagicPig) {
  const MemoryLedger ledger =
      memory_ledger(load_model("llama-3.1-8b"), cost_method("magicpig"), 98'304);
  EXPECT_EQ(item(ledger.host, "hash-tables").sequence_bytes, std::int64_t{15'099'494'400});
  EXPECT_DOUBLE_EQ(static_cast<double>(item(ledger.host, "hash-tables").sequence_bytes) /
                       static_cast<double>(1024 * kMiB),
                   14.0625);
}

TEST(Capacity, ItemsSumToTheTotal) {
  for (const CostMethod& method : cost_methods()) {
    const MemoryLedger ledger = memory_ledger(load_model("llama-3.1-8b"), method, 32'768);
    for (const std::int64_t batch : {0, 1, 7}) {
      std::int64_t gpu = 0;
      for (const MemoryItem& entry : ledger.gpu) {
        EXPECT_GE(entry.fixed_bytes, 0) << method.name << " " << entry.name;
        EXPECT_GE(entry.sequence_bytes, 0) << method.name << " " << entry.name;
        gpu += entry.fixed_bytes + batch * entry.sequence_bytes;
      }
      EXPECT_EQ(ledger.gpu_bytes(batch), gpu) << method.name;
    }
  }
}

TEST(Capacity, EvictionKeepsItsBudget) {
  const ModelDimensions model = load_model("llama-3.1-8b");
  CostMethod method = cost_method("ada-snapkv");
  method.budget = Budget::parse("1024");
  EXPECT_EQ(item(memory_ledger(model, method, k128K).gpu, "kv-cache").sequence_bytes,
            1024 * std::int64_t{131'072});
  // Tokens that are still to come are kept whole.
  CapacityOptions options;
  options.new_tokens = 16;
  EXPECT_EQ(item(memory_ledger(model, method, k128K, options).gpu, "kv-cache").sequence_bytes,
            1040 * std::int64_t{131'072});
}

TEST(Capacity, TheLargestBatchFitsAndOneMoreDoesNot) {
  const CapacityOptions options;
  for (const char* hardware : {"a100-sxm-40", "a100-sxm-80", "h200-sxm", "rtx-4090"}) {
    const HardwareProfile profile = load_hardware(hardware);
    for (const char* name : {"full", "ada-snapkv", "a2ats", "shadowkv", "magicpig"}) {
      const MemoryLedger ledger =
          memory_ledger(load_model("llama-3.1-8b"), cost_method(name), 16'384);
      const std::int64_t batch = largest_batch(ledger, profile, options);
      if (batch == kMostSequences) {
        continue;
      }
      const double gpu = profile.gpu.memory_bytes.value * options.gpu_share;
      const double host = profile.cpu.memory_bytes.value * options.host_share;
      if (batch > 0) {
        EXPECT_LE(static_cast<double>(ledger.gpu_bytes(batch)), gpu) << hardware << name;
        EXPECT_LE(static_cast<double>(ledger.host_bytes(batch)), host) << hardware << name;
      }
      EXPECT_TRUE(static_cast<double>(ledger.gpu_bytes(batch + 1)) > gpu ||
                  static_cast<double>(ledger.host_bytes(batch + 1)) > host)
          << hardware << name;
    }
  }
}

TEST(Capacity, WhatDoesNotFitHasNoBatch) {
  EXPECT_EQ(largest_batch(memory_ledger(load_model("llama-3.1-70b"), cost_method("full"), 4096),
                          load_hardware("a100-sxm-80")),
            0);
}

TEST(Capacity, LatentAttentionIsRefusedClearly) {
  try {
    static_cast<void>(memory_ledger(load_model("deepseek-v2-lite"), cost_method("full"), 4096));
    FAIL() << "a latent cache is none of K and V";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("deepseek-v2-lite"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("MLA"), std::string::npos);
    EXPECT_FALSE(error.hint().empty());
  }
}

}  // namespace
}  // namespace kvsieve::sim
