#include "compare/flat_members.h"

#include <gtest/gtest.h>

#include "../../traces/fails_with.h"

namespace kvsieve::sim {
namespace {

using tests::fails_with;

std::vector<FlatMember> members(FlatMembers& reader, const SweepRow& row) {
  return reader.read(row);
}

SweepRow row(std::string metrics) {
  return {7, "k", "{}", std::move(metrics), ""};
}

TEST(FlatMembers, ReadsWhatSweepsWrite) {
  FlatMembers reader;
  const SweepRow one = row(R"({"step_us":1.5e-3,"batch":12,"bound_by":"memory"})");
  const auto all = members(reader, one);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].name, "step_us");
  EXPECT_EQ(all[0].number(), 1.5e-3);
  EXPECT_EQ(all[1].number(), 12.0);
  EXPECT_FALSE(all[2].number());
  EXPECT_EQ(all[2].value, "memory");
  EXPECT_TRUE(members(reader, row("{}")).empty());
}

TEST(FlatMembers, ReadsWhateverElseIsAFlatObject) {
  FlatMembers reader;
  for (const char* text :
       {R"({ "a" : 1.5 , "b" : "x" })", R"({"\u0061":1.5,"b":"x"})", R"({"a":1.5,"b":"\u0078"})"}) {
    const SweepRow one = row(text);
    const auto all = members(reader, one);
    ASSERT_EQ(all.size(), 2U) << text;
    EXPECT_EQ(all[0].name, "a");
    EXPECT_EQ(all[0].number(), 1.5);
    EXPECT_EQ(all[1].value, "x");
  }
  const SweepRow others = row(R"({"a":null,"b":true})");
  for (const FlatMember& member : members(reader, others)) {
    EXPECT_FALSE(member.number());
  }
}

TEST(FlatMembers, DamagedTexts) {
  FlatMembers reader;
  for (const char* text : {"{", "[1]", R"({"a")", R"({"a":})", R"({"a":1,})", R"({"a":{}})", "7"}) {
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "damaged", [&] {
      static_cast<void>(reader.read(row(text)));
    })) << text;
  }
}

}  // namespace
}  // namespace kvsieve::sim
