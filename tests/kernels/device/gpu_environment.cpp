// Skips every test of a *_gpu program where there is no GPU.

#include <gtest/gtest.h>

#include "exec/device/runtime.h"

namespace {

class GpuEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    if (const auto reason = kvsieve::kernels::KVSIEVE_BACKEND_NS::why_unavailable()) {
      GTEST_SKIP() << *reason;
    }
  }
};

// GoogleTest owns it.
[[maybe_unused]] const auto* const g_environment =
    testing::AddGlobalTestEnvironment(new GpuEnvironment);

}  // namespace
