#include "a2ats/retrieval_engine_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/a2ats/decode_problem.h"
#include "kernels/device/orders.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::DecodeCase;
using tests::DecodeProblem;
using tests::ExpectedStep;

#ifdef KVSIEVE_TEST_SIMT
constexpr const char* kBackend = "simt";
#else
constexpr const char* kBackend = "cuda";
#endif

void expect_decode(const DecodeProblem& problem, const RetrievalEngineOptions& options) {
  const std::unique_ptr<RetrievalEngine> engine = make_device_retrieval_engine(kBackend);
  const std::vector<RetrievalLayer> layers = problem.layers();
  engine->load(layers, options);
  DecodeStepRecord record;
  for (std::int64_t step = 0; step < problem.item().steps; ++step) {
    engine->step(problem.item().top, record);
    tests::expect_step(problem, step, record);
#ifdef KVSIEVE_TEST_SIMT
    EXPECT_EQ(record.counted, tests::ledger_traffic(problem.item(), options.placement, record));
    EXPECT_FALSE(record.stage_us);
    EXPECT_FALSE(record.step_us);
#else
    EXPECT_FALSE(record.counted);
    ASSERT_TRUE(record.stage_us);
    EXPECT_GT(record.step_us.value_or(0.0), 0.0);
#endif
  }
}

class RetrievalEngineTest : public testing::TestWithParam<Placement> {};

TEST_P(RetrievalEngineTest, StepsAreThoseOfTheFormulas) {
  for (const DecodeCase& item : tests::decode_cases()) {
    SCOPED_TRACE(item.name());
    const DecodeProblem problem(item);
    expect_decode(problem, problem.options(GetParam(), Schedule::kSerial));
  }
}

TEST_P(RetrievalEngineTest, SchedulesAndOrdersChangeNothing) {
  const DecodeProblem problem(DecodeCase{});
  for (const Schedule schedule : {Schedule::kSerial, Schedule::kOverlapped}) {
    SCOPED_TRACE(std::string(name_of(schedule)));
    for_each_order([&] { expect_decode(problem, problem.options(GetParam(), schedule)); });
  }
}

TEST_P(RetrievalEngineTest, FullScoresSelectAsBucketsDo) {
  const DecodeProblem problem(DecodeCase{});
  RetrievalEngineOptions options = problem.options(GetParam(), Schedule::kSerial);
  options.buckets = false;
  expect_decode(problem, options);
}

#ifdef KVSIEVE_TEST_SIMT

/// Whether the problem's steps come out right under every order with the graph that `build` makes.
bool decodes(const DecodeProblem& problem, Placement placement, const DecodeGraphBuilder& build) {
  const simt::Order before = simt::current_order();
  bool right = true;
  std::vector<simt::Order> orders = tested_orders();
  for (std::uint64_t seed = 10; seed < 14; ++seed) {
    orders.push_back({simt::Order::Kind::kRandom, seed});
  }
  for (const simt::Order& order : orders) {
    simt::set_order(order);
    try {
      const std::unique_ptr<RetrievalEngine> engine = make_device_retrieval_engine(kBackend, build);
      const std::vector<RetrievalLayer> layers = problem.layers();
      engine->load(layers, problem.options(placement, Schedule::kOverlapped));
      DecodeStepRecord record;
      for (std::int64_t step = 0; step < problem.item().steps && right; ++step) {
        engine->step(problem.item().top, record);
        for (std::int64_t l = 0; l < problem.item().layers; ++l) {
          const ExpectedStep expected = problem.expected(l, step);
          const std::vector<float>& output = record.layers[static_cast<std::size_t>(l)].output;
          for (std::size_t at = 0; at < output.size(); ++at) {
            right = right &&
                    std::abs(static_cast<double>(output[at]) - expected.output.data[at]) < 1e-4;
          }
        }
      }
    } catch (const std::exception&) {
      right = false;  // lists and rows that are not there yet can end in any complaint
    }
    if (!right) {
      break;
    }
  }
  simt::set_order(before);
  return right;
}

#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

// Every dependency between lanes is needed: without it some order gives a wrong result. Tokens that
// leave the window are retrieved at once here, so that a row that came too late is missed.
TEST_P(RetrievalEngineTest, EveryDependencyIsNeeded) {
  if (kAddressSanitizer) {
    GTEST_SKIP() << "a step that runs too early reads slots that were not assigned yet, which this "
                    "sanitizer rightly reports";
  }
  DecodeCase item;
  item.layers = 1;
  item.prompt_tokens = 24;
  item.window = 1;
  item.sinks = 0;
  item.steps = 3;
  item.top = 1000;
  const DecodeProblem problem(item);
  ASSERT_TRUE(decodes(problem, GetParam(), decode_step_graph));
  const std::vector<StepTask> graph =
      decode_step_graph({item.layers, GetParam(), Schedule::kOverlapped});
  for (std::size_t t = 0; t < graph.size(); ++t) {
    if (graph[t].micro_batch > 0) {
      continue;
    }
    for (std::size_t edge = 0; edge < graph[t].after.size(); ++edge) {
      const auto without = [&](const DecodeGraphShape& shape) {
        std::vector<StepTask> changed = decode_step_graph(shape);
        changed[t].after.erase(changed[t].after.begin() + static_cast<std::ptrdiff_t>(edge));
        return changed;
      };
      EXPECT_FALSE(decodes(problem, GetParam(), without))
          << name_of(graph[t].stage) << " without "
          << name_of(graph[static_cast<std::size_t>(graph[t].after[edge])].stage);
    }
  }
}

#endif

INSTANTIATE_TEST_SUITE_P(Placements, RetrievalEngineTest, testing::ValuesIn(kPlacements),
                         [](const testing::TestParamInfo<Placement>& placement) {
                           std::string name(name_of(placement.param));
                           std::erase(name, '-');
                           return name;
                         });

TEST(RetrievalEngineRace, DecodesOverlapped) {
  DecodeCase item;
  item.layers = 1;
  item.prompt_tokens = 40;
  item.steps = 1;
  const DecodeProblem problem(item);
  for (const Placement placement : kPlacements) {
    expect_decode(problem, problem.options(placement, Schedule::kOverlapped));
  }
}

TEST(RetrievalEngine, NamesWhatHasNoKernel) {
  DecodeCase item;
  item.head_dim = 48;
  const DecodeProblem problem(item);
  const std::vector<RetrievalLayer> layers = problem.layers();
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "a head size of 48 has no kernel, supported: 64", [&] {
    make_device_retrieval_engine(kBackend)->load(
        layers, problem.options(Placement::kCpuAttention, Schedule::kSerial));
  }));
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
