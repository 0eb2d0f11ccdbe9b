#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "kvsieve/profile/measured_timeline.h"
#include "profile/record_builder.h"

namespace kvsieve::profile::tests {
namespace {

using nlohmann::ordered_json;

ordered_json trace_of(const RecordBuilder& builder) {
  return chrome_trace(measured_timeline(builder.parse(), {}), "a run");
}

std::map<int, std::string> thread_names(const ordered_json& trace) {
  std::map<int, std::string> names;
  for (const ordered_json& event : trace["traceEvents"]) {
    if (event["name"] == "thread_name") {
      names[event["tid"].get<int>()] = event["args"]["name"].get<std::string>();
    }
  }
  return names;
}

ordered_json slices_of(const ordered_json& trace, const std::string& row) {
  const std::map<int, std::string> names = thread_names(trace);
  ordered_json slices = ordered_json::array();
  for (const ordered_json& event : trace["traceEvents"]) {
    if (event["ph"] == "X" && names.at(event["tid"].get<int>()) == row) {
      slices.push_back(event);
    }
  }
  return slices;
}

RecordBuilder overlapping() {
  RecordBuilder builder(130001);
  builder.device("H100");
  builder.range(1, 1000, 1900, "resident-attention/step:3/layer:2/micro-batch:0");
  builder.call(1, 1100, 1200, 1).call(1, 2000, 2100, 2).call(1, 2200, 2300, 3, 41);
  builder.kernel("a", 7, 3000, 6000, 1).kernel("b", 8, 4000, 7000, 2);
  builder.copy(1, 9, 3500, 5500, 3, 4096, 4);
  builder.overhead(1, 1150, 2050, 5U << 16U);
  return builder;
}

TEST(MeasuredTrace, HasTheModelsLanesAndIsMarkedMeasured) {
  const ordered_json trace = trace_of(overlapping());
  EXPECT_EQ(trace["otherData"]["origin"], "measured");
  EXPECT_EQ(trace["otherData"]["title"], "a run");
  EXPECT_EQ(trace["otherData"]["device"], "H100");
  const std::map<int, std::string> names = thread_names(trace);
  EXPECT_EQ(names.at(0), "gpu");
  EXPECT_EQ(names.at(1), "to-host");
  EXPECT_EQ(names.at(2), "to-gpu");
  EXPECT_EQ(names.at(3), "cpu");
  const ordered_json gpu = slices_of(trace, "gpu");
  ASSERT_EQ(gpu.size(), 2U);
  EXPECT_EQ(gpu[0]["tid"], 0);
  EXPECT_EQ(gpu[0]["name"], "resident-attention");
  EXPECT_EQ(gpu[0]["cat"], "measured");
  EXPECT_DOUBLE_EQ(gpu[0]["ts"], 2.0);
  EXPECT_DOUBLE_EQ(gpu[0]["dur"], 3.0);
  EXPECT_EQ(gpu[0]["args"]["step"], 3);
  EXPECT_EQ(gpu[0]["args"]["layer"], 2);
  EXPECT_EQ(gpu[0]["args"]["micro_batch"], 0);
  EXPECT_DOUBLE_EQ(gpu[0]["args"]["busy_us"], 3.0);
  EXPECT_DOUBLE_EQ(gpu[0]["args"]["call_us"], 0.1);
  const ordered_json copies = slices_of(trace, "to-gpu");
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_EQ(copies[0]["args"]["bytes"], 4096);
  EXPECT_EQ(copies[0]["args"]["pieces"], 4);
}

TEST(MeasuredTrace, WhatOverlapsHasARowOfItsOwn) {
  const ordered_json trace = trace_of(overlapping());
  const ordered_json gpu = slices_of(trace, "gpu");
  ASSERT_EQ(gpu.size(), 2U);
  EXPECT_EQ(gpu[1]["name"], "b");
  EXPECT_NE(gpu[0]["tid"], gpu[1]["tid"]);
}

TEST(MeasuredTrace, NoRowHasSlicesThatCross) {
  const ordered_json trace = trace_of(overlapping());
  std::map<int, std::vector<std::pair<double, double>>> rows;
  for (const ordered_json& event : trace["traceEvents"]) {
    if (event["ph"] == "X") {
      rows[event["tid"].get<int>()].emplace_back(
          event["ts"].get<double>(), event["ts"].get<double>() + event["dur"].get<double>());
    }
  }
  EXPECT_EQ(rows.size(), 3U + 3U + 2U);
  for (const auto& [row, spans] : rows) {
    for (const auto& [begin, end] : spans) {
      for (const auto& [other_begin, other_end] : spans) {
        EXPECT_FALSE(begin < other_begin && other_begin < end && end < other_end) << row;
      }
    }
  }
}

TEST(MeasuredTrace, StreamsAndThreadsShowTheDetail) {
  const ordered_json trace = trace_of(overlapping());
  const ordered_json kernels = slices_of(trace, "stream 7");
  ASSERT_EQ(kernels.size(), 1U);
  EXPECT_EQ(kernels[0]["cat"], "kernel");
  EXPECT_EQ(kernels[0]["args"]["grid"], ordered_json({7, 2, 1}));
  EXPECT_EQ(kernels[0]["args"]["registers"], 40);
  EXPECT_EQ(slices_of(trace, "stream 9")[0]["args"]["size_bytes"], 4096);
  const ordered_json host = slices_of(trace, "host thread 1");
  ASSERT_EQ(host.size(), 4U);
  EXPECT_EQ(host[0]["cat"], "range");
  EXPECT_EQ(host[0]["name"], "resident-attention/step:3/layer:2/micro-batch:0");
  EXPECT_EQ(host[1]["name"], "cudaLaunchKernel");
  const ordered_json overheads = slices_of(trace, "overheads");
  ASSERT_EQ(overheads.size(), 1U);
  EXPECT_EQ(overheads[0]["name"], "loading a function");
}

TEST(MeasuredTrace, BytesInFlightRiseAndFall) {
  const ordered_json trace = trace_of(overlapping());
  std::vector<std::int64_t> values;
  for (const ordered_json& event : trace["traceEvents"]) {
    if (event["ph"] == "C") {
      values.push_back(event["args"]["to-gpu"].get<std::int64_t>());
    }
  }
  EXPECT_EQ(values, (std::vector<std::int64_t>{4096, 0}));
}

}  // namespace
}  // namespace kvsieve::profile::tests
