#include "core/level_of_detail.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>

namespace kvsieve::gui {
namespace {

/// A row of events of 0.1 to 3 us with gaps, longer ones now and then.
struct Row {
  std::vector<double> begin_us;
  std::vector<double> end_us;
  std::vector<std::int32_t> name;
  std::vector<std::uint8_t> critical;

  explicit Row(std::size_t events, unsigned seed = 1) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<double> us(0.1, 3.0);
    std::uniform_int_distribution<int> any(0, 999);
    double at = 0.0;
    for (std::size_t i = 0; i < events; ++i) {
      at += any(generator) < 300 ? us(generator) : 0.0;
      begin_us.push_back(at);
      at += us(generator) * (any(generator) == 0 ? 200.0 : 1.0);
      end_us.push_back(at);
      // A name prevails over stretches of 500 events.
      name.push_back(any(generator) < 700 ? static_cast<std::int32_t>(i / 500 % 5)
                                          : any(generator) % 7);
      critical.push_back(i % 1000 == 77 ? 1 : 0);
    }
  }
  [[nodiscard]] LevelOfDetail detail() const { return {begin_us, end_us, name, critical}; }
  [[nodiscard]] double total_us() const { return end_us.back(); }
};

/// What runs in [low, high), by looking at every event.
struct Truth {
  double us = 0.0;
  std::map<std::int32_t, double> us_of;
  bool critical = false;
};
Truth truth(const Row& row, double low, double high) {
  Truth found;
  for (std::size_t i = 0; i < row.begin_us.size(); ++i) {
    const double us = std::min(row.end_us[i], high) - std::max(row.begin_us[i], low);
    if (us > 0.0) {
      found.us += us;
      found.us_of[row.name[i]] += us;
      found.critical = found.critical || row.critical[i] != 0;
    }
  }
  return found;
}

TEST(LevelOfDetail, WideEventsAreBoxesOfTheirOwn) {
  const std::vector<double> begin{0, 10, 20, 20.5};
  const std::vector<double> end{10, 14, 20.5, 40};
  const std::vector<std::int32_t> name{3, 1, 0, 2};
  const std::vector<std::uint8_t> critical{1, 0, 0, 1};
  const std::vector<RowMark> marks =
      LevelOfDetail(begin, end, name, critical).marks({0, 40, 40}, 3.0);
  ASSERT_EQ(marks.size(), 4U);
  EXPECT_EQ(marks[0].event, 0);
  EXPECT_EQ(marks[0].x_low, 0.0);
  EXPECT_EQ(marks[0].x_high, 10.0);
  EXPECT_EQ(marks[0].name, 3);
  EXPECT_TRUE(marks[0].critical);
  EXPECT_EQ(marks[1].event, 1);
  EXPECT_FALSE(marks[1].critical);
  EXPECT_EQ(marks[2].event, -1);  // half a pixel
  EXPECT_EQ(marks[2].x_low, 20.0);
  EXPECT_EQ(marks[2].coverage, 0.5);
  EXPECT_EQ(marks[2].name, 0);
  EXPECT_FALSE(marks[2].critical);
  EXPECT_EQ(marks[3].event, 3);
  EXPECT_EQ(marks[3].x_low, 20.5);
}

TEST(LevelOfDetail, ABoxIsCutOffAtTheEdges) {
  const std::vector<double> begin{0};
  const std::vector<double> end{1000};
  const std::vector<RowMark> marks = LevelOfDetail(begin, end, {}, {}).marks({400, 500, 50}, 3.0);
  ASSERT_EQ(marks.size(), 1U);
  EXPECT_EQ(marks[0].x_low, -1.0);
  EXPECT_EQ(marks[0].x_high, 51.0);
  EXPECT_EQ(marks[0].name, -1);
}

TEST(LevelOfDetail, NothingWhereNothingIs) {
  EXPECT_TRUE(LevelOfDetail({}, {}, {}, {}).marks({0, 10, 100}, 3.0).empty());
  const std::vector<double> begin{5, 90, 95};
  const std::vector<double> end{6, 91, 95};  // the last takes no time
  const LevelOfDetail detail(begin, end, {}, {});
  EXPECT_TRUE(detail.marks({10, 80, 100}, 3.0).empty());
  EXPECT_TRUE(detail.marks({94, 96, 100}, 3.0).empty());
  EXPECT_EQ(detail.marks({0, 100, 100}, 3.0).size(), 2U);
}

/// c58: a column shows how much of it is covered, what prevails in it, and whether something
/// critical is in it; at any zoom.
TEST(LevelOfDetail, ColumnsAgreeWithEveryEventLookedAt) {
  const Row row(20'000);
  const LevelOfDetail detail = row.detail();
  for (const double share : {1.0, 0.31, 0.02, 0.001}) {
    const double low = 0.4 * row.total_us() * (1.0 - share);
    const TimeMapping mapping{low, low + share * row.total_us(), 700};
    const std::vector<RowMark> marks = detail.marks(mapping, 3.0);
    ASSERT_FALSE(marks.empty());
    EXPECT_LE(marks.size(), 1400U);
    double shown_us = 0.0;
    double last_x = -1.0;
    std::size_t main = 0;
    std::size_t columns = 0;
    for (const RowMark& mark : marks) {
      EXPECT_GE(mark.x_low, last_x);
      last_x = mark.x_low;
      if (mark.event >= 0) {
        const auto event = static_cast<std::size_t>(mark.event);
        EXPECT_GE((row.end_us[event] - row.begin_us[event]) * mapping.px_per_us(), 3.0);
        EXPECT_EQ(mark.critical, row.critical[event] != 0);
        shown_us += (std::min(mark.x_high, mapping.width_px) - std::max(mark.x_low, 0.0)) /
                    mapping.px_per_us();
        continue;
      }
      shown_us += mark.coverage / mapping.px_per_us();
      const Truth expected = truth(row, mapping.us_of(mark.x_low), mapping.us_of(mark.x_high));
      EXPECT_LE(mark.coverage, expected.us * mapping.px_per_us() + 1e-9);
      EXPECT_LE(mark.critical, expected.critical);
      ++columns;
      double most = 0.0;
      for (const auto& [name, us] : expected.us_of) {
        most = std::max(most, us);
      }
      main += expected.us_of.contains(mark.name) && expected.us_of.at(mark.name) > 0.6 * most;
    }
    const Truth all = truth(row, mapping.low_us, mapping.high_us);
    EXPECT_NEAR(shown_us / all.us, 1.0, 1e-6) << "share " << share;
    EXPECT_GE(main, columns * 98 / 100) << "share " << share;
  }
}

TEST(LevelOfDetail, EveryCriticalEventIsSeen) {
  const Row row(20'000);
  const TimeMapping mapping{0, row.total_us(), 500};
  const std::vector<RowMark> marks = row.detail().marks(mapping, 3.0);
  for (std::size_t i = 77; i < 20'000; i += 1000) {
    const double x = mapping.x_of((row.begin_us[i] + row.end_us[i]) / 2.0);
    EXPECT_TRUE(std::any_of(marks.begin(), marks.end(), [&](const RowMark& mark) {
      return mark.critical && mark.x_low <= x && x <= mark.x_high;
    })) << i;
  }
}

/// c58: time grows with the pixels, not with the events.
TEST(LevelOfDetail, AHundredTimesTheEventsTakeAboutAsLong) {
  const auto ms = [](const LevelOfDetail& detail, double total_us) {
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_FALSE(detail.marks({0, total_us, 1900}, 3.0).empty());
      best = std::min(
          best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
                    .count());
    }
    return best;
  };
  const Row few(10'000);
  const Row many(1'000'000);
  const double few_ms = ms(few.detail(), few.total_us());
  const double many_ms = ms(many.detail(), many.total_us());
  EXPECT_LT(many_ms, 10.0 * few_ms + 1.0);
  EXPECT_LT(many_ms, 30.0);
}

}  // namespace
}  // namespace kvsieve::gui
