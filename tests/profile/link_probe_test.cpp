// What is measured of a link, on the host executor: the bytes, pieces and paths, not the time.

#include "device/link_probe.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {
namespace {

namespace device = kernels::KVSIEVE_BACKEND_NS;
using device::BusPath;
using device::BusTraffic;
using sim::Direction;
using sim::TransferPath;

LinkPlan small_plan() {
  LinkPlan plan;
  plan.piece_bytes = {256, 1024, 4096, 16384};
  plan.total_bytes = 65536;
  plan.most_pieces = 64;
  plan.largest_row_bytes = 4096;
  plan.repetitions = 2;
  plan.messages = 3;
  return plan;
}

TEST(LinkProbe, TakesEveryPathInEverySize) {
  const sim::LinkMeasurements measured = measure_link(small_plan(), {});
  std::map<std::pair<TransferPath, Direction>, std::map<std::int64_t, std::int64_t>> pieces;
  for (const sim::MeasuredTransfer& transfer : measured.transfers) {
    EXPECT_EQ(transfer.us, 0.0);
    pieces[{transfer.path, transfer.direction}][transfer.piece_bytes] = transfer.pieces;
  }
  const std::map<std::int64_t, std::int64_t> all{{256, 64}, {1024, 64}, {4096, 16}, {16384, 4}};
  std::map<std::int64_t, std::int64_t> rows = all;
  rows.erase(16384);
  EXPECT_EQ(pieces.size(), 5U);
  EXPECT_EQ((pieces[{TransferPath::kDma, Direction::kToGpu}]), all);
  EXPECT_EQ((pieces[{TransferPath::kDma, Direction::kToHost}]), all);
  EXPECT_EQ((pieces[{TransferPath::kBatchedDma, Direction::kToGpu}]), all);
  EXPECT_EQ((pieces[{TransferPath::kBatchedDma, Direction::kToHost}]), all);
  EXPECT_EQ((pieces[{TransferPath::kZeroCopy, Direction::kToGpu}]), rows);
  EXPECT_GT(measured.latency_us, 0.0);
  EXPECT_GT(measured.both_gbps, 0.0);
}

TEST(LinkProbe, MovesWhatItSays) {
  const auto traffic = [](BusPath path) {
    return device::bus_traffic(path).value_or(BusTraffic{});
  };
  const LinkPlan plan = small_plan();
  const BusTraffic down = traffic(BusPath::kCopyToDevice);
  const BusTraffic up = traffic(BusPath::kCopyToHost);
  const BusTraffic read = traffic(BusPath::kReadByKernel);
  static_cast<void>(measure_link(plan, {}));
  // Each size three times: to warm up, and two repetitions.
  constexpr std::int64_t kTimes = 3;
  constexpr std::int64_t kPieces = 64 + 64 + 16 + 4;
  constexpr std::int64_t kBytes = 64 * 256 + 64 * 1024 + 16 * 4096 + 4 * 16384;
  // Both ways: 8 copies of half of 64 KiB, twice.
  constexpr std::int64_t kBothWays = 16;
  constexpr std::int64_t kHalf = 32768;
  // Copies and batches.
  EXPECT_EQ(traffic(BusPath::kCopyToHost).pieces - up.pieces, 2 * kTimes * kPieces + kBothWays + 3);
  EXPECT_EQ(traffic(BusPath::kCopyToHost).bytes - up.bytes,
            2 * kTimes * kBytes + kBothWays * kHalf + 3 * 64);
  // Copies and batches; and for kernels a list and its length, in three sizes.
  EXPECT_EQ(traffic(BusPath::kCopyToDevice).pieces - down.pieces,
            2 * kTimes * kPieces + kBothWays + 3 * 2);
  EXPECT_EQ(traffic(BusPath::kReadByKernel).bytes - read.bytes, kTimes * (kBytes - 4 * 16384));
}

TEST(LinkProbe, ProgressEndsAtOneAndCanStopIt) {
  double last = 0.0;
  static_cast<void>(measure_link(small_plan(), [&](double share) {
    EXPECT_GT(share, last);
    last = share;
  }));
  EXPECT_EQ(last, 1.0);
  struct Stop {};
  EXPECT_THROW(static_cast<void>(measure_link(small_plan(), [](double) { throw Stop{}; })), Stop);
}

TEST(LinkProbe, ThePlanSpansPowersOfTwo) {
  const LinkPlan plan = link_plan();
  EXPECT_EQ(plan.piece_bytes.front(), 256);
  EXPECT_EQ(plan.piece_bytes.back(), 16 << 20);
  EXPECT_EQ(plan.piece_bytes.size(), 17U);
}

}  // namespace
}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
