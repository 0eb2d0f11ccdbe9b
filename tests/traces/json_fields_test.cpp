#include "kvsieve/traces/json_fields.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fails_with.h"

namespace kvsieve::traces {
namespace {

using nlohmann::ordered_json;
using tests::fails_with;

std::string nested(std::size_t levels, const std::string& open, const std::string& close) {
  std::string text;
  for (std::size_t i = 0; i < levels; ++i) {
    text += open;
  }
  text += "1";
  for (std::size_t i = 0; i < levels; ++i) {
    text += close;
  }
  return text;
}

testing::AssertionResult rejects(const std::string& text, std::string_view part) {
  return fails_with(ErrorKind::kBadInput, part,
                    [&] { static_cast<void>(parse_json(text, "the document")); });
}

TEST(json_fields, parsing_keeps_the_order_of_keys) {
  EXPECT_EQ(R"({"z":1,"a":[true,null,"x"],"m":{"b":-2.5,"a":0}})",
            parse_json(R"( {"z":1, "a":[true,null,"x"], "m":{"b":-2.5,"a":0}} )", "it").dump());
}

TEST(json_fields, syntax_errors_say_where) {
  EXPECT_TRUE(rejects("{\"a\": }", "the document is not valid UTF-8 JSON (error at its byte 7"));
  EXPECT_TRUE(rejects("{} x", "byte 4"));
  EXPECT_TRUE(rejects("{\"a\": \"\xff\"}", "UTF-8"));
  EXPECT_TRUE(rejects("{\"a\": \"\xed\xa0\x80\"}", "UTF-8"));  // a surrogate
  EXPECT_TRUE(rejects(std::string("{}\0", 3), "byte"));
  EXPECT_TRUE(rejects("", "the document"));
  EXPECT_TRUE(rejects("{\"a\": NaN}", "JSON"));
  EXPECT_TRUE(rejects("{\"a\": 01}", "JSON"));
  EXPECT_TRUE(rejects("{\"a\": 1,}", "JSON"));
  EXPECT_TRUE(rejects("// note\n{}", "JSON"));
}

TEST(json_fields, numbers_beyond_a_double_are_rejected) {
  EXPECT_TRUE(rejects("{\"a\": 1e999}", "range of a double"));
  EXPECT_TRUE(rejects("[-1e999]", "range of a double"));
}

TEST(json_fields, repeated_keys_are_rejected_at_every_depth) {
  EXPECT_TRUE(rejects(R"({"a":1,"a":2})", "\"a\" twice"));
  EXPECT_TRUE(rejects(R"([{"x":{"b":1,"c":{},"b":null}}])", "\"b\" twice"));
  EXPECT_TRUE(rejects(R"({"a":1,"\u0061":2})", "twice"));
  EXPECT_NO_THROW(
      static_cast<void>(parse_json(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})", "it")));
}

TEST(json_fields, deep_nesting_is_an_error_and_not_a_crash) {
  for (const std::size_t levels : {1'000U, 100'000U, 1'000'000U}) {
    EXPECT_TRUE(rejects(nested(levels, "[", "]"), "levels"));
    EXPECT_TRUE(rejects(nested(levels, "{\"a\":", "}"), "levels"));
  }
  EXPECT_TRUE(rejects(std::string(1'000'000, '['), "levels"));
  EXPECT_NO_THROW(static_cast<void>(parse_json(nested(32, "[", "]"), "it")));
  EXPECT_NO_THROW(static_cast<void>(parse_json(nested(32, "{\"a\":", "}"), "it")));
}

TEST(json_fields, a_million_keys_take_no_quadratic_time) {
  std::string text = "{";
  for (int i = 0; i < 1'000'000; ++i) {
    text += '"' + std::to_string(i) + "\":1,";
  }
  text += "\"end\":1}";
  EXPECT_TRUE(rejects(text, "keys"));
}

TEST(json_fields, fields_are_read_by_type) {
  const ordered_json json = parse_json(
      R"({"s":"text","i":-3,"big":9223372036854775807,"n":2.5,"flag":false,"list":[3,1],
          "nothing":null,"inner":{"x":1}})",
      "it");
  const JsonFields fields(json, "doc");
  EXPECT_EQ("text", fields.string("s"));
  EXPECT_EQ("text", fields.string_or("s", "other"));
  EXPECT_EQ("other", fields.string_or("absent", "other"));
  EXPECT_EQ("other", fields.string_or("nothing", "other"));
  EXPECT_EQ(-3, fields.integer("i", -3, 5));
  EXPECT_EQ(INT64_MAX, fields.integer("big", 0, INT64_MAX));
  EXPECT_EQ((std::vector<std::int64_t>{3, 1}), fields.integers("list", 1, 3));
  EXPECT_EQ(2.5, fields.number("n"));
  EXPECT_EQ(-3.0, fields.number("i"));
  EXPECT_EQ(7.0, fields.number_or("absent", 7.0));
  EXPECT_EQ(2.5, fields.positive("n"));
  EXPECT_FALSE(fields.boolean_or("flag", true));
  EXPECT_TRUE(fields.boolean_or("nothing", true));
  EXPECT_EQ(1, fields.object("inner").integer("x", 0, 1));
  EXPECT_TRUE(fields.has("s"));
  EXPECT_FALSE(fields.has("nothing"));
  EXPECT_FALSE(fields.has("absent"));
}

TEST(json_fields, errors_name_path_value_and_expectation) {
  const ordered_json json = parse_json(
      R"({"s":1,"i":2.0,"huge":18446744073709551615,"low":-1,"list":[1,"x"],"n":"1","zero":0,
          "flag":"yes","inner":[]})",
      "it");
  const JsonFields fields(json, "doc");
  const auto fails = [&](std::string_view text, auto&& read) {
    return fails_with(ErrorKind::kBadInput, text, [&] { static_cast<void>(read()); });
  };
  EXPECT_TRUE(fails("doc.s is 1, expected a string", [&] { return fields.string("s"); }));
  EXPECT_TRUE(
      fails("doc.absent is missing, expected a string", [&] { return fields.string("absent"); }));
  EXPECT_TRUE(fails("doc.i is 2.0, expected an integer in [0, 9]",
                    [&] { return fields.integer("i", 0, 9); }));
  EXPECT_TRUE(fails("doc.huge is 18446744073709551615, expected an integer",
                    [&] { return fields.integer("huge", INT64_MIN, INT64_MAX); }));
  EXPECT_TRUE(fails("doc.low is -1, expected an integer in [0, 9]",
                    [&] { return fields.integer("low", 0, 9); }));
  EXPECT_TRUE(fails("doc.list is [1,\"x\"], expected an integer",
                    [&] { return fields.integers("list", 0, 9); }));
  EXPECT_TRUE(fails("doc.s is 1, expected an array", [&] { return fields.integers("s", 0, 9); }));
  EXPECT_TRUE(
      fails("doc.n is \"1\", expected a finite number", [&] { return fields.number("n"); }));
  EXPECT_TRUE(
      fails("doc.zero is 0, expected a number above 0", [&] { return fields.positive("zero"); }));
  EXPECT_TRUE(fails("doc.flag is \"yes\", expected true or false",
                    [&] { return fields.boolean_or("flag", true); }));
  EXPECT_TRUE(fails("doc.inner is [], expected an object", [&] { return fields.object("inner"); }));
  EXPECT_TRUE(fails("doc.absent is missing", [&] { return fields.raw("absent"); }));
  EXPECT_TRUE(fails("doc.inner is [], expected an object",
                    [&] { return JsonFields(json["inner"], "doc.inner"); }));
}

TEST(json_fields, errors_stay_on_one_short_line) {
  const ordered_json json = {{"s", std::string(1000, 'x') + "\n"}, {"a\nb\x1b[31m", 1}};
  const JsonFields fields(json, "doc");
  for (const char* key : {"s", "a\nb\x1b[31m"}) {
    try {
      fields.fail(key, "something else");
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_LT(text.size(), 200U);
      EXPECT_EQ(std::string::npos, text.find_first_of("\n\x1b")) << text;
      EXPECT_NE(std::string::npos, text.find("expected something else")) << text;
    }
  }
}

TEST(json_fields, unknown_keys_come_with_the_nearest_one) {
  const ordered_json json = {{"window", 1}, {"widht", 2}};
  const JsonFields fields(json, "it");
  EXPECT_NO_THROW(fields.allow_only({"window", "widht"}));
  try {
    fields.allow_only({"window", "width"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_STREQ(error.what(), "it.widht is unknown, expected one of window, width");
    EXPECT_EQ(error.hint(), "did you mean width?");
  }
}

TEST(json_fields, objects_in_an_array_know_their_index) {
  const ordered_json json = {{"rows", {{{"x", 1}}, {{"x", -1}}}}, {"other", {1}}, {"none", 0}};
  const JsonFields fields(json, "it");
  const std::vector<JsonFields> rows = fields.objects("rows");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].positive("x"), 1.0);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "it.rows[1].x is -1",
                         [&] { static_cast<void>(rows[1].positive("x")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "it.other[0] is 1, expected an object",
                         [&] { static_cast<void>(fields.objects("other")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "it.none is 0, expected an array of objects",
                         [&] { static_cast<void>(fields.objects("none")); }));
}

}  // namespace
}  // namespace kvsieve::traces
