#include "core/timeline_text.h"

#include <gtest/gtest.h>

#include <QStringList>

#include "timeline_fixture.h"

namespace kvsieve::gui {
namespace {

using tests::small_timeline;
using tests::timeline_detail;
using tests::timeline_event;

constexpr std::size_t kToGpuRow = 1;

TEST(TimelineText, AnEventSaysWhatItDid) {
  const auto timeline = timeline_detail(small_timeline());
  const TimelineEvents& events = timeline->events();
  EXPECT_EQ(event_text(events, *events.find("fetch", std::nullopt)),
            QStringLiteral("fetch on H2D (to GPU) (modelled)\n"
                           "begins at 20.0000 µs\n"
                           "takes 40.00 µs (40.0000 µs)\n"
                           "alone 32.0000 µs (×1.25)\n"
                           "977 KiB (1,000,000 B) in 250 pieces\n"
                           "achieved 25.0 GB/s (bytes / time)\n"
                           "step 0, layer 0, micro-batch 1, on the critical path"))
      << event_text(events, *events.find("fetch", std::nullopt)).toStdString();
  const QString append = event_text(events, *events.find("append", std::nullopt));
  EXPECT_FALSE(append.contains("alone"));
  EXPECT_FALSE(append.contains("critical"));
  EXPECT_TRUE(append.endsWith("step 0, layer 0"));
}

TEST(TimelineText, APixelSaysItsEventOrHowManyItHolds) {
  TimelineParts parts = small_timeline();
  for (int i = 0; i < 50; ++i) {
    parts.events.push_back(timeline_event(3, 4, 150.0 + i, 150.5 + i, 1, 0));
  }
  const auto timeline = timeline_detail(std::move(parts));
  const TimeMapping shown{0.0, 200.0, 20.0};  // a pixel is 10 us
  EXPECT_TRUE(pixel_text(*timeline, kToGpuRow, shown, 3.0).startsWith("fetch on H2D"));
  EXPECT_EQ(pixel_text(*timeline, kToGpuRow, shown, 9.0), QString());
  const std::size_t cpu = timeline->events().rows().size() - 1;
  EXPECT_EQ(pixel_text(*timeline, cpu, shown, 17.5),
            QStringLiteral("10 events on CPU (modelled) within 10.00 µs\n"
                           "mostly down, busy 50.00%"))
      << pixel_text(*timeline, cpu, shown, 17.5).toStdString();
  // Transfers that nothing hides, from 40 to 60 of each step.
  EXPECT_TRUE(pixel_text(*timeline, std::nullopt, shown, 5.0).startsWith("exposed transfer: "));
  EXPECT_EQ(pixel_text(*timeline, std::nullopt, shown, 8.0), QString());
}

TEST(TimelineText, ARangeSaysItsTimeBytesAndBusyShares) {
  const Timelines one{timeline_detail(small_timeline())};
  EXPECT_EQ(range_text(one, {20.0, 60.0}),
            QStringLiteral("40.00 µs · 977 KiB moved, GPU busy 50.00%, H2D (to GPU) busy 100.00%, "
                           "D2H (to host) busy 0.00%, CPU busy 0.00%"))
      << range_text(one, {20.0, 60.0}).toStdString();
  const Timelines two{one[0], timeline_detail(small_timeline("measured"))};
  const QString both = range_text(two, {20.0, 60.0});
  EXPECT_TRUE(both.contains("modelled, 977 KiB moved")) << both.toStdString();
  EXPECT_TRUE(both.contains("measured, 977 KiB moved")) << both.toStdString();
  EXPECT_EQ(range_text({}, {20.0, 60.0}), QStringLiteral("40.00 µs"));
}

TEST(TimelineText, TheTableSumsByLaneAndName) {
  const Timelines timelines{timeline_detail(small_timeline())};
  const sim::Table all = timeline_table(timelines, {0.0, 200.0});
  ASSERT_EQ(all.rows.size(), 5U);
  ASSERT_EQ(all.columns.size(), 10U);
  EXPECT_EQ(all.rows[2][1].text, "H2D (to GPU)");
  EXPECT_EQ(all.rows[2][2].text, "fetch");
  EXPECT_EQ(all.rows[2][3].text, "2");
  EXPECT_EQ(all.rows[2][4].text, "80.00 µs");
  EXPECT_EQ(all.rows[2][9].text, "500");
  EXPECT_EQ(all.rows[0][8].text, "");  // computing moves nothing
  EXPECT_EQ(timeline_table(timelines, {20.0, 60.0}).rows.size(), 2U);
}

TEST(TimelineText, CsvHoldsTheSumsInFull) {
  TimelineParts parts = small_timeline();
  parts.title = QStringLiteral("a \"small\" one");
  const Timelines timelines{timeline_detail(std::move(parts))};
  const QStringList lines = timeline_csv(timelines, {0.0, 200.0}).split("\r\n", Qt::SkipEmptyParts);
  ASSERT_EQ(lines.size(), 6);
  EXPECT_EQ(lines[0],
            "timeline,origin,lane,event,begin_us,end_us,events,us,longest_us,critical_us,bytes,"
            "pieces");
  EXPECT_EQ(lines[3],
            "\"a \"\"small\"\" one\",modelled,\"H2D (to GPU)\",\"fetch\",0,200,2,80,40,80,2000000,"
            "500");
}

}  // namespace
}  // namespace kvsieve::gui
