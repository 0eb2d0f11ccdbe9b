// The cases that are recorded, on the host executor.

#include "device/case_runner.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "exec/device/runtime.h"

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {
namespace {

TEST(CaseRunner, NamesAreThoseOfTheTimedCases) {
  const std::vector<std::string> names = case_names();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_TRUE(std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("ragged_decode/");
  }));
}

TEST(CaseRunner, RunsWhatIsNamedAndNothingElse) {
  std::vector<std::string> names = case_names();
  std::erase_if(names, [](const std::string& name) { return !name.starts_with("merge_partial/"); });
  ASSERT_EQ(names.size(), 1U);
  std::vector<double> shares;
  names.insert(names.begin(), "no such case");
  run_cases(names, 2, [&](double share) { shares.push_back(share); });
  EXPECT_EQ(shares, std::vector<double>{0.5});
}

}  // namespace
}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
