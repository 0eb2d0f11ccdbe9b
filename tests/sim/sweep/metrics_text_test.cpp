#include "sweep/metrics_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

TEST(MetricsText, NumbersAreShortestAndReadBackExactly) {
  MetricsText text;
  EXPECT_EQ(text.object(), "{}");
  text.add("whole", std::int64_t{-3});
  text.add("tenth", 0.1);
  text.add("none", std::optional<double>());
  text.add("some", std::optional<double>(2.0));
  EXPECT_EQ(text.object(), R"({"whole":-3,"tenth":0.1,"some":2})");
  MetricsText more;
  more.append("");
  more.append(text.members());
  more.append(R"("last":1)");
  EXPECT_EQ(more.members(), R"("whole":-3,"tenth":0.1,"some":2,"last":1)");
  for (const double value : {1.0 / 3.0, 1e300, 5e-324, -0.0, 123456789.125, 1e22, 0.3 - 0.1}) {
    MetricsText one;
    one.add("x", value);
    const double read = nlohmann::json::parse(one.object()).at("x").get<double>();
    EXPECT_EQ(read, value) << one.object();
  }
}

TEST(MetricsText, ValuesThatAreNotFiniteAreNamed) {
  for (const double value : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    MetricsText text;
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "speedup", [&] { text.add("speedup", value); }));
    EXPECT_EQ(text.object(), "{}");
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
