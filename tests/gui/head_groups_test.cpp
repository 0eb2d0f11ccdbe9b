#include "core/head_groups.h"

#include <gtest/gtest.h>

#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

TEST(HeadGroups, AreLayersUntilHeadsAreSelected) {
  const auto run = tests::retrieval_run("quest");
  const std::vector<HeadGroup> layers = head_groups(run->view(), {});
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[1].name, "4");
  EXPECT_EQ(layers[1].heads, (std::vector<HeadId>{{4, 0}, {4, 1}, {4, 2}}));
  EXPECT_EQ(group_kind(run->view(), {}), "layer");
  const std::vector<HeadId> selected{{4, 1}};
  const std::vector<HeadGroup> heads = head_groups(run->view(), selected);
  ASSERT_EQ(heads.size(), 3U);
  EXPECT_EQ(heads[2].name, "4 · 2");
  EXPECT_EQ(heads[2].node.number("recall"), run->view().layers[1].heads[2].number("recall"));
  EXPECT_EQ(group_kind(run->view(), selected), "layer · KV head");
}

TEST(HeadGroups, FindTheCurrentHead) {
  const auto run = tests::retrieval_run("quest");
  const std::vector<HeadGroup> layers = head_groups(run->view(), {});
  EXPECT_EQ(group_of(layers, HeadId{4, 2}), 1U);
  EXPECT_FALSE(group_of(layers, HeadId{7, 2}));
  EXPECT_FALSE(group_of(layers, std::nullopt));
}

TEST(HeadGroups, ScopesHaveNames) {
  const auto run = tests::retrieval_run("quest");
  const auto text = [&](std::vector<HeadId> heads) { return scope_text(run->view(), heads); };
  EXPECT_EQ(text({}), "all layers and heads");
  EXPECT_EQ(text({{4, 1}}), "layer 4, KV head 1");
  EXPECT_EQ(text({{4, 0}, {4, 1}}), "2 KV heads of layer 4");
  EXPECT_EQ(text({{0, 0}, {4, 1}}), "2 KV heads");
}

}  // namespace
}  // namespace kvsieve::gui
