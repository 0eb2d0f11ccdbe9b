#include <gtest/gtest.h>

#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using kvsieve::tests::fails_with;

TEST(TopBudget, SharesAreExactDecimals) {
  const TopBudget three = TopBudget::parse("3%");
  EXPECT_EQ(three.at(0), 0);
  EXPECT_EQ(three.at(33), 0);
  EXPECT_EQ(three.at(34), 1);
  EXPECT_EQ(three.at(100), 3);
  EXPECT_EQ(three.at(131072), 3932);
  // In binary floating point 0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996.
  for (std::int64_t percent = 0; percent <= 100; ++percent) {
    EXPECT_EQ(TopBudget::parse(std::to_string(percent) + "%").at(100), percent);
  }
  EXPECT_EQ(TopBudget::parse("0.5%").at(1000), 5);
  EXPECT_EQ(TopBudget::parse("100%").at(77), 77);
}

TEST(TopBudget, CountsStayAsTheyAre) {
  EXPECT_EQ(TopBudget::parse("512").at(10), 512);
  EXPECT_EQ(TopBudget::parse("0").at(10), 0);
}

TEST(TopBudget, TextReadsBack) {
  for (const char* text : {"3%", "0.5%", "512", "0", "100%"}) {
    EXPECT_EQ(TopBudget::parse(text).text(), text);
  }
  EXPECT_EQ(TopBudget().text(), "3%");
}

TEST(TopBudget, RefusesEverythingElse) {
  for (const char* text : {"", "-1", "x", "3.5", "64MiB", "99999999999999999999"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "--top", [&] { (void)TopBudget::parse(text); }))
        << text;
  }
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "-3%", [] { (void)TopBudget::parse("-3%"); }));
}

TEST(RetrievalPresets, StateEveryParameterOfTheRelease) {
  const RetrievalOptions& a2ats = retrieval_preset("a2ats");
  EXPECT_EQ(a2ats.scorer, RetrievalScorer::kVqQueryAware);
  EXPECT_EQ(a2ats.top.text(), "3%");
  EXPECT_EQ(a2ats.sinks, 8);
  EXPECT_EQ(a2ats.window, 64);
  EXPECT_EQ(a2ats.distance, 2048);
  EXPECT_EQ(a2ats.final_attention, FinalAttention::kExact);
  EXPECT_EQ(a2ats.moment, MomentQueries::kWrope);
  std::string names;
  for (const RetrievalOptions& options : retrieval_presets()) {
    EXPECT_EQ(&retrieval_preset(options.name), &options);
    names += options.name + " ";
  }
  EXPECT_EQ(names,
            "a2ats vq-plain vq-post-rope exact-topk exact-topk-wrope quest pq chunk-mean "
            "cluster-centroid channel-subset random-topk streaming-llm ");
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "supported: a2ats, vq-plain",
                         [] { (void)retrieval_preset("magic"); }));
}

TEST(RetrievalNames, ReadBack) {
  for (const char* name :
       {"vq-query-aware", "vq-plain", "vq-post-rope", "exact", "exact-wrope", "quest", "pq",
        "chunk-mean", "cluster-centroid", "channel-subset", "random", "none"}) {
    EXPECT_EQ(name_of(retrieval_scorer_from_name(name)), name);
  }
  for (const char* name : {"exact", "wrope"}) {
    EXPECT_EQ(name_of(final_attention_from_name(name)), name);
  }
  for (const char* name : {"uniform", "adaptive"}) {
    EXPECT_EQ(name_of(retrieval_budget_from_name(name)), name);
  }
  for (const char* name : {"lru", "lfu"}) {
    EXPECT_EQ(name_of(hot_policy_from_name(name)), name);
  }
  for (const char* name : {"fp32", "fp16", "bf16"}) {
    EXPECT_EQ(codebook_dtype_name(codebook_dtype_from_name(name)), name);
  }
  for (const char* name : {"plain", "query-aware", "post-rope"}) {
    EXPECT_EQ(name_of(codebook_kind_from_name(name)), name);
  }
  for (const char* name : {"wrope", "rope"}) {
    EXPECT_EQ(name_of(moment_queries_from_name(name)), name);
  }
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "supported: exact, wrope",
                         [] { (void)final_attention_from_name(""); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "--codebook-dtype 'int8' is unknown",
                         [] { (void)codebook_dtype_from_name("int8"); }));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "scorer 'lsh' is unknown",
                         [] { (void)retrieval_scorer_from_name("lsh"); }));
}

TEST(IndexBytes, FormulasOfTheCodes) {
  // Llama-3.1-8B at 131,072 tokens: 64 MiB of codes and 256 MiB of 16-bit codewords.
  constexpr IndexBytes kCodes = code_index_bytes(4096, 128, 2);
  static_assert(kCodes.per_token * 131072 * 8 * 32 == 64.0 * 1024 * 1024);
  static_assert(kCodes.fixed * 8 * 32 == 256 * 1024 * 1024);
  static_assert(kCodes.read(0) == 0.0);
  static_assert(kCodes.read(1000) == 2000.0 + 4096 * 128 * 2);
}

}  // namespace
}  // namespace kvsieve::sim
