#include "needle_span.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kvsieve::record {
namespace {

using Pieces = std::vector<std::string>;

TEST(NeedleSpan, TakesEveryTokenThatSharesAByte) {
  const Pieces pieces = {"The", " spare", " key", " hangs", " here."};
  EXPECT_EQ(find_needle(pieces, " spare key"), (TokenSpan{1, 3}));
  EXPECT_EQ(find_needle(pieces, "spare key"), (TokenSpan{1, 3}));
  EXPECT_EQ(find_needle(pieces, "e key h"), (TokenSpan{1, 4}));
  EXPECT_EQ(find_needle(pieces, "The"), (TokenSpan{0, 1}));
  EXPECT_EQ(find_needle(pieces, "here."), (TokenSpan{4, 5}));
  EXPECT_EQ(find_needle(pieces, "The spare key hangs here."), (TokenSpan{0, 5}));
}

TEST(NeedleSpan, SkipsTokensWithoutText) {
  const Pieces pieces = {"", "ab", "", "cd", ""};
  EXPECT_EQ(find_needle(pieces, "ab"), (TokenSpan{1, 2}));
  EXPECT_EQ(find_needle(pieces, "cd"), (TokenSpan{3, 4}));
  EXPECT_EQ(find_needle(pieces, "bc"), (TokenSpan{1, 4}));
}

TEST(NeedleSpan, CountsBytesOfMultibyteCharacters) {
  const Pieces pieces = {"caf", "\xc3", "\xa9", " noir"};
  EXPECT_EQ(find_needle(pieces, "\xc3\xa9"), (TokenSpan{1, 3}));
  EXPECT_EQ(find_needle(pieces, "noir"), (TokenSpan{3, 4}));
}

TEST(NeedleSpan, TakesTheFirstOccurrence) {
  const Pieces pieces = {"a", "b", "a", "b"};
  EXPECT_EQ(find_needle(pieces, "ab"), (TokenSpan{0, 2}));
}

TEST(NeedleSpan, IsEmptyWhenThereIsNone) {
  EXPECT_EQ(find_needle(Pieces{"a", "b"}, "c"), std::nullopt);
  EXPECT_EQ(find_needle(Pieces{"a", "b"}, ""), std::nullopt);
  EXPECT_EQ(find_needle(Pieces{}, "a"), std::nullopt);
}

}  // namespace
}  // namespace kvsieve::record
