#include "kvsieve/profile/cupti_library.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "kvsieve/profile/activity_recorder.h"
#include "kvsieve/traces/error.h"
#include "profile/record_builder.h"
#include "traces/fails_with.h"

namespace kvsieve::profile::tests {
namespace {

using kvsieve::tests::fails_with;

constexpr auto kMissing = ErrorKind::kMissingCapability;

TEST(CuptiLibrary, SaysWhichFileAndVersionItLoaded) {
  fresh_stub().version = 28;
  const CuptiLibrary library = CuptiLibrary::open(stub_path());
  EXPECT_EQ(library.version(), 28U);
  EXPECT_EQ(library.path(), stub_path());
}

TEST(CuptiLibrary, TheEnvironmentNamesOne) {
  fresh_stub();
  ASSERT_EQ(::setenv("KVSIEVE_CUPTI", stub_path().c_str(), 1), 0);
  EXPECT_EQ(CuptiLibrary::open("").path(), stub_path());
  ASSERT_EQ(::setenv("KVSIEVE_CUPTI", "/nowhere/libcupti.so.12", 1), 0);
  EXPECT_TRUE(fails_with(kMissing, "/nowhere/libcupti.so.12",
                         [] { static_cast<void>(CuptiLibrary::open("")); }));
  // The option goes before it.
  EXPECT_EQ(CuptiLibrary::open(stub_path()).path(), stub_path());
  ASSERT_EQ(::unsetenv("KVSIEVE_CUPTI"), 0);
}

TEST(CuptiLibrary, OtherLibrariesAreRefused) {
  EXPECT_TRUE(fails_with(kMissing, "libm.so.6 has no cuptiGetVersion",
                         [] { static_cast<void>(CuptiLibrary::open("libm.so.6")); }));
  fresh_stub().version = 17;
  EXPECT_TRUE(fails_with(kMissing, "is CUPTI 17, expected 18 (CUDA 12.0) or newer",
                         [] { static_cast<void>(CuptiLibrary::open(stub_path())); }));
  fresh_stub().failing_call = "cuptiGetVersion";
  EXPECT_TRUE(fails_with(kMissing, "cuptiGetVersion failed with 999",
                         [] { static_cast<void>(CuptiLibrary::open(stub_path())); }));
}

/// What this machine has. Without a driver CUPTI loads, and refuses to record.
TEST(CuptiLibrary, TheRealOneStartsAndReports) {
  std::optional<CuptiLibrary> library;
  try {
    library = CuptiLibrary::open("");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  EXPECT_GE(library->version(), 18U);
  EXPECT_NE(library->path().find("cupti"), std::string::npos);
  try {
    ActivityRecorder recorder(*library);
    const ActivityRecording recording = recorder.finish();
    EXPECT_EQ(recording.cupti_version, library->version());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kMissing);
    EXPECT_EQ(std::string(error.what()).find("cupti"), 0U) << error.what();
  }
}

}  // namespace
}  // namespace kvsieve::profile::tests
