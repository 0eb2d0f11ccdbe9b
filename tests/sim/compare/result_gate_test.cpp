#include "kvsieve/sim/result_gate.h"

#include <gtest/gtest.h>

#include "../../traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using tests::fails_with;

ResultComparison with(ChangeVerdict verdict) {
  ResultComparison comparison;
  comparison.kind = ResultKind::kCounters;
  comparison.matched = {"a/n:1", "b/n:1"};
  comparison.changes = {{"a/n:1", "registers", "a/n:1", verdict, 32.0, 40.0, {}, {}, {}}};
  finish_comparison(comparison);
  return comparison;
}

std::string failure(const ResultComparison& comparison, const std::vector<std::string>& words) {
  return gate_failure(comparison, GateRule::parse(words));
}

TEST(ResultGate, FailsOnWhatItIsAskedFor) {
  EXPECT_EQ(failure(with(ChangeVerdict::kWorse), {"regression"}),
            "1 regression; worst: registers of a/n:1 +25.0% (32 to 40)");
  EXPECT_NE(failure(with(ChangeVerdict::kChanged), {"regression"}), "");
  for (const ChangeVerdict verdict :
       {ChangeVerdict::kMinor, ChangeVerdict::kBetter, ChangeVerdict::kInconclusive}) {
    EXPECT_EQ(failure(with(verdict), {"regression"}), "");
    EXPECT_NE(failure(with(verdict), {"any"}), "");
  }
  EXPECT_NE(failure(with(ChangeVerdict::kInconclusive), {"inconclusive"}), "");
  EXPECT_EQ(failure(with(ChangeVerdict::kWorse), {"missing", "added"}), "");
  EXPECT_EQ(failure(with(ChangeVerdict::kWorse), {"none"}), "");
}

TEST(ResultGate, NamesCasesOfOneSide) {
  ResultComparison comparison = with(ChangeVerdict::kSame);
  comparison.removed = {"old/n:1"};
  comparison.added = {"new/n:1"};
  comparison.renamed = {{"was", "is"}};
  EXPECT_EQ(failure(comparison, {"regression"}), "");
  EXPECT_EQ(failure(comparison, {"missing"}), "1 removed, old/n:1 first");
  EXPECT_EQ(failure(comparison, {"added", "renamed"}),
            "1 added, new/n:1 first; 1 renamed, was to is first");
}

TEST(ResultGate, AComparisonThatJudgedNothingFails) {
  ResultComparison comparison;
  EXPECT_EQ(failure(comparison, {"regression"}), "nothing could be judged: no case is in both");
  EXPECT_EQ(failure(comparison, {"none"}), "");
  // Noise alone is no failure: the measurement could have told.
  comparison = with(ChangeVerdict::kInconclusive);
  EXPECT_EQ(failure(comparison, {"regression"}), "");
  comparison.changes[0].undecidable = true;
  EXPECT_NE(failure(comparison, {"regression"}).find("nothing could be judged"), std::string::npos);
}

TEST(ResultGate, AnotherMachineFailsIfAskedTo) {
  ResultComparison comparison = with(ChangeVerdict::kSame);
  comparison.set_up = {{"host_name", "a", "b", false}, {"num_cpus", "2", "", true}};
  GateRule rule = GateRule::parse({"none"});
  EXPECT_EQ(gate_failure(comparison, rule), "");
  rule.same_machine = true;
  EXPECT_EQ(gate_failure(comparison, rule),
            "not the same machine or build: num_cpus is 2 before and not stated now");
  comparison.set_up.pop_back();
  EXPECT_EQ(gate_failure(comparison, rule), "");
}

TEST(ResultGate, UnknownWords) {
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "regresion",
                         [] { static_cast<void>(GateRule::parse({"regresion"})); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "none", [] {
    static_cast<void>(GateRule::parse({"none", "added"}));
  }));
}

}  // namespace
}  // namespace kvsieve::sim
