#include "run/subprocess.h"

#include <gtest/gtest.h>

#include "traces/fails_with.h"

namespace kvsieve::bench {
namespace {

TEST(Subprocess, GivesOutputErrorsAndExitCode) {
  const FinishedProcess process = run_process({"sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(process.exit_code, 7);
  EXPECT_EQ(process.out, "out\n");
  EXPECT_EQ(process.err, "err\n");
}

TEST(Subprocess, ReadsMoreThanAPipeHolds) {
  const FinishedProcess process =
      run_process({"sh", "-c", "head -c 300000 /dev/zero >&2; head -c 400000 /dev/zero"});
  EXPECT_EQ(process.exit_code, 0);
  EXPECT_EQ(process.out.size(), 400'000U);
  EXPECT_EQ(process.err.size(), 300'000U);
}

TEST(Subprocess, CountsProcessorTime) {
  const FinishedProcess process =
      run_process({"sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"});
  EXPECT_GT(process.cpu_seconds, 0.0);
}

TEST(Subprocess, SignalsAreExitCodesAbove128) {
  EXPECT_EQ(run_process({"sh", "-c", "kill -TERM $$"}).exit_code, 128 + 15);
}

TEST(Subprocess, AMissingProgramIsNamed) {
  EXPECT_TRUE(
      kvsieve::tests::fails_with(ErrorKind::kBadInput, "/no/such/program: cannot start it",
                                 [] { static_cast<void>(run_process({"/no/such/program"})); }));
}

}  // namespace
}  // namespace kvsieve::bench
