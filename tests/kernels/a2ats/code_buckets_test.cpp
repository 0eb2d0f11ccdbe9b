#include "kvsieve/kernels/code_buckets.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "kernels/a2ats/a2ats_reference.h"
#include "kernels/attention/case_table.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::tests {
namespace {

using Tokens = std::vector<std::int32_t>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// What a table's entries are.
enum class Table { kDistinct, kFewValues, kOneValue, kSignedZeros, kSpecial };

struct BucketCase {
  std::int64_t codewords = 16;
  std::int64_t begin = 0;   ///< sinks
  std::int64_t sorted = 0;  ///< tokens in the buckets
  std::int64_t tail = 0;    ///< tokens behind them
  Table table = Table::kDistinct;
  bool few_codes = false;  ///< all tokens have one of three codes
  std::int64_t k = 0;

  [[nodiscard]] std::string name() const {
    return fmt::format("C{} tokens {}+{}+{} table {}{} k{}", codewords, begin, sorted, tail,
                       static_cast<int>(table), few_codes ? " few codes" : "", k);
  }
};

const std::vector<BucketCase>& bucket_cases() {
  constexpr std::int64_t kCodewords[] = {1, 16, 17, 255, 4096, 16384};
  constexpr std::int64_t kBegins[] = {0, 8, 77};
  constexpr std::int64_t kSorted[] = {0, 1, 63, 64, 65, 1023, 4096, 20000};
  constexpr std::int64_t kTails[] = {0, 1, 5, 64, 300};
  constexpr Table kTables[] = {Table::kDistinct, Table::kFewValues, Table::kOneValue,
                               Table::kSignedZeros, Table::kSpecial};
  // Of the tokens in range: none, one, 3 %, half, all but one, all, more.
  enum Share { kNone, kOne, kFew, kHalf, kAllButOne, kAll, kMore, kShares };
  static const std::vector<BucketCase> cases = [&] {
    const std::size_t levels[] = {std::size(kCodewords),
                                  std::size(kBegins),
                                  std::size(kSorted),
                                  std::size(kTails),
                                  std::size(kTables),
                                  2,
                                  kShares};
    std::vector<BucketCase> made;
    for (const std::vector<std::size_t>& row : pairwise(levels)) {
      BucketCase& item = made.emplace_back();
      item.codewords = kCodewords[row[0]];
      item.begin = kBegins[row[1]];
      item.sorted = kSorted[row[2]];
      item.tail = kTails[row[3]];
      item.table = kTables[row[4]];
      item.few_codes = row[5] == 1;
      const std::int64_t size = item.sorted + item.tail;
      const std::int64_t counts[] = {0, 1, size * 3 / 100, size / 2, size - 1, size, size + 9};
      item.k = std::max<std::int64_t>(counts[row[6]], 0);
    }
    return made;
  }();
  return cases;
}

/// A case's table, codes and buckets.
struct BucketProblem {
  std::vector<float> table;
  std::vector<std::uint16_t> codes;
  CodeBuckets buckets;
  TokenRange range;

  explicit BucketProblem(const BucketCase& item, std::uint32_t seed = 1)
      : table(static_cast<std::size_t>(item.codewords)),
        codes(static_cast<std::size_t>(item.begin + item.sorted + item.tail)),
        range{item.begin, item.begin + item.sorted + item.tail} {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, 3.0F);
    constexpr float kSpecial[] = {kNaN, -kNaN, kInfinity, -kInfinity, 0.0F, -0.0F, 1.0F};
    for (float& entry : table) {
      const float x = normal(random);
      switch (item.table) {
        case Table::kDistinct:
          entry = x;
          break;
        case Table::kFewValues:
          entry = std::round(x);
          break;
        case Table::kOneValue:
          entry = -1.25F;
          break;
        case Table::kSignedZeros:
          entry = random() % 3 == 0 ? 0.0F : random() % 2 == 0 ? -0.0F : x;
          break;
        case Table::kSpecial:
          entry = random() % 2 == 0 ? kSpecial[random() % std::size(kSpecial)] : x;
          break;
      }
    }
    const auto codewords = static_cast<std::uint64_t>(item.codewords);
    const std::uint64_t few[] = {random() % codewords, random() % codewords, random() % codewords};
    for (std::uint16_t& code : codes) {
      code = static_cast<std::uint16_t>(item.few_codes ? few[random() % 3] : random() % codewords);
    }
    build_buckets(codes, {item.begin, item.begin + item.sorted}, item.codewords, buckets);
  }

  [[nodiscard]] std::vector<float> scores() const {
    std::vector<float> all(codes.size());
    lookup_scores(table, codes, all);
    return all;
  }
};

TEST(CodeBuckets, T30_SelectWhatSelectTopDoesOnEveryCase) {
  Tokens selected{5};
  Tokens expected;
  for (const BucketCase& item : bucket_cases()) {
    SCOPED_TRACE(item.name());
    const BucketProblem problem(item);
    const std::vector<float> scores = problem.scores();
    const std::int64_t expected_ties = select_top(scores, problem.range, item.k, expected);
    const std::int64_t ties = select_top_buckets(problem.table, problem.buckets, problem.codes,
                                                 problem.range, item.k, selected);
    ASSERT_EQ(selected, expected);
    ASSERT_EQ(ties, expected_ties);
    if (item.table != Table::kSpecial) {
      const std::vector<double> exact(scores.begin(), scores.end());
      ASSERT_EQ(selected, reference_top(exact, problem.range.begin, problem.range.end, item.k));
    }
  }
}

TEST(CodeBuckets, T30_SelectWhatSelectTopDoesForEveryK) {
  for (const Table table : {Table::kDistinct, Table::kFewValues, Table::kSpecial}) {
    const BucketProblem problem(
        {.codewords = 40, .begin = 8, .sorted = 200, .tail = 30, .table = table});
    const std::vector<float> scores = problem.scores();
    Tokens selected;
    Tokens expected;
    for (std::int64_t k = 0; k <= 240; ++k) {
      const std::int64_t expected_ties = select_top(scores, problem.range, k, expected);
      EXPECT_EQ(select_top_buckets(problem.table, problem.buckets, problem.codes, problem.range, k,
                                   selected),
                expected_ties)
          << k;
      ASSERT_EQ(selected, expected) << k;
    }
  }
}

TEST(CodeBuckets, T30_OfCodesWithOneScoreTheMostRecentTokensAreTaken) {
  // Codes 0 and 2 share a score, whatever its sign of zero; token 6 lies behind the buckets.
  const std::vector<float> table{0.0F, -1.0F, -0.0F};
  const std::vector<std::uint16_t> codes{0, 2, 0, 1, 2, 0, 2};
  CodeBuckets buckets;
  build_buckets(codes, {0, 6}, 3, buckets);
  Tokens selected;
  EXPECT_EQ(select_top_buckets(table, buckets, codes, {0, 7}, 3, selected), 6);
  EXPECT_EQ(selected, (Tokens{4, 5, 6}));
  EXPECT_EQ(select_top_buckets(table, buckets, codes, {0, 6}, 2, selected), 5);
  EXPECT_EQ(selected, (Tokens{4, 5}));
}

TEST(CodeBuckets, T29_LargerBudgetsGiveSupersets) {
  const BucketProblem problem(
      {.codewords = 64, .begin = 8, .sorted = 900, .tail = 50, .table = Table::kFewValues});
  Tokens before;
  Tokens now;
  for (std::int64_t k = 0; k <= 950; k += 19) {
    select_top_buckets(problem.table, problem.buckets, problem.codes, problem.range, k, now);
    EXPECT_EQ(static_cast<std::int64_t>(now.size()), k);
    EXPECT_EQ(common_tokens(before, now), static_cast<std::int64_t>(before.size()));
    before = now;
  }
}

TEST(CodeBuckets, HoldEveryTokenOnceUnderItsCode) {
  for (const BucketCase& item : bucket_cases()) {
    SCOPED_TRACE(item.name());
    const BucketProblem problem(item);
    const CodeBuckets& buckets = problem.buckets;
    ASSERT_EQ(static_cast<std::int64_t>(buckets.offsets.size()), item.codewords + 1);
    ASSERT_EQ(buckets.offsets.front(), 0);
    ASSERT_EQ(buckets.offsets.back(), item.sorted);
    ASSERT_EQ(static_cast<std::int64_t>(buckets.tokens.size()), item.sorted);
    std::vector<bool> seen(problem.codes.size());
    for (std::size_t m = 0; m + 1 < buckets.offsets.size(); ++m) {
      for (std::int32_t i = buckets.offsets[m]; i < buckets.offsets[m + 1]; ++i) {
        const std::int32_t token = buckets.tokens[static_cast<std::size_t>(i)];
        ASSERT_GE(token, item.begin);
        ASSERT_LT(token, item.begin + item.sorted);
        ASSERT_EQ(problem.codes[static_cast<std::size_t>(token)], m);
        ASSERT_FALSE(seen[static_cast<std::size_t>(token)]);
        seen[static_cast<std::size_t>(token)] = true;
        ASSERT_TRUE(i == buckets.offsets[m] ||
                    buckets.tokens[static_cast<std::size_t>(i) - 1] < token);
      }
    }
  }
}

TEST(CodeBuckets, ARebuildReplacesTheOldBuckets) {
  const std::vector<std::uint16_t> codes{1, 0, 1, 1, 0};
  CodeBuckets buckets;
  build_buckets(codes, {0, 5}, 2, buckets);
  build_buckets(codes, {2, 4}, 3, buckets);
  EXPECT_EQ(buckets.offsets, (Tokens{0, 0, 2, 2}));
  EXPECT_EQ(buckets.tokens, (Tokens{2, 3}));
}

TEST(CodeBuckets, NameTheFirstTokenWhoseCodeIsTooLarge) {
  const std::vector<std::uint16_t> codes{9, 1, 5, 7};
  CodeBuckets buckets;
  try {
    build_buckets(codes, {1, 4}, 5, buckets);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_STREQ(error.what(), "token 2 has code 5 of a codebook of 5");
  }
}

TEST(CodeBuckets, RefuseARangeThatTheyDoNotFit) {
  const std::vector<float> table(4);
  const std::vector<std::uint16_t> codes(20, 3);
  CodeBuckets buckets;
  build_buckets(codes, {8, 16}, 4, buckets);
  Tokens selected;
  for (const TokenRange range : {TokenRange{7, 16}, {9, 16}, {8, 15}, {8, 21}}) {
    EXPECT_THROW(select_top_buckets(table, buckets, codes, range, 2, selected), Error);
  }
}

TEST(CodeBuckets, WorkReadsNoTokenThatIsNotSelected) {
  // 2 segments of 2 query heads; 32 words a mask and 2 ties.
  constexpr Work kWork = code_buckets_work(2, 2, 4096, 1000, 100, 10);
  static_assert(kWork.bytes_read == 4 * (7 * 4096 * 4 + 4 * 10 * 2 + 100 * 4));
  static_assert(kWork.bytes_written == 2 * (32 + 2) * 4);
  static_assert(code_buckets_work(2, 2, 4096, 100000, 100, 10).bytes_read == kWork.bytes_read);
}

TEST(CodeBuckets, CasesAreFew) {
  EXPECT_LE(bucket_cases().size(), 150U);
}

}  // namespace
}  // namespace kvsieve::kernels::tests
