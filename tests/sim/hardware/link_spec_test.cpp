// The built-in links against published measurements of transfers by block size.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

/// Microseconds of one piece, as the profile's segments say.
double piece_us(const std::vector<TransferSegment>& segments, double bytes) {
  const TransferSegment* last = nullptr;
  for (const TransferSegment& segment : segments) {
    if (static_cast<double>(segment.from_bytes) <= bytes) {
      last = &segment;
    }
  }
  return last->piece_us.value + bytes / last->gbps.value * 1e-3;
}

double rate_gbps(const LinkDirection& direction, TransferPath path, double bytes) {
  return bytes / piece_us(direction.path(path), bytes) * 1e-3;
}

constexpr std::size_t kSizes = 12;
constexpr std::array<double, kSizes> kKibibytes = {4,   8,   16,   32,   64,   128,
                                                   256, 512, 1024, 2048, 4096, 16384};

struct Curve {
  const char* name;
  bool to_gpu;
  TransferPath path;
  double tolerance;
  std::array<double, kSizes> gbps;
};

// vLLM blog 2026-01-08, figures 3-4: H100, 1,000 equal blocks a transfer.
constexpr Curve kCurves[] = {
    {"to GPU, DMA",
     true,
     TransferPath::kDma,
     0.06,
     {1.1, 2.3, 4.2, 7.5, 14.4, 22.8, 31.8, 39.5, 44.4, 47.7, 49.7, 51.2}},
    {"to GPU, kernel",
     true,
     TransferPath::kKernel,
     0.12,
     {12.5, 24.4, 30.6, 35.8, 41.9, 44.0, 46.1, 46.8, 47.3, 47.6, 47.6, 47.8}},
    {"to host, DMA",
     false,
     TransferPath::kDma,
     0.06,
     {0.9, 2.2, 4.6, 8.2, 15.3, 21.5, 29.2, 37.1, 42.5, 46.2, 48.6, 50.7}},
    {"to host, kernel",
     false,
     TransferPath::kKernel,
     0.12,
     {5.2, 22.0, 30.6, 34.2, 41.0, 45.4, 46.8, 48.0, 48.4, 48.7, 48.8, 48.9}}};

TEST(LinkSpec, TransferCurvesOfAnH100) {
  const LinkSpec link = load_hardware("h100-sxm").link;
  for (const Curve& curve : kCurves) {
    double worst = 0.0;
    for (std::size_t i = 0; i < kSizes; ++i) {
      const double rate =
          rate_gbps(curve.to_gpu ? link.to_gpu : link.to_host, curve.path, kKibibytes[i] * 1024);
      const double error = rate / curve.gbps[i] - 1.0;
      EXPECT_LE(std::abs(error), curve.tolerance)
          << curve.name << ", " << kKibibytes[i] << " KiB: " << rate << " of " << curve.gbps[i];
      worst = std::max(worst, std::abs(error));
    }
    RecordProperty(curve.name, std::to_string(worst));
  }
}

TEST(LinkSpec, OneBatchedCopyFallsOffACliffBelow28KiB) {
  // vllm-project/vllm pull request 42212: one cuMemcpyBatchAsync of 50,000 and 100,000 pieces.
  const LinkDirection to_gpu = load_link("pcie5-x16").to_gpu;
  const auto rate = [&](double kibibytes) {
    return rate_gbps(to_gpu, TransferPath::kBatchedDma, kibibytes * 1024);
  };
  EXPECT_NEAR(rate(4), 3.9, 0.2);
  EXPECT_NEAR(rate(8), 5.25, 0.2);
  EXPECT_NEAR(rate(16), 6.3, 0.2);
  EXPECT_NEAR(rate(24), 6.8, 0.2);
  EXPECT_NEAR(rate(28), 44.1, 0.1 * 44.1);
  EXPECT_NEAR(rate(64), 51.6, 0.05 * 51.6);
  EXPECT_GT(rate(28), 6.0 * rate(16));
}

TEST(LinkSpec, EveryPathIsDescribedBothWaysAndWithinItsLink) {
  for (const std::string& id : link_ids()) {
    const LinkSpec link = load_link(id);
    for (const LinkDirection* direction : {&link.to_gpu, &link.to_host}) {
      for (std::size_t path = 0; path < kTransferPaths; ++path) {
        EXPECT_FALSE(direction->paths[path].empty()) << id;
        for (const TransferSegment& segment : direction->paths[path]) {
          EXPECT_LE(segment.gbps.value, direction->spec_gbps.value) << id;
        }
      }
    }
    EXPECT_LE(link.both_gbps.value, link.to_gpu.spec_gbps.value + link.to_host.spec_gbps.value);
  }
}

TEST(LinkSpec, DirectionsOfGraceDiffer) {
  const LinkSpec link = load_link("c2c-grace");
  EXPECT_EQ(link.to_gpu.path(TransferPath::kDma)[0].gbps.value, 377.0);
  EXPECT_EQ(link.to_host.path(TransferPath::kDma)[0].gbps.value, 297.0);
  EXPECT_EQ(link.to_gpu.spec_gbps.value, 450.0);
}

TEST(TransferPath, Names) {
  for (std::size_t path = 0; path < kTransferPaths; ++path) {
    const auto value = static_cast<TransferPath>(path);
    EXPECT_EQ(transfer_path_from_name(name_of(value)), value);
  }
  EXPECT_EQ(name_of(TransferPath::kBatchedDma), "batched-dma");
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "dma, batched-dma, kernel, zero-copy",
                         [] { static_cast<void>(transfer_path_from_name("rdma")); }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
