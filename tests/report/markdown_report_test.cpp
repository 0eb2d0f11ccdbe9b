#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "kvsieve/sim/report.h"
#include "run_documents.h"

namespace kvsieve::tests {
namespace {

using nlohmann::ordered_json;

std::string read_golden(const std::string& name) {
  std::ifstream file(std::string(KVSIEVE_REPORT_GOLDEN) + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string markdown(const std::vector<ordered_json>& runs, const std::string& title = {}) {
  return sim::markdown_report(runs, {title});
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// To renew it: kvsieve_report_samples FOLDER, and look at eviction.md before copying it.
TEST(MarkdownReport, OfOneEvictionRunIsExactlyThis) {
  EXPECT_EQ(markdown({eviction_document()}), read_golden("eviction.md"));
}

TEST(MarkdownReport, OfOneRetrievalRunIsExactlyThis) {
  EXPECT_EQ(markdown({retrieval_document()}), read_golden("retrieval.md"));
}

TEST(MarkdownReport, EveryTableHasTheColumnsOfItsHead) {
  for (const auto& [name, document] : valid_documents()) {
    std::istringstream lines(markdown({document}));
    std::string line;
    std::size_t columns = 0;
    const auto bars = [](const std::string& text) {
      std::size_t count = 0;
      for (std::size_t i = 0; i < text.size(); ++i) {
        count += text[i] == '|' && (i == 0 || text[i - 1] != '\\') ? 1 : 0;
      }
      return count;
    };
    while (std::getline(lines, line)) {
      if (!line.starts_with("|")) {
        columns = 0;
        continue;
      }
      EXPECT_TRUE(columns == 0 || columns == bars(line)) << name << ": " << line;
      columns = bars(line);
    }
  }
}

TEST(MarkdownReport, ComparesSeveralRunsAndTraces) {
  ordered_json other = retrieval_document();
  other["trace"]["path"] = "other.kvtrace";
  other["trace"]["hash"] = "ffffffffffffffffffffffffffffffff";
  other["trace"]["model"] = "Other 2M";
  const std::string text = markdown({eviction_document(), retrieval_document(), other});
  EXPECT_TRUE(has(text, "# KV-cache reduction of Other 2M and Tiny 1M\n"));
  EXPECT_TRUE(has(text, "3 runs on 2 traces."));
  EXPECT_TRUE(has(text, "| other.kvtrace (Other 2M) |"));
  EXPECT_TRUE(has(text, "## 3. a2ats, top 5% (retrieval, captured)"));
  EXPECT_FALSE(has(text, "against tokens")) << "runs on different traces share no chart";
}

TEST(MarkdownReport, SaysWhichNumbersAreModelled) {
  const std::string text = markdown({eviction_document()});
  EXPECT_TRUE(has(text, "### Where the budget goes (captured)"));
  EXPECT_TRUE(has(text, "### Memory (modelled)"));
}

TEST(MarkdownReport, TakesATitle) {
  EXPECT_TRUE(markdown({eviction_document()}, "My *title*").starts_with("# My \\*title\\*\n"));
}

TEST(MarkdownReport, NamesLayersThatWereLeftWhole) {
  const std::string text = markdown({eviction_document({.layers = 5, .whole_layers = {1, 3}})});
  EXPECT_TRUE(has(text, "sliding-window layers 1 and 3"));
}

TEST(MarkdownReport, SaysThatASyntheticTraceIsNoModel) {
  ordered_json run = eviction_document();
  run["trace"]["architecture"] = "synthetic";
  const std::string text = markdown({run});
  EXPECT_TRUE(has(text, "the trace is synthetic"));
  EXPECT_TRUE(has(text, "## 1. ada-snapkv, budget 20% (eviction, synthetic)"));
  EXPECT_FALSE(has(markdown({eviction_document()}), "synthetic"));
}

TEST(MarkdownReport, UsesTheObservationWindowWithoutDecodeSteps) {
  const std::string text = markdown({eviction_document({.steps = 0})});
  EXPECT_TRUE(has(text, "The trace has no decode steps"));
  EXPECT_TRUE(has(text, "15.00%"));
}

TEST(MarkdownReport, TellsRunsOfTheSameNameApart) {
  ordered_json query = eviction_document();
  query["method"]["granularity"] = "query";
  const std::string text = markdown({eviction_document(), query});
  EXPECT_TRUE(has(text, "## 1. ada-snapkv, budget 20%, granularity kv (eviction, captured)"));
  EXPECT_TRUE(has(text, "## 2. ada-snapkv, budget 20%, granularity query (eviction, captured)"));
}

TEST(MarkdownReport, HostileTextStaysText) {
  const std::string text = markdown({hostile_document()});
  EXPECT_FALSE(has(text, "<script"));
  EXPECT_FALSE(has(text, "l](http"));
  EXPECT_FALSE(has(text, "\x1b"));
  EXPECT_FALSE(has(text, "\u202e"));
  EXPECT_FALSE(has(text, "@user"));
}

TEST(MarkdownReport, WindowedRopeCostsOnlyMethodsThatUseIt) {
  EXPECT_TRUE(has(markdown({retrieval_document()}), "lost to windowed RoPE"));
  EXPECT_FALSE(has(markdown({retrieval_document({.codes = false})}), "lost to windowed RoPE"));
}

TEST(MarkdownReport, OfABareDocumentIsShort) {
  for (const char* family : {"eviction", "retrieval"}) {
    EXPECT_TRUE(has(markdown({bare_document(family)}), "unnamed method")) << family;
  }
}

}  // namespace
}  // namespace kvsieve::tests
