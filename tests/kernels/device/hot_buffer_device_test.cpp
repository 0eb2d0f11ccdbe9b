#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "a2ats/kv_gather_device.h"
#include "kernels/attention/case_table.h"
#include "kernels/device/orders.h"
#include "kernels/device/traffic.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using Tokens = std::vector<std::int32_t>;

struct HotCase {
  std::int64_t segments = 2;
  std::int64_t slots = 64;
  std::int64_t most_wanted = 50;
  std::int64_t tokens = 200;
  HotPolicy policy = HotPolicy::kLru;
  std::int64_t head_dim = 64;
  int steps = 6;

  [[nodiscard]] std::string name() const {
    return std::string(policy == HotPolicy::kLfu ? "LFU " : "LRU ") + std::to_string(segments) +
           " segments of " + std::to_string(slots) + " slots, " + std::to_string(most_wanted) +
           " of " + std::to_string(tokens) + " tokens, d" + std::to_string(head_dim);
  }
};

/// Hot buffers of bf16 rows on the device, and the host's that they have to equal.
class HotProblem {
 public:
  HotProblem(const HotCase& item, std::uint32_t seed)
      : m_item(item),
        m_row_bytes(row_bytes(item.head_dim, 2)),
        m_random(seed),
        m_source(static_cast<std::size_t>(item.segments * item.tokens * m_row_bytes)),
        m_pool(static_cast<std::size_t>(item.segments * (item.slots + item.most_wanted) *
                                        m_row_bytes)),
        m_rows(static_cast<std::size_t>(item.segments * item.most_wanted)),
        m_misses(static_cast<std::size_t>(item.segments)),
        m_bypassed(static_cast<std::size_t>(item.segments)),
        m_expected(static_cast<std::size_t>(item.segments),
                   HotBuffer(item.slots, item.tokens, item.policy)) {
    std::generate_n(m_source.data(), m_source.size(),
                    [&] { return static_cast<unsigned char>(m_random()); });
    m_args.source = {m_source.data(), traces::DType::kBF16, item.head_dim, item.tokens};
    m_args.segments = item.segments;
    m_args.slots = item.slots;
    m_args.tokens = item.tokens;
    m_args.policy = item.policy;
    m_args.pool = m_pool.data();
    m_args.bypass_rows = item.most_wanted;
    m_args.wanted.capacity = item.most_wanted;
    m_args.rows = m_rows.data();
    m_args.misses = m_misses.data();
    m_args.bypassed = m_bypassed.data();
    m_state = DeviceBuffer<unsigned char>(hot_buffer_state_bytes(m_args));
    m_args.state = m_state.data();
    // The tests download lists and rows as wholes, of which a step writes a part.
    fill_device(m_rows.data(), 0xff, m_rows.size_bytes(), m_stream);
    fill_device(m_pool.data(), 0xff, m_pool.size_bytes(), m_stream);
    reset_hot_buffers(m_args, m_stream);
  }

  /// Serves random lists and compares everything with the host's buffers.
  void step() {
    const auto capacity = static_cast<std::size_t>(m_item.most_wanted);
    Tokens lists(static_cast<std::size_t>(m_item.segments) * capacity, -1);
    Tokens counts;
    for (std::int64_t s = 0; s < m_item.segments; ++s) {
      const Tokens wanted = random_list();
      std::copy(wanted.begin(), wanted.end(),
                lists.begin() + s * static_cast<std::int64_t>(capacity));
      counts.push_back(static_cast<std::int32_t>(wanted.size()));
    }
    const DeviceBuffer<std::int32_t> tokens(std::span<const std::int32_t>(lists), m_stream);
    const DeviceBuffer<std::int32_t> device_counts(std::span<const std::int32_t>(counts), m_stream);
    m_args.wanted = {tokens.data(), device_counts.data(), m_item.most_wanted};
    serve_hot_buffers(m_args, m_stream);
    const Tokens rows = m_rows.download(m_stream);
    const Tokens misses = m_misses.download(m_stream);
    const Tokens bypassed = m_bypassed.download(m_stream);
    const std::vector<unsigned char> pool = m_pool.download(m_stream);
    for (std::int64_t s = 0; s < m_item.segments; ++s) {
      SCOPED_TRACE("segment " + std::to_string(s));
      const auto at = static_cast<std::size_t>(s);
      const std::span<const std::int32_t> wanted(lists.data() + at * capacity,
                                                 static_cast<std::size_t>(counts[at]));
      HotStep expected;
      m_expected[at].serve(wanted, expected);
      ASSERT_EQ(misses[at], static_cast<std::int32_t>(expected.missing.size()));
      ASSERT_EQ(bypassed[at], expected.bypassed);
      total_misses += misses[at];
      total_wanted += counts[at];
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const std::int32_t slot = expected.slots[i];
        const std::int32_t row = rows[at * capacity + i];
        ASSERT_EQ(row, slot >= 0 ? slot : static_cast<std::int32_t>(m_item.slots) - 1 - slot) << i;
        ASSERT_EQ(
            std::memcmp(pool.data() + (s * (m_item.slots + m_item.most_wanted) + row) * m_row_bytes,
                        m_source.data() + (s * m_item.tokens + wanted[i]) * m_row_bytes,
                        static_cast<std::size_t>(m_row_bytes)),
            0)
            << i;
      }
    }
  }

  void reset() {
    reset_hot_buffers(m_args, m_stream);
    m_expected.assign(m_expected.size(), HotBuffer(m_item.slots, m_item.tokens, m_item.policy));
  }

  std::int64_t total_misses = 0;
  std::int64_t total_wanted = 0;

 private:
  /// Ascending, the first tokens more often than others; empty and full lists now and then.
  Tokens random_list() {
    const auto most = static_cast<std::uint32_t>(std::min(m_item.most_wanted, m_item.tokens));
    const std::uint32_t kind = m_random() % 8;
    const std::size_t count = kind == 0 ? 0 : kind == 1 ? most : m_random() % (most + 1);
    std::set<std::int32_t> chosen;
    while (chosen.size() < count) {
      const auto range = static_cast<std::uint32_t>(m_item.tokens) >> m_random() % 3;
      chosen.insert(static_cast<std::int32_t>(m_random() % std::max(range, 1U)));
    }
    return {chosen.begin(), chosen.end()};
  }

  HotCase m_item;
  std::int64_t m_row_bytes;
  std::mt19937 m_random;
  Stream m_stream;
  PinnedBuffer<unsigned char> m_source;
  DeviceBuffer<unsigned char> m_pool;
  DeviceBuffer<std::int32_t> m_rows;
  DeviceBuffer<std::int32_t> m_misses;
  DeviceBuffer<std::int32_t> m_bypassed;
  DeviceBuffer<unsigned char> m_state;
  HotBuffersArgs m_args;
  std::vector<HotBuffer> m_expected;
};

std::vector<HotCase> hot_cases() {
  constexpr std::int64_t kSlots[] = {0, 1, 31, 64, 511, 512, 513, 1100};
  constexpr std::int64_t kMostWanted[] = {1, 7, 64, 513, 1030};
  constexpr std::int64_t kTokens[] = {1, 90, 1200};
  constexpr HotPolicy kPolicies[] = {HotPolicy::kLru, HotPolicy::kLfu};
  constexpr std::int64_t kSegments[] = {1, 3};
  constexpr std::int64_t kDims[] = {64, 80};
  const std::size_t levels[] = {std::size(kSlots),    std::size(kMostWanted), std::size(kTokens),
                                std::size(kPolicies), std::size(kSegments),   std::size(kDims)};
  std::vector<HotCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    HotCase& item = cases.emplace_back();
    item.slots = kSlots[row[0]];
    item.most_wanted = kMostWanted[row[1]];
    item.tokens = kTokens[row[2]];
    item.policy = kPolicies[row[3]];
    item.segments = kSegments[row[4]];
    item.head_dim = kDims[row[5]];
  }
  return cases;
}

TEST(HotBufferDevice, EqualsTheHostsBufferAndHoldsTheRows) {
  const std::vector<HotCase> cases = hot_cases();
  EXPECT_LE(cases.size(), 150U);
  for_each_order([&] {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(cases[i].name());
      HotProblem problem(cases[i], static_cast<std::uint32_t>(i + 1));
      for (int step = 0; step < cases[i].steps; ++step) {
        SCOPED_TRACE("step " + std::to_string(step));
        problem.step();
        ASSERT_FALSE(testing::Test::HasFatalFailure());
      }
    }
  });
}

TEST(HotBufferDevice, ManyStepsKeepPolicyAndBuffer) {
  for (const HotPolicy policy : {HotPolicy::kLru, HotPolicy::kLfu}) {
    HotProblem problem(
        {.segments = 1, .slots = 30, .most_wanted = 20, .tokens = 60, .policy = policy}, 5);
    for (int step = 0; step < 150; ++step) {
      problem.step();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << step;
    }
    EXPECT_GT(problem.total_wanted - problem.total_misses, 100);
  }
}

TEST(HotBufferDevice, ResettingEmptiesTheBuffers) {
  HotProblem problem({}, 9);
  problem.step();
  problem.reset();
  problem.step();
}

#ifdef KVSIEVE_TEST_SIMT
TEST(HotBufferDevice, FetchesMissesAndNothingElse) {
  for (const HotCase& item : hot_cases()) {
    SCOPED_TRACE(item.name());
    HotProblem problem(item, 3);
    const Traffic read(BusPath::kReadByKernel);
    for (int step = 0; step < 3; ++step) {
      problem.step();
    }
    const std::int64_t bytes = problem.total_misses * row_bytes(item.head_dim, 2);
    EXPECT_EQ(read.since(), (BusTraffic{bytes, bytes / 16}));
  }
}
#endif

TEST(HotBufferDevice, LaunchesABlockASegment) {
  HotBuffersArgs args;
  args.segments = 24;
  EXPECT_EQ(serve_hot_buffers_config(args), (LaunchConfig{{24}, {512}, 0}));
}

/// Small enough for a race detector that runs each block's threads one by one.
TEST(HotBufferRace, SmallCases) {
  for (const HotPolicy policy : {HotPolicy::kLru, HotPolicy::kLfu}) {
    HotProblem problem(
        {.segments = 2, .slots = 20, .most_wanted = 16, .tokens = 40, .policy = policy}, 2);
    for (int step = 0; step < 3; ++step) {
      problem.step();
    }
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
