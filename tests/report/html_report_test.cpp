#include <gtest/gtest.h>

#include <string>

#include "kvsieve/sim/report.h"
#include "run_documents.h"

namespace kvsieve::tests {
namespace {

using nlohmann::ordered_json;

std::string html(const std::vector<ordered_json>& runs) {
  return sim::html_report(runs, {});
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

TEST(HtmlReport, HasASectionARunAndALinkToEach) {
  const std::string page = html({eviction_document(), retrieval_document()});
  for (const char* part : {"id=\"run-1\"", "id=\"run-2\"", "href=\"#run-1\"", "href=\"#run-2\"",
                           "KV-cache reduction of Tiny 1M", "ada-snapkv", "a2ats"}) {
    EXPECT_EQ(count(page, part) > 0, true) << part;
  }
}

TEST(HtmlReport, EachChartHasATitleADescriptionAndATable) {
  for (const auto& [name, document] : valid_documents()) {
    const std::string page = html({document});
    const std::size_t charts = count(page, "<svg ");
    EXPECT_EQ(count(page, "<desc "), charts) << name;
    EXPECT_EQ(count(page, "<summary>Numbers</summary>"), charts) << name;
    EXPECT_EQ(count(page, "aria-labelledby=\"chart-"), charts) << name;
  }
}

TEST(HtmlReport, DrawsEverythingThatAnEvictionRunHolds) {
  const std::string page = html({eviction_document()});
  for (const char* title :
       {"Budget of each head", "Budgets beside the equal share", "Evicted mass by layer",
        "L1 loss by layer", "Evicted mass against uniform", "L1 loss against uniform",
        "Evicted mass by step", "Tokens kept along the prompt", "Needle kept by each head"}) {
    EXPECT_EQ(count(page, std::string("<strong>") + title), 1U) << title;
  }
  EXPECT_EQ(count(page, "<title>layer 0, KV head 0: 21</title>"), 1U) << "of the heat map";
  EXPECT_EQ(count(page, "<title>layer 0, KV head 0: 21 tokens</title>"), 1U) << "of the bars";
}

TEST(HtmlReport, DrawsEverythingThatARetrievalRunHolds) {
  const std::string page = html({retrieval_document()});
  for (const char* title :
       {"Where the exact top K goes", "Each approximation alone", "Attention mass by layer",
        "Recall of each query head", "Recall and captured mass by step",
        "Overlap of consecutive steps", "Needle retrieved by step", "Entropy of the codes",
        "Dead codewords", "PCIe bytes by layer", "PCIe bytes by step"}) {
    EXPECT_EQ(count(page, std::string("<strong>") + title), 1U) << title;
  }
}

TEST(HtmlReport, AUniformRunIsNotComparedWithItself) {
  const std::string page = html({eviction_document({.adaptive = false})});
  EXPECT_EQ(count(page, "against uniform"), 0U);
  EXPECT_EQ(count(page, "Every KV head keeps 20 tokens."), 1U);
}

TEST(HtmlReport, LoadsNothingAndRunsNothing) {
  for (const auto& [name, document] : valid_documents()) {
    const std::string page = html({document});
    for (const char* part : {"<script", "<link", "<img", "<iframe", "src=", "@import",
                             "http-equiv=\"refresh\"", "javascript:", "onload", "onclick"}) {
      EXPECT_EQ(count(page, part), 0U) << name << ": " << part;
    }
    EXPECT_EQ(count(page, "href=\""), count(page, "href=\"#run-")) << name;
    EXPECT_EQ(count(page, "url("), count(page, "url(#chart-")) << name;
  }
}

TEST(HtmlReport, FollowsLightAndDarkAndPaper) {
  const std::string page = html({eviction_document()});
  EXPECT_EQ(count(page, "prefers-color-scheme: dark"), 1U);
  EXPECT_EQ(count(page, "@media print"), 1U);
  EXPECT_EQ(count(page, "name=\"viewport\""), 1U);
}

TEST(HtmlReport, NeverPrintsWhatIsNoNumber) {
  for (const auto& [name, document] : valid_documents()) {
    const std::string page = html({document});
    for (const char* part : {">nan", ">-nan", ">inf", ">-inf", "\"nan", "\"inf", "\"-inf", " nan ",
                             ": nan", ": inf", ">null<"}) {
      EXPECT_EQ(count(page, part), 0U) << name << ": " << part;
    }
  }
}

TEST(HtmlReport, SurvivesNumbersAtTheEndsOfTheirRange) {
  ordered_json run = eviction_document();
  run["layers"][0]["l1_loss"] = 1.7e308;
  run["layers"][0]["l1_loss_relative"] = 1.7e308;
  run["layers"][1]["l1_loss_relative"] = 5e-324;
  run["layers"][1]["uniform"]["l1_loss_relative"] = 0.0;
  run["steps"][0]["l1_loss"] = 1.7e308;
  const std::string page = html({run});
  EXPECT_EQ(count(page, "\"inf"), 0U);
  EXPECT_EQ(count(page, "inf%"), 0U);
  EXPECT_EQ(count(page, "nan"), 0U);
}

TEST(HtmlReport, GivesTheSameBytesAgain) {
  EXPECT_EQ(html({eviction_document(), retrieval_document()}),
            html({eviction_document(), retrieval_document()}));
}

TEST(HtmlReport, HostileTextStaysText) {
  const std::string page = html({hostile_document()});
  EXPECT_GT(count(page, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), 3U);
  EXPECT_EQ(count(page, "<!-- "), 0U);
  EXPECT_EQ(count(page, "\x1b"), 0U);
}

TEST(HtmlReport, LeavesOutWhatABareDocumentLacks) {
  for (const char* family : {"eviction", "retrieval"}) {
    const std::string page = html({bare_document(family)});
    EXPECT_EQ(count(page, "<svg "), 0U) << family;
    EXPECT_EQ(count(page, "id=\"run-1\""), 1U) << family;
  }
}

TEST(HtmlReport, EachOptionalFieldMayBeMissing) {
  for (const auto& [name, document] : {NamedDocument{"eviction", eviction_document()},
                                       NamedDocument{"retrieval", retrieval_document()}}) {
    const ordered_json flat = document.flatten();
    for (const auto& [pointer, value] : flat.items()) {
      ordered_json less = flat;
      less.erase(pointer);
      if (pointer == "/schema" || pointer == "/family" ||
          pointer.find("kept_runs") != std::string::npos) {
        continue;
      }
      EXPECT_NO_THROW(static_cast<void>(html({less.unflatten()}))) << name << pointer;
    }
  }
}

}  // namespace
}  // namespace kvsieve::tests
