// Points, zips, derived options, conditions, samples, shards and keys.

#include "kvsieve/sim/sweep_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using kvsieve::tests::fails_with;
using nlohmann::ordered_json;
using Texts = std::vector<std::string>;

SweepDefinition definition_of(const Texts& axes) {
  SweepDefinition definition;
  for (const std::string& axis : axes) {
    definition.axes.push_back(parse_axis(axis));
  }
  return definition;
}

/// "0: a=1 b=x" of each point.
Texts shown(const std::vector<SweepPoint>& points) {
  Texts lines;
  for (const SweepPoint& point : points) {
    std::string line = fmt::format("{}:", point.number);
    for (const auto& [name, value] : point.options) {
      line += fmt::format(" {}={}", name, value);
    }
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::int64_t> numbers_of(const std::vector<SweepPoint>& points) {
  std::vector<std::int64_t> numbers;
  for (const SweepPoint& point : points) {
    numbers.push_back(point.number);
  }
  return numbers;
}

TEST(SweepPlan, LastAxisVariesFastest) {
  const SweepDefinition definition = definition_of({"a=1,2", "b=x,y,z"});
  EXPECT_EQ(product_size(definition), 6);
  EXPECT_EQ(shown(sweep_points(definition)), (Texts{"0: a=1 b=x", "1: a=1 b=y", "2: a=1 b=z",
                                                    "3: a=2 b=x", "4: a=2 b=y", "5: a=2 b=z"}));
}

TEST(SweepPlan, WithoutAxesThereIsOnePoint) {
  EXPECT_EQ(product_size({}), 1);
  EXPECT_EQ(shown(sweep_points({})), Texts{"0:"});
  SweepDefinition definition;
  definition.derived = {{"window", "4 * 8"}};
  EXPECT_EQ(shown(sweep_points(definition)), Texts{"0: window=32"});
}

TEST(SweepPlan, FindsOptions) {
  const SweepPoint point = sweep_points(definition_of({"a=1", "b=x"})).front();
  EXPECT_EQ(point.find("a"), "1");
  EXPECT_EQ(point.find("b"), "x");
  EXPECT_FALSE(point.find("c"));
  EXPECT_FALSE(point.find(""));
}

TEST(SweepPlan, ZippedAxesAdvanceTogether) {
  SweepDefinition definition = definition_of({"a=1,2", "b=x,y", "c=5,6", "d=7,8"});
  definition.zipped = {{"d", "b"}};
  EXPECT_EQ(product_size(definition), 8);
  // The group stands where b does, the options where their axes do.
  EXPECT_EQ(shown(sweep_points(definition)),
            (Texts{"0: a=1 b=x c=5 d=7", "1: a=1 b=x c=6 d=7", "2: a=1 b=y c=5 d=8",
                   "3: a=1 b=y c=6 d=8", "4: a=2 b=x c=5 d=7", "5: a=2 b=x c=6 d=7",
                   "6: a=2 b=y c=5 d=8", "7: a=2 b=y c=6 d=8"}));
  definition.zipped = {{"a", "c"}, {"b", "d"}};
  EXPECT_EQ(shown(sweep_points(definition)), (Texts{"0: a=1 b=x c=5 d=7", "1: a=1 b=y c=5 d=8",
                                                    "2: a=2 b=x c=6 d=7", "3: a=2 b=y c=6 d=8"}));
  definition.zipped = {{"a", "b", "c", "d"}};
  EXPECT_EQ(shown(sweep_points(definition)), (Texts{"0: a=1 b=x c=5 d=7", "1: a=2 b=y c=6 d=8"}));
  definition.zipped = {{"a"}, {}};
  EXPECT_EQ(product_size(definition), 16);
}

TEST(SweepPlan, DerivesOptions) {
  SweepDefinition definition = definition_of({"budget=512,100", "alpha=10%,0.3", "method=full"});
  definition.derived = {
      {"window", "budget / 16"}, {"twice", "window * 2"},    {"share", "alpha * 3"},
      {"copy", " alpha "},       {"label", "'x'"},           {"same", "method"},
      {"large", "budget > 256"}, {"nothing", "0 * (0 - 1)"}, {"third", "max(alpha, 1/3)"},
      {"big", "budget * 1GB"}};
  EXPECT_EQ(
      shown(sweep_points(definition)),
      (Texts{
          "0: budget=512 alpha=10% method=full window=32 twice=64 share=0.3 copy=10% label=x "
          "same=full large=1 nothing=0 third=0.333333333 big=512000000000",
          "1: budget=512 alpha=0.3 method=full window=32 twice=64 share=0.9 copy=0.3 label=x "
          "same=full large=1 nothing=0 third=0.333333333 big=512000000000",
          "2: budget=100 alpha=10% method=full window=6.25 twice=12.5 share=0.3 copy=10% label=x "
          "same=full large=0 nothing=0 third=0.333333333 big=100000000000",
          "3: budget=100 alpha=0.3 method=full window=6.25 twice=12.5 share=0.9 copy=0.3 label=x "
          "same=full large=0 nothing=0 third=0.333333333 big=100000000000"}));
}

TEST(SweepPlan, WhereKeepsAndNumbers) {
  SweepDefinition definition = definition_of({"budget=5%,10%,20%", "batch=1,8,max"});
  definition.where = "budget <= 10% and batch <= 8";
  EXPECT_EQ(product_size(definition), 9);
  EXPECT_EQ(shown(sweep_points(definition)),
            (Texts{"0: budget=5% batch=1", "1: budget=5% batch=8", "2: budget=10% batch=1",
                   "3: budget=10% batch=8"}));
  definition.where = "not budget <= 10% && batch != 8";
  EXPECT_EQ(shown(sweep_points(definition)),
            (Texts{"0: budget=20% batch=1", "1: budget=20% batch=max"}));
  definition.where = "batch == 'max' and (budget < 6% or budget > 15%)";
  EXPECT_EQ(shown(sweep_points(definition)),
            (Texts{"0: budget=5% batch=max", "1: budget=20% batch=max"}));
  definition.where = "budget > 1";
  EXPECT_TRUE(sweep_points(definition).empty());
  // Derived options are options, too.
  definition.where = "share < 15 and batch == 1";
  definition.derived = {{"share", "budget * 100"}};
  EXPECT_EQ(shown(sweep_points(definition)),
            (Texts{"0: budget=5% batch=1 share=5", "1: budget=10% batch=1 share=10"}));
}

TEST(SweepPlan, RefusesWhatMakesNoSense) {
  const struct {
    const char* what;
    SweepDefinition definition;
    const char* message;
  } cases[] = {
      {"twice", definition_of({"a=1", "b=2", "a=3"}), "axis 'a' is given twice"},
      {"none", {.axes = {{"a", {}}}}, "axis 'a' has no values"},
      {"zip",
       {.axes = definition_of({"a=1,2", "b=1,2,3"}).axes, .zipped = {{"a", "b"}}},
       "zipped axes 'a' and 'b' have 2 and 3 values"},
      {"zip",
       {.axes = definition_of({"a=1"}).axes, .zipped = {{"a", "c"}}},
       "zipped 'c' is no axis"},
      {"zip",
       {.axes = definition_of({"a=1", "b=1"}).axes, .zipped = {{"a", "b"}, {"b"}}},
       "axis 'b' is zipped twice"},
      {"zip", {.axes = definition_of({"a=1"}).axes, .zipped = {{"a", "a"}}}, "'a' is zipped twice"},
      {"many", definition_of({"a=[1:1000]", "b=[1:1000]", "c=[1:101]"}),
       "more than 100,000,000 points: axes of 1000 x 1000 x 101 values"},
  };
  for (const auto& item : cases) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, item.message, [&] {
      static_cast<void>(sweep_points(item.definition));
    })) << item.what;
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, item.message, [&] {
      static_cast<void>(product_size(item.definition));
    })) << item.what;
  }
  const SweepDefinition plain = definition_of({"budget=0,5%", "method=full"});
  const struct {
    std::vector<std::pair<std::string, std::string>> derived;
    const char* where;
    std::optional<std::int64_t> sample;
    const char* message;
  } others[] = {
      {{{"budget", "1"}}, "", {}, "derived 'budget' is an axis or is derived twice"},
      {{{"x", "1"}, {"x", "2"}}, "", {}, "derived 'x' is an axis or is derived twice"},
      {{{"x y", "1"}}, "", {}, "derived 'x y' is no option's name"},
      {{{"x", "y"}, {"y", "1"}},
       "",
       {},
       "derived 'x': 'y' is no option of the sweep, it has budget, method"},
      {{{"x", "x"}}, "", {}, "derived 'x': 'x' is no option"},
      {{{"x", "1 +"}}, "", {}, "expression '1 +': expected"},
      {{{"x", "method * 2"}}, "", {}, "method = 'full' is text"},
      {{{"x", "1 / budget"}}, "", {}, "derived 'x': '1 / budget' is inf at budget=0 method=full"},
      {{{"x", "budget / budget"}}, "", {}, "nan at budget=0 method=full"},
      {{}, "tpot < 1", {}, "where: 'tpot' is no option of the sweep, it has budget, method"},
      {{}, "method == full", {}, "where: 'full' is no option of the sweep"},
      {{}, "budget", {}, "'budget' is no condition"},
      {{}, "budget <", {}, "expression 'budget <': expected"},
      {{}, "method + 1 > 2", {}, "method = 'full' is text"},
      {{}, "", 0, "a sample of 0 points, expected at least 1"},
      {{}, "", -5, "a sample of -5 points, expected at least 1"},
  };
  for (const auto& item : others) {
    SweepDefinition definition = plain;
    definition.derived = item.derived;
    definition.where = item.where;
    definition.sample = item.sample;
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, item.message, [&] {
      static_cast<void>(sweep_points(definition));
    })) << item.message;
  }
  const std::pair<const char*, const char*> hints[] = {
      {"budgte < 1", "did you mean budget?"},
      {"budget-16 < 1", "a difference is written with spaces around its '-'"},
      {"method == ada-snapkv", "text is written in single quotes"},
  };
  for (const auto& [where, hint] : hints) {
    SweepDefinition definition = plain;
    definition.where = where;
    try {
      static_cast<void>(sweep_points(definition));
      ADD_FAILURE() << where;
    } catch (const Error& error) {
      EXPECT_EQ(error.hint(), hint);
    }
  }
  // A condition is judged even if there is no point that it could keep.
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "it has none", [] {
    SweepDefinition definition;
    definition.where = "a < 1";
    static_cast<void>(sweep_points(definition));
  }));
}

TEST(SweepPlan, SampleIsThatOfAnotherMachine) {
  // The 8 smallest of the first 1,000 outputs of SplitMix64, computed in Python.
  SweepDefinition definition = definition_of({"a=[0:9]", "b=[0:99]"});
  definition.sample = 8;
  EXPECT_EQ(numbers_of(sweep_points(definition)),
            (std::vector<std::int64_t>{203, 254, 366, 410, 503, 566, 821, 986}));
  definition.seed = 42;
  const std::vector<SweepPoint> points = sweep_points(definition);
  EXPECT_EQ(numbers_of(points),
            (std::vector<std::int64_t>{171, 215, 315, 564, 642, 718, 808, 920}));
  EXPECT_EQ(shown(points)[0], "171: a=1 b=71");
}

TEST(SweepPlan, SamplesHoldSmallerOnesAndDifferBySeed) {
  SweepDefinition definition = definition_of({"a=[0:19]", "b=[0:9]"});
  definition.derived = {{"c", "a + b"}};
  definition.where = "a >= 5";
  const Texts all = shown(sweep_points(definition));
  ASSERT_EQ(all.size(), 150U);
  std::set<std::vector<std::int64_t>> different;
  for (const std::uint64_t seed : {0ULL, 1ULL, 2ULL, 99ULL, 0xffffffffffffffffULL}) {
    definition.seed = seed;
    std::set<std::int64_t> smaller;
    for (const std::int64_t size : {1, 2, 10, 75, 149, 150, 151, 1'000'000}) {
      definition.sample = size;
      const std::vector<SweepPoint> points = sweep_points(definition);
      const std::vector<std::int64_t> numbers = numbers_of(points);
      ASSERT_EQ(std::ssize(points), std::min<std::int64_t>(size, 150));
      for (std::size_t i = 1; i < numbers.size(); ++i) {
        ASSERT_LT(numbers[i - 1], numbers[i]);
      }
      for (const std::string& line : shown(points)) {
        ASSERT_EQ(line, all[static_cast<std::size_t>(std::stoll(line))]);
      }
      const std::set<std::int64_t> larger(numbers.begin(), numbers.end());
      ASSERT_TRUE(std::includes(larger.begin(), larger.end(), smaller.begin(), smaller.end()));
      smaller = larger;
      if (size == 10) {
        EXPECT_TRUE(different.insert(numbers).second);
        EXPECT_EQ(numbers_of(sweep_points(definition)), numbers);
      }
    }
    definition.sample.reset();
    EXPECT_EQ(shown(sweep_points(definition)), all);
  }
}

TEST(SweepPlan, EveryPointIsDrawnAsOften) {
  SweepDefinition definition = definition_of({"a=[1:20]"});
  definition.sample = 5;
  std::map<std::int64_t, int> drawn;
  for (definition.seed = 0; definition.seed < 8000; ++definition.seed) {
    for (const SweepPoint& point : sweep_points(definition)) {
      ++drawn[point.number];
    }
  }
  // 2,000 expected of each, with a standard deviation of 39.
  ASSERT_EQ(drawn.size(), 20U);
  for (const auto& [number, times] : drawn) {
    EXPECT_NEAR(times, 2000, 5 * 39) << number;
  }
}

TEST(SweepPlan, ShardsPartitionThePoints) {
  const std::vector<SweepPoint> points = sweep_points(definition_of({"a=[1:7]", "b=[1:3]"}));
  for (const std::int64_t shards : {1, 2, 3, 5, 21, 22, 100}) {
    std::vector<SweepPoint> together(points.size());
    std::size_t count = 0;
    for (std::int64_t shard = 0; shard < shards; ++shard) {
      const std::vector<SweepPoint> part = shard_of(points, shard, shards);
      EXPECT_LE(std::ssize(part), (std::ssize(points) + shards - 1) / shards);
      for (std::size_t i = 0; i < part.size(); ++i) {
        EXPECT_EQ(part[i].number, shard + static_cast<std::int64_t>(i) * shards);
        together[static_cast<std::size_t>(part[i].number)] = part[i];
      }
      count += part.size();
    }
    EXPECT_EQ(count, points.size());
    EXPECT_EQ(shown(together), shown(points));
  }
  // Positions count, not numbers: a sample is spread evenly.
  EXPECT_EQ(numbers_of(shard_of(shard_of(points, 1, 2), 1, 2)),
            (std::vector<std::int64_t>{3, 7, 11, 15, 19}));
  for (const auto& [shard, shards] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{-1, 2}, {2, 2}, {0, 0}, {0, -1}}) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage,
                           fmt::format("shard {} of {}, expected", shard, shards),
                           [&] { static_cast<void>(shard_of(points, shard, shards)); }));
  }
}

TEST(SweepPlan, KeysAreThoseOfAnotherProgram) {
  const SweepPoint point{7, {{"method", "ada-snapkv"}, {"budget", "5%"}, {"alpha", "0.2"}}};
  const ordered_json canonical =
      canonical_point(point, {{"tool_version", "1.0.0"}, {"trace", "00ff"}});
  EXPECT_EQ(canonical.dump(), R"({"options":{"alpha":"0.2","budget":"5%","method":"ada-snapkv"},)"
                              R"("context":{"tool_version":"1.0.0","trace":"00ff"}})");
  // Both by the xxhash package of Python.
  EXPECT_EQ(point_key(canonical), "e3a189076a36788bcd6c1c6cc9ae91a0");
  EXPECT_EQ(point_key(canonical_point({}, ordered_json::object())),
            "30b71e4ac150c5abd456e0574e100e63");
}

TEST(SweepPlan, KeysChangeWithEveryOptionAndNotWithTheOrderOfAxes) {
  const ordered_json context = {{"trace", "00ff"}};
  const auto keys_of = [&](const Texts& axes) {
    std::vector<std::string> keys;
    for (const SweepPoint& point : sweep_points(definition_of(axes))) {
      keys.push_back(point_key(canonical_point(point, context)));
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  };
  const auto keys = keys_of({"a=[1:50]", "b=[0:1:0.1]", "c=x,y"});
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 50U * 11U * 2U);
  EXPECT_EQ(keys_of({"c=y,x", "b=[1:0:-0.1]", "a=[1:50]"}), keys);
  // The number is no part of a key, the rest is.
  const auto key = [](const SweepPoint& point, const ordered_json& about) {
    return point_key(canonical_point(point, about));
  };
  const SweepPoint point{3, {{"a", "1"}, {"b", "2"}}};
  EXPECT_EQ(key({4, point.options}, context), key(point, context));
  std::set<std::string> different{key(point, context)};
  for (const SweepPoint& other : std::vector<SweepPoint>{{3, {{"a", "1"}}},
                                                         {3, {{"a", "2"}, {"b", "1"}}},
                                                         {3, {{"a", "1"}, {"b", "3"}}},
                                                         {3, {{"a", "1"}, {"c", "2"}}},
                                                         {3, {{"a", "1"}, {"b", "2"}, {"c", ""}}},
                                                         {3, {{"a", "1\",\"b\":\"2"}}}}) {
    EXPECT_TRUE(different.insert(key(other, context)).second);
  }
  EXPECT_TRUE(different.insert(key(point, {{"trace", "00fe"}})).second);
  EXPECT_TRUE(different.insert(key(point, ordered_json::object())).second);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "not UTF-8", [&] {
    static_cast<void>(key({0, {{"trace", "\xff"}}}, context));
  }));
}

TEST(SweepPlan, SamplesLargeProductsWithoutBuildingThem) {
  // 10^8 points would not fit the memory of a test.
  SweepDefinition definition = definition_of({"a=[1:10000]", "b=[1:100]", "c=[1:100]"});
  EXPECT_EQ(product_size(definition), 100'000'000);
  definition.sample = 3;
  const std::vector<SweepPoint> points = sweep_points(definition);
  ASSERT_EQ(points.size(), 3U);
  for (const SweepPoint& point : points) {
    const std::int64_t number = ((std::stoll(point.options[0].second) - 1) * 100 +
                                 std::stoll(point.options[1].second) - 1) *
                                    100 +
                                std::stoll(point.options[2].second) - 1;
    EXPECT_EQ(point.number, number);
  }
}

}  // namespace
}  // namespace kvsieve::sim
