#include "core/chrome_events.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "kvsieve/profile/measured_timeline.h"
#include "kvsieve/sim/cost_report.h"
#include "kvsieve/traces/error.h"
#include "profile/sample_recording.h"

namespace kvsieve::gui {
namespace {

/// A file that goes with its object.
class TextFile {
 public:
  explicit TextFile(const std::string& text) {
    m_path = std::filesystem::temp_directory_path() /
             (std::string("kvsieve_chrome_events_") + std::to_string(getpid()) + ".json");
    std::ofstream(m_path, std::ios::binary) << text;
  }
  ~TextFile() { std::filesystem::remove(m_path); }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  [[nodiscard]] QString path() const { return QString::fromStdString(m_path.string()); }

 private:
  std::filesystem::path m_path;
};

std::shared_ptr<const TimelineEvents> load(const std::string& text) {
  const TextFile file(text);
  return TimelineEvents::load(file.path(), JobControl::detached());
}

/// The error of a file without its path, or "read".
std::string error_of(const std::string& text) {
  const TextFile file(text);
  try {
    static_cast<void>(TimelineEvents::load(file.path(), JobControl::detached()));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    const std::string what = error.what();
    const std::string path = file.path().toStdString() + ": ";
    EXPECT_EQ(what.rfind(path, 0), 0U) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos);
    return what.substr(path.size());
  }
  return "read";
}

/// c44: what the model writes comes back the same.
TEST(ChromeEvents, TheModelsTimelineComesBack) {
  sim::CostRequest request;
  request.hardware = sim::load_hardware("a100-sxm-80");
  request.model = sim::load_model("llama-3.1-8b");
  request.point.method = sim::cost_method("a2ats");
  request.point.method.placement = kernels::Placement::kFetchDma;
  request.point.context = 32'768;
  request.point.batch = 4;
  request.steps = 2;
  const sim::Timeline timeline = sim::cost_timeline(request);
  const sim::TimelineResult result = sim::simulate(timeline);
  const auto events = load(sim::chrome_trace(timeline, result, "a title", 0, 2).dump());
  const auto expected = TimelineEvents::from_model(timeline, result, QStringLiteral("a title"));
  EXPECT_EQ(events->title(), expected->title());
  EXPECT_EQ(events->origin(), expected->origin());
  ASSERT_EQ(events->size(), expected->size());
  EXPECT_EQ(events->rows().size(), 4U);
  EXPECT_EQ(events->steps().size(), 2U);
  EXPECT_EQ(events->skipped(), 0);  // counters are left out without a word
  const RangeFigures all = events->figures(0, events->total_us());
  const RangeFigures wanted = expected->figures(0, expected->total_us());
  EXPECT_NEAR(all.exposed_transfer_us, wanted.exposed_transfer_us, 1e-6);
  EXPECT_NEAR(all.bytes / wanted.bytes, 1.0, 1e-9);
  for (std::size_t row = 0; row < 4; ++row) {
    const TimelineRow& mine = events->rows()[row];
    const TimelineRow* same = &expected->rows()[row];
    EXPECT_EQ(events->lanes()[mine.lane].name, expected->lanes()[same->lane].name);
    ASSERT_EQ(mine.end - mine.begin, same->end - same->begin);
    for (std::size_t i = 0; i < mine.end - mine.begin; ++i) {
      const TimelineEvent a = events->event(mine.begin + i);
      const TimelineEvent b = expected->event(same->begin + i);
      EXPECT_EQ(events->name_of(mine.begin + i), expected->name_of(same->begin + i));
      EXPECT_NEAR(a.begin_us, b.begin_us, 1e-6);
      EXPECT_NEAR(a.us(), b.us(), 1e-6);
      EXPECT_NEAR(a.alone_us, b.alone_us, 1e-9);
      EXPECT_EQ(std::tie(a.step, a.layer, a.micro_batch, a.bytes, a.critical),
                std::tie(b.step, b.layer, b.micro_batch, b.bytes, b.critical));
      EXPECT_EQ(a.pieces, b.bytes > 0 ? b.pieces : 0);
    }
  }
}

/// What `kvsieve profile` writes has the model's lanes, steps and stages, and is measured.
TEST(ChromeEvents, AMeasuredTimelineStandsBesideTheModels) {
  profile::tests::SampleRun run;
  run.shape = {3, kernels::Placement::kFetchDma, kernels::Schedule::kOverlapped};
  run.layers = {0, 4, 9};
  run.steps = 2;
  const profile::MeasuredTimeline timeline = profile::measured_timeline(
      profile::parse_activities(profile::tests::sample_recording(run)), run.layers);
  const auto events = load(profile::chrome_trace(timeline, "a run").dump());
  EXPECT_EQ(events->title(), QStringLiteral("a run"));
  EXPECT_EQ(events->origin(), QStringLiteral("measured"));
  EXPECT_EQ(events->skipped(), 0);
  EXPECT_EQ(events->steps().size(), 2U);
  double gpu_us = 0.0;
  std::int64_t bytes = 0;
  std::set<std::int32_t> layers;
  for (std::size_t i = 0; i < events->size(); ++i) {
    const TimelineEvent event = events->event(i);
    const TimelineLane& lane = events->lanes()[static_cast<std::size_t>(event.lane)];
    if (!lane.kind || event.step < 0) {
      continue;
    }
    bytes += event.bytes;
    layers.insert(event.layer);
    if (lane.kind == sim::Lane::kGpu) {
      gpu_us += event.us();
    }
  }
  EXPECT_EQ(layers, (std::set<std::int32_t>{0, 4, 9}));
  // 2 steps, 3 layers, 2 micro-batches: 4,096 bytes down and up each; rotate, encode, score, topk,
  // union, fetched-attention, resident-attention and merge on the GPU, with their gaps.
  EXPECT_EQ(bytes, 12 * 2 * 4096);
  EXPECT_NEAR(gpu_us, 12 * (1 + 2 + 3 + 4 + 5 + 11 + 12 + 13 + 8 * 0.25), 1e-6);
  const RangeFigures all = events->figures(0.0, events->total_us());
  EXPECT_GT(all.transfer_us, 0.0);
  EXPECT_LT(all.exposed_transfer_us, all.transfer_us);
}

TEST(ChromeEvents, PairsProcessesAndUnknownEntries) {
  const auto events = load(R"({"displayTimeUnit": "ms", "systemTraceEvents": {"a": [1, {}]},
    "traceEvents": [
    {"ph": "M", "name": "process_name", "pid": 7, "tid": 0, "args": {"name": "python"}},
    {"ph": "M", "name": "thread_name", "pid": 7, "tid": "main", "args": {"name": "loop"}},
    {"ph": "B", "name": "outer", "pid": 7, "tid": "main", "ts": 1000, "cat": "x"},
    {"ph": "B", "name": "inner", "pid": 7, "tid": "main", "ts": 1001.5, "args": {"layer": 3}},
    {"ph": "E", "pid": 7, "tid": "main", "ts": 1003},
    {"ph": "E", "pid": 7, "tid": "main", "ts": 1010},
    {"ph": "E", "pid": 7, "tid": "main", "ts": 1011},
    {"ph": "B", "name": "open", "pid": 7, "tid": "main", "ts": 1012},
    {"ph": "i", "name": "instant", "pid": 7, "tid": "main", "ts": 1},
    {"ph": "C", "name": "counter", "pid": 7, "ts": 1, "args": {"value": 4}},
    {"ph": "X", "name": "copy", "pid": 8, "tid": 9, "ts": 1005, "dur": 15,
     "args": {"bytes": 4096, "step": -1, "shape": {"bytes": 1}, "layers": [1, 2]}}]})");
  ASSERT_EQ(events->size(), 4U);
  EXPECT_EQ(events->skipped(), 2);
  EXPECT_EQ(events->origin(), QStringLiteral("measured"));
  ASSERT_EQ(events->lanes().size(), 2U);
  EXPECT_EQ(events->lanes()[0].name, QStringLiteral("python: loop"));
  EXPECT_EQ(events->lanes()[1].name, QStringLiteral("8: thread 9"));
  EXPECT_EQ(events->lanes()[0].row_end, 2U);
  EXPECT_EQ(events->name_of(0), QStringLiteral("outer"));
  EXPECT_EQ(events->event(0).us(), 10.0);
  EXPECT_EQ(events->name_of(1), QStringLiteral("open"));
  EXPECT_EQ(events->event(1).end_us, 20.0);  // until the last event
  EXPECT_EQ(events->event(2).layer, 3);
  EXPECT_EQ(events->event(2).begin_us, 1.5);
  EXPECT_EQ(events->event(3).bytes, 4096);
  EXPECT_EQ(events->event(3).step, -1);
  EXPECT_TRUE(events->has_transfers());
}

TEST(ChromeEvents, AnArrayMayLackItsBracket) {
  const std::string event = R"({"ph":"X","name":"a","pid":1,"tid":1,"ts":0,"dur":1})";
  EXPECT_EQ(load("[" + event + "," + event + "]")->size(), 2U);
  EXPECT_EQ(load("[" + event + ",\n" + event + "\n")->size(), 2U);
  EXPECT_EQ(load("[" + event + ",\n" + event + ",\n")->size(), 2U);
  EXPECT_EQ(error_of("[" + event + "," + event.substr(0, 20)),
            "byte 75: ends in the middle of the JSON (truncated?)");
}

/// c07: broken files are named with the byte at which they are broken.
TEST(ChromeEvents, BrokenFilesSayWhere) {
  const std::string head = R"({"traceEvents":[)";
  EXPECT_EQ(error_of(""), "byte 1: ends in the middle of the JSON (truncated?)");
  EXPECT_EQ(error_of("{}"), "has no traceEvents");
  EXPECT_EQ(error_of(head + "]}"), "has 0 entries, none of them an event with a begin and an end");
  EXPECT_EQ(error_of(head + R"({"ph":"X","name":"a","ts":)"),
            "byte 43: ends in the middle of the JSON (truncated?)");
  EXPECT_EQ(error_of(head + R"({"ph":"X" "name":"a"})").substr(0, 12), "byte 32: is ");
  EXPECT_EQ(error_of(head + "7]}"), "byte 18: an entry is 7, expected an object");
  EXPECT_EQ(error_of(head + R"({"ph":"X","name":"a","pid":1,"tid":1,"ts":5}]})"),
            "byte 60: event 'a' has no dur");
  EXPECT_EQ(error_of(head + R"({"ph":"X","name":"a","ts":5,"dur":-2}]})"),
            "byte 53: dur of event 'a' is -2, expected 0 or more");
  EXPECT_EQ(error_of(head + R"({"ph":"X","name":"a","ts":"now","dur":2}]})"),
            "byte 47: ts is 'now', expected a number");
  EXPECT_EQ(error_of(head + R"({"ph":"B","name":"a","ts":5},{"ph":"E","ts":4}]})"),
            "byte 62: event 'a' ends before it begins");
  EXPECT_NE(error_of("\xff\xfe{}"), "read");
  EXPECT_NE(error_of(head + std::string(100'000, '[')), "read");
}

TEST(ChromeEvents, EveryTruncationIsAnErrorAndNoneACrash) {
  const std::string text =
      R"({"traceEvents":[{"name":"qkv","ph":"X","ts":0.5,"dur":37.4e0,"pid":1,"tid":0,"args":)"
      R"({"step":0,"critical":true,"s":"\u00e9"}}],"otherData":{"title":"t","origin":"modelled"}})";
  EXPECT_EQ(error_of(text), "read");
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(error_of(text.substr(0, size)).rfind("byte ", 0), 0U) << size;
  }
}

TEST(ChromeEvents, AMissingFileIsNamed) {
  try {
    static_cast<void>(
        read_chrome_events(QStringLiteral("/nowhere/x.json"), JobControl::detached()));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "/nowhere/x.json: cannot be read");
  }
}

}  // namespace
}  // namespace kvsieve::gui
