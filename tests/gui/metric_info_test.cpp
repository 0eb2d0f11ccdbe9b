#include "core/metric_info.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

TEST(MetricInfo, KnowsUnitsOriginsAndDirections) {
  const MetricInfo time = metric_info("tpot_ms");
  EXPECT_EQ(time.text(1.5), "1.50 ms");
  EXPECT_EQ(time.text(0.0125), "12.5 us");
  EXPECT_EQ(time.origin, "modelled");
  EXPECT_EQ(time.best, sim::ParetoDirection::kMin);
  const MetricInfo loss = metric_info("uniform/l1_loss_relative");
  EXPECT_EQ(loss.text(0.125), "12.50%");
  EXPECT_EQ(loss.origin, "captured");
  EXPECT_TRUE(loss.meaning.contains("equal budgets")) << loss.meaning.toStdString();
  EXPECT_EQ(metric_info("gpu_bytes").text(3.0 * 1024 * 1024), "3.00 MiB");
  EXPECT_EQ(metric_info("speedup").best, sim::ParetoDirection::kMax);
  EXPECT_EQ(metric_info("needle/kept_share").unit, sim::Unit::kShare);
  EXPECT_FALSE(metric_info("kept_tokens_per_head_mean").best);
}

TEST(MetricInfo, GuessesTheUnitOfUnknownNames) {
  EXPECT_EQ(metric_info("gather_us").unit, sim::Unit::kMicroseconds);
  EXPECT_EQ(metric_info("gather_ms").text(2.0), "2.00 ms");
  EXPECT_EQ(metric_info("index_read_bytes").unit, sim::Unit::kBytes);
  EXPECT_EQ(metric_info("bonus").unit, sim::Unit::kNumber);
  EXPECT_EQ(metric_info("").unit, sim::Unit::kNumber);
}

}  // namespace
}  // namespace kvsieve::gui
