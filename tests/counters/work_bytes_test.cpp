// What kernels load and store is what the operations' work functions say, and what is derived by
// hand of what they read again and write besides (traffic/).

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "case_counters.h"
#include "traffic/traffic.h"

namespace kvsieve::bench {
namespace {

std::vector<OperationTraffic> all_traffic() {
  std::vector<OperationTraffic> all;
  for (const auto group :
       {attention_traffic, buckets_traffic, cache_traffic, codebook_traffic, eviction_traffic,
        hot_buffer_traffic, kmeans_traffic, loss_traffic, retrieval_traffic, transfer_traffic}) {
    const std::span<const OperationTraffic> traffic = group();
    all.insert(all.end(), traffic.begin(), traffic.end());
  }
  return all;
}

std::vector<cuda_::DeviceCase> counted_cases() {
  std::vector<cuda_::DeviceCase> cases = cuda_::device_cases();
  std::erase_if(
      cases, [](const cuda_::DeviceCase& item) { return item.size != cuda_::CaseSize::kCounted; });
  return cases;
}

std::string operation_of(const cuda_::DeviceCase& item) {
  return item.name.substr(0, item.name.find('/'));
}

/// Bytes of all kernels of a case.
struct Counted {
  std::int64_t loaded = 0;
  std::int64_t stored = 0;
};

Counted count_bytes(const cuda_::DeviceCase& item, int architecture) {
  Counted counted;
  for (const CaseCounters& kernel : count_case(item, architecture)) {
    counted.loaded += kernel.run.counters.total.global_load_bytes;
    counted.stored += kernel.run.counters.total.global_store_bytes;
  }
  return counted;
}

TEST(WorkBytes, EveryOperationHasItsTraffic) {
  std::set<std::string> operations;
  for (const cuda_::DeviceCase& item : counted_cases()) {
    operations.insert(operation_of(item));
  }
  std::set<std::string> known;
  for (const OperationTraffic& traffic : all_traffic()) {
    EXPECT_TRUE(known.emplace(traffic.operation).second) << traffic.operation;
  }
  EXPECT_EQ(known, operations);
}

class WorkBytesOf : public testing::TestWithParam<int> {};

TEST_P(WorkBytesOf, AreWhatTheKernelsLoadAndStore) {
  const std::vector<OperationTraffic> all = all_traffic();
  for (const cuda_::DeviceCase& item : counted_cases()) {
    SCOPED_TRACE(item.name);
    const auto known = std::find_if(all.begin(), all.end(), [&](const OperationTraffic& traffic) {
      return traffic.operation == operation_of(item);
    });
    ASSERT_NE(known, all.end());
    cuda_::device::Stream stream;
    const std::unique_ptr<cuda_::DeviceOperation> operation = item.prepare(stream);
    const kernels::Work work = operation->work();
    const Traffic expected = known->traffic(operation->arguments(), work);
    EXPECT_GE(expected.loaded, work.bytes_read);
    const Counted counted = count_bytes(item, GetParam());
    EXPECT_EQ(counted.loaded, expected.loaded);
    EXPECT_EQ(counted.stored, expected.stored);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, WorkBytesOf, testing::Values(80, 90, 100),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace kvsieve::bench
