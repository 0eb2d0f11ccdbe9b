#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <locale>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "kvsieve/sim/timeline.h"
#include "sim/timeline/timeline_builder.h"

namespace kvsieve::sim::tests {
namespace {

using nlohmann::json;
using enum Lane;

constexpr std::int32_t kAllSteps = 1 << 20;

/// As a viewer reads it.
json trace_of(const Timeline& timeline, std::string_view title = "A2ATS",
              std::int32_t first_step = 0, std::int32_t last_step = kAllSteps) {
  return json::parse(
      chrome_trace(timeline, simulate(timeline), title, first_step, last_step).dump());
}

std::vector<json> events_of(const json& trace, std::string_view phase) {
  std::vector<json> events;
  std::copy_if(trace["traceEvents"].begin(), trace["traceEvents"].end(), std::back_inserter(events),
               [&](const json& event) { return event["ph"] == phase; });
  return events;
}

Timeline small_timeline() {
  return timeline_of({{.lane = kGpu, .us = 2.0},
                      {.lane = kToHost, .us = 1.5, .after = {0}, .bytes = 100},
                      {.lane = kCpu, .us = 4.0, .after = {1}, .bytes = 50},
                      {.lane = kToGpu, .us = 0.5, .after = {2}, .bytes = 30},
                      {.lane = kToHost, .us = 3.0, .micro_batch = 1, .bytes = 70},
                      {.lane = kGpu, .us = 1.0, .after = {3}, .step = 1, .bytes = 20}});
}

TEST(ChromeTrace, NamesTheProcessAndAThreadALane) {
  const json trace = trace_of(small_timeline(), "A2ATS \"60K\"\n\xff");
  EXPECT_EQ(trace["displayTimeUnit"], "ms");
  EXPECT_EQ(trace["otherData"],
            (json{{"title", "A2ATS \"60K\" \xEF\xBF\xBD"}, {"origin", "modelled"}}));
  std::map<std::string, std::vector<json>> metadata;
  for (const json& event : events_of(trace, "M")) {
    metadata[event["name"]].push_back(event);
  }
  ASSERT_EQ(metadata["process_name"].size(), 1U);
  EXPECT_EQ(metadata["process_name"][0]["args"]["name"], trace["otherData"]["title"]);
  ASSERT_EQ(metadata["thread_name"].size(), kLanes);
  ASSERT_EQ(metadata["thread_sort_index"].size(), kLanes);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    EXPECT_EQ(metadata["thread_name"][lane]["tid"], lane);
    EXPECT_EQ(metadata["thread_name"][lane]["args"]["name"], name_of(static_cast<Lane>(lane)));
    EXPECT_EQ(metadata["thread_sort_index"][lane]["args"]["sort_index"], lane);
  }
}

TEST(ChromeTrace, ASliceATaskWhereItRan) {
  std::mt19937 generator(3);
  for (int i = 0; i < 50; ++i) {
    const Timeline timeline = random_timeline(generator, {});
    const TimelineResult result = simulate(timeline);
    const json trace = trace_of(timeline);
    const std::vector<json> slices = events_of(trace, "X");
    ASSERT_EQ(slices.size(), timeline.tasks.size());
    for (std::size_t t = 0; t < slices.size(); ++t) {
      const json& slice = slices[t];
      const TimelineTask& task = timeline.tasks[t];
      const TimelineSpan& span = result.spans[t];
      EXPECT_EQ(slice["name"], timeline.names[t]);
      EXPECT_EQ(slice["tid"], static_cast<int>(task.lane));
      EXPECT_EQ(slice["ts"].get<double>(), span.begin_us);
      EXPECT_EQ(slice["dur"].get<double>(), span.end_us - span.begin_us);
      const bool critical = std::find(result.critical_path.begin(), result.critical_path.end(),
                                      static_cast<std::int32_t>(t)) != result.critical_path.end();
      EXPECT_EQ(slice["cat"], critical ? "critical" : "other");
      json args = {{"step", task.step},
                   {"layer", 7},
                   {"micro_batch", task.micro_batch},
                   {"alone_us", task.us},
                   {"critical", critical}};
      if (task.bytes > 0) {
        args["bytes"] = task.bytes;
        args["pieces"] = 3;
      }
      EXPECT_EQ(slice["args"], args);
    }
    for (const json& event : trace["traceEvents"]) {
      EXPECT_EQ(event["pid"], 1);
      EXPECT_TRUE(!event.contains("ts") || std::isfinite(event["ts"].get<double>()));
    }
  }
}

TEST(ChromeTrace, TasksOfNoLayerHaveNone) {
  Timeline timeline = small_timeline();
  timeline.tasks[0].layer = -1;
  EXPECT_FALSE(events_of(trace_of(timeline), "X")[0]["args"].contains("layer"));
}

TEST(ChromeTrace, CountsBytesInFlight) {
  const std::vector<json> counters = events_of(trace_of(small_timeline()), "C");
  struct Expected {
    double us;
    std::int64_t to_host;
    std::int64_t to_gpu;
  };
  // Task 4 holds the engine until 3, task 1 follows; the CPU's task counts for nothing, the last
  // GPU task as a copy to it.
  const std::vector<Expected> expected = {{0.0, 70, 0}, {3.0, 100, 0}, {4.5, 0, 0},
                                          {8.5, 0, 30}, {9.0, 0, 20},  {10.0, 0, 0}};
  ASSERT_EQ(counters.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(counters[i]["name"], "bytes in flight");
    EXPECT_EQ(counters[i]["ts"].get<double>(), expected[i].us) << i;
    EXPECT_EQ(counters[i]["args"],
              (json{{"to-host", expected[i].to_host}, {"to-gpu", expected[i].to_gpu}}))
        << i;
  }
}

TEST(ChromeTrace, CountersOnlyChangeAndEndAtZero) {
  std::mt19937 generator(4);
  for (int i = 0; i < 50; ++i) {
    const std::vector<json> counters =
        events_of(trace_of(random_timeline(generator, {.whole_times = true})), "C");
    for (std::size_t c = 1; c < counters.size(); ++c) {
      EXPECT_GT(counters[c]["ts"].get<double>(), counters[c - 1]["ts"].get<double>());
      EXPECT_NE(counters[c]["args"], counters[c - 1]["args"]);
      EXPECT_GE(counters[c]["args"]["to-host"].get<std::int64_t>(), 0);
      EXPECT_GE(counters[c]["args"]["to-gpu"].get<std::int64_t>(), 0);
    }
    if (!counters.empty()) {
      EXPECT_EQ(counters.back()["args"], (json{{"to-host", 0}, {"to-gpu", 0}}));
    }
  }
}

TEST(ChromeTrace, WritesTheStepsAskedFor) {
  const Timeline timeline = small_timeline();
  const json first = trace_of(timeline, "A2ATS", 0, 1);
  EXPECT_EQ(events_of(first, "X").size(), 5U);
  const json second = trace_of(timeline, "A2ATS", 1, 2);
  const std::vector<json> slices = events_of(second, "X");
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_EQ(slices[0]["ts"].get<double>(), 9.0);
  EXPECT_EQ(events_of(second, "C").size(), 2U);
  EXPECT_TRUE(events_of(trace_of(timeline, "A2ATS", 2, kAllSteps), "X").empty());
  EXPECT_TRUE(events_of(trace_of({}), "X").empty());
}

TEST(ChromeTrace, NumbersDoNotDependOnTheLocale) {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  Timeline timeline = small_timeline();
  timeline.tasks[1].bytes = 123456789;
  timeline.tasks[1].us = 12345.625;
  const auto text = [&] {
    return chrome_trace(timeline, simulate(timeline), "A2ATS", 0, kAllSteps).dump();
  };
  const std::string expected = text();
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
  const std::string actual = text();
  std::locale::global(before);
  EXPECT_EQ(actual, expected);
  EXPECT_NE(actual.find("12345.625"), std::string::npos);
  EXPECT_NE(actual.find("123456789"), std::string::npos);
}

}  // namespace
}  // namespace kvsieve::sim::tests
