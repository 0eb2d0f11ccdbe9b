#include <gtest/gtest.h>

#include <clocale>
#include <locale>
#include <string>

#include "kvsieve/sim/report.h"
#include "run_documents.h"

namespace kvsieve::tests {
namespace {

struct GermanNumbers : std::numpunct<char> {
  [[nodiscard]] char do_decimal_point() const override { return ','; }
  [[nodiscard]] char do_thousands_sep() const override { return '.'; }
  [[nodiscard]] std::string do_grouping() const override { return "\3"; }
};

std::string every_report() {
  const std::vector<nlohmann::ordered_json> runs = {eviction_document(), retrieval_document()};
  return sim::markdown_report(runs) + sim::html_report(runs) + sim::screen_report(runs);
}

TEST(ReportLocale, NumbersKeepTheirPoint) {
  const std::string before = every_report();
  const std::locale old_locale = std::locale::global(std::locale({}, new GermanNumbers));
  const std::string old_c_locale = std::setlocale(LC_ALL, nullptr);
  // The C library's locale too, where the system has a German one.
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  const std::string after = every_report();
  std::setlocale(LC_ALL, old_c_locale.c_str());
  std::locale::global(old_locale);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace kvsieve::tests
