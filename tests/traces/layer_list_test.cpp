#include "kvsieve/traces/layer_list.h"

#include <gtest/gtest.h>

#include <vector>

#include "kvsieve/traces/error.h"

namespace kvsieve::traces {
namespace {

using Layers = std::vector<std::int64_t>;

TEST(LayerList, ReadsLayersAndRanges) {
  EXPECT_EQ(parse_layer_list("all", 3), (Layers{0, 1, 2}));
  EXPECT_EQ(parse_layer_list("0", 1), (Layers{0}));
  EXPECT_EQ(parse_layer_list("0,4,8-11", 12), (Layers{0, 4, 8, 9, 10, 11}));
  EXPECT_EQ(parse_layer_list("5-5", 12), (Layers{5}));
}

TEST(LayerList, SortsAndDropsDuplicates) {
  EXPECT_EQ(parse_layer_list("7,2-4,3,2", 12), (Layers{2, 3, 4, 7}));
}

class LayerListRefuses : public testing::TestWithParam<const char*> {};

TEST_P(LayerListRefuses, AsUsageError) {
  try {
    static_cast<void>(parse_layer_list(GetParam(), 12));
    FAIL() << "accepted " << GetParam();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("0 to 11"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Malformed, LayerListRefuses,
                         testing::Values("", ",", "1,", "12", "-1", "3-12", "4-2", "a", "1-", "-",
                                         "1 ", "0x1", "1.5", "All", "99999999999999999999"));

}  // namespace
}  // namespace kvsieve::traces
