#include "node_name.h"

#include <gtest/gtest.h>

namespace kvsieve::record {
namespace {

TEST(NodeName, ReadsRoleAndLayer) {
  EXPECT_EQ(parse_node_name("Qcur-0"), (NodeName{NodeRole::kQuery, 0}));
  EXPECT_EQ(parse_node_name("Qcur_normed-7"), (NodeName{NodeRole::kQuery, 7}));
  EXPECT_EQ(parse_node_name("Kcur-12"), (NodeName{NodeRole::kKey, 12}));
  EXPECT_EQ(parse_node_name("Kcur_normed-12"), (NodeName{NodeRole::kKey, 12}));
  EXPECT_EQ(parse_node_name("Vcur-3"), (NodeName{NodeRole::kValue, 3}));
  EXPECT_EQ(parse_node_name("kqv_out-29"), (NodeName{NodeRole::kOutput, 29}));
}

TEST(NodeName, IgnoresRemarks) {
  EXPECT_EQ(parse_node_name("Kcur-0 (view)"), (NodeName{NodeRole::kKey, 0}));
  EXPECT_EQ(parse_node_name("Qcur-10 (reshaped) (permuted)"), (NodeName{NodeRole::kQuery, 10}));
}

TEST(NodeName, IsEmptyForOtherNodes) {
  for (const char* name :
       {"", "-", "Qcur", "Qcur-", "Qcur-x", "Qcur-1x", "Qcur--1", "kq-0", "kqv-0", "Qcur_rope-0",
        "attn_out-0", "cache_k_l0", "Qcurious-1", "-3"}) {
    EXPECT_EQ(parse_node_name(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace kvsieve::record
