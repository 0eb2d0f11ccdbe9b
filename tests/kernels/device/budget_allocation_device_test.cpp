#include "adakv/budget_allocation_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "kernels/adakv/budget_allocation_reference.h"
#include "kernels/attention/case_table.h"
#include "kernels/device/device_scores.h"
#include "kernels/device/orders.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::Budgets;
using tests::kRowLengths;
using tests::kScoreKinds;
using tests::reference_budgets;
using tests::ScoreKind;
using tests::ScoreMatrix;
using tests::Scores;

constexpr std::int64_t kHeads[] = {1, 2, 3, 8, 9, 32};
constexpr AlphaMode kModes[] = {AlphaMode::kBlend, AlphaMode::kFloor, AlphaMode::kFloorKvpress,
                                AlphaMode::kPaperLiteral, AlphaMode::kOfficialRounding};
constexpr Decimal kAlphas[] = {{0, 1}, {5, 100}, {2, 10}, {5, 10}, {1, 1}};
constexpr std::int64_t kProtected[] = {0, 4, 32};
constexpr int kBudgetKinds = 7;
/// Elements between rows, and before the first: aligned, odd, and aligned rows behind an odd start.
constexpr std::array<std::int64_t, 2> kPlacements[] = {{0, 0}, {1, 1}, {3, 2}, {4, 3}};

/// From none to more than there are.
std::int64_t budget_of_kind(int kind, std::int64_t m) {
  const std::int64_t budgets[kBudgetKinds] = {0, 1, m / 5, m / 2, m - 1, m, m + 3};
  return budgets[kind];
}

struct AllocationCase {
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t m = 1;
  std::int64_t b = 0;
  ScoreKind kind = ScoreKind::kDistinct;
  AllocationOptions options;
  std::int64_t padding = 0;
  std::int64_t offset = 0;
  std::int64_t blocks = 1;  ///< a row

  [[nodiscard]] std::string name() const {
    return "batch " + std::to_string(batch) + ", " + std::to_string(heads) + " heads, m " +
           std::to_string(m) + ", b " + std::to_string(b) + ", kind " +
           std::to_string(static_cast<int>(kind)) + ", mode " +
           std::to_string(static_cast<int>(options.mode)) + ", alpha " + options.alpha.text() +
           ", protected " + std::to_string(options.protected_tokens) + ", rows +" +
           std::to_string(padding) + " at " + std::to_string(offset) + ", " +
           std::to_string(blocks) + " blocks";
  }
};

std::vector<AllocationCase> allocation_cases() {
  const std::size_t levels[] = {std::size(kHeads),      std::size(kRowLengths), kBudgetKinds,
                                std::size(kScoreKinds), std::size(kModes),      std::size(kAlphas),
                                std::size(kPlacements), std::size(kProtected),  std::size_t{2},
                                std::size_t{3}};
  std::vector<AllocationCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    AllocationCase item;
    item.heads = kHeads[row[0]];
    item.m = kRowLengths[row[1]];
    item.b = budget_of_kind(static_cast<int>(row[2]), item.m);
    item.kind = kScoreKinds[row[3]];
    item.options = {kAlphas[row[5]], kModes[row[4]], kProtected[row[7]]};
    item.padding = kPlacements[row[6]][0];
    item.offset = kPlacements[row[6]][1];
    item.batch = static_cast<std::int64_t>(row[8]) + 1;
    item.blocks = std::int64_t{1} << row[9];
    cases.push_back(item);
  }
  return cases;
}

/// One allocation on the device, and what it leaves there.
class DeviceAllocation {
 public:
  DeviceAllocation(const Scores& rows, const AllocationCase& item)
      : m_scores(rows, item.padding, item.offset, m_stream),
        m_budgets(rows.size()),
        m_first_not_finite(1) {
    m_args.scores = m_scores.data();
    m_args.batch = item.batch;
    m_args.heads = item.heads;
    m_args.m = item.m;
    m_args.stride = m_scores.stride();
    m_args.b = item.b;
    m_args.options = item.options;
    m_args.budgets = m_budgets.data();
    m_args.first_not_finite = m_first_not_finite.data();
    m_args.chunk_tokens = chunk_for(item.m, item.blocks);
    m_workspace = DeviceBuffer<unsigned char>(budget_allocation_workspace_bytes(m_args));
    m_args.workspace = m_workspace.data();
    // A workspace comes as it is.
    fill_device(m_workspace.data(), 0x5a, m_workspace.size(), m_stream);
  }

  void run() { budget_allocation(m_args, m_stream); }
  [[nodiscard]] Budgets budgets() {
    const std::vector<std::int32_t> budgets = m_budgets.download(m_stream);
    return {budgets.begin(), budgets.end()};
  }
  void require_finite() { require_finite_scores(m_args, m_stream); }
  [[nodiscard]] const BudgetAllocationArgs& args() const { return m_args; }

 private:
  Stream m_stream;
  DeviceScores m_scores;
  DeviceBuffer<std::int32_t> m_budgets;
  DeviceBuffer<std::int64_t> m_first_not_finite;
  DeviceBuffer<unsigned char> m_workspace;
  BudgetAllocationArgs m_args;
};

Scores rows_of(const Scores& rows, std::int64_t first, std::int64_t count) {
  return {rows.begin() + first, rows.begin() + first + count};
}

Budgets host_budgets(const Scores& rows, const AllocationCase& item) {
  Budgets all;
  for (std::int64_t layer = 0; layer < item.batch; ++layer) {
    const Scores scores = rows_of(rows, layer * item.heads, item.heads);
    const Budgets budgets = allocate_budgets(ScoreMatrix(scores).view(), item.b, item.options);
    EXPECT_EQ(budgets, reference_budgets(scores, item.b, item.options));
    all.insert(all.end(), budgets.begin(), budgets.end());
  }
  return all;
}

void check_case(const AllocationCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const Scores rows = tests::scores_of_kind(item.batch * item.heads, item.m, item.kind, seed);
  const Budgets expected = host_budgets(rows, item);
  for_each_order([&] {
    DeviceAllocation allocation(rows, item);
    allocation.run();
    allocation.require_finite();
    EXPECT_EQ(allocation.budgets(), expected);
  });
}

Budgets allocate(const Scores& scores, std::int64_t b, Decimal alpha, AlphaMode mode,
                 std::int64_t protected_tokens = 0) {
  AllocationCase item;
  item.heads = static_cast<std::int64_t>(scores.size());
  item.m = static_cast<std::int64_t>(scores[0].size());
  item.b = b;
  item.options = {alpha, mode, protected_tokens};
  DeviceAllocation allocation(scores, item);
  allocation.run();
  return allocation.budgets();
}

TEST(BudgetAllocationDevice, TheTableIsSmallEnough) {
  EXPECT_GE(allocation_cases().size(), std::size(kRowLengths) * kBudgetKinds);
  EXPECT_LE(allocation_cases().size(), 150U);
}

TEST(BudgetAllocationDevice, T02_T15_T19_EveryCaseEqualsTheHostAndTheReference) {
  std::uint32_t seed = 0;
  for (const AllocationCase& item : allocation_cases()) {
    check_case(item, ++seed);
  }
}

TEST(BudgetAllocationDevice, T01_T02_TotalsAreExact) {
  for (const ScoreKind kind : kScoreKinds) {
    const Scores scores = tests::scores_of_kind(9, 513, kind, 7);
    for (const AlphaMode mode : kModes) {
      for (const std::int64_t b : {1, 100, 512}) {
        const Budgets budgets = allocate(scores, b, {2, 10}, mode, 32);
        if (mode != AlphaMode::kOfficialRounding) {
          EXPECT_EQ(std::accumulate(budgets.begin(), budgets.end(), std::int64_t{0}), 9 * b);
        }
        EXPECT_GE(*std::min_element(budgets.begin(), budgets.end()), 0);
        EXPECT_LE(*std::max_element(budgets.begin(), budgets.end()), 513);
      }
    }
  }
}

TEST(BudgetAllocationDevice, MoreHeadsThanABlockHasThreads) {
  AllocationCase item;
  item.heads = 520;
  item.m = 5;
  item.b = 2;
  item.options.mode = AlphaMode::kFloor;
  item.kind = ScoreKind::kEqual;
  check_case(item, 3);
}

TEST(BudgetAllocationDevice, T16_NoTokensAndNoLayers) {
  AllocationCase item;
  item.heads = 3;
  item.m = 0;
  item.b = 5;
  const Scores rows(3);
  DeviceAllocation allocation(rows, item);
  allocation.run();
  allocation.require_finite();
  EXPECT_EQ(allocation.budgets(), Budgets({0, 0, 0}));

  Stream stream;
  BudgetAllocationArgs none = allocation.args();
  none.batch = 0;
  budget_allocation(none, stream);
  stream.synchronize();
}

// Figure 1 of the paper: three heads, six tokens.
const Scores kFigure1 = {{.32F, .01F, .18F, .08F, .22F, .19F},
                         {.89F, .01F, .05F, .02F, .01F, .02F},
                         {.68F, .01F, .08F, .04F, .09F, .10F}};

TEST(BudgetAllocationDevice, T05_GoldenFigure1) {
  EXPECT_EQ(allocate(kFigure1, 2, {0, 1}, AlphaMode::kBlend), Budgets({4, 1, 1}));
  EXPECT_EQ(allocate(kFigure1, 2, {2, 10}, AlphaMode::kBlend), Budgets({4, 1, 1}));
  EXPECT_EQ(allocate(kFigure1, 2, {5, 10}, AlphaMode::kBlend), Budgets({3, 2, 1}));
  EXPECT_EQ(allocate(kFigure1, 2, {2, 10}, AlphaMode::kOfficialRounding), Budgets({3, 1, 1}));
  EXPECT_EQ(allocate(kFigure1, 2, {5, 10}, AlphaMode::kOfficialRounding), Budgets({3, 2, 2}));
  EXPECT_EQ(allocate(kFigure1, 2, {1, 1}, AlphaMode::kOfficialRounding), Budgets({2, 2, 2}));
}

TEST(BudgetAllocationDevice, T05_OfficialRoundingRoundsHalvesToEven) {
  const Scores scores = {{9, 8, 7, 0}, {6, 5, 0, 0}, {4, 0, 0, 0}};
  EXPECT_EQ(allocate(scores, 2, {5, 10}, AlphaMode::kOfficialRounding), Budgets({2, 2, 2}));
}

TEST(BudgetAllocationDevice, T06_GoldenKvpress) {
  const Scores scores = {{.30F, .02F, .25F, .05F, .20F, .03F, .10F, .05F},
                         {.90F, .03F, .02F, .01F, .01F, .01F, .01F, .01F},
                         {.13F, .12F, .14F, .11F, .15F, .10F, .13F, .12F}};
  for (const AlphaMode mode : {AlphaMode::kFloor, AlphaMode::kFloorKvpress}) {
    EXPECT_EQ(allocate(scores, 2, {2, 10}, mode), Budgets({3, 1, 2}));
    EXPECT_EQ(allocate(scores, 4, {5, 10}, mode), Budgets({3, 2, 7}));
  }
}

TEST(BudgetAllocationDevice, T18_TheFirstScoreThatIsNotFiniteIsNamedAsOnTheHost) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  AllocationCase item;
  item.batch = 2;
  item.heads = 3;
  item.m = 70;
  item.padding = 1;
  item.blocks = 4;
  for (const std::int64_t b : {0, 20, 70}) {
    item.b = b;
    for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
      Scores rows = tests::scores_of_kind(6, item.m, ScoreKind::kDistinct, 1);
      rows[5][0] = kNan;
      rows[4][69] = kNan;
      rows[4][33] = bad;
      std::string message;
      try {
        const Scores layer = rows_of(rows, 3, 3);
        static_cast<void>(allocate_budgets(ScoreMatrix(layer).view(), b, item.options));
      } catch (const Error& error) {
        message = error.what();
      }
      EXPECT_NE(message.find("head 1, token 33"), std::string::npos) << message;
      for_each_order([&] {
        DeviceAllocation allocation(rows, item);
        allocation.run();
        EXPECT_TRUE(fails_with(ErrorKind::kBadInput, message, [&] { allocation.require_finite(); }))
            << "b " << b << ", score " << bad;
      });
    }
  }
}

TEST(BudgetAllocationDevice, LargestAndSmallestFiniteScoresAreFinite) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  const Scores scores = {{kMax, -kMax, kTiny, 0.0F}, {-kTiny, 1.0F, kMax, -kMax}};
  AllocationCase item;
  item.heads = 2;
  item.m = 4;
  item.b = 2;
  DeviceAllocation allocation(scores, item);
  allocation.run();
  allocation.require_finite();
  EXPECT_EQ(allocation.budgets(), host_budgets(scores, item));
}

TEST(BudgetAllocationDevice, WhatHasNoKernelIsNamed) {
  const Scores scores = {{1, 2, 3}};
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "alpha is 1.1", [&] {
    static_cast<void>(allocate(scores, 1, {11, 10}, AlphaMode::kFloor));
  }));
  const auto fails = [](const std::string& text, auto change) {
    BudgetAllocationArgs args;
    args.heads = 2;
    args.m = 8;
    args.stride = 8;
    change(args);
    Stream stream;
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, text, [&] { budget_allocation(args, stream); }));
  };
  fails("heads of 0 has no kernel, supported: 1 to 1024", [](auto& args) { args.heads = 0; });
  fails("heads of 1025", [](auto& args) { args.heads = 1025; });
  fails("row stride of 7", [](auto& args) { args.stride = 7; });
  fails("row length of", [](auto& args) { args.m = std::int64_t{1} << 31; });
  fails("budget of -1", [](auto& args) { args.b = -1; });
  fails("chunk of 6", [](auto& args) { args.chunk_tokens = 6; });
  fails("rows of 2199023255552", [](auto& args) { args.batch = std::int64_t{1} << 40; });
}

TEST(BudgetAllocationDevice, LaunchesABlockAChunkAndABlockALayer) {
  BudgetAllocationArgs args;
  args.batch = 2;
  args.heads = 8;
  args.m = 131072;
  // 131072 tokens fill 16 chunks, and one more where a row begins off the grid.
  EXPECT_EQ(count_layer_digits_config(args), (LaunchConfig{{16 * 17}, {256}, 0}));
  EXPECT_EQ(narrow_layer_config(args), (LaunchConfig{{2}, {512}, 8 * 16}));
  EXPECT_GE(budget_allocation_workspace_bytes(args), 16U * 5120U * 4U);
}

TEST(BudgetAllocationRace, SmallLayers) {
  AllocationCase item;
  item.heads = 2;
  item.m = 67;
  item.b = 20;
  item.padding = 1;
  item.blocks = 2;
  item.kind = ScoreKind::kEqual;
  check_case(item, 1);
  item.options.mode = AlphaMode::kFloor;
  item.kind = ScoreKind::kDistinct;
  check_case(item, 1);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
