#include "kvsieve/sim/metric_info.h"

#include <gtest/gtest.h>

namespace kvsieve::sim {
namespace {

TEST(MetricInfo, FiguresOfHeads) {
  for (const char* name :
       {"evicted_mass", "head_output_error", "score_error/nmse", "union_tokens", "attended_tokens",
        "union_factor", "code_usage/dead_codes", "index_read_bytes_per_step",
        "pcie_per_step/fetch-dma/pieces", "pcie_pieces_per_step"}) {
    EXPECT_EQ(metric_info(name).best, ParetoDirection::kMin) << name;
  }
  for (const char* name : {"retained_mass", "needle_kept", "query_heads/recall", "recall_vs_wrope",
                           "overlap", "hot_hit_rate", "code_usage/entropy_bits"}) {
    EXPECT_EQ(metric_info(name).best, ParetoDirection::kMax) << name;
  }
  for (const char* name : {"budget", "budget_ratio", "selected_tokens", "boundary_ties"}) {
    EXPECT_FALSE(metric_info(name).best) << name;
  }
}

TEST(MetricInfo, CountersAndTimes) {
  for (const char* name :
       {"instructions", "thread_instructions", "global_load_requests", "global_store_sectors",
        "global_excess_sectors", "global_load_bytes", "shared_bank_conflicts", "shared_wavefronts",
        "local_requests", "shared_atomics", "divergent_branches", "registers", "spill_bytes",
        "real_time", "cpu_time", "kernel_us"}) {
    EXPECT_EQ(metric_info(name).best, ParetoDirection::kMin) << name;
  }
  for (const char* name :
       {"theoretical_occupancy", "items_per_second", "bytes_per_second", "recall", "speedup"}) {
    EXPECT_EQ(metric_info(name).best, ParetoDirection::kMax) << name;
  }
  for (const char* name : {"barriers", "tensor_instructions", "flops", "launches", "blocks",
                           "kept_tokens_per_head_mean", "error_low_us"}) {
    EXPECT_FALSE(metric_info(name).best) << name;
  }
  EXPECT_EQ(metric_info("real_time").text(1500.0), "1.50 ms");
  EXPECT_TRUE(metric_info("step_us").modelled);
  EXPECT_FALSE(metric_info("recall").modelled);
}

}  // namespace
}  // namespace kvsieve::sim
