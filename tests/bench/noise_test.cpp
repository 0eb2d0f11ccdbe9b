#include "kvsieve/bench/noise.h"

#include <gtest/gtest.h>

namespace kvsieve::bench {
namespace {

RunConditions quiet() {
  RunConditions conditions;
  conditions.machine.cpus = 8;
  conditions.load = 2.0;
  conditions.threads = 4;
  conditions.usable_cpus = 4;
  return conditions;
}

TEST(Noise, AQuietMachineGivesNoWarning) {
  RunConditions conditions = quiet();
  EXPECT_TRUE(noise_before(conditions).empty());
  conditions.machine.governor = "performance";
  EXPECT_TRUE(noise_before(conditions).empty());
}

TEST(Noise, EachConditionHasItsLine) {
  RunConditions conditions = quiet();
  conditions.load = 2.1;
  EXPECT_EQ(
      noise_before(conditions),
      (std::vector<std::string>{"the load average is 2.10 on 8 processors: others compute, too"}));
  conditions = quiet();
  conditions.machine.governor = "powersave";
  EXPECT_EQ(noise_before(conditions),
            (std::vector<std::string>{
                "the frequency governor is 'powersave', not 'performance': clocks move"}));
  conditions = quiet();
  conditions.usable_cpus = 3;
  EXPECT_EQ(noise_before(conditions), (std::vector<std::string>{"4 threads share 3 processors"}));
  conditions = quiet();
  conditions.debug_build = true;
  EXPECT_EQ(noise_before(conditions).size(), 1U);
}

TEST(Noise, CasesThatVaryAreNamed) {
  BenchEntry steady;
  steady.case_name = "steady";
  steady.aggregate = "cv";
  steady.real_time_us = 0.05;
  BenchEntry unsteady = steady;
  unsteady.case_name = "unsteady";
  unsteady.real_time_us = 0.0512;
  BenchEntry deviation = unsteady;
  deviation.aggregate = "stddev";
  EXPECT_EQ(noise_within({steady, unsteady, deviation}),
            (std::vector<std::string>{"unsteady: its repetitions vary by 5.1 %"}));
}

}  // namespace
}  // namespace kvsieve::bench
