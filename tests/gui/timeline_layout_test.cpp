#include "core/timeline_layout.h"

#include <gtest/gtest.h>

#include "timeline_fixture.h"

namespace kvsieve::gui {
namespace {

using tests::small_timeline;
using tests::timeline_detail;

constexpr double kLinePx = 15.0;
constexpr double kLabelPx = 100.0;

/// Lanes of one row each, from top to bottom.
enum Row { kGpu, kToGpu, kToHost, kCpu };

TimelineLayout layout_of(const Timelines& timelines, double height_px) {
  return timeline_layout(timelines, height_px, kLinePx, kLabelPx);
}

std::size_t event_of(const Timelines& timelines, std::size_t timeline, Row row, std::size_t i) {
  return timelines[timeline]->events().rows()[row].begin + i;
}

TEST(TimelineLayout, RowsFollowEachOtherFromTheAxisToTheBottom) {
  const Timelines timelines{timeline_detail(small_timeline()),
                            timeline_detail(small_timeline("measured"))};
  for (const double height_px : {50.0, 400.0, 3000.0}) {
    const TimelineLayout layout = layout_of(timelines, height_px);
    ASSERT_EQ(layout.rows.size(), 10U);
    EXPECT_EQ(layout.label_px, kLabelPx);
    double y = layout.axis_px;
    for (const TimelineBox& box : layout.rows) {
      EXPECT_GE(box.y, y);
      EXPECT_GE(box.height, kLinePx);
      EXPECT_LE(box.height, 60.0);
      y = box.y + box.height;
    }
    EXPECT_GE(layout.bottom, y);
    EXPECT_EQ(layout.rows[0].label, QStringLiteral("GPU"));
    EXPECT_EQ(layout.rows[4].label, QStringLiteral("exposed transfer"));
    EXPECT_FALSE(layout.rows[4].row);
    EXPECT_EQ(layout.rows[5].timeline, 1U);
    // Title and steps of the second stand between the two.
    EXPECT_GT(layout.title_y[1], layout.rows[4].y + layout.rows[4].height);
    EXPECT_GT(layout.step_y[1], layout.title_y[1]);
    EXPECT_GE(layout.rows[5].y, layout.step_y[1] + kLinePx);
  }
}

TEST(TimelineLayout, RowsTakeTheHeightThatIsThere) {
  const Timelines timelines{timeline_detail(small_timeline())};
  const TimelineLayout low = layout_of(timelines, 250.0);
  const TimelineLayout high = layout_of(timelines, 290.0);
  EXPECT_GT(high.rows[0].height, low.rows[0].height);
  for (double height_px = least_height_px(timelines, kLinePx); height_px < 320.0; height_px += 5) {
    const double bottom = layout_of(timelines, height_px).bottom;
    EXPECT_LE(bottom, height_px + 1e-9);
    EXPECT_GT(bottom, height_px - 8.0);
  }
  EXPECT_EQ(layout_of(timelines, least_height_px(timelines, kLinePx)).rows[0].height,
            kLinePx + 1.0);
  EXPECT_EQ(least_height_px({}, kLinePx), 0.0);
}

TEST(TimelineLayout, WithoutTransfersOrStepsThereIsNoRoomForThem) {
  TimelineParts parts = small_timeline();
  std::erase_if(parts.events, [](const TimelineEvent& event) { return event.lane == 1; });
  parts.lanes = {parts.lanes[0], {QStringLiteral("a thread"), std::nullopt}};
  std::erase_if(parts.events, [](const TimelineEvent& event) { return event.lane > 1; });
  for (TimelineEvent& event : parts.events) {
    event.step = -1;
  }
  const Timelines timelines{timeline_detail(std::move(parts))};
  const TimelineLayout layout = layout_of(timelines, 400.0);
  ASSERT_EQ(layout.rows.size(), 1U);  // a lane without events has no row
  EXPECT_EQ(layout.rows[0].y, layout.step_y[0]);
}

TEST(TimelineLayout, LabelsAreThoseOfLanes) {
  const Timelines timelines{timeline_detail(small_timeline())};
  EXPECT_EQ(
      timeline_labels(timelines),
      (std::vector<QString>{"exposed transfer", "GPU", "H2D (to GPU)", "D2H (to host)", "CPU"}));
}

TEST(TimelineLayout, TheRowAtAHeight) {
  const Timelines timelines{timeline_detail(small_timeline())};
  const TimelineLayout layout = layout_of(timelines, 400.0);
  EXPECT_EQ(layout.box_at(0.0), nullptr);
  EXPECT_EQ(layout.box_at(layout.bottom + 1.0), nullptr);
  for (const TimelineBox& box : layout.rows) {
    EXPECT_EQ(layout.box_at(box.y), &box);
    EXPECT_EQ(layout.box_at(box.y + 0.5 * box.height), &box);
  }
  EXPECT_EQ(layout.row_of(timelines, {0, event_of(timelines, 0, kCpu, 1)}), 3U);
}

TEST(TimelineLayout, AnEventIsFoundWithinTwoPixels) {
  const Timelines timelines{timeline_detail(small_timeline())};
  const TimelineEvents& events = timelines[0]->events();
  const TimeMapping shown{0.0, 200.0, 200.0};  // a pixel is 1 us
  const auto fetch = event_of(timelines, 0, kToGpu, 0);
  EXPECT_EQ(event_near(events, kToGpu, shown, 30.0), std::optional(fetch));
  EXPECT_EQ(event_near(events, kToGpu, shown, 18.5), std::optional(fetch));
  EXPECT_EQ(event_near(events, kToGpu, shown, 61.5), std::optional(fetch));
  EXPECT_EQ(event_near(events, kToGpu, shown, 17.5), std::nullopt);
  EXPECT_EQ(event_near(events, kToGpu, shown, 70.0), std::nullopt);
}

TEST(TimelineLayout, AnEventsMiddleIsThatOfItsVisiblePart) {
  const Timelines timelines{timeline_detail(small_timeline())};
  const TimelineLayout layout = layout_of(timelines, 400.0);
  const TimelinePlace fetch{0, event_of(timelines, 0, kToGpu, 0)};
  const auto whole = middle_of(timelines, layout, {0.0, 200.0, 400.0}, fetch);
  ASSERT_TRUE(whole);
  EXPECT_DOUBLE_EQ(whole->x(), kLabelPx + 80.0);
  EXPECT_DOUBLE_EQ(whole->y(), layout.rows[1].y + 0.5 * layout.rows[1].height);
  const auto part = middle_of(timelines, layout, {50.0, 100.0, 500.0}, fetch);
  ASSERT_TRUE(part);
  EXPECT_DOUBLE_EQ(part->x(), kLabelPx + 50.0);
  EXPECT_FALSE(middle_of(timelines, layout, {61.0, 100.0, 500.0}, fetch));
}

TEST(TimelineLayout, WalksBeginWithTheUppermostRowInView) {
  const Timelines timelines{timeline_detail(small_timeline())};
  const TimelineLayout layout = layout_of(timelines, 400.0);
  EXPECT_EQ(first_after(timelines, layout, 0.0),
            (TimelinePlace{0, event_of(timelines, 0, kGpu, 0)}));
  EXPECT_EQ(first_after(timelines, layout, 40.0),
            (TimelinePlace{0, event_of(timelines, 0, kGpu, 1)}));
  EXPECT_EQ(first_after(timelines, layout, 200.0), std::nullopt);
}

TEST(TimelineLayout, WalksStopAtTheEndsOfTheRow) {
  const Timelines timelines{timeline_detail(small_timeline())};
  TimelinePlace place{0, event_of(timelines, 0, kGpu, 0)};
  EXPECT_EQ(next_in_row(timelines, place, -1), std::nullopt);
  for (std::size_t i = 1; i < 4; ++i) {
    const auto next = next_in_row(timelines, place, 1);
    ASSERT_TRUE(next);
    place = *next;
    EXPECT_EQ(place.event, event_of(timelines, 0, kGpu, i));
  }
  EXPECT_EQ(next_in_row(timelines, place, 1), std::nullopt);
  EXPECT_EQ(next_in_row(timelines, place, -1), (TimelinePlace{0, event_of(timelines, 0, kGpu, 2)}));
}

TEST(TimelineLayout, WalksAcrossRowsKeepTheTimeAndGoOnInTheNextTimeline) {
  const Timelines timelines{timeline_detail(small_timeline()),
                            timeline_detail(small_timeline("measured"))};
  const TimelineLayout layout = layout_of(timelines, 800.0);
  // From the second step's mlp, which begins at 160.
  const TimelinePlace mlp{0, event_of(timelines, 0, kGpu, 3)};
  const TimelinePlace fetch{0, event_of(timelines, 0, kToGpu, 1)};
  EXPECT_EQ(next_across_rows(timelines, layout, mlp, 1), fetch);
  EXPECT_EQ(next_across_rows(timelines, layout, mlp, -1), std::nullopt);
  // Where none has begun yet, the first.
  const TimelinePlace qkv{0, event_of(timelines, 0, kGpu, 0)};
  EXPECT_EQ(next_across_rows(timelines, layout, qkv, 1),
            (TimelinePlace{0, event_of(timelines, 0, kToGpu, 0)}));
  // Exposed transfers lie between the CPU of one and the GPU of the other.
  const TimelinePlace append{0, event_of(timelines, 0, kCpu, 1)};
  const TimelinePlace below{1, event_of(timelines, 1, kGpu, 2)};
  EXPECT_EQ(next_across_rows(timelines, layout, append, 1), below);
  EXPECT_EQ(next_across_rows(timelines, layout, below, -1),
            (TimelinePlace{0, event_of(timelines, 0, kCpu, 0)}));
}

}  // namespace
}  // namespace kvsieve::gui
