// Whole operations under each instruction set of this machine. A process chooses its set once, so
// each runs in a process of its own.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "exec/cpu/simd.h"

namespace kvsieve::kernels::tests {
namespace {

struct Outcome {
  int exit_code = -1;
  std::string output;
};

Outcome run_pipeline(const std::string& isa) {
  Outcome outcome;
  FILE* pipe =
      popen(("KVSIEVE_ISA='" + isa + "' '" + KVSIEVE_PIPELINE_PROGRAM + "' 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    return outcome;
  }
  std::array<char, 65536> buffer{};
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(buffer.data(), 1, buffer.size(), pipe);
    outcome.output.append(buffer.data(), got);
  }
  const int status = pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

void expect_near(const nlohmann::ordered_json& actual, const nlohmann::ordered_json& expected,
                 double relative, double absolute, const std::string& name) {
  ASSERT_EQ(actual.size(), expected.size()) << name;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i].is_array()) {
      expect_near(actual[i], expected[i], relative, absolute, name);
    } else {
      const double value = expected[i].get<double>();
      ASSERT_NEAR(actual[i].get<double>(), value, relative * std::abs(value) + absolute)
          << name << " " << i;
    }
  }
}

TEST(InstructionSets, SelectTheSameTokens) {
  const SimdList supported = simd_supported();
  nlohmann::ordered_json first;
  for (int i = 0; i < supported.count; ++i) {
    const std::string isa = supported.items[i]->name;
    SCOPED_TRACE(isa);
    const Outcome outcome = run_pipeline(isa);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
    const nlohmann::ordered_json result = nlohmann::ordered_json::parse(outcome.output);
    if (first.empty()) {
      first = result;
    }
    EXPECT_EQ(result.at("isa"), isa);
    EXPECT_EQ(result.at("budgets"), first.at("budgets"));
    EXPECT_EQ(result.at("kept"), first.at("kept"));
    expect_near(result.at("scores"), first.at("scores"), 2e-5, 0.0, "scores");
    expect_near(result.at("key_norms"), first.at("key_norms"), 1e-6, 0.0, "key_norms");
    expect_near(result.at("retained_mass"), first.at("retained_mass"), 0.0, 1e-5, "mass");
    expect_near(result.at("difference"), first.at("difference"), 0.0, 5e-5, "difference");
  }
}

TEST(InstructionSets, EachProcessRepeatsItsBits) {
  const Outcome outcome = run_pipeline("");
  ASSERT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(run_pipeline("").output, outcome.output);
  EXPECT_EQ(run_pipeline(simd_supported().items[0]->name).output, outcome.output);
}

TEST(InstructionSets, AnUnknownOneIsAUsageError) {
  const Outcome outcome = run_pipeline("mmx");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
  EXPECT_NE(outcome.output.find("KVSIEVE_ISA is 'mmx'"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("baseline"), std::string::npos) << outcome.output;
}

}  // namespace
}  // namespace kvsieve::kernels::tests
