#include "adakv/token_selection_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "adakv/budget_allocation_device.h"
#include "kernels/adakv/token_selection_reference.h"
#include "kernels/attention/case_table.h"
#include "kernels/device/device_scores.h"
#include "kernels/device/orders.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using tests::kRowLengths;
using tests::kScoreKinds;
using tests::ScoreKind;
using tests::Scores;
using Counts = std::vector<std::int32_t>;
using Tokens = std::vector<std::int32_t>;

constexpr std::int64_t kUnits[] = {1, 2, 3, 8, 9, 32};
/// First and last tokens that always stay.
constexpr std::array<std::int64_t, 2> kProtected[] = {{0, 0}, {4, 32}, {1, 0}, {0, 1}};
/// Elements between rows, and before the first: aligned, odd, and aligned rows behind an odd start.
constexpr std::array<std::int64_t, 2> kPlacements[] = {{0, 0}, {1, 1}, {3, 2}, {4, 3}};
constexpr int kCountKinds = 8;

/// The same count for all units, or one of its own for each.
Counts counts_of_kind(int kind, std::int64_t units, std::int64_t m, std::uint32_t seed) {
  const std::int64_t same[kCountKinds - 1] = {0, 1, m / 5, m / 2, m - 1, m, m + 5};
  Counts counts(static_cast<std::size_t>(units));
  std::mt19937 generator(seed);
  for (std::int32_t& count : counts) {
    count = kind < kCountKinds - 1
                ? static_cast<std::int32_t>(same[kind])
                : static_cast<std::int32_t>(generator() % static_cast<unsigned>(m + 3)) - 1;
  }
  return counts;
}

struct SelectionCase {
  std::int64_t units = 1;
  std::int64_t m = 1;
  int counts = 0;
  ScoreKind kind = ScoreKind::kDistinct;
  std::int64_t sinks = 0;
  std::int64_t window = 0;
  std::int64_t padding = 0;
  std::int64_t offset = 0;
  std::int64_t blocks = 1;  ///< a row
  bool critical = false;

  [[nodiscard]] std::string name() const {
    return std::to_string(units) + " units, m " + std::to_string(m) + ", counts " +
           std::to_string(counts) + ", kind " + std::to_string(static_cast<int>(kind)) +
           ", protected " + std::to_string(sinks) + " and " + std::to_string(window) + ", rows +" +
           std::to_string(padding) + " at " + std::to_string(offset) + ", " +
           std::to_string(blocks) + " blocks" + (critical ? ", critical" : "");
  }
};

std::vector<SelectionCase> selection_cases() {
  const std::size_t levels[] = {
      std::size(kUnits),     std::size(kRowLengths), kCountKinds,    std::size(kScoreKinds),
      std::size(kProtected), std::size(kPlacements), std::size_t{3}, std::size_t{2}};
  std::vector<SelectionCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    SelectionCase item;
    item.units = kUnits[row[0]];
    item.m = kRowLengths[row[1]];
    item.counts = static_cast<int>(row[2]);
    item.kind = kScoreKinds[row[3]];
    item.sinks = kProtected[row[4]][0];
    item.window = kProtected[row[4]][1];
    item.padding = kPlacements[row[5]][0];
    item.offset = kPlacements[row[5]][1];
    item.blocks = std::int64_t{1} << row[6];
    item.critical = row[7] == 1;
    cases.push_back(item);
  }
  return cases;
}

/// Norms with many equal ones, some 0.
Scores norms_for(const Scores& scores, std::uint32_t seed) {
  Scores norms = scores;
  std::mt19937 generator(seed);
  for (std::vector<float>& row : norms) {
    for (float& norm : row) {
      norm = static_cast<float>(generator() % 8) / 3.0F;
    }
  }
  return norms;
}

/// One selection on the device, and what it leaves there.
class DeviceSelection {
 public:
  DeviceSelection(const Scores& scores, const Scores& norms, const Counts& counts,
                  const SelectionCase& item)
      : m_scores(scores, item.padding, item.offset, m_stream),
        m_norms(norms, item.offset, item.padding, m_stream),
        m_counts(counts, m_stream),
        m_offsets(counts.size() + 1),
        m_kept(static_cast<std::size_t>(item.units * (item.sinks + item.m + item.window) + 1)) {
    m_args.scores = m_scores.data();
    m_args.counts = m_counts.data();
    m_args.units = item.units;
    m_args.m = item.m;
    m_args.stride = m_scores.stride();
    m_args.sinks = item.sinks;
    m_args.window = item.window;
    if (item.critical) {
      m_args.norms = m_norms.data();
      m_args.norms_stride = m_norms.stride();
    }
    m_args.offsets = m_offsets.data();
    m_args.kept = m_kept.data();
    m_args.chunk_tokens = chunk_for(item.m, item.blocks);
    m_workspace = DeviceBuffer<unsigned char>(token_selection_workspace_bytes(m_args) + 1);
    m_args.workspace = m_workspace.data();
    // A workspace comes as it is; tokens that nobody wrote are -1.
    fill_device(m_workspace.data(), 0x5a, m_workspace.size(), m_stream);
    fill_device(m_kept.data(), 0xff, m_kept.size_bytes(), m_stream);
  }

  void run() { token_selection(m_args, m_stream); }
  [[nodiscard]] std::vector<std::int64_t> offsets() { return m_offsets.download(m_stream); }
  /// What is kept, up to the first token that nobody wrote.
  [[nodiscard]] Tokens kept() {
    Tokens tokens = m_kept.download(m_stream);
    const auto end = std::find(tokens.begin(), tokens.end(), -1);
    EXPECT_TRUE(std::all_of(end, tokens.end(), [](std::int32_t token) { return token == -1; }));
    tokens.erase(end, tokens.end());
    return tokens;
  }

 private:
  Stream m_stream;
  DeviceScores m_scores;
  DeviceScores m_norms;
  DeviceBuffer<std::int32_t> m_counts;
  DeviceBuffer<std::int64_t> m_offsets;
  DeviceBuffer<std::int32_t> m_kept;
  DeviceBuffer<unsigned char> m_workspace;
  TokenSelectionArgs m_args;
};

/// All units' tokens one after the other, and where each unit's begin.
struct Kept {
  Tokens tokens;
  std::vector<std::int64_t> offsets = {0};
};

/// The candidates that a unit keeps, counted from the first candidate.
Tokens kept_candidates(const std::vector<float>& scores, const std::vector<float>& norms,
                       std::int32_t count, bool critical) {
  Tokens tokens;
  if (critical) {
    select_tokens_critical(scores, norms, count, tokens);
  } else {
    select_tokens(scores, count, tokens);
  }
  const std::int64_t least = std::max(count, 0);
  EXPECT_EQ(tokens, critical ? tests::reference_critical_tokens(scores, norms, least)
                             : tests::reference_top_tokens(scores, least));
  return tokens;
}

Kept host_selection(const Scores& scores, const Scores& norms, const Counts& counts,
                    const SelectionCase& item) {
  Kept kept;
  for (std::size_t unit = 0; unit < scores.size(); ++unit) {
    for (std::int64_t j = 0; j < item.sinks; ++j) {
      kept.tokens.push_back(static_cast<std::int32_t>(j));
    }
    for (const std::int32_t j :
         kept_candidates(scores[unit], norms[unit], counts[unit], item.critical)) {
      kept.tokens.push_back(static_cast<std::int32_t>(item.sinks + j));
    }
    for (std::int64_t j = 0; j < item.window; ++j) {
      kept.tokens.push_back(static_cast<std::int32_t>(item.sinks + item.m + j));
    }
    kept.offsets.push_back(static_cast<std::int64_t>(kept.tokens.size()));
  }
  return kept;
}

void check_case(const SelectionCase& item, std::uint32_t seed) {
  SCOPED_TRACE(item.name());
  const Scores scores = tests::scores_of_kind(item.units, item.m, item.kind, seed);
  const Scores norms = norms_for(scores, seed);
  const Counts counts = counts_of_kind(item.counts, item.units, item.m, seed);
  const Kept expected = host_selection(scores, norms, counts, item);
  for_each_order([&] {
    DeviceSelection selection(scores, norms, counts, item);
    selection.run();
    EXPECT_EQ(selection.offsets(), expected.offsets);
    EXPECT_EQ(selection.kept(), expected.tokens);
  });
}

Tokens selected(const Scores& scores, const Scores& norms, const Counts& counts, bool critical) {
  SelectionCase item;
  item.units = static_cast<std::int64_t>(scores.size());
  item.m = static_cast<std::int64_t>(scores[0].size());
  item.critical = critical;
  DeviceSelection selection(scores, norms, counts, item);
  selection.run();
  return selection.kept();
}

TEST(TokenSelectionDevice, TheTableIsSmallEnough) {
  EXPECT_GE(selection_cases().size(), std::size(kRowLengths) * kCountKinds);
  EXPECT_LE(selection_cases().size(), 150U);
}

TEST(TokenSelectionDevice, T07_T15_T19_T48_EveryCaseEqualsTheHostAndTheReference) {
  std::uint32_t seed = 0;
  for (const SelectionCase& item : selection_cases()) {
    check_case(item, ++seed);
  }
}

TEST(TokenSelectionDevice, T15_EqualScoresGoToTheLowerTokens) {
  const std::int64_t m = 100;
  Scores scores;
  Counts counts;
  Tokens expected;
  for (std::int32_t count = 0; count <= m; ++count) {
    scores.emplace_back(m, 0.125F);
    counts.push_back(count);
    for (std::int32_t j = 0; j < count; ++j) {
      expected.push_back(j);
    }
  }
  EXPECT_EQ(selected(scores, scores, counts, false), expected);
}

TEST(TokenSelectionDevice, T16_T17_NoCandidatesLeaveTheProtectedTokens) {
  SelectionCase item;
  item.units = 2;
  item.m = 0;
  item.sinks = 2;
  item.window = 300;
  for (const bool critical : {false, true}) {
    item.critical = critical;
    DeviceSelection selection(Scores(2), Scores(2), {0, 5}, item);
    selection.run();
    Tokens expected(302);
    std::iota(expected.begin(), expected.end(), 0);
    expected.insert(expected.end(), expected.begin(), expected.begin() + 302);
    EXPECT_EQ(selection.kept(), expected);
    EXPECT_EQ(selection.offsets(), std::vector<std::int64_t>({0, 302, 604}));
  }
}

TEST(TokenSelectionDevice, NoUnitsHaveOneOffset) {
  SelectionCase item;
  item.units = 0;
  item.m = 0;
  DeviceSelection selection(Scores(1), Scores(1), {}, item);
  selection.run();
  EXPECT_EQ(selection.offsets(), std::vector<std::int64_t>({0}));
  EXPECT_TRUE(selection.kept().empty());
}

TEST(TokenSelectionDevice, MoreUnitsThanABlockHasThreads) {
  SelectionCase item;
  item.units = 600;
  item.m = 9;
  item.sinks = 1;
  item.window = 2;
  item.counts = kCountKinds - 1;
  check_case(item, 11);
}

TEST(TokenSelectionDevice, MoreChunksThanABlockHasThreads) {
  SelectionCase item;
  item.m = 1100;
  item.kind = ScoreKind::kEqual;
  item.counts = 3;
  item.blocks = 275;
  item.padding = 1;
  check_case(item, 12);
}

TEST(TokenSelectionDevice, T18_ZerosOfBothSignsTieAndNegativeScoresAreOrdered) {
  const Scores scores(4, {-1.0F, -0.0F, 0.0F, -2.0F, -0.0F, -0.5F});
  EXPECT_EQ(selected(scores, scores, {1, 2, 4, 5}, false),
            Tokens({1, 1, 2, 1, 2, 4, 5, 0, 1, 2, 4, 5}));
}

TEST(TokenSelectionDevice, T47_CriticalFirstHalfByScoreThenByScoreTimesNorm) {
  const Scores scores(3, {.40F, .30F, .10F, .08F, .07F, .05F});
  const Scores norms(3, {.1F, .1F, 1.0F, 2.0F, 1.0F, 9.0F});
  EXPECT_EQ(selected(scores, norms, {4, 3, 1}, true), Tokens({0, 1, 3, 5, 0, 3, 5, 5}));
}

TEST(TokenSelectionDevice, T47_ProductsAreRoundedToSinglePrecisionByThemselves) {
  // The second product is larger by less than half a unit in the last place: a tie.
  constexpr float kUlp = 0x1p-23F;
  EXPECT_EQ(selected({{1 + 3 * kUlp, 1 + kUlp}}, {{1.0F, 1 + 2 * kUlp}}, {1}, true), Tokens({0}));
  // A negative product that underflows equals zero; fused with another operation it would not.
  EXPECT_EQ(selected({{-0x1p-100F, 0.0F}}, {{0x1p-100F, 1.0F}}, {1}, true), Tokens({0}));
}

TEST(TokenSelectionDevice, T06_T27_CountsComeFromTheAllocation) {
  const Scores rows = {{.30F, .02F, .25F, .05F, .20F, .03F, .10F, .05F},
                       {.90F, .03F, .02F, .01F, .01F, .01F, .01F, .01F},
                       {.13F, .12F, .14F, .11F, .15F, .10F, .13F, .12F}};
  for_each_order([&] {
    Stream stream;
    const DeviceScores scores(rows, 1, 1, stream);
    const DeviceBuffer<std::int32_t> budgets(3);
    const DeviceBuffer<std::int64_t> flag(1);
    const DeviceBuffer<std::int64_t> offsets(4);
    const DeviceBuffer<std::int32_t> kept(6);
    BudgetAllocationArgs allocation;
    allocation.scores = scores.data();
    allocation.heads = 3;
    allocation.m = 8;
    allocation.stride = scores.stride();
    allocation.b = 2;
    allocation.options = {{2, 10}, AlphaMode::kFloor, 0};
    allocation.budgets = budgets.data();
    allocation.first_not_finite = flag.data();
    const DeviceBuffer<unsigned char> allocating(budget_allocation_workspace_bytes(allocation));
    allocation.workspace = allocating.data();
    budget_allocation(allocation, stream);

    TokenSelectionArgs selection;
    selection.scores = scores.data();
    selection.counts = budgets.data();
    selection.units = 3;
    selection.m = 8;
    selection.stride = scores.stride();
    selection.offsets = offsets.data();
    selection.kept = kept.data();
    token_selection(selection, stream);
    EXPECT_EQ(offsets.download(stream), std::vector<std::int64_t>({0, 3, 4, 6}));
    EXPECT_EQ(kept.download(stream), Tokens({0, 2, 4, 0, 2, 4}));
  });
}

TEST(TokenSelectionDevice, WhatHasNoKernelIsNamed) {
  const auto fails = [](const std::string& text, auto change) {
    TokenSelectionArgs args;
    args.units = 1;
    args.m = 8;
    args.stride = 8;
    change(args);
    Stream stream;
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, text, [&] { token_selection(args, stream); }));
  };
  fails("row stride of 7 has no kernel", [](auto& args) { args.stride = 7; });
  fails("prompt length of", [](auto& args) { args.window = std::int64_t{1} << 31; });
  fails("sinks of -1", [](auto& args) { args.sinks = -1; });
  fails("chunk of 0", [](auto& args) { args.chunk_tokens = 0; });
  fails("units of 2147483647", [](auto& args) {
    args.units = (std::int64_t{1} << 31) - 1;
    args.chunk_tokens = 4;
  });
  const float norm = 1.0F;
  fails("norms of 7", [&](auto& args) {
    args.norms = &norm;
    args.norms_stride = 7;
  });
}

TEST(TokenSelectionDevice, ShortRowsTakeABlockAndNoWorkspace) {
  TokenSelectionArgs args;
  args.units = 32;
  args.m = 1000;
  EXPECT_EQ(select_chunks_config(args), (LaunchConfig{{32}, {256}, 0}));
  EXPECT_EQ(token_selection_workspace_bytes(args), 0U);
  args.units = 8;
  args.m = 131072;
  EXPECT_EQ(select_chunks_config(args), (LaunchConfig{{8 * 17}, {256}, 0}));
  EXPECT_GE(token_selection_workspace_bytes(args), 8U * 5120U * 4U);
}

TEST(TokenSelectionRace, SmallRows) {
  SelectionCase item;
  item.units = 2;
  item.m = 67;
  item.counts = 2;
  item.sinks = 1;
  item.window = 3;
  item.padding = 1;
  item.kind = ScoreKind::kBfloatMeans;
  item.blocks = 2;
  check_case(item, 1);
  item.critical = true;
  check_case(item, 1);
  item.blocks = 1;
  check_case(item, 1);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
