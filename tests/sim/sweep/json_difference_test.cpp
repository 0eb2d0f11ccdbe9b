#include "sweep/json_difference.h"

#include <gtest/gtest.h>

#include <string>

namespace kvsieve::sim {
namespace {

TEST(JsonDifference, OfEqualDocumentsIsEmpty) {
  EXPECT_EQ(json_difference("", "", "x"), "");
  EXPECT_EQ(json_difference("no json", "no json", "x"), "");
  EXPECT_EQ(json_difference(R"({"a":[1,{"b":null}]})", R"({"a": [1, {"b": null}]})", "x"), "");
}

TEST(JsonDifference, NamesValuesByTheirPath) {
  EXPECT_EQ(json_difference(R"({"a":{"b":1,"c":"x"}})", R"({"a":{"b":2,"c":"x"}})", "inputs"),
            "inputs.a.b is 1 there and 2 here");
  EXPECT_EQ(json_difference(R"({"a":[1,{"b":"x"}]})", R"({"a":[1,{"b":"y"}]})", "d"),
            R"(d.a[1].b is "x" there and "y" here)");
  EXPECT_EQ(json_difference("[1,2]", "[1,2,3]", "d"), "d has 2 values there and 3 here");
  EXPECT_EQ(json_difference(R"({"a":1})", R"({"a":{}})", "d"), "d.a is 1 there and {} here");
  EXPECT_EQ(json_difference("1", "2", "d"), "d is 1 there and 2 here");
}

TEST(JsonDifference, NamesWhatIsMissing) {
  EXPECT_EQ(json_difference(R"({"a":1,"b":2})", R"({"a":1})", "d"),
            "d.b is 2 there and missing here");
  EXPECT_EQ(json_difference(R"({"a":1})", R"({"c":3,"a":1})", "d"),
            "d.c is missing there and 3 here");
}

// Axes in another order number the points in another way.
TEST(JsonDifference, SeesTheOrderOfKeys) {
  EXPECT_EQ(json_difference(R"({"a":1,"b":2})", R"({"b":2,"a":1})", "d"), "d has another order");
  EXPECT_EQ(json_difference(R"({"z":{"a":1,"b":2}})", R"({"z":{"b":2,"a":1}})", "d"),
            "d.z has another order");
}

TEST(JsonDifference, ShowsTheFirstFew) {
  EXPECT_EQ(json_difference("[1,2,3,4,5,6]", "[2,3,4,5,6,7]", "d"),
            "d[0] is 1 there and 2 here; d[1] is 2 there and 3 here; d[2] is 3 there and 4 here; "
            "d[3] is 4 there and 5 here; and 2 more");
}

TEST(JsonDifference, StaysShortAndOnOneLine) {
  const std::string text = json_difference("{\"a\":\"" + std::string(5000, 'x') + "\"}",
                                           "{\"a\":\"line\\nend\\u001b\"}", "d");
  EXPECT_LT(text.size(), 200U);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(JsonDifference, OfWhatIsNoJsonIsOnlyThatItDiffers) {
  EXPECT_EQ(json_difference("{", "{}", "definition"), "definition differs");
  EXPECT_EQ(json_difference(std::string(100'000, '['), "[]", "definition"), "definition differs");
}

}  // namespace
}  // namespace kvsieve::sim
