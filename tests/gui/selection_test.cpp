#include "core/selection.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

const std::vector<HeadId> kAll{{0, 0}, {0, 1}, {4, 0}, {4, 1}, {8, 0}};

TEST(Selection, ClickReplaces) {
  const Selection first = pick({}, {4, 1}, Pick::kReplace, kAll);
  EXPECT_EQ(first.heads, (std::vector<HeadId>{{4, 1}}));
  const Selection second = pick(first, {0, 0}, Pick::kReplace, kAll);
  EXPECT_EQ(second.heads, (std::vector<HeadId>{{0, 0}}));
  EXPECT_EQ(second.current, (HeadId{0, 0}));
}

TEST(Selection, ControlClickTogglesAndKeepsAscendingOrder) {
  Selection selection = pick({}, {4, 1}, Pick::kReplace, kAll);
  selection = pick(selection, {0, 1}, Pick::kToggle, kAll);
  EXPECT_EQ(selection.heads, (std::vector<HeadId>{{0, 1}, {4, 1}}));
  EXPECT_EQ(selection.current, (HeadId{0, 1}));
  selection = pick(selection, {0, 1}, Pick::kToggle, kAll);
  EXPECT_EQ(selection.heads, (std::vector<HeadId>{{4, 1}}));
  EXPECT_EQ(selection.current, (HeadId{4, 1}));
  selection = pick(selection, {4, 1}, Pick::kToggle, kAll);
  EXPECT_TRUE(selection.is_empty());
}

TEST(Selection, ShiftClickExtendsFromTheCurrentHeadEitherWay) {
  for (const auto& [from, to] :
       {std::pair(HeadId{0, 1}, HeadId{4, 1}), std::pair(HeadId{4, 1}, HeadId{0, 1})}) {
    const Selection selection = pick(pick({}, from, Pick::kReplace, kAll), to, Pick::kExtend, kAll);
    EXPECT_EQ(selection.heads, (std::vector<HeadId>{{0, 1}, {4, 0}, {4, 1}}));
    EXPECT_EQ(selection.current, from);
  }
}

TEST(Selection, ShiftClickWithoutACurrentHeadIsAClick) {
  EXPECT_EQ(pick({}, {4, 0}, Pick::kExtend, kAll).heads, (std::vector<HeadId>{{4, 0}}));
}

TEST(Selection, RubberBandAddsOrReplaces) {
  const Selection one = select_heads({}, {{4, 1}, {4, 0}, {4, 1}}, false);
  EXPECT_EQ(one.heads, (std::vector<HeadId>{{4, 0}, {4, 1}}));
  const Selection more = select_heads(one, {{0, 0}}, true);
  EXPECT_EQ(more.heads, (std::vector<HeadId>{{0, 0}, {4, 0}, {4, 1}}));
  EXPECT_EQ(more.current, one.current);
  EXPECT_FALSE(select_heads(one, {}, false).current.has_value());
}

TEST(Selection, PointsAreReplacedAddedAndToggled) {
  using Points = std::vector<std::int64_t>;
  const Selection heads = select_heads({}, {{4, 0}}, false);
  const Selection some = select_points(heads, {7, 3, 7}, false);
  EXPECT_EQ(some.points, (Points{3, 7}));
  EXPECT_EQ(some.heads, heads.heads);
  EXPECT_EQ(select_points(some, {5, 3}, true).points, (Points{3, 5, 7}));
  EXPECT_EQ(select_points(some, {}, false).points, Points{});
  EXPECT_EQ(toggle_point(some, 5).points, (Points{3, 5, 7}));
  EXPECT_EQ(toggle_point(some, 3).points, Points{7});
}

TEST(Selection, BreadcrumbNamesTheWay) {
  EXPECT_EQ(breadcrumb({}, "KV head"), "All");
  Selection selection = pick({}, {4, 1}, Pick::kReplace, kAll);
  EXPECT_EQ(breadcrumb(selection, "KV head"), QString::fromUtf8("layer 4 › KV head 1"));
  selection.tokens = TokenRange{10, 20};
  selection.step = 3;
  EXPECT_EQ(breadcrumb(selection, "KV head"),
            QString::fromUtf8("layer 4 › KV head 1 › tokens 10–19 › step 3"));
  EXPECT_EQ(breadcrumb(select_heads({}, {{4, 0}, {4, 1}}, false), "KV head"),
            QString::fromUtf8("layer 4 › 2 KV heads"));
  EXPECT_EQ(breadcrumb(select_heads({}, {{4, 0}, {8, 0}}, false), "query head"),
            QString::fromUtf8("2 query heads"));
}

}  // namespace
}  // namespace kvsieve::gui
