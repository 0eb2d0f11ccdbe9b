#include "kvsieve/traces/nearest.h"

#include <gtest/gtest.h>

namespace kvsieve::traces {
namespace {

TEST(nearest, fewest_edits_first_of_equals) {
  EXPECT_EQ(nearest("windw", {"budget", "window", "windows"}), "window");
  EXPECT_EQ(nearest("ab", {"ac", "ad"}), "ac");
  EXPECT_EQ(nearest("", {"a"}), "a");
}

TEST(nearest, nothing_where_none_is_close) {
  EXPECT_EQ(nearest("window", {"budget"}), "");
  EXPECT_EQ(nearest("window", {}), "");
  EXPECT_EQ(nearest("abc", {"xyz"}), "") << "three edits of three letters";
}

}  // namespace
}  // namespace kvsieve::traces
