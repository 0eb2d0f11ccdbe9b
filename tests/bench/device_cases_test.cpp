// Every counted case on a device: it finishes, its results are numbers, and neither order nor
// repetition changes them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernels/device/orders.h"
#include "kvsieve/bench/device_case.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {

void PrintTo(const DeviceCase& item, std::ostream* out) {
  *out << item.name;
}

namespace {

std::string operation_of(const DeviceCase& item) {
  return item.name.substr(0, item.name.find('/'));
}

class CountedCase : public ::testing::TestWithParam<DeviceCase> {};

TEST_P(CountedCase, GivesTheSameNumbersEachTimeInEveryOrder) {
  std::vector<double> first;
  device::for_each_order([&] {
    device::Stream stream;
    const std::unique_ptr<DeviceOperation> operation = GetParam().prepare(stream);
    const kernels::Work work = operation->work();
    EXPECT_GT(work.bytes_read, 0);
    EXPECT_GT(work.bytes_written, 0);
    for (int repetition = 0; repetition < 2; ++repetition) {
      operation->enqueue(stream);
      const std::vector<double> results = operation->results(stream);
      ASSERT_TRUE(std::all_of(results.begin(), results.end(),
                              [](double number) { return std::isfinite(number); }));
      ASSERT_GT(std::set<double>(results.begin(), results.end()).size(), 1U);
      if (first.empty()) {
        first = results;
      }
      EXPECT_EQ(results, first) << "repetition " << repetition;
    }
  });
}

std::vector<DeviceCase> counted_cases() {
  std::vector<DeviceCase> cases = device_cases();
  std::erase_if(cases, [](const DeviceCase& item) { return item.size != CaseSize::kCounted; });
  return cases;
}

std::string test_name(const ::testing::TestParamInfo<DeviceCase>& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char letter) { return std::isalnum(letter) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(DeviceCases, CountedCase, ::testing::ValuesIn(counted_cases()), test_name);

TEST(DeviceCases, AreSortedAndHaveEveryOperationInBothSizes) {
  const std::vector<DeviceCase> cases = device_cases();
  std::map<std::string, std::set<CaseSize>> sizes;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(cases[i - 1].name, cases[i].name);
    }
    sizes[operation_of(cases[i])].insert(cases[i].size);
  }
  std::vector<std::string> operations;
  for (const auto& [operation, seen] : sizes) {
    EXPECT_EQ(seen.size(), 2U) << operation;
    operations.push_back(operation);
  }
  EXPECT_EQ(operations,
            (std::vector<std::string>{
                "append_code",        "append_tokens",   "bucket_retrieval", "budget_allocation",
                "build_buckets",      "codeword_table",  "compact_cache",    "eviction_loss",
                "gather_rows",        "key_encoding",    "kmeans",           "kmeans_seeds",
                "list_tokens",        "lookup_scores",   "merge_partial",    "pack_step_message",
                "projected_loss",     "query_moment",    "ragged_decode",    "regrow_cache",
                "remove_last_tokens", "rotate_rows",     "score_table",      "serve_hot_buffers",
                "sparse_decode",      "token_selection", "topk_retrieval",   "unpack_codes",
                "unpack_rows",        "value_norms",     "whiten",           "window_scores",
                "windowed_scores"}));
}

}  // namespace
}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
