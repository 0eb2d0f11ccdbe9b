#include "kvsieve/kernels/token_retrieval.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <type_traits>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/case_table.h"
#include "kernels/attention/random_heads.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

using Tokens = std::vector<std::int32_t>;

constexpr std::int64_t kSinks = 8;

struct RetrievalCase {
  std::int64_t sequences = 1;
  std::int64_t kv_heads = 2;
  std::int64_t group = 4;
  std::int64_t head_dim = 64;
  std::int64_t codewords = 64;
  std::int64_t tokens = 500;  ///< i + 1
  std::int64_t window = 64;
  std::int64_t k = 15;
  std::int64_t tail = 0;  ///< eligible tokens behind the buckets
  bool softcap = false;

  [[nodiscard]] std::string name() const {
    return fmt::format("B{} Hkv{} G{} d{} C{} T{} window {} k{} tail {}{}", sequences, kv_heads,
                       group, head_dim, codewords, tokens, window, k, tail,
                       softcap ? " softcap" : "");
  }
};

const std::vector<RetrievalCase>& retrieval_cases() {
  constexpr std::int64_t kSequences[] = {1, 3};
  constexpr std::int64_t kKvHeads[] = {1, 2};
  constexpr std::int64_t kDims[] = {64, 80, 96, 128, 256};
  constexpr std::int64_t kCodewords[] = {1, 16, 250, 300, 4096};
  constexpr std::int64_t kTokens[] = {1, 8, 9, 72, 73, 136, 200, 1024, 5000};
  constexpr std::int64_t kWindows[] = {1, 64};
  enum Share { kNone, kFew, kHalf, kMore, kShares };
  constexpr std::int64_t kTails[] = {0, 1, 40};
  static const std::vector<RetrievalCase> cases = [&] {
    const std::size_t levels[] = {std::size(kSequences), std::size(kKvHeads),
                                  std::size(kGroups),    std::size(kDims),
                                  std::size(kCodewords), std::size(kTokens),
                                  std::size(kWindows),   kShares,
                                  std::size(kTails),     2};
    std::vector<RetrievalCase> made;
    for (const std::vector<std::size_t>& row : pairwise(levels)) {
      RetrievalCase& item = made.emplace_back();
      item.sequences = kSequences[row[0]];
      item.kv_heads = kKvHeads[row[1]];
      item.group = kGroups[row[2]];
      item.head_dim = kDims[row[3]];
      item.codewords = kCodewords[row[4]];
      item.tokens = kTokens[row[5]];
      item.window = kWindows[row[6]];
      const std::int64_t counts[] = {0, item.tokens * 3 / 100, item.tokens / 2, item.tokens};
      item.k = counts[row[7]];
      item.tail = kTails[row[8]];
      item.softcap = row[9] == 1;
    }
    return made;
  }();
  return cases;
}

/// A case's queries, codebooks and codes, and where the results go.
class RetrievalProblem {
 public:
  explicit RetrievalProblem(const RetrievalCase& retrieval_case, std::uint32_t seed = 1)
      : item(retrieval_case),
        range(eligible_tokens(item.tokens - 1, kSinks, item.window)),
        queries(segments() * item.group, item.head_dim, seed),
        words(item.kv_heads * item.codewords, item.head_dim, seed + 1),
        books(static_cast<std::size_t>(item.kv_heads)),
        codes(static_cast<std::size_t>(segments() * stride())),
        buckets(static_cast<std::size_t>(segments())),
        lists(static_cast<std::size_t>(segments() * stride()), -1),
        counts(static_cast<std::size_t>(segments()), -1),
        ties(static_cast<std::size_t>(segments() * item.group), -1),
        members(ties.size()) {
    for (std::int64_t h = 0; h < item.kv_heads; ++h) {
      books[static_cast<std::size_t>(h)].load(
          HeadSlice({reinterpret_cast<const std::byte*>(words.data.data()),
                     traces::DType::kF32,
                     {item.kv_heads, item.codewords, item.head_dim}},
                    h),
          nullptr);
    }
    std::mt19937 random(seed);
    for (std::uint16_t& code : codes) {
      code = static_cast<std::uint16_t>(random() % static_cast<std::uint32_t>(item.codewords));
    }
    const std::int64_t sorted_end = std::max(range.begin, range.end - item.tail);
    for (std::int64_t s = 0; s < segments(); ++s) {
      build_buckets(segment_codes(s), {range.begin, sorted_end}, item.codewords,
                    buckets[static_cast<std::size_t>(s)]);
    }
  }

  [[nodiscard]] std::int64_t segments() const { return item.sequences * item.kv_heads; }
  [[nodiscard]] std::int64_t stride() const { return item.tokens + 5; }
  [[nodiscard]] std::span<const std::uint16_t> segment_codes(std::int64_t s) const {
    return std::span(codes).subspan(static_cast<std::size_t>(s * stride()),
                                    static_cast<std::size_t>(stride()));
  }

  [[nodiscard]] TokenRetrievalArgs args(bool with_buckets) {
    TokenRetrievalArgs result;
    result.queries = queries.data.data();
    result.codewords = books;
    result.attention.scale = 1.0 / std::sqrt(static_cast<double>(item.head_dim));
    if (item.softcap) {
      result.attention.softcap = 2.0;
    }
    result.segments = segments();
    result.group = item.group;
    result.codes = codes.data();
    result.codes_stride = stride();
    if (with_buckets) {
      result.buckets = buckets;
    }
    result.range = range;
    result.k = item.k;
    result.lists = lists.data();
    result.capacity = stride();
    result.counts = counts.data();
    result.boundary_ties = ties.data();
    result.members = members;
    return result;
  }
  [[nodiscard]] Tokens list(std::int64_t s) const {
    const auto first = lists.begin() + s * stride();
    return {first, first + counts[static_cast<std::size_t>(s)]};
  }

  RetrievalCase item;
  TokenRange range;
  RandomRows queries;
  RandomRows words;
  std::vector<HeadKeys> books;
  std::vector<std::uint16_t> codes;  ///< [S, stride]
  std::vector<CodeBuckets> buckets;
  Tokens lists, counts, ties;
  std::vector<Tokens> members;
};

/// A query head's scores of all tokens by the operations that retrieve_tokens stands for.
std::vector<float> scores_of(RetrievalProblem& problem, std::int64_t row) {
  const std::int64_t s = row / problem.item.group;
  const std::int64_t stride = (problem.item.codewords + 15) / 16 * 16;
  std::vector<float> table(static_cast<std::size_t>(stride));
  score_table(problem.queries.view().rows_from(row, 1),
              problem.books[static_cast<std::size_t>(s % problem.item.kv_heads)],
              problem.args(false).attention, {table.data(), 1, problem.item.codewords, stride});
  std::vector<float> scores(static_cast<std::size_t>(problem.stride()));
  lookup_scores(table, problem.segment_codes(s), scores);
  return scores;
}

TEST(TokenRetrieval, T30_BothFormsAreWhatTheirPartsMake) {
  for (const RetrievalCase& item : retrieval_cases()) {
    SCOPED_TRACE(item.name());
    RetrievalProblem problem(item);
    for (const bool with_buckets : {false, true}) {
      retrieve_tokens(problem.args(with_buckets));
      for (std::int64_t s = 0; s < problem.segments(); ++s) {
        std::vector<Tokens> expected(static_cast<std::size_t>(item.group));
        for (std::int64_t g = 0; g < item.group; ++g) {
          const auto row = static_cast<std::size_t>(s * item.group + g);
          const std::int64_t ties =
              select_top(scores_of(problem, static_cast<std::int64_t>(row)), problem.range, item.k,
                         expected[static_cast<std::size_t>(g)]);
          ASSERT_EQ(problem.ties[row], ties);
          ASSERT_EQ(problem.members[row], expected[static_cast<std::size_t>(g)]);
        }
        Tokens united;
        unite(expected, united);
        ASSERT_EQ(problem.list(s), united);
      }
    }
  }
}

TEST(TokenRetrieval, T27_TheUnionHoldsEveryHeadsTopAndNothingResident) {
  for (const RetrievalCase& item : retrieval_cases()) {
    SCOPED_TRACE(item.name());
    RetrievalProblem problem(item);
    retrieve_tokens(problem.args(true));
    const std::int64_t k = std::min(item.k, problem.range.size());
    for (std::int64_t s = 0; s < problem.segments(); ++s) {
      const Tokens list = problem.list(s);
      const auto size = static_cast<std::int64_t>(list.size());
      ASSERT_GE(size, k);
      ASSERT_LE(size, std::min(item.group * k, problem.range.size()));
      for (const std::int32_t token : list) {
        ASSERT_GE(token, kSinks);
        ASSERT_LT(token, item.tokens - item.window);
      }
      for (std::int64_t g = 0; g < item.group; ++g) {
        const Tokens& member = problem.members[static_cast<std::size_t>(s * item.group + g)];
        ASSERT_EQ(static_cast<std::int64_t>(member.size()), k);
        ASSERT_EQ(common_tokens(member, list), k);
      }
      if (item.group == 1) {
        ASSERT_EQ(problem.members[static_cast<std::size_t>(s)], list);
      }
    }
  }
}

TEST(TokenRetrieval, T25_EveryKeyItsOwnCodewordFindsTheExactTop) {
  constexpr std::int64_t kTokens = 400;
  RetrievalProblem problem(
      {.kv_heads = 1, .group = 3, .codewords = kTokens, .tokens = kTokens, .window = 16, .k = 40});
  for (std::size_t j = 0; j < static_cast<std::size_t>(kTokens); ++j) {
    problem.codes[j] = static_cast<std::uint16_t>(j);
  }
  build_buckets(problem.segment_codes(0), problem.range, kTokens, problem.buckets[0]);
  retrieve_tokens(problem.args(true));
  const Matrix exact =
      reference_scores(problem.queries.exact, problem.words.exact, problem.args(true).attention);
  for (std::int64_t g = 0; g < 3; ++g) {
    std::vector<double> scores;
    for (std::int64_t j = 0; j < kTokens; ++j) {
      scores.push_back(exact.at(g, j));
    }
    EXPECT_EQ(problem.members[static_cast<std::size_t>(g)],
              reference_top(scores, problem.range.begin, problem.range.end, 40));
  }
}

TEST(TokenRetrieval, T29_LargerBudgetsGiveSupersets) {
  RetrievalProblem problem({.codewords = 30, .tokens = 600});
  std::vector<Tokens> before(2);
  for (std::int64_t k = 0; k <= 540; k += 27) {
    problem.item.k = k;
    retrieve_tokens(problem.args(true));
    for (std::int64_t s = 0; s < 2; ++s) {
      Tokens& last = before[static_cast<std::size_t>(s)];
      EXPECT_EQ(common_tokens(last, problem.list(s)), static_cast<std::int64_t>(last.size()));
      last = problem.list(s);
    }
  }
}

TEST(TokenRetrieval, ResidentTokensComeBeforeAndBehind) {
  for (const std::int64_t tokens : {1, 8, 60, 72, 73, 400}) {
    RetrievalProblem problem({.tokens = tokens, .k = 20});
    retrieve_tokens(problem.args(true));
    std::vector<Tokens> retrieved{problem.list(0), problem.list(1)};
    TokenRetrievalArgs args = problem.args(true);
    args.with_resident = true;
    args.tokens = tokens;
    retrieve_tokens(args);
    for (std::int64_t s = 0; s < 2; ++s) {
      Tokens expected;
      attended_tokens(tokens - 1, kSinks, 64, retrieved[static_cast<std::size_t>(s)], expected);
      EXPECT_EQ(problem.list(s), expected) << tokens;
    }
  }
}

TEST(TokenRetrieval, HeadsMayHaveBudgetsOfTheirOwn) {
  RetrievalProblem problem({.k = 999});
  const Tokens budgets{0, 3, 500, 17, 1, 1, 0, 64};
  TokenRetrievalArgs args = problem.args(true);
  args.head_k = budgets.data();
  retrieve_tokens(args);
  for (std::size_t row = 0; row < budgets.size(); ++row) {
    Tokens expected;
    select_top(scores_of(problem, static_cast<std::int64_t>(row)), problem.range, budgets[row],
               expected);
    EXPECT_EQ(problem.members[row], expected) << row;
  }
}

TEST(TokenRetrieval, AListWithoutRoomIsCutAndItsCountIsWhole) {
  RetrievalProblem problem({.tokens = 400, .k = 30});
  retrieve_tokens(problem.args(true));
  const std::vector<Tokens> whole{problem.list(0), problem.list(1)};
  Tokens lists(2 * 12, -7);
  TokenRetrievalArgs args = problem.args(true);
  args.lists = lists.data();
  args.capacity = 10;
  retrieve_tokens(args);
  for (std::size_t s = 0; s < 2; ++s) {
    EXPECT_EQ(problem.counts[s], static_cast<std::int32_t>(whole[s].size()));
    EXPECT_TRUE(std::equal(whole[s].begin(), whole[s].begin() + 10,
                           lists.begin() + static_cast<std::ptrdiff_t>(10 * s)));
  }
  EXPECT_EQ(lists[20], -7);
}

TEST(TokenRetrieval, DoesNotDependOnTheNumberOfThreads) {
  RetrievalProblem problem({.sequences = 2, .codewords = 600, .tokens = 3000, .k = 90, .tail = 40});
  for (const bool with_buckets : {false, true}) {
    with_threads(1, [&] { retrieve_tokens(problem.args(with_buckets)); });
    const Tokens lists = problem.lists;
    const Tokens counts = problem.counts;
    for (const int threads : {2, 5}) {
      std::fill(problem.lists.begin(), problem.lists.end(), -1);
      with_threads(threads, [&] { retrieve_tokens(problem.args(with_buckets)); });
      for (std::int64_t s = 0; s < problem.segments(); ++s) {
        const auto at = static_cast<std::size_t>(s * problem.stride());
        EXPECT_TRUE(std::equal(
            lists.begin() + static_cast<std::ptrdiff_t>(at),
            lists.begin() + static_cast<std::ptrdiff_t>(at) + counts[static_cast<std::size_t>(s)],
            problem.lists.begin() + static_cast<std::ptrdiff_t>(at)));
      }
      EXPECT_EQ(problem.counts, counts);
    }
  }
}

TEST(TokenRetrieval, NamesWhatItDoesNotSupport) {
  RetrievalProblem problem({});
  TokenRetrievalArgs args = problem.args(true);
  args.segments = 3;
  EXPECT_THROW(retrieve_tokens(args), Error);
  args = problem.args(true);
  problem.books[1].load(HeadSlice({reinterpret_cast<const std::byte*>(problem.words.data.data()),
                                   traces::DType::kF32,
                                   {1, 63, 64}},
                                  0),
                        nullptr);
  EXPECT_THROW(retrieve_tokens(args), Error);
}

// The release gathers with indices of 64 bits repeated for every query head.
TEST(TokenRetrieval, Defect05_CodesTakeTwoBytesAndAreSharedByTheGroup) {
  constexpr Work kLong = token_retrieval_work(8, 8, 4, 4096, 128, 3932, 131072, 0);
  constexpr Work kShort = token_retrieval_work(8, 8, 4, 4096, 128, 3932, 0, 0);
  static_assert(kLong.bytes_read - kShort.bytes_read == 8 * 131072 * 2);
  static_assert(std::is_same_v<decltype(TokenRetrievalArgs::codes), const std::uint16_t*>);
}

// The release ships a mask of Hkv T bytes a layer; a list has four bytes a selected token.
TEST(TokenRetrieval, Defect06_ListsAreSmallerThanAByteMask) {
  constexpr Work kWork = token_retrieval_work(8, 8, 4, 4096, 128, 3932, 0, 8 * 2 * 3932);
  static_assert(kWork.bytes_written == 8 * 2 * 3932 * 4);
  static_assert(4 * kWork.bytes_written < 8 * 131072);
  static_assert(kWork.flops == 2 * 32 * 4096 * 128);
}

TEST(TokenRetrieval, CasesAreFew) {
  EXPECT_LE(retrieval_cases().size(), 150U);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
