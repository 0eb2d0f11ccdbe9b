#include "kvsieve/sim/sweep_row_fields.h"

#include <gtest/gtest.h>

#include "store_fixture.h"

namespace kvsieve::tests {
namespace {

using sim::SweepField;
using sim::SweepRow;
using sim::SweepRowFields;

TEST(SweepRowFields, KeepTypesAndOrder) {
  SweepRowFields fields;
  fields.read({0, "key", R"({"method":"quest","budget":"5%"})",
               R"({"b":1,"a":-2,"c":0.25,"d":"text","e":null,"f":true})", ""});
  ASSERT_EQ(fields.options().size(), 2U);
  EXPECT_EQ(fields.options()[0].name, "method");
  EXPECT_EQ(fields.options()[1].text(), "5%");
  EXPECT_TRUE(fields.options()[1].is_text());
  EXPECT_EQ(fields.options()[1].number(), std::nullopt);
  const std::vector<std::string> texts{"1", "-2", "0.25", "text", "", "true"};
  const std::vector<std::optional<double>> numbers{1.0, -2.0, 0.25, {}, {}, {}};
  ASSERT_EQ(fields.metrics().size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(fields.metrics()[i].text(), texts[i]);
    EXPECT_EQ(fields.metrics()[i].number(), numbers[i]);
  }
}

TEST(SweepRowFields, ForgetTheRowBefore) {
  SweepRowFields fields;
  fields.read({0, "key", R"({"method":"quest","budget":"5%"})", R"({"b":1})", ""});
  fields.read({1, "key", R"({"top":"3%"})", "", "failed"});
  ASSERT_EQ(fields.options().size(), 1U);
  EXPECT_EQ(fields.options()[0].name, "top");
  EXPECT_TRUE(fields.metrics().empty());
}

TEST(SweepRowFields, RefuseWhatIsNoFlatObject) {
  for (const char* json : {"[1]", "{\"a\":[1]}", "{\"a\":{}}", "{\"a\":", "7"}) {
    SweepRowFields fields;
    const Error error = error_of([&] { fields.read({4, "key", "{}", json, ""}); });
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("the metrics of point 4"), std::string::npos);
  }
}

}  // namespace
}  // namespace kvsieve::tests
