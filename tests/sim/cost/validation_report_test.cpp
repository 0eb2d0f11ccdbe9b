#include "kvsieve/sim/validation_report.h"

#include <gtest/gtest.h>

#include "measured_fixture.h"

namespace kvsieve::sim::tests {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

ValidationReport sample() {
  MeasuredRow odd = attention_row(64, 32, 8, 16384, 1500.0);
  odd.engine = "<b>engine</b>";
  MeasuredRow unknown = odd;
  unknown.gpu = "abacus & co";
  MeasuredRow fast = attention_row(64, 32, 8, 16384, 1.0);
  const std::vector<MeasuredFile> files{as_file(
      {attention_row(1, 32, 8, 1024, 15.0), odd, gemm_row(16, 4096, 4096, 20.0), unknown, fast})};
  return validate(files);
}

TEST(ValidationReport, DrawsEveryPossibleRow) {
  const std::string page = html_report(sample());
  EXPECT_EQ(count(page, "<svg"), 2U);
  EXPECT_EQ(count(page, "<circle"), 3U);
  EXPECT_EQ(count(page, "class=\"band\""), 2U);
  EXPECT_NE(page.find("attention-hbm"), std::string::npos);
  EXPECT_NE(page.find("Faster than the memory"), std::string::npos);
}

TEST(ValidationReport, IsOneSafeFile) {
  const std::string page = html_report(sample());
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<b>engine"), std::string::npos);
  EXPECT_NE(page.find("abacus &amp; co"), std::string::npos);
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
  EXPECT_EQ(page, html_report(sample()));
}

TEST(ValidationReport, StandsWithoutRows) {
  EXPECT_NE(html_report({}).find("</html>"), std::string::npos);
}

}  // namespace
}  // namespace kvsieve::sim::tests
