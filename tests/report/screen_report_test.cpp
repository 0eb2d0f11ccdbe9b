#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "kvsieve/sim/report.h"
#include "report/clean_text.h"
#include "run_documents.h"

namespace kvsieve::tests {
namespace {

using nlohmann::ordered_json;

std::vector<std::string> screen(const std::vector<ordered_json>& runs,
                                const sim::ScreenOptions& options = {}) {
  std::istringstream text(sim::screen_report(runs, options));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    lines.push_back(line);
  }
  return lines;
}

bool any_line(const std::vector<std::string>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

/// Without escape sequences, which take no columns.
std::size_t columns_of(const std::string& line) {
  std::string bare;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      i = line.find('m', i);
      continue;
    }
    bare += line[i];
  }
  return sim::text_columns(bare);
}

std::vector<ordered_json> all_documents() {
  std::vector<ordered_json> all;
  for (const auto& [name, document] : valid_documents()) {
    all.push_back(document);
  }
  return all;
}

TEST(ScreenReport, ShowsLossesNeedleAndBudgets) {
  const auto lines = screen({eviction_document(), retrieval_document()});
  EXPECT_TRUE(any_line(lines, "1  ada-snapkv     20%"));
  EXPECT_TRUE(any_line(lines, "\u00d70.725 2/2"));
  EXPECT_TRUE(any_line(lines, "2  a2ats           5%"));
  EXPECT_TRUE(any_line(lines, "20.0 KiB"));
  EXPECT_TRUE(any_line(lines, "needle: \"the key is green\", 4 tokens"));
  EXPECT_TRUE(any_line(lines, "1 ada-snapkv: tokens kept a KV head"));
  EXPECT_TRUE(any_line(lines, "0123456789"));
  EXPECT_TRUE(any_line(lines, "modelled"));
}

TEST(ScreenReport, FitsItsScreen) {
  for (const int columns : {20, 80, 200}) {
    for (const bool colours : {false, true}) {
      for (const bool unicode : {false, true}) {
        for (const auto& runs : {all_documents(), {eviction_document()}}) {
          for (const std::string& line :
               screen(runs, {.columns = columns, .colours = colours, .unicode = unicode})) {
            EXPECT_LE(columns_of(line), static_cast<std::size_t>(columns)) << line;
          }
        }
      }
    }
  }
  EXPECT_LE(screen({eviction_document({.layers = 80, .heads = 64})}).size(), 40U);
  EXPECT_LE(screen({eviction_document(), retrieval_document()}, {.rows = 16}).size(), 16U);
}

TEST(ScreenReport, MergesLayersThatDoNotFit) {
  const auto lines = screen({eviction_document({.layers = 80, .heads = 64})});
  EXPECT_TRUE(any_line(lines, "0-2"));
  EXPECT_TRUE(any_line(lines, "KV heads 0 to 63"));
}

TEST(ScreenReport, HasNoEscapesWithoutColours) {
  for (const auto& [name, document] : valid_documents()) {
    EXPECT_EQ(sim::screen_report(std::vector{document}, {}).find('\x1b'), std::string::npos)
        << name;
  }
}

TEST(ScreenReport, ColoursAreBlocksAndEndWithTheirLine) {
  const auto lines = screen({eviction_document()}, {.colours = true});
  EXPECT_TRUE(any_line(lines, "\u2588"));
  for (const std::string& line : lines) {
    const std::size_t last = line.rfind("\x1b[");
    EXPECT_TRUE(last == std::string::npos || line.compare(last, 4, "\x1b[0m") == 0) << line;
  }
}

TEST(ScreenReport, IsAsciiWithoutUnicode) {
  for (const auto& [name, document] : valid_documents()) {
    for (const bool colours : {false, true}) {
      const std::string text =
          sim::screen_report(std::vector{document}, {.colours = colours, .unicode = false});
      EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c > 0; })) << name;
    }
  }
}

}  // namespace
}  // namespace kvsieve::tests
