#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/adakv/budget_allocation_reference.h"
#include "kernels/adakv/score_fixtures.h"
#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/token_selection.h"
#include "kvsieve/kernels/window_scores.h"

namespace kvsieve::kernels::tests {
namespace {

using nlohmann::ordered_json;
using Kept = std::vector<std::vector<std::int32_t>>;

const ordered_json& golden() {
  static const ordered_json json = [] {
    std::ifstream file(std::string(KVSIEVE_GOLDEN_DIR) + "/kvpress_golden.json");
    return ordered_json::parse(file);
  }();
  return json;
}

/// The first `count` scores of each head.
Scores without_window(const Scores& scores, std::int64_t window) {
  Scores outside = scores;
  for (std::vector<float>& row : outside) {
    row.resize(row.size() - static_cast<std::size_t>(window));
  }
  return outside;
}

/// What the pinned floor keeps with n_kept tokens a head, the window among them.
Kept keep_with_window(const Scores& scores, std::int64_t window, std::int64_t n_kept,
                      const Decimal& alpha) {
  const Scores outside = without_window(scores, window);
  const Budgets budgets = allocate_budgets(ScoreMatrix(outside).view(), n_kept - window,
                                           {alpha, AlphaMode::kFloorKvpress, window});
  Kept kept = select_all(outside, budgets);
  for (std::size_t head = 0; head < kept.size(); ++head) {
    for (std::size_t token = outside[head].size(); token < scores[head].size(); ++token) {
      kept[head].push_back(static_cast<std::int32_t>(token));
    }
  }
  return kept;
}

TEST(KvpressGolden, T45_T46_KeepsTheSameTokens) {
  int selections = 0;
  for (const ordered_json& layer : golden().at("layers")) {
    SCOPED_TRACE(layer.at("name").get<std::string>());
    const auto scores = layer.at("scores").get<Scores>();
    const std::int64_t window = layer.value("window", std::int64_t{0});
    for (const ordered_json& selection : layer.at("selections")) {
      const Decimal alpha = Decimal::parse(selection.at("alpha").dump());
      const auto n_kept = selection.at("n_kept").get<std::int64_t>();
      SCOPED_TRACE("ratio " + selection.at("ratio").dump() + ", alpha " + alpha.text());
      EXPECT_EQ(keep_with_window(scores, window, n_kept, alpha), selection.at("kept").get<Kept>());
      ++selections;
    }
  }
  EXPECT_GT(selections, 50) << "the golden file has lost its cases";
}

TEST(KvpressGolden, T46_TwoTokensAtRatioPointSixLeaveOneAHead) {
  const ordered_json& layers = golden().at("layers");
  const auto layer = std::find_if(layers.begin(), layers.end(), [](const ordered_json& item) {
    return item.at("name") == "clamp, two tokens";
  });
  ASSERT_NE(layer, layers.end());
  const Kept kept = keep_with_window(layer->at("scores").get<Scores>(), 0, 1, Decimal{2, 10});
  for (const std::vector<std::int32_t>& tokens : kept) {
    EXPECT_EQ(tokens.size(), 1U);
  }
}

TEST(KvpressGolden, T45_ScoresFromRawQueriesAndKeys) {
  ASSERT_FALSE(golden().at("raw").empty());
  for (const ordered_json& raw : golden().at("raw")) {
    SCOPED_TRACE(raw.at("name").get<std::string>());
    const std::int64_t kv_heads = raw.at("shape").at("kv_heads");
    const std::int64_t q_heads = raw.at("shape").at("q_heads");
    const std::int64_t n = raw.at("shape").at("tokens");
    const std::int64_t d = raw.at("shape").at("head_dim");
    const std::int64_t window = raw.at("window");
    const auto queries = raw.at("queries").get<std::vector<Scores>>();
    const auto keys = raw.at("keys").get<std::vector<Scores>>();
    const auto expected = raw.at("scores").get<Scores>();
    ASSERT_EQ(raw.at("pool"), "avg:5");
    std::vector<std::int32_t> positions(static_cast<std::size_t>(window));
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(n - window));
    traces::AttentionSpec attention;
    attention.scale = 1.0 / std::sqrt(static_cast<double>(d));
    const std::int64_t group = q_heads / kv_heads;
    float largest = 0.0F;
    for (std::int64_t head = 0; head < kv_heads; ++head) {
      std::vector<float> key_rows;
      for (const std::vector<float>& row : keys[static_cast<std::size_t>(head)]) {
        key_rows.insert(key_rows.end(), row.begin(), row.end());
      }
      std::vector<float> query_rows;
      for (std::int64_t g = 0; g < group; ++g) {
        for (const std::vector<float>& row : queries[static_cast<std::size_t>(head * group + g)]) {
          query_rows.insert(query_rows.end(), row.begin(), row.end());
        }
      }
      HeadKeys packed;
      packed.load(
          HeadSlice(
              {reinterpret_cast<const std::byte*>(key_rows.data()), traces::DType::kF32, {1, n, d}},
              0),
          nullptr);
      std::vector<float> means(static_cast<std::size_t>(group * n));
      attention_column_means({query_rows.data(), group * window, d}, positions, packed, attention,
                             {means.data(), group, n});
      std::vector<float> reduced(static_cast<std::size_t>(n - window));
      reduce_group({means.data(), group, n - window, n}, GroupReduce::kMean, reduced);
      std::vector<float> pooled(reduced.size());
      pool_scores(reduced, {Pooling::Kind::kAverage, 5}, pooled);
      for (std::size_t j = 0; j < pooled.size(); ++j) {
        EXPECT_NEAR(pooled[j], expected[static_cast<std::size_t>(head)][j], 1e-5F)
            << "head " << head << ", token " << j;
        EXPECT_NEAR(pooled[j], expected[static_cast<std::size_t>(head)][j],
                    1e-5F * expected[static_cast<std::size_t>(head)][j]);
        largest = std::max(largest, pooled[j]);
      }
    }
    // kvpress marks the window by one score above all others.
    for (const std::vector<float>& row : expected) {
      for (std::int64_t j = n - window; j < n; ++j) {
        EXPECT_NEAR(row[static_cast<std::size_t>(j)], largest + 1.0F, 1e-5F);
      }
    }
  }
}

}  // namespace
}  // namespace kvsieve::kernels::tests
