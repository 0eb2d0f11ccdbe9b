// The work functions on shapes small enough to count by hand.

#include <gtest/gtest.h>

#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/cache_compaction.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/eviction_loss.h"
#include "kvsieve/kernels/token_selection.h"
#include "kvsieve/kernels/window_scores.h"

namespace kvsieve::kernels::tests {
namespace {

void expect_work(const Work& work, std::int64_t read, std::int64_t written, std::int64_t flops) {
  EXPECT_EQ(work.bytes_read, read);
  EXPECT_EQ(work.bytes_written, written);
  EXPECT_EQ(work.flops, flops);
}

TEST(Work, AddsUp) {
  Work work{1, 2, 3};
  work += Work{10, 20, 30};
  expect_work(work, 11, 22, 33);
}

TEST(Work, OfDenseAttention) {
  // 2 queries and 3 keys of 4 fp16 numbers; 6 fp32 scores of 4 multiply-adds.
  expect_work(attention_scores_work(2, 3, 4, 2), 5 * 4 * 2, 6 * 4, 6 * 4 * 2);
  // 3 tokens of 4 and a matrix [4, 5]; 3 * 5 products of 4 multiply-adds.
  expect_work(value_norms_work(3, 4, 5, 2), (12 + 20) * 2, 3 * 4, 15 * 4 * 2);
}

TEST(Work, OfWindowScores) {
  // 2 members with 3 queries each over 7 keys of 4: two passes over the keys. 5 tokens are scored.
  expect_work(window_scores_work(2, 3, 7, 5, 4, 2), (6 + 14) * 4 * 2, 5 * 4, 2 * 6 * 7 * 4 * 2);
}

TEST(Work, OfAllocationAndSelection) {
  expect_work(budget_allocation_work(3, 100), 3 * 300 * 4, 3 * 4, 0);
  expect_work(token_selection_work(100, 20), 4 * 100 * 4, 20 * 4, 0);
}

TEST(Work, OfCacheCompaction) {
  // A token is 2 rows of 4 fp16 numbers: 16 bytes. 2 segments.
  EXPECT_EQ(token_bytes(4, 2), 16);
  // 7 kept tokens, 7 indices, twice 3 offsets; 2 lengths.
  expect_work(compact_cache_work(7, 2, 4, 2), 7 * 16 + 7 * 4 + 2 * 3 * 8, 7 * 16 + 2 * 4, 0);
  expect_work(regrow_cache_work(7, 2, 4, 2), 7 * 16 + 2 * 3 * 8 + 2 * 4, 7 * 16 + 2 * 4, 0);
  // 3 tokens for each segment; 3 offsets and 2 lengths.
  expect_work(append_tokens_work(2, 3, 4, 2), 6 * 16 + 3 * 8 + 2 * 4, 6 * 16 + 2 * 4, 0);
  // 7 old rows as well, in and out; 5 numbers of metadata and 3 increments.
  expect_work(rewrite_append_work(7, 2, 3, 4, 2), 13 * 16 + (5 + 3) * 4, 13 * 16 + 5 * 4, 0);
  expect_work(remove_last_tokens_work(2), 2 * 4, 2 * 4, 0);
}

TEST(Work, OfEvictionLoss) {
  // 2 members, 3 queries, 40 keys and values of 4 in fp16, 2 selections that keep 15 in all: q.k,
  // A V and the kept A V. Read are K, V, 6 queries, 80 norms, 3 positions and 2 x 2 words of bits;
  // written 3 outputs a query, 2 retained masses, 2 kept norms and a total norm.
  expect_work(eviction_loss_work(2, 3, 40, 4, 2, 15, 2),
              2 * 40 * 4 * 2 + (6 * 4 + 80 + 3 + 2 * 2) * 4, (3 * 6 * 4 + 5 * 6) * 4,
              2 * 6 * 4 * (40 + 40 + 15));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
