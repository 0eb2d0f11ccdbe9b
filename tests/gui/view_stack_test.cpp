#include "core/view_stack.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

Selection head(std::int64_t layer) {
  return pick({}, {layer, 0}, Pick::kReplace, {});
}

TEST(ViewStack, BackAndForwardWalkTheHistory) {
  ViewStack view;
  view.select(head(1));
  view.set_filter("budget<0.2");
  view.set_zoom("timeline", Zoom{0, 10, 0, 0});
  EXPECT_TRUE(view.can_go_back());
  view.back();
  EXPECT_FALSE(view.zoom("timeline"));
  EXPECT_EQ(view.state().filter, "budget<0.2");
  view.back();
  EXPECT_EQ(view.state().filter, "");
  EXPECT_EQ(view.selection(), head(1));
  view.back();
  EXPECT_TRUE(view.selection().is_empty());
  EXPECT_FALSE(view.can_go_back());
  view.back();  // nothing before it
  view.forward();
  view.forward();
  view.forward();
  EXPECT_EQ(view.zoom("timeline"), (Zoom{0, 10, 0, 0}));
  EXPECT_FALSE(view.can_go_forward());
}

TEST(ViewStack, AChangeAfterBackForgetsWhatWasAhead) {
  ViewStack view;
  view.select(head(1));
  view.select(head(2));
  view.back();
  view.select(head(3));
  EXPECT_FALSE(view.can_go_forward());
  view.back();
  EXPECT_EQ(view.selection(), head(1));
}

TEST(ViewStack, ATurnOfTheWheelIsOneStep) {
  ViewStack view;
  view.select(head(1));
  for (int i = 1; i <= 20; ++i) {
    view.set_zoom("timeline", Zoom{0, 100.0 / i, 0, 0});
  }
  view.back();
  EXPECT_FALSE(view.zoom("timeline"));
  EXPECT_EQ(view.selection(), head(1));
  view.set_zoom("a", Zoom{0, 1, 0, 0});
  view.set_zoom("b", Zoom{0, 1, 0, 0});  // another plot is another step
  view.back();
  EXPECT_TRUE(view.zoom("a"));
}

TEST(ViewStack, EscapeClearsTheSelectionThenZoomAndFilter) {
  ViewStack view;
  view.set_filter("x>1");
  view.set_zoom("a", Zoom{0, 1, 0, 0});
  view.select(head(1));
  view.escape();
  EXPECT_TRUE(view.selection().is_empty());
  EXPECT_TRUE(view.zoom("a"));
  view.escape();
  EXPECT_FALSE(view.zoom("a"));
  EXPECT_EQ(view.state().filter, "");
  view.back();
  view.back();
  EXPECT_EQ(view.selection(), head(1));
}

TEST(ViewStack, EqualStatesAddNothing) {
  ViewStack view;
  view.select({});
  EXPECT_FALSE(view.can_go_back());
  int changes = 0;
  QObject::connect(&view, &ViewStack::selection_changed, [&changes] { ++changes; });
  view.select(head(1));
  view.select(head(1));
  EXPECT_EQ(changes, 1);
  view.set_filter("x");
  EXPECT_EQ(changes, 1);
}

TEST(ViewStack, ResetLeavesNothing) {
  ViewStack view;
  view.select(head(1));
  view.select(head(2));
  view.back();
  view.reset();
  EXPECT_EQ(view.state(), ViewState{});
  EXPECT_FALSE(view.can_go_back());
  EXPECT_FALSE(view.can_go_forward());
}

}  // namespace
}  // namespace kvsieve::gui
