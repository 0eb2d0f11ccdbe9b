#include "report/clean_text.h"

#include <gtest/gtest.h>

#include <string>

namespace kvsieve::sim {
namespace {

constexpr const char* kReplacement = "\ufffd";

TEST(CleanText, LineBreaksBecomeSpaces) {
  EXPECT_EQ(clean_text("a\r\nb\tc"), "a  b c");
}

TEST(CleanText, EscapeSequencesLoseTheirForce) {
  EXPECT_EQ(clean_text("\x1b[31m"), std::string(kReplacement) + "[31m");
  EXPECT_EQ(clean_text(std::string_view("a\0b", 3)), std::string("a") + kReplacement + "b");
  EXPECT_EQ(clean_text("\u009b31m"), std::string(kReplacement) + "31m");
}

TEST(CleanText, MarksThatReorderTextAreReplaced) {
  EXPECT_EQ(clean_text("a\u202eb"), std::string("a") + kReplacement + "b");
  EXPECT_EQ(clean_text("a\u2066b"), std::string("a") + kReplacement + "b");
}

TEST(CleanText, ValidTextStays) {
  const std::string text = "Modèle 模型 \U0001f512";
  EXPECT_EQ(clean_text(text), text);
}

TEST(CleanText, BrokenUtf8IsReplacedByteByByte) {
  for (const char* broken : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe6\xa8"}) {
    const std::string clean = clean_text(std::string("a") + broken + "b");
    EXPECT_TRUE(clean.starts_with(std::string("a") + kReplacement)) << clean;
    EXPECT_TRUE(clean.ends_with("b")) << clean;
    EXPECT_EQ(clean_text(clean), clean);
  }
}

TEST(EscapeXml, CoversTextAndAttributes) {
  EXPECT_EQ(escape_xml("<a b='c' d=\"e\">&"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
}

TEST(EscapeMarkdown, CoversTablesLinksAndMentions) {
  EXPECT_EQ(escape_markdown("a|b"), "a\\|b");
  EXPECT_EQ(escape_markdown("<b>&"), "&lt;b&gt;&amp;");
  EXPECT_EQ(escape_markdown("[x](y)`z`*_"), "\\[x\\](y)\\`z\\`\\*\\_");
  EXPECT_EQ(escape_markdown("@all"), "&#64;all");
}

TEST(Shorten, CutsWholeCharacters) {
  EXPECT_EQ(shorten("abc", 3), "abc");
  EXPECT_EQ(shorten("abcd", 3), "ab\u2026");
  EXPECT_EQ(shorten("模型模型", 3), "模型\u2026");
  EXPECT_EQ(shorten("abcdef", 5, false), "ab...");
  EXPECT_EQ(shorten("abcdef", 2, false), "..");
  EXPECT_EQ(shorten("abcdef", 0), "");
}

}  // namespace
}  // namespace kvsieve::sim
