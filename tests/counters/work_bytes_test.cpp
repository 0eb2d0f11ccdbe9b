// What kernels load and store is what the operations' work functions say, where every byte has to
// cross memory once.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "case_counters.h"

namespace kvsieve::bench {
namespace {

struct Traffic {
  std::string name;
  kernels::Work work;
  ptx::Counters counters;
};

std::vector<Traffic> all_traffic(int architecture) {
  std::vector<Traffic> all;
  for (const cuda_::DeviceCase& item : cuda_::device_cases()) {
    if (item.size == cuda_::CaseSize::kCounted) {
      Traffic& traffic = all.emplace_back();
      traffic.name = item.name;
      cuda_::device::Stream stream;
      traffic.work = item.prepare(stream)->work();
      for (const CaseCounters& kernel : count_case(item, architecture)) {
        traffic.counters += kernel.run.counters.total;
      }
    }
  }
  return all;
}

template <std::size_t Count>
bool is_among(std::string_view name, const std::string_view (&beginnings)[Count]) {
  return std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](std::string_view beginning) { return name.starts_with(beginning); });
}

/// Operations that read every input once: what a block reads is no other block's.
constexpr std::string_view kReadOnce[] = {
    "list_tokens/",
    "lookup_scores/",
    "merge_partial/",
    "score_table/dtype:bf16/d:128/",
    "unpack_rows/",
    "value_norms/dtype:bf16/d:128/n:64/",
    "whiten/dtype:bf16/d:128/",
};
/// Operations that store every output once and nothing besides.
constexpr std::string_view kWrittenOnce[] = {
    "append_code/",  "append_tokens/", "codeword_table/",     "compact_cache/", "gather_rows/",
    "key_encoding/", "list_tokens/",   "lookup_scores/",      "merge_partial/", "regrow_cache/",
    "rotate_rows/",  "score_table/",   "remove_last_tokens/", "unpack_codes/",  "unpack_rows/",
    "value_norms/",  "whiten/",        "windowed_scores/",
};

class WorkBytes : public testing::TestWithParam<int> {};

TEST_P(WorkBytes, AreWhatTheKernelsLoadAndStore) {
  int read_once = 0;
  int written_once = 0;
  for (const Traffic& traffic : all_traffic(GetParam())) {
    SCOPED_TRACE(traffic.name);
    const std::int64_t loaded = traffic.counters.global_load_bytes;
    if (is_among(traffic.name, kReadOnce)) {
      EXPECT_EQ(loaded, traffic.work.bytes_read);
      ++read_once;
    } else {
      EXPECT_GE(loaded, traffic.work.bytes_read);
    }
    if (is_among(traffic.name, kWrittenOnce)) {
      EXPECT_EQ(traffic.counters.global_store_bytes, traffic.work.bytes_written);
      ++written_once;
    } else if (traffic.counters.global_atomics == 0) {
      EXPECT_GE(traffic.counters.global_store_bytes, traffic.work.bytes_written);
    }
  }
  EXPECT_GE(read_once, 11);
  EXPECT_GE(written_once, 38);
}

INSTANTIATE_TEST_SUITE_P(Architectures, WorkBytes, testing::Values(80, 90, 100),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace kvsieve::bench
