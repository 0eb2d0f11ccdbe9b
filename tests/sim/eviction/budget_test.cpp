#include "kvsieve/sim/budget.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

/// L 3, Hq 8, Hkv 2, d 16, F16: K and V of one token take 2 * 16 * 2 = 64 bytes a head and layer.
traces::TraceHeader header_of(std::int64_t prompt_tokens) {
  traces::TraceHeader header;
  header.model.layers = 3;
  header.model.q_heads = 8;
  header.model.kv_heads = 2;
  header.model.head_dim = 16;
  header.captured_layers = {1};
  header.prompt_tokens = prompt_tokens;
  header.decode_tokens = 50;
  header.dtype = traces::DType::kF16;
  return header;
}

std::int64_t tokens(std::string_view text, std::int64_t prompt_tokens,
                    Granularity granularity = Granularity::kKvHead) {
  return Budget::parse(text).tokens_per_head(header_of(prompt_tokens), granularity);
}

TEST(Budget, TokensAreTakenAsTheyAre) {
  EXPECT_EQ(tokens("0", 1000), 0);
  EXPECT_EQ(tokens("512", 1000), 512);
  EXPECT_EQ(tokens("512", 100), 512);
  EXPECT_EQ(tokens("007", 100), 7);
  EXPECT_EQ(tokens("512", 1000, Granularity::kQueryHead), 512);
  EXPECT_EQ(tokens("9223372036854775807", 10), INT64_MAX);
}

TEST(Budget, SharesAreFloorsOfExactDecimals) {
  EXPECT_EQ(tokens("29%", 100), 29);    // 0.29 * 100 is 28.999999999999996 in binary
  EXPECT_EQ(tokens("57%", 100), 57);    // 0.57 * 100 is 56.99999999999999
  EXPECT_EQ(tokens("1.1%", 1000), 11);  // 0.011 * 1000 is 10.999999999999998
  EXPECT_EQ(tokens("20%", 99), 19);     // decoded tokens do not count
  EXPECT_EQ(tokens("33.3333333%", 3000000), 999999);
  EXPECT_EQ(tokens(".5%", 1000), 5);
  EXPECT_EQ(tokens("0%", 1000), 0);
  EXPECT_EQ(tokens("100%", 777), 777);
  EXPECT_EQ(tokens("150%", 10), 15);
  EXPECT_EQ(tokens("0.0000001%", 999'999'999), 0);
  EXPECT_EQ(tokens("0.0000001%", 1'000'000'000), 1);
  EXPECT_EQ(tokens("20%", 99, Granularity::kQueryHead), 19);
}

TEST(Budget, BytesAreKAndVOfAllLayersAtTheTracesDtype) {
  // One token in both KV heads of all 3 layers takes 64 * 2 * 3 = 384 bytes, in 8 query heads 1536.
  EXPECT_EQ(tokens("383B", 1000), 0);
  EXPECT_EQ(tokens("384B", 1000), 1);
  EXPECT_EQ(tokens("767B", 1000), 1);
  EXPECT_EQ(tokens("768B", 1000), 2);
  EXPECT_EQ(tokens("1536B", 1000, Granularity::kQueryHead), 1);
  EXPECT_EQ(tokens("1535B", 1000, Granularity::kQueryHead), 0);
  EXPECT_EQ(tokens("3KiB", 1000), 8);
  EXPECT_EQ(tokens("3KB", 1000), 7);
  EXPECT_EQ(tokens("1.5KiB", 1000), 4);
  EXPECT_EQ(tokens("1MiB", 1000), (1 << 20) / 384);
  EXPECT_EQ(tokens("1MB", 1000), 1'000'000 / 384);
  EXPECT_EQ(tokens("0.5GiB", 1000), (1 << 29) / 384);
  EXPECT_EQ(tokens("2GB", 1000), 2'000'000'000 / 384);
  traces::TraceHeader header = header_of(1000);
  header.dtype = traces::DType::kF32;
  EXPECT_EQ(Budget::parse("768B").tokens_per_head(header, Granularity::kKvHead), 1);
  header.dtype = traces::DType::kBF16;
  EXPECT_EQ(Budget::parse("768B").tokens_per_head(header, Granularity::kKvHead), 2);
  header.captured_layers = {0, 1, 2};
  EXPECT_EQ(Budget::parse("768B").tokens_per_head(header, Granularity::kKvHead), 2);
}

TEST(Budget, TextReadsBackAsTheSameBudget) {
  for (const char* text : {"0", "512", "20%", "12.5%", "0.1%", "100%", "150%", "29%", "0.0000001%",
                           "64MiB", "1.5KiB", "3GB", "77B"}) {
    const Budget budget = Budget::parse(text);
    const Budget again = Budget::parse(budget.text());
    EXPECT_EQ(again.kind, budget.kind) << text;
    EXPECT_EQ(again.amount, budget.amount) << text;
    EXPECT_EQ(again.share.units * budget.share.scale, budget.share.units * again.share.scale)
        << text;
  }
  EXPECT_EQ(Budget::parse("20%").text(), "20%");
  EXPECT_EQ(Budget::parse("20.50%").text(), "20.5%");
  EXPECT_EQ(Budget::parse("0.1%").text(), "0.1%");
  EXPECT_EQ(Budget::parse("100%").text(), "100%");
  EXPECT_EQ(Budget::parse("512").text(), "512");
  EXPECT_EQ(Budget::parse("1KiB").text(), "1024B");
  EXPECT_EQ(Budget{}.text(), "20%");
}

TEST(Budget, OtherTextsAreUsageErrorsThatNameThemAndTheAcceptedForms) {
  const std::vector<std::string> texts = {"",
                                          " ",
                                          "abc",
                                          "-5",
                                          "+5",
                                          "5 ",
                                          " 5",
                                          "5.5",
                                          "0x10",
                                          "1e3",
                                          "%",
                                          "abc%",
                                          "-5%",
                                          "+5%",
                                          "1..5%",
                                          "20%%",
                                          "20 %",
                                          "5%5",
                                          "1e1%",
                                          "nan%",
                                          ".%",
                                          "MiB",
                                          "xMiB",
                                          "-1MiB",
                                          "1 MiB",
                                          "64mib",
                                          "64K",
                                          "1.2.3B",
                                          "B",
                                          "KiB",
                                          "1KiBB",
                                          "1e9B",
                                          "512KiBs",
                                          "20％",
                                          "0.00000000001%",
                                          "nan",
                                          "inf",
                                          "99999999999999999999",
                                          "99999999999999999999%",
                                          "99999999999999999999GiB"};
  for (const std::string& text : texts) {
    SCOPED_TRACE(text);
    const auto parse = [&] { static_cast<void>(Budget::parse(text)); };
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "'" + text + "'", parse));
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "64MiB", parse));
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "20%", parse));
  }
}

TEST(Budget, ProductsBeyond64BitsAreUsageErrors) {
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "100000000000GiB",
                         [] { static_cast<void>(Budget::parse("100000000000GiB")); }));
  const Budget huge = Budget::parse("999999999999%");
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "too large", [&] {
    static_cast<void>(huge.tokens_per_head(header_of(2'000'000'000), Granularity::kKvHead));
  }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
