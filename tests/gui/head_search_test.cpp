#include "core/head_search.h"

#include <gtest/gtest.h>

namespace kvsieve::gui {
namespace {

TEST(HeadSearch, UnderstandsTheUsualSpellings) {
  const HeadSearch head{4, 2, {}, {}};
  for (const char* text :
       {"layer 4 head 2", "L4H2", "l4 h2", "layer 4, head 2", "Layer 4 KV head 2", "4/2", "4.2",
        " 4 2 ", "layer 4 › query head 2", "head 2 layer 4"}) {
    EXPECT_EQ(parse_head_search(QString::fromUtf8(text)), head) << text;
  }
  EXPECT_EQ(parse_head_search("layer 12"), (HeadSearch{12, {}, {}, {}}));
  EXPECT_EQ(parse_head_search("token 1200"), (HeadSearch{{}, {}, 1200, {}}));
  EXPECT_EQ(parse_head_search("L4H2 token 7 step 3"), (HeadSearch{4, 2, 7, 3}));
}

TEST(HeadSearch, RefusesWhatItDoesNotUnderstand) {
  for (const char* text : {"", "  ", "lay 4", "layer", "layer 4 head", "layer 4 foo", "4", "-1/2",
                           "layer 99999999999999999999", "4/2/1"}) {
    EXPECT_EQ(parse_head_search(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace kvsieve::gui
