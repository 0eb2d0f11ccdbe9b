#include "core/token_strip.h"

#include <gtest/gtest.h>

#include <QStringList>
#include <algorithm>

namespace kvsieve::gui {
namespace {

/// 20 prompt tokens and 4 decoded ones; the head keeps 2 sinks, [6, 9) and a window of 5.
TokenStrip strip() {
  TokenStrip strip;
  strip.tokens = 24;
  strip.prompt_tokens = 20;
  strip.sinks = 2;
  strip.window_end = 20;
  strip.window = 5;
  strip.needle = sim::TokenRun{7, 11};
  strip.tracks = {{"layer 4, KV head 1", {{0, 2}, {6, 9}, {15, 20}}},
                  {"layer 8, \"other\"", {{0, 2}, {15, 20}}}};
  std::vector<float> attention(24, 1e-4F);
  attention[8] = 0.25F;
  strip.curves = {
      {"attention", "softmax(q·k)", sim::Ink::kAccent,
       std::make_shared<const std::vector<float>>(attention), true},
      {"score", "pooled", sim::Ink::kWarm,
       std::make_shared<const std::vector<float>>(std::vector<float>(15, 3.0F)), false}};
  strip.score_ranks = std::make_shared<const std::vector<std::int64_t>>(15, 12);
  for (std::int32_t i = 0; i < 24; ++i) {
    strip.token_ids.push_back(10'000 + i);
  }
  return strip;
}

TEST(TokenStrip, TokensHaveTheirFates) {
  const TokenStrip data = strip();
  const TokenStrip::Track& track = data.tracks[0];
  struct Case {
    std::int64_t position;
    TokenFate fate;
  };
  for (const Case& one :
       {Case{0, TokenFate::kSink}, Case{1, TokenFate::kSink}, Case{2, TokenFate::kDropped},
        Case{5, TokenFate::kDropped}, Case{6, TokenFate::kKept}, Case{8, TokenFate::kKept},
        Case{9, TokenFate::kDropped}, Case{14, TokenFate::kDropped}, Case{15, TokenFate::kWindow},
        Case{19, TokenFate::kWindow}, Case{20, TokenFate::kDecoded},
        Case{23, TokenFate::kDecoded}}) {
    EXPECT_EQ(data.fate(track, one.position), one.fate) << one.position;
  }
  EXPECT_EQ(track.kept_tokens(), 10);
}

TEST(TokenStrip, InRetrievalOnlySinksAndTheWindowAreKnown) {
  TokenStrip data = strip();
  data.tracks[0] = {"layer 4, KV head 1", {}, false};
  data.window_end = 22;  // it moved along with two steps
  const TokenStrip::Track& track = data.tracks[0];
  EXPECT_EQ(data.fate(track, 1), TokenFate::kSink);
  EXPECT_EQ(data.fate(track, 7), TokenFate::kUnknown);
  EXPECT_EQ(data.fate(track, 16), TokenFate::kUnknown);
  EXPECT_EQ(data.fate(track, 17), TokenFate::kWindow);
  EXPECT_EQ(data.fate(track, 21), TokenFate::kWindow);
  EXPECT_EQ(data.fate(track, 22), TokenFate::kUnknown);
}

TEST(TokenStrip, RunsAreTheTokensOfAFate) {
  for (const bool lists_kept : {true, false}) {
    for (const std::int64_t window_end : {std::int64_t{12}, std::int64_t{20}, std::int64_t{23}}) {
      for (const std::int64_t window : {std::int64_t{0}, std::int64_t{5}, std::int64_t{23}}) {
        TokenStrip data = strip();
        data.window_end = window_end;
        data.window = window;
        data.tracks[0].lists_kept = lists_kept;
        const TokenStrip::Track& track = data.tracks[0];
        for (const TokenFate fate :
             {TokenFate::kKept, TokenFate::kDecoded, TokenFate::kSink, TokenFate::kWindow}) {
          const std::vector<sim::TokenRun> runs = data.runs(track, fate);
          for (std::int64_t position = 0; position < data.tokens; ++position) {
            const bool within =
                std::any_of(runs.begin(), runs.end(), [&](const sim::TokenRun& run) {
                  return position >= run.begin && position < run.end;
                });
            EXPECT_EQ(within, data.fate(track, position) == fate)
                << name_of(fate).toStdString() << " at " << position << ", window of " << window
                << " before " << window_end;
          }
        }
        EXPECT_TRUE(data.runs(track, TokenFate::kDropped).empty());
        EXPECT_TRUE(data.runs(track, TokenFate::kUnknown).empty());
      }
    }
  }
}

TEST(TokenStrip, CurvesKnowTheirValuesUnitsAndRanges) {
  const TokenStrip data = strip();
  EXPECT_EQ(data.curves[0].value_at(8), std::optional(0.25F));
  EXPECT_EQ(data.curves[0].value_at(24), std::nullopt);
  EXPECT_EQ(data.curves[0].value_at(-1), std::nullopt);
  EXPECT_EQ(data.curves[0].unit(), sim::Unit::kShare);
  EXPECT_EQ(data.curves[1].unit(), sim::Unit::kNumber);
  EXPECT_EQ(data.curves[0].range().low, static_cast<double>(1e-4F));
  EXPECT_EQ(data.curves[0].range().high, 0.25);
  EXPECT_EQ(TokenStrip::Curve{}.range().high, 0.0);
}

TEST(TokenStrip, APositionSaysAllThatIsKnownOfIt) {
  const TokenStrip data = strip();
  EXPECT_EQ(data.text_at(8), QStringLiteral("position 8, token id 10008, in the needle\n"
                                            "layer 4, KV head 1: kept\n"
                                            "layer 8, \"other\": dropped\n"
                                            "attention: 25.00% (25.0000%), softmax(q·k)\n"
                                            "score: 3.000 (3.00000), pooled\n"
                                            "score: place 12 of 15"))
      << data.text_at(8).toStdString();
  EXPECT_TRUE(data.text_at(0).contains("sink, always kept"));
  EXPECT_TRUE(data.text_at(19).contains("window, always kept"));
  EXPECT_TRUE(data.text_at(21).contains("decoded, always kept"));
  EXPECT_FALSE(data.text_at(21).contains("place"));
}

TEST(TokenStrip, TheTableHasARowAPosition) {
  const sim::Table table = strip().table(7, 21);
  ASSERT_EQ(table.rows.size(), 14U);
  ASSERT_EQ(table.columns.size(), 6U);
  EXPECT_EQ(table.columns[3].title, "layer 8, \"other\"");
  EXPECT_EQ(table.rows[1][0].text, "8");
  EXPECT_EQ(table.rows[1][1].text, "10008");
  EXPECT_EQ(table.rows[1][2].text, "kept");
  EXPECT_EQ(table.rows[1][4].text, "25.00%");
  EXPECT_EQ(table.rows[13][5].text, "");  // scores end before the window
}

TEST(TokenStrip, CsvHoldsAllPositions) {
  const QStringList lines = strip().csv().split('\n', Qt::SkipEmptyParts);
  ASSERT_EQ(lines.size(), 25);
  EXPECT_EQ(lines[0],
            "position,token_id,\"layer 4, KV head 1\",\"layer 8, \"\"other\"\"\","
            "\"attention (share)\",\"score\"");
  EXPECT_EQ(lines[9], "8,10008,\"kept\",\"dropped\",0.25,3");
  EXPECT_EQ(lines[24],
            "23,10023,\"decoded, always kept\",\"decoded, always kept\",9.99999975e-05,");
}

}  // namespace
}  // namespace kvsieve::gui
