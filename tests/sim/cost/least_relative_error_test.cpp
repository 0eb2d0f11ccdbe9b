#include "cost/least_relative_error.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvsieve::sim {
namespace {

std::vector<LinearRow> planted(double a, double b, double c) {
  std::vector<LinearRow> rows;
  for (int i = 0; i < 40; ++i) {
    const double x = 1.0 + i % 7;
    const double y = std::pow(1.3, i % 11);
    rows.push_back({{1.0, x, y, 0.0}, a + b * x + c * y});
  }
  return rows;
}

TEST(LeastRelativeError, RecoversPlantedCoefficients) {
  const auto x = fit_least_relative_error(planted(10.0, 2.5, 0.75));
  EXPECT_NEAR(x[0], 10.0, 1e-6);
  EXPECT_NEAR(x[1], 2.5, 1e-6);
  EXPECT_NEAR(x[2], 0.75, 1e-6);
}

TEST(LeastRelativeError, IgnoresSingleOutliers) {
  std::vector<LinearRow> rows = planted(10.0, 2.5, 0.75);
  for (std::size_t i = 3; i < rows.size(); i += 9) {
    rows[i].value *= i % 2 == 0 ? 8.0 : 0.2;
  }
  const auto x = fit_least_relative_error(rows);
  EXPECT_NEAR(x[0], 10.0, 1e-4);
  EXPECT_NEAR(x[1], 2.5, 1e-4);
  EXPECT_NEAR(x[2], 0.75, 1e-4);
}

TEST(LeastRelativeError, CoefficientsAreNeverNegative) {
  // The line through these has a negative intercept.
  std::vector<LinearRow> rows;
  for (int i = 1; i <= 20; ++i) {
    rows.push_back({{1.0, static_cast<double>(i), 0.0, 0.0}, 3.0 * i * (1.0 + 0.01 * i)});
  }
  const auto x = fit_least_relative_error(rows);
  EXPECT_EQ(x[0], 0.0);
  EXPECT_GT(x[1], 3.0);
  EXPECT_EQ(x[2], 0.0);
}

TEST(LeastRelativeError, DependentTermsAreNoTrouble) {
  std::vector<LinearRow> rows;
  for (int i = 1; i <= 20; ++i) {
    const double x = i;
    rows.push_back({{1.0, x, 2.0 * x, 0.0}, 5.0 + 3.0 * x});
  }
  const auto x = fit_least_relative_error(rows);
  EXPECT_NEAR(x[0], 5.0, 1e-6);
  EXPECT_NEAR(x[1] + 2.0 * x[2], 3.0, 1e-6);
}

TEST(LeastRelativeError, LightRowsDecideOnlyWhatOthersLeaveOpen) {
  std::vector<LinearRow> rows;
  for (int i = 0; i < 20; ++i) {
    rows.push_back({{1.0, 2.0, 0.0, 0.0}, 10.0});
    rows.push_back({{1.0, 4.0, 0.0, 0.0}, 18.0, 0.02});
  }
  const LinearTerms x = fit_least_relative_error(rows);
  EXPECT_NEAR(x[0], 2.0, 1e-5);
  EXPECT_NEAR(x[1], 4.0, 1e-5);
  for (std::size_t i = 1; i < rows.size(); i += 2) {
    rows[i] = {{1.0, 2.0, 0.0, 0.0}, 30.0, 0.02};
  }
  const LinearTerms y = fit_least_relative_error(rows);
  EXPECT_NEAR(y[0] + 2.0 * y[1], 10.0, 1e-5);
}

TEST(LeastRelativeError, OneShiftIsAWeightedMedian) {
  std::vector<ShiftRow> rows;
  for (int i = 1; i <= 9; ++i) {
    rows.push_back({100.0 * i, 10.0 * i, 100.0 * i + 10.0 * i * 3.0});
  }
  rows[2].value *= 9.0;
  EXPECT_NEAR(fit_least_relative_error(rows), 3.0, 1e-12);
  for (ShiftRow& row : rows) {
    row.value = 0.5 * row.base;
  }
  EXPECT_EQ(fit_least_relative_error(rows), 0.0);
}

TEST(SimplexMinimum, FindsTheMinimumOfAnUnevenValley) {
  const auto loss = [](const std::array<double, 3>& x) {
    return std::abs(x[0] - 3.0) + 10.0 * std::abs(x[1] + 0.5) + 0.1 * std::abs(x[2] - x[0]);
  };
  const auto x = simplex_minimum(loss, {0.0, 0.0, 0.0}, {1.0, 0.2, 0.2});
  EXPECT_NEAR(x[0], 3.0, 1e-3);
  EXPECT_NEAR(x[1], -0.5, 1e-3);
  EXPECT_NEAR(x[2], 3.0, 1e-2);
}

}  // namespace
}  // namespace kvsieve::sim
