#include "kvsieve/kernels/retrieval_ledger.h"

#include <gtest/gtest.h>

namespace kvsieve::kernels {
namespace {

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr std::int64_t kTokens = 131072;

/// Llama-3.1-8B with a 16-bit cache.
constexpr LedgerShape kLlama{32, 32, 8, 128, 2};
/// floor(3 % of 131,072) tokens a query head.
constexpr std::int64_t kTop = 3932;

LedgerShape layer_of(LedgerShape shape) {
  shape.layers = 1;
  return shape;
}

TEST(RetrievalLedger, MemoryOfLlama8BAt128K) {
  EXPECT_EQ(code_bytes(kLlama, kTokens), 64 * kMiB);
  EXPECT_EQ(code_bytes(kLlama, kTokens, /*packed=*/true), 48 * kMiB);
  EXPECT_EQ(codebook_bytes(kLlama, 4096), 256 * kMiB);
  EXPECT_EQ(factor_bytes(kLlama), 16 * kMiB);  // 8 MiB in 16 bits, which loses digits
  EXPECT_EQ(kv_bytes(kLlama, kTokens), 16 * 1024 * kMiB);
  EXPECT_EQ(kv_bytes(kLlama, 1), 128 * kKiB);
}

TEST(RetrievalLedger, PackedCodesRoundUp) {
  EXPECT_EQ(code_bytes({1, 1, 1, 64, 2}, 3, /*packed=*/true), 5);
  EXPECT_EQ(code_bytes({1, 1, 1, 64, 2}, 0, /*packed=*/true), 0);
}

TEST(RetrievalLedger, MessagesOfLlama8B) {
  EXPECT_EQ(32 * (down_bytes(kLlama, true) - down_bytes(kLlama, false)), kMiB / 4);
  EXPECT_EQ(32 * down_bytes(kLlama, false), kMiB / 8);
  EXPECT_EQ(up_bytes(kLlama), 8 * kKiB + 128);
  EXPECT_EQ(32 * mask_bytes(kLlama, kTokens), 4 * kMiB);
  // 3.8 MiB of token numbers where the members of a group agree, twice that with twice the union.
  const std::int64_t counts = 32 * 4 * 8;
  EXPECT_EQ(32 * list_bytes(kLlama, kTop * 8), std::int64_t{kTop} * 8 * 4 * 32 + counts);
  EXPECT_NEAR(static_cast<double>(32 * list_bytes(kLlama, kTop * 8)) / kMiB, 3.84, 0.01);
  EXPECT_NEAR(static_cast<double>(32 * list_bytes(kLlama, 2 * kTop * 8)) / kMiB, 7.68, 0.01);
}

TEST(RetrievalLedger, FetchesOfLlama8BAt3Percent) {
  const StepTraffic layer =
      step_traffic(layer_of(kLlama), Placement::kFetchKernel, kTop * 8, kTop * 8, 0);
  EXPECT_EQ(32 * layer.to_gpu_bytes, std::int64_t{kTop} * 128 * kKiB);
  EXPECT_EQ(32 * layer.to_gpu_bytes, 515'375'104);
}

TEST(RetrievalLedger, PlacementsMoveWhatTheyNeed) {
  const LedgerShape layer = layer_of(kLlama);
  const std::int64_t tokens = kTop * 8;
  const StepTraffic host = step_traffic(layer, Placement::kCpuAttention, tokens, 0, 0);
  EXPECT_EQ(host.to_host_bytes, down_bytes(layer, true) + list_bytes(layer, tokens));
  EXPECT_EQ(host.to_gpu_bytes, up_bytes(layer));
  EXPECT_EQ(host.copies, 2);
  const StepTraffic dma = step_traffic(layer, Placement::kFetchDma, tokens, tokens, 77);
  EXPECT_EQ(dma.to_host_bytes, down_bytes(layer, false) + list_bytes(layer, tokens));
  EXPECT_EQ(dma.to_gpu_bytes, tokens * 512);
  EXPECT_EQ(dma.copies, 78);
  const StepTraffic kernel = step_traffic(layer, Placement::kFetchKernel, tokens, tokens, 77);
  EXPECT_EQ(kernel.to_host_bytes, down_bytes(layer, false));
  EXPECT_EQ(kernel.copies, 1);
  const StepTraffic hot = step_traffic(layer, Placement::kFetchHotBuffer, tokens, 10, 9);
  EXPECT_EQ(hot.to_gpu_bytes, 10 * 512);
  EXPECT_EQ(hot.copies, 1);
}

// The published release ships a byte a token and KV head; masks take an eighth of that, and lists
// less still while fewer than a thirty-second of the tokens are retrieved.
TEST(RetrievalLedger, ListsAndMasksBeatTheReleasesBytes) {
  const LedgerShape layer = layer_of(kLlama);
  EXPECT_EQ(mask_bytes(layer, kTokens) * 8, kTokens * 8);
  EXPECT_LT(list_bytes(layer, kTop * 8), mask_bytes(layer, kTokens));
}

}  // namespace
}  // namespace kvsieve::kernels
