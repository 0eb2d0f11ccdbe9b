#include "core/run_cost.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

using nlohmann::ordered_json;

const traces::Trace& sample() {
  static const traces::Trace trace =
      traces::Trace::open(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");
  return trace;
}

/// What `kvsieve run` does: the document of a replay with the cost of its method.
template <class Result>
ordered_json document_of(const Result& result, sim::CostRequest request) {
  request.point.method.schedule =
      request.point.batch > 1 ? kernels::Schedule::kOverlapped : kernels::Schedule::kSerial;
  request.loads = sim::captured_loads(result, sample().header());
  request.steps = request.loads.steps();
  ordered_json document = sim::run_document(sample(), result);
  document["cost"].update(sim::to_json(sim::cost_report(std::move(request))));
  return document;
}

template <class Result>
sim::CostRequest request_of(const Result& result, std::int64_t batch) {
  sim::CostRequest request;
  request.hardware = sim::load_hardware("a100-sxm-80");
  request.model = sim::dimensions_of(sample().header().model);
  request.point.context = sample().header().prompt_tokens;
  request.point.batch = batch;
  request.point.method = sim::cost_method_of(result);
  return request;
}

sim::RetrievalResult retrieval(const char* preset, sim::Placement placement) {
  sim::RetrievalOptions options = sim::retrieval_preset(preset);
  options.placement = placement;
  options.layers = {0, 4};
  options.codewords = 32;
  options.max_iterations = 5;
  options.hot_buffer = placement == sim::Placement::kFetchHotBuffer ? 64 : 0;
  return sim::replay_retrieval(sample(), options);
}

sim::EvictionResult eviction(sim::Granularity granularity) {
  sim::EvictionPlan plan{*sim::find_eviction_preset("ada-snapkv"), sim::Budget::parse("20%")};
  plan.method.granularity = granularity;
  return sim::replay_eviction(sample(), {&plan, 1},
                              {.layers = {0, 4}, .losses = sim::Losses::kMass})
      .front();
}

/// The timeline of the request that is read back ends when the document says.
void expect_the_documents_steps(const ordered_json& document) {
  // Through text, as a file.
  const gui::Run run(ordered_json::parse(document.dump()), "run");
  const std::optional<sim::CostRequest> request = run_cost_request(run);
  ASSERT_TRUE(request);
  const sim::Timeline timeline = sim::cost_timeline(*request);
  const sim::TimelineResult result = sim::simulate(timeline);
  const double step_us = document["cost"]["step_us"];
  EXPECT_NEAR(result.total_us / static_cast<double>(request->steps) / step_us, 1.0, 1e-9);
  const std::vector<double> steps_us = document["cost"]["steps_us"];
  const std::vector<double> found = sim::step_times_us(timeline, result);
  ASSERT_EQ(found.size(), steps_us.size());
  for (std::size_t step = 0; step < found.size(); ++step) {
    EXPECT_NEAR(found[step] / steps_us[step], 1.0, 1e-9) << "step " << step;
  }
  // And so do all figures.
  ordered_json again = sim::to_json(sim::cost_report(*request));
  for (const auto& [key, value] : again.items()) {
    if (value.is_number()) {
      EXPECT_NEAR(value.get<double>(), document["cost"][key].get<double>(),
                  1e-9 * value.get<double>())
          << key;
    }
  }
  EXPECT_EQ(again["method"], document["cost"]["method"]);
}

TEST(RunCost, EvictionOfEitherGranularity) {
  for (const sim::Granularity granularity :
       {sim::Granularity::kKvHead, sim::Granularity::kQueryHead}) {
    const sim::EvictionResult result = eviction(granularity);
    expect_the_documents_steps(document_of(result, request_of(result, 1)));
  }
}

TEST(RunCost, RetrievalOfEveryPlacementAndSchedule) {
  for (const sim::Placement placement : kernels::kPlacements) {
    const sim::RetrievalResult result = retrieval("a2ats", placement);
    for (const std::int64_t batch : {1, 5}) {
      SCOPED_TRACE(testing::Message() << kernels::name_of(placement) << ", batch " << batch);
      expect_the_documents_steps(document_of(result, request_of(result, batch)));
    }
  }
}

TEST(RunCost, AnIndexThatIsScanned) {
  for (const char* preset : {"quest", "pq", "exact-topk"}) {
    SCOPED_TRACE(preset);
    const sim::RetrievalResult result = retrieval(preset, sim::Placement::kFetchDma);
    expect_the_documents_steps(document_of(result, request_of(result, 4)));
  }
}

TEST(RunCost, HardwareAndModelsOfAUsersOwn) {
  const sim::RetrievalResult result = retrieval("a2ats", sim::Placement::kFetchKernel);
  sim::CostRequest request = request_of(result, 4);
  request.hardware.id = "mine";
  request.hardware.gpu.memory_gbps.value *= 2.0;
  request.hardware.link = sim::load_link("c2c-grace");
  expect_the_documents_steps(document_of(result, request));
  request = request_of(result, 4);
  request.hardware.link = sim::load_link("c2c-grace");  // the id is that of a built-in profile
  expect_the_documents_steps(document_of(result, request));
  request.model = sim::load_model("gemma-2-9b");  // built in, with sliding layers
  expect_the_documents_steps(document_of(result, request));
  request.model.mlp_width += 256;
  expect_the_documents_steps(document_of(result, request));
}

TEST(RunCost, ARunWithoutCostHasNone) {
  const gui::Run run(sim::run_document(sample(), eviction(sim::Granularity::kKvHead)), "run");
  EXPECT_FALSE(run_cost_request(run));
}

TEST(RunCost, DamageIsNamed) {
  const sim::EvictionResult result = eviction(sim::Granularity::kKvHead);
  const ordered_json document = document_of(result, request_of(result, 1));
  const auto message = [&](auto&& damage) -> std::string {
    ordered_json broken = document;
    damage(broken["cost"]);
    const gui::Run run(std::move(broken), "broken.kvrun");
    try {
      static_cast<void>(run_cost_request(run));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(
      message([](ordered_json& cost) { cost["hardware"]["id"] = "abacus"; }),
      "broken.kvrun: run 1.cost.hardware: id 'abacus' is no built-in hardware, and its profile "
      "is missing");
  EXPECT_EQ(message([](ordered_json& cost) {
              cost["model"].erase("dimensions");
            }).find("broken.kvrun: run 1.cost.model: id "),
            0U);
  EXPECT_EQ(message([](ordered_json& cost) { cost["batch"] = 0; }),
            "broken.kvrun: run 1.cost: batch is 0, expected 1 or more");
  EXPECT_EQ(message([](ordered_json& cost) { cost["method"]["family"] = "sieve"; }),
            "broken.kvrun: run 1.cost.method: family is 'sieve', expected full, eviction or "
            "retrieval");
  EXPECT_EQ(message([](ordered_json& cost) { cost.erase("memory"); }),
            "broken.kvrun: run 1.cost: memory is missing");
}

}  // namespace
}  // namespace kvsieve::gui
