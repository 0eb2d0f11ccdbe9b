#include "kvsieve/sim/trace_check.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "kvsieve/traces/synth.h"
#include "sim/eviction/trace_fixture.h"

namespace kvsieve::sim::tests {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TraceShape shape_with_out() {
  TraceShape shape;
  shape.layers = 3;
  shape.with_out = true;
  return shape;
}

TraceCheck check(const TraceShape& shape, double tolerance = kCheckTolerance) {
  const TraceFixture fixture(shape);
  return check_trace(fixture.trace(), tolerance);
}

TEST(TraceCheck, T24_ReproducesTheCapturedOutput) {
  for (const traces::RopePairing pairing :
       {traces::RopePairing::kHalf, traces::RopePairing::kInterleaved}) {
    for (const traces::DType dtype :
         {traces::DType::kF32, traces::DType::kF16, traces::DType::kBF16}) {
      TraceShape shape = shape_with_out();
      shape.q_heads = 6;
      shape.rope.pairing = pairing;
      shape.dtype = dtype;
      shape.softcap = 20.0;
      shape.sliding_windows = {{1, 9}};
      shape.prompt_queries = shape.prompt_tokens;
      const TraceCheck verdict = check(shape);
      EXPECT_TRUE(verdict.passed);
      ASSERT_EQ(verdict.layers.size(), 3U);
      for (const LayerCheck& layer : verdict.layers) {
        EXPECT_TRUE(layer.passed);
        EXPECT_TRUE(layer.nonfinite.empty());
        ASSERT_TRUE(layer.output_error);
        // The captured output itself is rounded to the trace's dtype.
        const double rounding = dtype == traces::DType::kF32   ? 2e-6
                                : dtype == traces::DType::kF16 ? 5e-4
                                                               : 4e-3;
        EXPECT_LT(*layer.output_error, rounding) << traces::name_of(dtype);
      }
    }
  }
}

TEST(TraceCheck, PassesSyntheticTraces) {
  const kvsieve::tests::TemporaryFolder folder;
  traces::synthesize(folder / "synth", {.layers = 2,
                                        .q_heads = 4,
                                        .kv_heads = 2,
                                        .head_dim = 32,
                                        .prompt_tokens = 150,
                                        .decode_tokens = 4,
                                        .prompt_queries = 40});
  const TraceCheck verdict = check_trace(traces::Trace::open(folder / "synth"), kCheckTolerance);
  EXPECT_TRUE(verdict.passed);
  EXPECT_EQ(verdict.tolerance, kCheckTolerance);
}

TEST(TraceCheck, TheErrorIsTheRelativeFrobeniusNormOverAllCapturedQueries) {
  TraceShape shape = shape_with_out();
  shape.prompt_queries = 90;
  shape.prompt_tokens = 90;
  shape.decode_tokens = 300;  // more queries than are checked together
  shape.captured = {0, 2};
  shape.edit_stored = [](LayerTensors& tensors) {
    for (std::vector<float>& head : tensors.out) {
      for (float& value : head) {
        value *= tensors.layer == 2 ? 1.0F / 1.03F : 1.0F;
      }
    }
  };
  const TraceCheck verdict = check(shape);
  EXPECT_FALSE(verdict.passed);
  ASSERT_EQ(verdict.layers.size(), 2U);
  EXPECT_EQ(verdict.layers[0].layer, 0);
  EXPECT_EQ(verdict.layers[1].layer, 2);
  EXPECT_TRUE(verdict.layers[0].passed);
  EXPECT_FALSE(verdict.layers[1].passed);
  EXPECT_LT(*verdict.layers[0].output_error, 2e-6);
  EXPECT_NEAR(*verdict.layers[1].output_error, 0.03, 1e-6);
  EXPECT_TRUE(check(shape, 0.031).passed);
  EXPECT_FALSE(check(shape, 0.029).passed);
}

TEST(TraceCheck, OneWrongQueryOrHeadCounts) {
  for (const std::int64_t row : {0, 51, 52}) {
    TraceShape shape = shape_with_out();
    shape.edit_stored = [&](LayerTensors& tensors) {
      if (tensors.layer == 1) {
        for (float& value : tensors.row(tensors.out, 3, row)) {
          value += 3.0F;
        }
      }
    };
    const TraceCheck verdict = check(shape);
    EXPECT_TRUE(verdict.layers[0].passed);
    EXPECT_FALSE(verdict.layers[1].passed) << row;
    EXPECT_TRUE(verdict.layers[2].passed);
  }
}

TEST(TraceCheck, AnOutputOfZerosIsMeasuredAbsolutely) {
  TraceShape shape = shape_with_out();
  const auto clear_out = [](LayerTensors& tensors) {
    for (std::vector<float>& head : tensors.out) {
      std::fill(head.begin(), head.end(), 0.0F);
    }
  };
  shape.edit_stored = clear_out;
  EXPECT_FALSE(check(shape).passed);
  shape.edit = [](LayerTensors& tensors) {
    for (std::vector<float>& head : tensors.v) {
      std::fill(head.begin(), head.end(), 0.0F);
    }
  };
  EXPECT_TRUE(check(shape).passed);
}

struct Defect {
  const char* part;
  std::vector<std::vector<float>> LayerTensors::*tensor;
};

TEST(TraceCheck, FindsValuesThatAreNotFiniteInEveryTensor) {
  const std::vector<Defect> defects = {{"k", &LayerTensors::k},
                                       {"q", &LayerTensors::q},
                                       {"v", &LayerTensors::v},
                                       {"wo", &LayerTensors::wo},
                                       {"out", &LayerTensors::out}};
  for (const traces::DType dtype :
       {traces::DType::kF32, traces::DType::kF16, traces::DType::kBF16}) {
    for (const Defect& defect : defects) {
      SCOPED_TRACE(defect.part);
      TraceShape shape = shape_with_out();
      shape.dtype = dtype;
      shape.prompt_queries = shape.prompt_tokens;  // so that every row of q is stored
      shape.edit_stored = [&](LayerTensors& tensors) {
        if (tensors.layer == 1) {
          (tensors.*defect.tensor).front().front() = kNan;
          (tensors.*defect.tensor).back().back() = -kInfinity;
          (tensors.*defect.tensor).back()[5] = kInfinity;
        }
      };
      const TraceFixture fixture(shape);
      const TraceCheck verdict = check_trace(fixture.trace(), kCheckTolerance);
      EXPECT_FALSE(verdict.passed);
      EXPECT_TRUE(verdict.layers[0].passed);
      EXPECT_TRUE(verdict.layers[2].passed);
      EXPECT_FALSE(verdict.layers[1].passed);
      EXPECT_FALSE(verdict.layers[1].output_error);
      ASSERT_EQ(verdict.layers[1].nonfinite.size(), 1U);
      const std::string& text = verdict.layers[1].nonfinite[0];
      EXPECT_TRUE(text.starts_with(std::string("layers.1.") + defect.part + ": 3 of ")) << text;
    }
  }
}

TEST(TraceCheck, AnOverflowOfTheReplayIsNoPass) {
  TraceShape shape = shape_with_out();
  shape.edit_stored = [](LayerTensors& tensors) {
    for (float& value : tensors.row(tensors.k, 0, 3)) {
      value = 3e38F;
    }
    for (float& value : tensors.row(tensors.q, 0, shape_with_out().prompt_tokens)) {
      value = 3e38F;
    }
  };
  EXPECT_FALSE(check(shape).passed);
}

TEST(TraceCheck, FindsMetadataThatDoNotBelongToTheTensors) {
  const auto fails = [](auto change, auto wrong) {
    TraceShape shape = shape_with_out();
    change(shape);
    EXPECT_TRUE(check(shape).passed);
    shape.edit_header = wrong;
    return !check(shape).passed;
  };
  const auto plain = [](TraceShape&) {};
  EXPECT_TRUE(fails(plain, [](traces::TraceHeader& header) {
    header.model.defaults.rope.pairing = traces::RopePairing::kInterleaved;
  }));
  EXPECT_TRUE(fails(
      plain, [](traces::TraceHeader& header) { header.model.defaults.attention.scale *= 1.1; }));
  EXPECT_TRUE(
      fails(plain, [](traces::TraceHeader& header) { header.model.defaults.rope.theta = 500.0; }));
  EXPECT_TRUE(
      fails(plain, [](traces::TraceHeader& header) { header.model.defaults.rope.dim = 8; }));
  EXPECT_TRUE(fails(plain, [](traces::TraceHeader& header) {
    header.model.defaults.rope.attention_factor = 1.1;
  }));
  EXPECT_TRUE(
      fails([](TraceShape& shape) { shape.softcap = 2.0; },
            [](traces::TraceHeader& header) { header.model.defaults.attention.softcap.reset(); }));
  EXPECT_TRUE(fails(
      [](TraceShape& shape) {
        shape.sliding_windows = {{1, 9}};
      },
      [](traces::TraceHeader& header) { header.model.layer_overrides.clear(); }));
  EXPECT_TRUE(fails(
      [](TraceShape& shape) {
        shape.rope.scaling = {traces::RopeScalingType::kLlama3, 8.0, 1.0, 4.0, 32};
      },
      [](traces::TraceHeader& header) { header.model.defaults.rope.scaling = {}; }));
}

TEST(TraceCheck, WithoutCapturedOutputOnlyFinitenessIsChecked) {
  TraceShape shape = shape_with_out();
  shape.with_out = false;
  const TraceCheck verdict = check(shape);
  EXPECT_TRUE(verdict.passed);
  for (const LayerCheck& layer : verdict.layers) {
    EXPECT_FALSE(layer.output_error);
  }
  shape.edit = [](LayerTensors& tensors) { tensors.v[1][7] = kNan; };
  EXPECT_FALSE(check(shape).passed);
}

TEST(TraceCheck, ReportsProgressAfterEveryLayer) {
  const TraceFixture fixture(shape_with_out());
  std::vector<double> shares;
  static_cast<void>(check_trace(fixture.trace(), kCheckTolerance,
                                [&](double share) { shares.push_back(share); }));
  EXPECT_EQ(shares, (std::vector<double>{1.0 / 3.0, 2.0 / 3.0, 1.0}));
}

}  // namespace
}  // namespace kvsieve::sim::tests
