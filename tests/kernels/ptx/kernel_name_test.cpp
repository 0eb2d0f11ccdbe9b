#include "exec/ptx/kernel_name.h"

#include <gtest/gtest.h>

namespace kvsieve::ptx {
namespace {

TEST(KernelName, LeavesNamespacesAndParametersOut) {
  EXPECT_EQ(display_name("_ZN7kvsieve7kernels5cuda_12find_offsetsEPKtjjjPi"), "find_offsets");
  EXPECT_EQ(display_name("_ZN7kvsieve12_GLOBAL__N_110add_kernelEPf"), "add_kernel");
}

TEST(KernelName, KeepsTemplateArguments) {
  // void kvsieve::scale<__half, 128, (kvsieve::Mode)2>(__half*)
  EXPECT_EQ(display_name("_ZN7kvsieve5scaleI6__halfLi128ELNS_4ModeE2EEEvPT_"),
            "scale<__half, 128, 2>");
  // void kvsieve::apply<float (*)(float)>(float (*)(float))
  EXPECT_EQ(display_name("_ZN7kvsieve5applyIPFffEEEvT_"), "apply<float (*)(float)>");
}

TEST(KernelName, LeavesOtherNamesAlone) {
  EXPECT_EQ(display_name("shared_kernel"), "shared_kernel");
  EXPECT_EQ(display_name("_Z"), "_Z");
}

}  // namespace
}  // namespace kvsieve::ptx
