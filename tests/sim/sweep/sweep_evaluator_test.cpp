// Rows of a sweep against replays and costs one by one, and against themselves: divided, repeated,
// cached, failing beside others.

#include "kvsieve/sim/sweep_evaluator.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"
#include "sim/eviction/trace_fixture.h"
#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::read_bytes;
using kvsieve::tests::TemporaryFolder;
using kvsieve::tests::write_bytes;
using nlohmann::ordered_json;

using Options = std::vector<std::pair<std::string, std::string>>;

TraceShape swept_shape() {
  TraceShape shape;
  shape.q_heads = 6;
  shape.prompt_tokens = 160;
  shape.needle = traces::Needle{60, 68, "needle"};
  return shape;
}

/// Reads the options that the tests use as `kvsieve sweep` would read them.
SweepTask read(const SweepPoint& point, const std::string& trace) {
  std::map<std::string, std::string> given(point.options.begin(), point.options.end());
  const auto text = [&](const char* name, const char* usual) {
    return given.contains(name) ? given.at(name) : usual;
  };
  if (given.contains("broken")) {
    throw Error(ErrorKind::kUsage, "the point is broken");
  }
  SweepTask task;
  task.trace = text("trace", trace.c_str());
  const std::string method = text("method", "full");
  if (const EvictionMethod* preset = find_eviction_preset(method); preset && !task.trace.empty()) {
    SweepTask::Eviction eviction{{*preset, Budget::parse(text("budget", "30%"))}, {}};
    eviction.plan.method.window = std::stoll(text("window", "8"));
    eviction.plan.method.alpha = kernels::Decimal::parse(text("alpha", "0.2"));
    eviction.options.losses = losses_from_name(text("losses", "projected"));
    eviction.options.bound = text("bound", "yes") == "yes";
    task.replay = eviction;
  } else if (!task.trace.empty()) {
    RetrievalOptions options = retrieval_preset(method);
    options.sinks = 4;
    options.window = 16;
    options.codewords = 16;
    options.top = TopBudget::parse(text("top", "10%"));
    options.hot_buffer = std::stoll(text("hot-buffer", "0"));
    options.placement = kernels::placement_from_name(text("placement", "fetch-dma"));
    task.replay = options;
  } else {
    task.cost.point.method = cost_method(method);
  }
  task.costs = text("cost", "yes") == "yes";
  task.cost.hardware = load_hardware(text("hardware", "a100-sxm-80"));
  task.cost.model = load_model(text("model-shape", "llama-3.1-8b"));
  task.cost.point.context = std::stoll(text("context", "4096"));
  task.cost.point.method.schedule = kernels::schedule_from_name(text("schedule", "serial"));
  task.cost.largest_batch = text("batch", "1") == "max";
  task.cost.point.batch = task.cost.largest_batch ? 1 : std::stoll(text("batch", "1"));
  return task;
}

std::vector<SweepPoint> points_of(const std::vector<Options>& options) {
  std::vector<SweepPoint> points;
  for (const Options& some : options) {
    points.push_back({static_cast<std::int64_t>(points.size()), some});
  }
  return points;
}

/// Evictions and retrievals, some alike but for their costs, and costs alone.
std::vector<SweepPoint> varied_points() {
  std::vector<Options> options;
  for (const char* budget : {"10%", "30%", "64"}) {
    for (const char* method : {"snapkv", "ada-snapkv", "ada-pyramid", "ada-criticalkv", "full"}) {
      options.push_back({{"method", method}, {"budget", budget}});
    }
    options.push_back({{"method", "ada-snapkv"}, {"budget", budget}, {"losses", "mass"}});
    options.push_back({{"method", "ada-snapkv"}, {"budget", budget}, {"bound", "no"}});
    for (const char* hardware : {"h100-sxm", "l4"}) {
      options.push_back(
          {{"method", "ada-snapkv"}, {"budget", budget}, {"hardware", hardware}, {"batch", "max"}});
    }
  }
  for (const char* method : {"a2ats", "exact-topk", "quest"}) {
    for (const char* placement : {"cpu-attention", "fetch-dma", "fetch-hot-buffer"}) {
      options.push_back({{"method", method}, {"placement", placement}, {"hot-buffer", "20"}});
    }
    options.push_back({{"method", method}, {"schedule", "overlapped"}, {"batch", "4"}});
    options.push_back({{"method", method}, {"cost", "no"}});
  }
  for (const char* context : {"4096", "131072"}) {
    for (const char* method : {"full", "a2ats", "ada-snapkv"}) {
      options.push_back({{"trace", ""}, {"method", method}, {"context", context}, {"batch", "2"}});
    }
  }
  return points_of(options);
}

std::vector<std::string> keys_of(std::span<const SweepPoint> points) {
  std::vector<std::string> keys;
  for (const SweepPoint& point : points) {
    keys.push_back("key " + std::to_string(point.number));
  }
  return keys;
}

class Evaluator {
 public:
  explicit Evaluator(const std::string& trace, const std::filesystem::path& cache = {})
      : m_evaluator([trace](const SweepPoint& point) { return read(point, trace); }, cache) {}

  std::vector<SweepRow> rows(std::span<const SweepPoint> points, const Progress& progress = {}) {
    return m_evaluator.evaluate(points, keys_of(points), progress);
  }
  SweepEvaluator& operator*() { return m_evaluator; }

 private:
  SweepEvaluator m_evaluator;
};

void expect_same(const std::vector<SweepRow>& a, const std::vector<SweepRow>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].number, b[i].number);
    EXPECT_EQ(a[i].key, b[i].key);
    EXPECT_EQ(a[i].options, b[i].options);
    EXPECT_EQ(a[i].metrics, b[i].metrics) << a[i].options;
    EXPECT_EQ(a[i].error, b[i].error) << a[i].options;
  }
}

/// Expects that metric `name` is there exactly if the document has something at `place`, and equal.
void expect_metric(const ordered_json& metrics, const std::string& name,
                   const ordered_json& document, const std::string& place) {
  const ordered_json::json_pointer pointer(place);
  ASSERT_EQ(metrics.contains(name), document.contains(pointer)) << name;
  if (metrics.contains(name)) {
    EXPECT_EQ(metrics.at(name).get<double>(), document.at(pointer).get<double>()) << name;
  }
}

/// Compares a row's cost with the document of the cost that was computed on its own.
void expect_cost(const ordered_json& metrics, const CostReport& report) {
  const ordered_json cost = to_json(report);
  for (const char* name : {"step_us", "tokens_per_second", "prefill_us", "exposed_transfer_us"}) {
    expect_metric(metrics, name, cost, std::string("/") + name);
  }
  expect_metric(metrics, "to_gpu_bytes", cost, "/pcie_per_step/to_gpu_bytes");
  expect_metric(metrics, "to_host_bytes", cost, "/pcie_per_step/to_host_bytes");
  expect_metric(metrics, "gpu_bytes", cost, "/memory/gpu/total_bytes");
  expect_metric(metrics, "host_bytes", cost, "/memory/host/total_bytes");
  expect_metric(metrics, "largest_batch", cost, "/memory/largest_batch");
  expect_metric(metrics, "error_low_us", cost, "/error_band/low_us");
  expect_metric(metrics, "error_high_us", cost, "/error_band/high_us");
  expect_metric(metrics, "speedup", cost, "/full_attention/speedup");
  expect_metric(metrics, "throughput_ratio", cost, "/full_attention/throughput_ratio");
  EXPECT_EQ(metrics.at("fits").get<int>(), report.fits ? 1 : 0);
  EXPECT_EQ(metrics.at("tpot_ms").get<double>(), report.cost.step_us / 1000.0);
  EXPECT_EQ(metrics.contains("batch"), report.request.largest_batch);
  if (report.request.largest_batch) {
    EXPECT_EQ(metrics.at("batch").get<std::int64_t>(), report.request.point.batch);
  }
}

template <class Result>
CostReport cost_alone(const traces::Trace& trace, const Result& result, const SweepTask& task) {
  CostRequest request = task.cost;
  request.point.method = cost_method_of(result);
  if (request.point.method.family == CostFamily::kRetrieval) {
    request.point.method.schedule = task.cost.point.method.schedule;
  }
  request.loads = captured_loads(result, trace.header());
  request.steps = std::max<std::int64_t>(request.loads.steps(), 1);
  return cost_report(std::move(request));
}

void expect_eviction(const traces::Trace& trace, const SweepTask& task,
                     const ordered_json& metrics) {
  const auto& eviction = std::get<SweepTask::Eviction>(task.replay);
  const EvictionResult result =
      replay_eviction(trace, {&eviction.plan, 1}, eviction.options).front();
  const ordered_json document = run_document(trace, result);
  for (const char* name : {"kept_tokens_per_head_mean", "evicted_mass", "l1_loss",
                           "l1_loss_relative", "bound", "bound_head", "bound_theta"}) {
    expect_metric(metrics, name, document, std::string("/summary/") + name);
    if (std::string(name) != "kept_tokens_per_head_mean") {
      expect_metric(metrics, std::string("uniform_") + name, document,
                    std::string("/summary/uniform/") + name);
    }
  }
  expect_metric(metrics, "ratio_evicted_mass", document, "/summary/ratio_to_uniform/evicted_mass");
  expect_metric(metrics, "ratio_l1_loss", document, "/summary/ratio_to_uniform/l1_loss");
  expect_metric(metrics, "layers_improved_mass", document,
                "/summary/ratio_to_uniform/layers_improved_mass");
  expect_metric(metrics, "layers_improved_l1", document,
                "/summary/ratio_to_uniform/layers_improved_l1");
  expect_metric(metrics, "needle_kept_share", document, "/summary/needle/kept_share");
  EXPECT_EQ(metrics.at("loss_context").get<std::int64_t>(), trace.header().prompt_tokens);
  EXPECT_FALSE(metrics.contains("recall"));
  expect_cost(metrics, cost_alone(trace, result, task));
}

void expect_retrieval(const traces::Trace& trace, const SweepTask& task,
                      const ordered_json& metrics) {
  const auto& options = std::get<RetrievalOptions>(task.replay);
  const RetrievalResult result = replay_retrieval(trace, options);
  const ordered_json document = run_document(trace, result);
  for (const char* name :
       {"recall", "recall_vs_wrope", "wrope_recall", "captured_mass", "retrieved_mass",
        "head_output_error", "attended_tokens", "union_tokens", "selected_tokens", "union_factor",
        "boundary_ties", "overlap", "hot_hit_rate", "needle_recall", "index_read_bytes_per_step",
        "output_error", "l1_loss", "l1_loss_relative", "pcie_bytes_per_step"}) {
    expect_metric(metrics, name, document, std::string("/summary/") + name);
  }
  for (const char* name : {"wrope_score_error", "vq_score_error", "score_error"}) {
    expect_metric(metrics, std::string(name) + "_nmse", document,
                  std::string("/summary/") + name + "/nmse");
  }
  expect_metric(metrics, "pcie_pieces_per_step", document, "/cost/pcie_pieces_per_step");
  EXPECT_EQ(metrics.at("loss_context").get<std::int64_t>(), trace.header().prompt_tokens);
  EXPECT_FALSE(metrics.contains("evicted_mass"));
  EXPECT_EQ(metrics.contains("step_us"), task.costs);
  if (task.costs) {
    expect_cost(metrics, cost_alone(trace, result, task));
  }
}

TEST(SweepEvaluator, RowsAreWhatReplaysAndCostsGiveOneByOne) {
  const TraceFixture fixture(swept_shape());
  const std::string path = fixture.trace().path().string();
  const std::vector<SweepPoint> points = varied_points();
  Evaluator evaluator(path);
  const std::vector<SweepRow> rows = evaluator.rows(points);
  ASSERT_EQ(rows.size(), points.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    SCOPED_TRACE(rows[i].options);
    EXPECT_EQ(rows[i].number, points[i].number);
    EXPECT_EQ(rows[i].key, "key " + std::to_string(i));
    EXPECT_EQ(rows[i].error, "");
    const ordered_json options = ordered_json::parse(rows[i].options);
    ASSERT_EQ(options.size(), points[i].options.size());
    for (const auto& [name, value] : points[i].options) {
      EXPECT_EQ(options.at(name), value);
    }
    const ordered_json metrics = ordered_json::parse(rows[i].metrics);
    const SweepTask task = read(points[i], path);
    if (std::holds_alternative<SweepTask::Eviction>(task.replay)) {
      expect_eviction(fixture.trace(), task, metrics);
    } else if (std::holds_alternative<RetrievalOptions>(task.replay)) {
      expect_retrieval(fixture.trace(), task, metrics);
    } else {
      EXPECT_FALSE(metrics.contains("loss_context"));
      expect_cost(metrics, cost_report(task.cost));
    }
  }
}

TEST(SweepEvaluator, EqualReplaysAreSharedAmongPlacesContextsAndBatches) {
  const TraceFixture fixture(swept_shape());
  std::vector<Options> options;
  for (const char* hardware : {"a100-sxm-80", "h100-sxm"}) {
    for (const char* context : {"4096", "16384"}) {
      for (const char* placement : {"cpu-attention", "fetch-kernel"}) {
        for (const char* method : {"ada-snapkv", "quest"}) {
          options.push_back({{"hardware", hardware},
                             {"context", context},
                             {"placement", placement},
                             {"method", method}});
        }
      }
    }
  }
  const std::vector<SweepPoint> points = points_of(options);
  Evaluator evaluator(fixture.trace().path().string());
  const std::vector<SweepRow> rows = evaluator.rows(points);
  EXPECT_EQ((*evaluator).replays(), 2);
  EXPECT_EQ((*evaluator).cache_hits(), 0);
  // What was replayed in one call serves the next.
  expect_same(evaluator.rows(points), rows);
  EXPECT_EQ((*evaluator).replays(), 2);
}

TEST(SweepEvaluator, DivisionIntoCallsAndThreadsChangesNoByte) {
  const TraceFixture fixture(swept_shape());
  const std::string path = fixture.trace().path().string();
  const std::vector<SweepPoint> points = varied_points();
  const std::vector<SweepRow> all = Evaluator(path).rows(points);
  for (const int threads : {1, 2}) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(threads));
    for (const std::size_t each : {std::size_t{1}, std::size_t{7}, points.size()}) {
      SCOPED_TRACE(testing::Message() << threads << " threads, " << each << " points a call");
      std::vector<SweepRow> rows;
      tbb::task_arena(threads).execute([&] {
        Evaluator evaluator(path);
        for (std::size_t first = 0; first < points.size(); first += each) {
          const auto some = std::span(points).subspan(first, std::min(each, points.size() - first));
          for (SweepRow& row : evaluator.rows(some)) {
            rows.push_back(std::move(row));
          }
        }
      });
      expect_same(rows, all);
    }
  }
}

TEST(SweepEvaluator, AHitInTheCacheIsAMissByteForByte) {
  const TraceFixture fixture(swept_shape());
  const std::string path = fixture.trace().path().string();
  const TemporaryFolder folder;
  const std::vector<SweepPoint> points = varied_points();
  Evaluator first(path, folder / "cache");
  const std::vector<SweepRow> missed = first.rows(points);
  const std::int64_t replays = (*first).replays();
  EXPECT_GT(replays, 10);
  EXPECT_EQ((*first).cache_hits(), 0);
  expect_same(missed, Evaluator(path).rows(points));
  Evaluator second(path, folder / "cache");
  expect_same(second.rows(points), missed);
  EXPECT_EQ((*second).replays(), 0);
  EXPECT_EQ((*second).cache_hits(), replays);
}

TEST(SweepEvaluator, FilesOfTheCacheThatAreNotItsOwnAreReplaced) {
  const TraceFixture fixture(swept_shape());
  const std::string path = fixture.trace().path().string();
  const TemporaryFolder folder;
  const std::vector<SweepPoint> points = points_of({{{"method", "ada-snapkv"}, {"budget", "20%"}},
                                                    {{"method", "ada-snapkv"}, {"budget", "40%"}},
                                                    {{"method", "quest"}}});
  const std::vector<SweepRow> expected = Evaluator(path, folder / "cache").rows(points);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "cache")) {
    files.push_back(entry.path());
  }
  ASSERT_EQ(files.size(), 3U);
  const std::string whole = read_bytes(files[0]);
  std::string changed = whole;
  const std::size_t digit = changed.rfind("\"prompt_tokens\":1");
  ASSERT_NE(digit, std::string::npos);
  changed[digit + 16] = '2';
  const std::vector<std::string> damaged{"",
                                         "{",
                                         "null",
                                         "[]",
                                         whole.substr(0, whole.size() / 2),
                                         whole + "x",
                                         changed,
                                         read_bytes(files[1]),
                                         R"({"schema":"kvsieve.replay/1"})"};
  for (const std::string& bytes : damaged) {
    SCOPED_TRACE(bytes.substr(0, 40));
    write_bytes(files[0], bytes);
    Evaluator evaluator(path, folder / "cache");
    expect_same(evaluator.rows(points), expected);
    EXPECT_EQ((*evaluator).replays(), 1);
    EXPECT_EQ((*evaluator).cache_hits(), 2);
    EXPECT_EQ(read_bytes(files[0]), whole);
  }
  // A folder in a file's place cannot be replaced; the rows are there all the same.
  std::filesystem::remove(files[0]);
  std::filesystem::create_directory(files[0]);
  expect_same(Evaluator(path, folder / "cache").rows(points), expected);
}

TEST(SweepEvaluator, ACacheThatCannotBeIsAnError) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "");
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "file", [&] { Evaluator("", folder / "file"); }));
  EXPECT_TRUE(
      fails_with(ErrorKind::kBadInput, "under", [&] { Evaluator("", folder / "file/under"); }));
}

TEST(SweepEvaluator, AFailedPointDisturbsNoOther) {
  const TraceFixture fixture(swept_shape());
  const std::string path = fixture.trace().path().string();
  const std::vector<SweepPoint> sound = points_of({{{"method", "ada-snapkv"}, {"budget", "20%"}},
                                                   {{"method", "ada-snapkv"}, {"budget", "40%"}},
                                                   {{"method", "quest"}},
                                                   {{"trace", ""}, {"method", "full"}}});
  std::vector<SweepPoint> points = sound;
  const std::vector<std::pair<Options, std::string>> failing{
      {{{"method", "ada-snapkv"}, {"window", "500"}}, "the last 160 prompt queries"},
      {{{"method", "ada-snapkv"}, {"window", "0"}}, "window of ada-snapkv is 0"},
      {{{"method", "quest"}, {"top", "5"}, {"hot-buffer", "-1"}}, "hot-buffer"},
      {{{"trace", "/nowhere/t.kvtrace"}}, "/nowhere/t.kvtrace"},
      {{{"broken", "yes"}}, "the point is broken"},
      {{{"method", "snapkv"}, {"window", "x"}}, "stoll"},
      {{{"hardware", "gpu-of-nobody"}}, "gpu-of-nobody"},
      {{{"trace", ""}, {"batch", "max"}, {"context", "100000000"}}, "does not fit"},
      {{{"trace", ""}, {"batch", "0"}}, "at least 1"}};
  for (std::size_t i = 0; i < failing.size(); ++i) {
    points.insert(points.begin() + static_cast<std::ptrdiff_t>(2 * i % (sound.size() + i)),
                  {static_cast<std::int64_t>(100 + i), failing[i].first});
  }
  const std::vector<SweepRow> expected = Evaluator(path).rows(sound);
  std::vector<SweepRow> finished;
  Evaluator evaluator(path);
  for (const SweepRow& row : evaluator.rows(points)) {
    if (row.number < 100) {
      finished.push_back(row);
      continue;
    }
    EXPECT_EQ(row.metrics, "");
    const std::string& part = failing[static_cast<std::size_t>(row.number - 100)].second;
    EXPECT_NE(row.error.find(part), std::string::npos) << row.error;
    // The message is that of the point alone.
    const auto own = std::find_if(points.begin(), points.end(), [&](const SweepPoint& point) {
      return point.number == row.number;
    });
    EXPECT_EQ(Evaluator(path).rows({&*own, 1}).front().error, row.error);
  }
  expect_same(finished, expected);
}

TEST(SweepEvaluator, ValuesThatAreNotFiniteFailTheirPointsAlone) {
  TraceShape shape = swept_shape();
  // Of the last layer's values: masses do not see them.
  shape.edit_stored = [](LayerTensors& tensors) {
    if (tensors.layer == 1) {
      tensors.v[0][3] = std::numeric_limits<float>::infinity();
    }
  };
  const TraceFixture fixture(shape);
  Evaluator evaluator(fixture.trace().path().string());
  const std::vector<SweepRow> rows = evaluator.rows(points_of(
      {{{"method", "snapkv"}}, {{"method", "snapkv"}, {"losses", "mass"}}, {{"method", "tova"}}}));
  EXPECT_NE(rows[0].error.find("not finite"), std::string::npos) << rows[0].error;
  EXPECT_EQ(rows[1].error, "");
  EXPECT_NE(rows[2].error.find("not finite"), std::string::npos) << rows[2].error;
}

TEST(SweepEvaluator, ProgressRisesToOneAndMayEndTheCall) {
  const TraceFixture fixture(swept_shape());
  std::vector<SweepPoint> points = varied_points();
  points[3].options.emplace_back("window", "500");  // fails, and its pass is begun again
  Evaluator evaluator(fixture.trace().path().string());
  std::vector<double> shares;
  static_cast<void>(evaluator.rows(points, [&](double share) { shares.push_back(share); }));
  ASSERT_GT(shares.size(), 10U);
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_EQ(shares.back(), 1.0);
  // Not taken for the failure of a replay, whatever is thrown and whenever.
  for (const double when : {0.0, 0.3, 0.8, 0.95}) {
    const auto stop = [&](double share) {
      if (share >= when) {
        throw Error(ErrorKind::kCheckFailed, "interrupted");
      }
    };
    Evaluator interrupted(fixture.trace().path().string());
    EXPECT_TRUE(fails_with(ErrorKind::kCheckFailed, "interrupted",
                           [&] { static_cast<void>(interrupted.rows(points, stop)); }));
    // And the evaluator is as good as before.
    EXPECT_EQ(interrupted.rows({&points[0], 1}).front().error, "");
  }
}

TEST(SweepEvaluator, NoPointsGiveNoRows) {
  Evaluator evaluator("");
  EXPECT_TRUE(evaluator.rows({}).empty());
  const std::vector<SweepPoint> one = points_of({{{"trace", ""}}});
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "not equally many",
                         [&] { static_cast<void>((*evaluator).evaluate(one, {})); }));
}

TEST(SweepEvaluator, ThreadsMayShareACache) {
  const TraceFixture fixture(swept_shape());
  const std::string path = fixture.trace().path().string();
  const TemporaryFolder folder;
  const std::vector<SweepPoint> points = varied_points();
  const std::vector<SweepRow> expected = Evaluator(path).rows(points);
  std::array<std::vector<SweepRow>, 2> rows;
  std::array<std::thread, 2> threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&, t] {
      for (std::size_t first = 0; first < points.size(); first += 5) {
        const auto some =
            std::span(points).subspan(first, std::min<std::size_t>(5, points.size() - first));
        Evaluator evaluator(path, folder / "cache");
        for (SweepRow& row : evaluator.rows(some)) {
          rows[t].push_back(std::move(row));
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  expect_same(rows[0], expected);
  expect_same(rows[1], expected);
}

/// What the processes of the next test run; nothing by itself.
TEST(SweepEvaluator, ProcessOfASharedCache) {
  const char* trace = ::getenv("KVSIEVE_SHARED_TRACE");
  const char* cache = ::getenv("KVSIEVE_SHARED_CACHE");
  if (trace == nullptr || cache == nullptr) {
    return;
  }
  const std::vector<SweepPoint> points = varied_points();
  expect_same(Evaluator(trace, cache).rows(points), Evaluator(trace).rows(points));
}

TEST(SweepEvaluator, ProcessesMayShareACache) {
  const TraceFixture fixture(swept_shape());
  const TemporaryFolder folder;
  ASSERT_EQ(::setenv("KVSIEVE_SHARED_TRACE", fixture.trace().path().c_str(), 1), 0);
  ASSERT_EQ(::setenv("KVSIEVE_SHARED_CACHE", (folder / "cache").c_str(), 1), 0);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command =
      "'" + program + "' --gtest_filter=SweepEvaluator.ProcessOfASharedCache > /dev/null 2>&1";
  std::array<std::FILE*, 3> processes{};
  for (std::FILE*& process : processes) {
    process = ::popen(command.c_str(), "r");
    ASSERT_NE(process, nullptr);
  }
  for (std::FILE* process : processes) {
    EXPECT_EQ(::pclose(process), 0);
  }
  ::unsetenv("KVSIEVE_SHARED_TRACE");
  ::unsetenv("KVSIEVE_SHARED_CACHE");
  // Nothing but whole files is left.
  for (const auto& entry : std::filesystem::directory_iterator(folder / "cache")) {
    EXPECT_EQ(entry.path().extension(), ".json");
    EXPECT_TRUE(ordered_json::accept(read_bytes(entry.path())));
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
