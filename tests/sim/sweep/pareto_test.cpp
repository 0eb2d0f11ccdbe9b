#include "kvsieve/sim/pareto.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using kvsieve::tests::fails_with;
using Numbers = std::vector<std::int64_t>;

constexpr ParetoDirection kMin = ParetoDirection::kMin;
constexpr ParetoDirection kMax = ParetoDirection::kMax;
const double kMissing = std::nan("");

TEST(Pareto, ReadsObjectives) {
  const struct {
    const char* text;
    std::vector<ParetoObjective> objectives;
  } cases[] = {
      {"tokens_per_second:max,l1_loss_relative:min",
       {{"tokens_per_second", kMax}, {"l1_loss_relative", kMin}}},
      {"tokens_per_second,l1_loss_relative",
       {{"tokens_per_second", kMax}, {"l1_loss_relative", kMin}}},
      {" a:min , b : max ", {{"a", kMin}, {"b", kMax}}},
      {"recall:min", {{"recall", kMin}}},
      {"recall,captured_mass,hot_hit_rate,cost.best_tokens_per_second,throughput",
       {{"recall", kMax},
        {"captured_mass", kMax},
        {"hot_hit_rate", kMax},
        {"cost.best_tokens_per_second", kMax},
        {"throughput", kMax}}},
      {"step_us,tpot_ms,to_gpu_bytes,pcie_bytes_per_step,summary.l1_loss,output_error,evicted_mass",
       {{"step_us", kMin},
        {"tpot_ms", kMin},
        {"to_gpu_bytes", kMin},
        {"pcie_bytes_per_step", kMin},
        {"summary.l1_loss", kMin},
        {"output_error", kMin},
        {"evicted_mass", kMin}}},
  };
  for (const auto& item : cases) {
    EXPECT_EQ(parse_objectives(item.text), item.objectives) << item.text;
  }
}

TEST(Pareto, RefusesWhatIsNoObjective) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"", "objectives '': '' is no metric"},
      {"recall,", "objectives 'recall,': '' is no metric"},
      {":max", "':max' is no metric"},
      {"-l1_loss", "'-l1_loss' is no metric"},
      {"a b:max", "'a b:max' is no metric"},
      {"recall:", "'recall:' ends in neither :max nor :min"},
      {"recall:up", "'recall:up' ends in neither :max nor :min"},
      {"a:b:max", "'a:b:max' is no metric"},
      {"kept_tokens", "'kept_tokens' does not say whether large or small is best"},
      {"bus", "'bus' does not say whether large or small is best"},
      {"recall,step_us,recall:min", "'recall' is given twice"},
  };
  for (const auto& item : cases) {
    for (const std::string part : {item.message, "expected METRIC:max or METRIC:min"}) {
      EXPECT_TRUE(fails_with(ErrorKind::kUsage, part, [&] {
        static_cast<void>(parse_objectives(item.text));
      })) << item.text;
    }
  }
}

TEST(Pareto, KeepsWhatNothingBeats) {
  const std::vector<ParetoDirection> fast_and_good = {kMax, kMin};
  // throughput, loss
  const std::vector<double> rows = {10, 0.3,               //
                                    20, 0.5,               //
                                    10, 0.2,               //
                                    20, 0.5,               // as row 1
                                    15, 0.2,               // beats rows 0 and 2
                                    30, kMissing, 5, 0.1,  //
                                    20, 0.6};
  EXPECT_EQ(pareto_front(rows, fast_and_good), (Numbers{1, 3, 4, 6}));
  const std::vector<ParetoDirection> fast = {kMax};
  EXPECT_EQ(pareto_front(std::vector<double>{1, 3, 2, 3, kMissing}, fast), (Numbers{1, 3}));
  const std::vector<ParetoDirection> small = {kMin};
  EXPECT_EQ(pareto_front(std::vector<double>{1, 3, 0, -0.0, kMissing}, small), (Numbers{2, 3}));
  EXPECT_TRUE(pareto_front({}, fast_and_good).empty());
  EXPECT_TRUE(pareto_front(std::vector<double>{kMissing, 1}, fast_and_good).empty());
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(pareto_front(std::vector<double>{infinity, 1, 5, -infinity, 4, 0}, fast_and_good),
            (Numbers{0, 1}));
}

TEST(Pareto, RefusesWhatIsNoRow) {
  const std::vector<ParetoDirection> two = {kMax, kMin};
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "3 values are no rows of 2", [&] {
    static_cast<void>(pareto_front(std::vector<double>{1, 2, 3}, two));
  }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "at least one objective",
                         [&] { static_cast<void>(pareto_front({}, {})); }));
}

/// Every pair compared.
Numbers brute_force(const std::vector<double>& values,
                    const std::vector<ParetoDirection>& directions) {
  const std::size_t width = directions.size();
  const std::size_t rows = values.size() / width;
  const auto better = [&](std::size_t a, std::size_t b, std::size_t i) {
    const double left = values[a * width + i];
    const double right = values[b * width + i];
    return directions[i] == kMax ? left > right : left < right;
  };
  Numbers front;
  for (std::size_t row = 0; row < rows; ++row) {
    bool kept = true;
    for (std::size_t other = 0; other < rows && kept; ++other) {
      bool complete = true;
      bool never_worse = true;
      bool once_better = false;
      for (std::size_t i = 0; i < width; ++i) {
        complete = complete && !std::isnan(values[other * width + i]);
        kept = kept && !std::isnan(values[row * width + i]);
        never_worse = never_worse && !better(row, other, i);
        once_better = once_better || better(other, row, i);
      }
      kept = kept && !(complete && never_worse && once_better);
    }
    if (kept) {
      front.push_back(static_cast<std::int64_t>(row));
    }
  }
  std::stable_sort(front.begin(), front.end(), [&](std::int64_t a, std::int64_t b) {
    return better(static_cast<std::size_t>(a), static_cast<std::size_t>(b), 0);
  });
  return front;
}

TEST(Pareto, NamesOfMetricsTellTheDirection) {
  EXPECT_EQ(known_direction("tokens_per_second"), kMax);
  EXPECT_EQ(known_direction("needle_recall"), kMax);
  EXPECT_EQ(known_direction("tpot_ms"), kMin);
  EXPECT_EQ(known_direction("uniform_evicted_mass"), kMin);
  EXPECT_EQ(known_direction("fits"), std::nullopt);
  EXPECT_EQ(known_direction(""), std::nullopt);
}

TEST(Pareto, AgreesWithBruteForce) {
  kernels::CounterRandom random(3);
  for (int round = 0; round < 3000; ++round) {
    const std::size_t width = 1 + random.bits() % 4;
    const std::size_t rows = random.bits() % 40;
    const std::uint64_t levels = 2 + random.bits() % 12;  // few, for ties
    std::vector<ParetoDirection> directions;
    for (std::size_t i = 0; i < width; ++i) {
      directions.push_back(random.bits() % 2 == 0 ? kMin : kMax);
    }
    std::vector<double> values;
    for (std::size_t i = 0; i < rows * width; ++i) {
      const bool missing = random.bits() % 20 == 0;
      const double value = static_cast<double>(random.bits() % levels) - 3.0;
      values.push_back(missing ? kMissing : value);
    }
    ASSERT_EQ(pareto_front(values, directions), brute_force(values, directions))
        << width << " objectives, " << rows << " rows, round " << round;
  }
}

TEST(Pareto, FrontOfTwoObjectivesIsNotQuadratic) {
  // All rows lie on the front; comparing each pair would take minutes.
  constexpr std::int64_t kRows = 300'000;
  std::vector<double> values;
  for (std::int64_t i = 0; i < kRows; ++i) {
    values.push_back(static_cast<double>(i));
    values.push_back(static_cast<double>(i));
  }
  const std::vector<ParetoDirection> directions = {kMax, kMin};
  const auto front = pareto_front(values, directions);
  ASSERT_EQ(std::ssize(front), kRows);
  EXPECT_EQ(front.front(), kRows - 1);
  EXPECT_EQ(front.back(), 0);
}

}  // namespace
}  // namespace kvsieve::sim
