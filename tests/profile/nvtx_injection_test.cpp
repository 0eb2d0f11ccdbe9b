// Ranges reach CUPTI: the recorder names its library to NVTX, before NVTX looks for one.

#include <gtest/gtest.h>
#include <nvtx3/nvToolsExt.h>

#include <cstdlib>

#include "kvsieve/profile/activity_recorder.h"
#include "profile/record_builder.h"

namespace kvsieve::profile::tests {
namespace {

TEST(NvtxInjection, TheFirstRangeLoadsTheRecordersLibrary) {
  ASSERT_EQ(::unsetenv("NVTX_INJECTION64_PATH"), 0);
  CuptiStub& stub = fresh_stub();
  const ActivityRecorder recorder(CuptiLibrary::open(stub_path()));
  EXPECT_EQ(stub.nvtx_initialised, 0);
  nvtxRangePushA("first");
  nvtxRangePop();
  EXPECT_EQ(stub.nvtx_initialised, 1);
}

}  // namespace
}  // namespace kvsieve::profile::tests
