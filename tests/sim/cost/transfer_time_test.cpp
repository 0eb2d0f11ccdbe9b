#include "kvsieve/sim/transfer_time.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

/// 1,000 blocks of a size over an H100's link, GB/s (vLLM blog 2026-01-08, figures 3 and 4).
struct CurvePoint {
  double kib;
  double dma_to_gpu;
  double kernel_to_gpu;
  double dma_to_host;
  double kernel_to_host;
};
constexpr std::array<CurvePoint, 12> kCurve{{{4, 1.1, 12.5, 0.9, 5.2},
                                             {8, 2.3, 24.4, 2.2, 22.0},
                                             {16, 4.2, 30.6, 4.6, 30.6},
                                             {32, 7.5, 35.8, 8.2, 34.2},
                                             {64, 14.4, 41.9, 15.3, 41.0},
                                             {128, 22.8, 44.0, 21.5, 45.4},
                                             {256, 31.8, 46.1, 29.2, 46.8},
                                             {512, 39.5, 46.8, 37.1, 48.0},
                                             {1024, 44.4, 47.3, 42.5, 48.4},
                                             {2048, 47.7, 47.6, 46.2, 48.7},
                                             {4096, 49.7, 47.6, 48.6, 48.8},
                                             {16384, 51.2, 47.8, 50.7, 48.9}}};
constexpr double kBlocks = 1000.0;

double gbps(const TransferTimes& times, TransferPath path, Direction direction, double kib) {
  const double bytes = kBlocks * kib * 1024.0;
  return bytes / times.transfer_us(path, direction, bytes, kBlocks) * 1e-3;
}

TEST(TransferTimes, TheCurvesOfAnH100) {
  const TransferTimes times(load_hardware("h100-sxm").link);
  for (const CurvePoint& point : kCurve) {
    const auto error = [&](TransferPath path, Direction direction, double measured) {
      return std::abs(gbps(times, path, direction, point.kib) / measured - 1.0);
    };
    // Figures of two digits, read off to 0.05, cannot be met closer than that.
    const double digit = 0.05 / point.dma_to_gpu;
    EXPECT_LE(error(TransferPath::kDma, Direction::kToGpu, point.dma_to_gpu), 0.06 + digit)
        << point.kib;
    EXPECT_LE(error(TransferPath::kDma, Direction::kToHost, point.dma_to_host),
              0.06 + 0.05 / point.dma_to_host)
        << point.kib;
    EXPECT_LE(error(TransferPath::kKernel, Direction::kToGpu, point.kernel_to_gpu), 0.12)
        << point.kib;
    EXPECT_LE(error(TransferPath::kKernel, Direction::kToHost, point.kernel_to_host), 0.12)
        << point.kib;
  }
}

TEST(TransferTimes, BatchedCopiesFallOffACliffBetween16And28KiB) {
  const TransferTimes times(load_hardware("h100-sxm").link);
  const auto rate = [&](double kib) {
    return gbps(times, TransferPath::kBatchedDma, Direction::kToGpu, kib);
  };
  EXPECT_LT(rate(16), 8.0);
  EXPECT_GT(rate(28), 35.0);
  EXPECT_GT(rate(28) / rate(16), 5.0);
  // The cliff is the profile's: a link without it has none.
  LinkSpec smooth = load_hardware("h100-sxm").link;
  smooth.to_gpu.paths[static_cast<std::size_t>(TransferPath::kBatchedDma)].resize(1);
  const TransferTimes without(smooth);
  EXPECT_LT(gbps(without, TransferPath::kBatchedDma, Direction::kToGpu, 28) /
                gbps(without, TransferPath::kBatchedDma, Direction::kToGpu, 16),
            2.0);
}

TEST(TransferTimes, NeverDecreaseWithPieces) {
  for (const std::string& id : link_ids()) {
    const TransferTimes times(load_link(id));
    for (std::size_t p = 0; p < kTransferPaths; ++p) {
      const auto path = static_cast<TransferPath>(p);
      for (const Direction direction : {Direction::kToGpu, Direction::kToHost}) {
        if (!times.has(path, direction)) {
          continue;
        }
        for (const double piece : {256.0, 4096.0, 24576.0, 1048576.0}) {
          double before = 0.0;
          for (double pieces = 1.0; pieces <= 1e6; pieces *= 10.0) {
            const double us = times.transfer_us(path, direction, piece * pieces, pieces);
            EXPECT_GT(us, before) << id << " " << name_of(path);
            before = us;
          }
          // n pieces are never faster than one of n times the size, away from the knee.
          EXPECT_GE(times.transfer_us(path, direction, 64.0 * piece, 64.0),
                    times.transfer_us(path, direction, 64.0 * piece, 1.0));
        }
      }
    }
  }
}

TEST(TransferTimes, NeverDecreaseWithBytesWithinASegment) {
  for (const std::string& id : link_ids()) {
    const TransferTimes times(load_link(id));
    for (std::size_t p = 0; p < kTransferPaths; ++p) {
      const auto path = static_cast<TransferPath>(p);
      const std::vector<TransferSegment>& segments = times.link().to_gpu.path(path);
      if (segments.empty()) {
        continue;
      }
      for (std::size_t s = 0; s < segments.size(); ++s) {
        const double first = std::max<double>(static_cast<double>(segments[s].from_bytes), 1.0);
        const double last =
            s + 1 < segments.size() ? static_cast<double>(segments[s + 1].from_bytes) - 1.0 : 1e9;
        double before = 0.0;
        for (double bytes = first; bytes < last; bytes *= 1.7) {
          const double us = times.transfer_us(path, Direction::kToGpu, bytes, 1.0);
          EXPECT_GT(us, before) << id << " " << name_of(path) << " " << bytes;
          before = us;
        }
      }
    }
  }
}

TEST(TransferTimes, NothingTakesNoTimeAndAMissingPathIsSaid) {
  LinkSpec link = load_link("pcie4-x16");
  link.to_gpu.paths[static_cast<std::size_t>(TransferPath::kKernel)].clear();
  const TransferTimes times(link);
  EXPECT_EQ(times.transfer_us(TransferPath::kDma, Direction::kToGpu, 0.0, 0.0), 0.0);
  EXPECT_EQ(times.message_us(Direction::kToHost, 0.0), 0.0);
  EXPECT_FALSE(times.has(TransferPath::kKernel, Direction::kToGpu));
  try {
    static_cast<void>(times.transfer_us(TransferPath::kKernel, Direction::kToGpu, 1.0, 1.0));
    FAIL() << "a path that the profile lacks has no time";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMissingCapability);
    EXPECT_NE(std::string(error.what()).find("pcie4-x16"), std::string::npos);
  }
}

TEST(TransferTimes, AMessageWaitsForTheLatency) {
  const LinkSpec link = load_link("pcie5-x16");
  const TransferTimes times(link);
  EXPECT_NEAR(times.message_us(Direction::kToGpu, 8192.0),
              link.latency_us.value +
                  8192.0 / (link.to_gpu.path(TransferPath::kDma).front().gbps.value * 1e3),
              1e-9);
}

TEST(TransferTimes, BothDirectionsTogetherCarryLessThanTheirSum) {
  const LinkSpec link = load_link("pcie5-x16");
  const TransferTimes times(link);
  const double one = times.link_use(link.to_gpu.path(TransferPath::kDma).front().gbps.value);
  const double other = times.link_use(link.to_host.path(TransferPath::kDma).front().gbps.value);
  EXPECT_LT(one, 1.0);
  EXPECT_GT(one + other, 1.0);
}

TEST(HostTimes, AreBandwidthOrArithmetic) {
  const CpuSpec cpu = load_cpu("epyc-7742");
  const HostTimes times(cpu);
  const double gather = cpu.dram_gbps.value * cpu.dram_efficiency.value *
                        cpu.gather_efficiency.value * 1e3;  // bytes an us
  EXPECT_NEAR(times.attention_us(1e9, 0.0), cpu.fork_us.value + 1e9 / gather, 1e-6);
  EXPECT_NEAR(times.attention_us(0.0, 1e12),
              cpu.fork_us.value + 1e12 / (cpu.fp32_gflops.value * 1e3), 1e-6);
  EXPECT_GT(times.gather_us(1e9), times.attention_us(1e9, 0.0));
  EXPECT_LE(times.memory_use(1e9), 1.0);
}

}  // namespace
}  // namespace kvsieve::sim
