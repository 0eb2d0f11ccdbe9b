// The decode step on the CPU backend.

#include "kvsieve/kernels/retrieval_engine.h"

#include <gtest/gtest.h>

#include <memory>

#include "kernels/a2ats/decode_problem.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::tests {
namespace {

using kvsieve::tests::fails_with;

std::vector<DecodeStepRecord> decode(const DecodeProblem& problem,
                                     const RetrievalEngineOptions& options) {
  const std::unique_ptr<RetrievalEngine> engine = make_cpu_retrieval_engine();
  const std::vector<RetrievalLayer> layers = problem.layers();
  engine->load(layers, options);
  std::vector<DecodeStepRecord> records(static_cast<std::size_t>(problem.item().steps));
  for (DecodeStepRecord& record : records) {
    engine->step(problem.item().top, record);
  }
  return records;
}

TEST(RetrievalEngine, StepsAreThoseOfTheFormulasInEveryPlacement) {
  for (const DecodeCase& item : decode_cases()) {
    SCOPED_TRACE(item.name());
    const DecodeProblem problem(item);
    for (const Placement placement : kPlacements) {
      SCOPED_TRACE(std::string(name_of(placement)));
      for (const bool buckets : {true, false}) {
        RetrievalEngineOptions options = problem.options(placement, Schedule::kSerial);
        options.buckets = buckets;
        const std::vector<DecodeStepRecord> records = decode(problem, options);
        for (std::int64_t step = 0; step < item.steps; ++step) {
          expect_step(problem, step, records[static_cast<std::size_t>(step)]);
        }
      }
    }
  }
}

TEST(RetrievalEngine, MeasuresTheStagesThatItRuns) {
  const DecodeProblem problem(DecodeCase{});
  for (const Placement placement : kPlacements) {
    for (const DecodeStepRecord& record :
         decode(problem, problem.options(placement, Schedule::kSerial))) {
      EXPECT_FALSE(record.counted);
      ASSERT_TRUE(record.stage_us);
      double sum = 0.0;
      for (const double us : *record.stage_us) {
        sum += us;
      }
      EXPECT_LE(sum, record.step_us.value_or(0.0));
      const auto of = [&](StepStage stage) {
        return (*record.stage_us)[static_cast<std::size_t>(stage)];
      };
      EXPECT_GT(of(StepStage::kTopK), 0.0);
      const bool on_host = placement == Placement::kCpuAttention;
      EXPECT_EQ(of(StepStage::kCpuAttention) > 0.0, on_host);
      EXPECT_EQ(of(StepStage::kFetchedAttention) > 0.0, !on_host);
      EXPECT_EQ(of(StepStage::kDown), 0.0);
    }
  }
}

TEST(RetrievalEngine, ThreadsChangeNothing) {
  DecodeCase item;
  item.kv_heads = 3;
  item.dtype = traces::DType::kBF16;
  const DecodeProblem problem(item);
  const RetrievalEngineOptions options =
      problem.options(Placement::kCpuAttention, Schedule::kSerial);
  std::vector<DecodeStepRecord> one;
  with_threads(1, [&] { one = decode(problem, options); });
  for (const int threads : {2, 3, 7}) {
    with_threads(threads, [&] {
      const std::vector<DecodeStepRecord> many = decode(problem, options);
      for (std::size_t s = 0; s < one.size(); ++s) {
        for (std::size_t l = 0; l < one[s].layers.size(); ++l) {
          EXPECT_EQ(many[s].layers[l].output, one[s].layers[l].output);
          EXPECT_EQ(many[s].layers[l].selected, one[s].layers[l].selected);
        }
      }
    });
  }
}

TEST(RetrievalEngine, HotBufferFetchesOnlyWhatItLacks) {
  DecodeCase item;
  item.steps = 12;
  item.hot_buffer = 64;
  const DecodeProblem problem(item);
  const std::vector<DecodeStepRecord> records =
      decode(problem, problem.options(Placement::kFetchHotBuffer, Schedule::kSerial));
  const auto misses = [](const DecodeStepRecord& record) {
    std::int64_t sum = 0;
    for (const LayerStep& layer : record.layers) {
      for (const std::int32_t count : layer.misses) {
        sum += count;
      }
    }
    return sum;
  };
  std::int64_t wanted = 0;
  for (const LayerStep& layer : records.front().layers) {
    for (const std::vector<std::int32_t>& tokens : layer.retrieved) {
      wanted += static_cast<std::int64_t>(tokens.size());
    }
  }
  EXPECT_EQ(misses(records.front()), wanted);  // the buffer starts empty
  std::int64_t later = 0;
  for (std::size_t s = 1; s < records.size(); ++s) {
    later += misses(records[s]);
  }
  EXPECT_LT(later, static_cast<std::int64_t>(records.size() - 1) * wanted);
}

TEST(RetrievalEngine, RefusesStepsBeyondTheLast) {
  DecodeCase item;
  item.steps = 1;
  const DecodeProblem problem(item);
  const std::vector<RetrievalLayer> layers = problem.layers();
  const std::unique_ptr<RetrievalEngine> engine = make_cpu_retrieval_engine();
  DecodeStepRecord record;
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "there is no step left", [&] { engine->step(1, record); }));
  engine->load(layers, problem.options(Placement::kCpuAttention, Schedule::kSerial));
  engine->step(1, record);
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "there is no step left", [&] { engine->step(1, record); }));
}

}  // namespace
}  // namespace kvsieve::kernels::tests
