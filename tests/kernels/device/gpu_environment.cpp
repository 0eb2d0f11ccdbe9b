// Skips every test of a *_gpu program where there is no GPU, whose order nobody can choose.

#include <gtest/gtest.h>

#include "exec/device/runtime.h"
#include "kernels/device/seeds.h"

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

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

std::vector<std::uint64_t> tested_seeds() {
  return {0};
}
void set_seed(std::uint64_t /*seed*/) {}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
