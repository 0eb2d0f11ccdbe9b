// One program holds both backends' kernels, and neither takes the other's.

#include <gtest/gtest.h>

#include "kvsieve/kernels/eviction_engine.h"
#include "kvsieve/traces/error.h"
#include "linking/probe.h"

namespace kvsieve::kernels {
namespace {

const std::vector<float> kScores{0.5F, 3.0F, 1.0F, 3.0F, 2.0F};
const std::vector<std::int32_t> kTopThree{1, 3, 4};

TEST(BothBackends, SimtRunsItsOwnKernelsBesideCudas) {
  EXPECT_EQ(simt_::select_on_device(kScores, 3), kTopThree);
}

TEST(BothBackends, CudaNeverFallsBackToSimt) {
  if (why_cuda_is_unavailable()) {
    try {
      const auto selected = cuda_::select_on_device(kScores, 3);
      FAIL() << "without a GPU " << selected.size() << " tokens were selected";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kMissingCapability) << error.what();
    }
  } else {
    EXPECT_EQ(cuda_::select_on_device(kScores, 3), kTopThree);
  }
}

}  // namespace
}  // namespace kvsieve::kernels
