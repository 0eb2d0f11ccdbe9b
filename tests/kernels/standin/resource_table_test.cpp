// The resources of every kernel of the project, as the baseline has them that came from cuobjdump.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "exec/ptx/kernel_name.h"
#include "exec/ptx/standin.h"
#include "kvsieve/traces/input_file.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::ptx {
namespace {

TEST(ResourceTable, IsTheBaselineOfThisNvccVersion) {
  const std::filesystem::path path = KVSIEVE_TEST_RESOURCE_BASELINE;
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "no baseline: " << path;
  }
  const auto baseline = traces::parse_json(traces::read_file(path, 1U << 24U), "the baseline");
  std::size_t compared = 0;
  for (const int architecture : {80, 90, 100}) {
    set_architecture(architecture);
    for (const std::string& kernel : kernel_names()) {
      const std::string key = fmt::format("{} sm_{}", display_name(kernel), architecture);
      ASSERT_TRUE(baseline.contains(key)) << key;
      const auto& row = baseline.at(key);
      const KernelResources resources = resources_of(kernel);
      EXPECT_EQ(resources.registers, row.at("registers")) << key;
      EXPECT_EQ(resources.stack_bytes, row.at("stack_bytes")) << key;
      EXPECT_EQ(resources.static_shared_bytes, row.at("static_shared_bytes")) << key;
      EXPECT_EQ(resources.max_threads, row.at("threads")) << key;
      ++compared;
    }
  }
  EXPECT_EQ(compared, baseline.size());
}

}  // namespace
}  // namespace kvsieve::ptx
