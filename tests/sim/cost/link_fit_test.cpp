#include "kvsieve/sim/link_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

constexpr const char* kSource = "measured by a test";

/// Transfers of pieces from 256 bytes to 4 MiB that take `piece_us(bytes)` each.
LinkMeasurements transfers(TransferPath path, Direction direction,
                           const std::function<double(double)>& piece_us) {
  LinkMeasurements measurements;
  for (std::int64_t bytes = 256; bytes <= std::int64_t{1} << 22; bytes *= 2) {
    const std::int64_t pieces = std::clamp<std::int64_t>((1 << 26) / bytes, 1, 4096);
    measurements.transfers.push_back(
        {path, direction, bytes, pieces,
         static_cast<double>(pieces) * piece_us(static_cast<double>(bytes))});
  }
  return measurements;
}

double line(double bytes, double piece_us, double gbps) {
  return piece_us + bytes / (gbps * 1e3);
}

TEST(LinkFit, ALineIsFoundExactly) {
  const LinkMeasurements measurements = transfers(
      TransferPath::kDma, Direction::kToGpu, [](double bytes) { return line(bytes, 2.75, 24.5); });
  const LinkFit fit = fit_link(load_link("pcie4-x16"), measurements, kSource);
  ASSERT_EQ(fit.paths.size(), 1U);
  ASSERT_EQ(fit.paths[0].segments.size(), 1U);
  const TransferSegment& segment = fit.paths[0].segments[0];
  EXPECT_EQ(segment.from_bytes, 0);
  EXPECT_NEAR(segment.piece_us.value, 2.75, 1e-6);
  EXPECT_NEAR(segment.gbps.value, 24.5, 1e-5);
  EXPECT_EQ(segment.gbps.source, kSource);
  EXPECT_TRUE(segment.gbps.verified);
  EXPECT_LT(fit.paths[0].figures.p95, 1e-6);
  EXPECT_EQ(fit.link.to_gpu.path(TransferPath::kDma), fit.paths[0].segments);
}

TEST(LinkFit, TheKneeOfBatchedCopiesIsFound) {
  // Slow below 32 KiB, fast from there on, as one batched call was published to be.
  const LinkMeasurements measurements =
      transfers(TransferPath::kBatchedDma, Direction::kToGpu, [](double bytes) {
        return bytes < 32768.0 ? line(bytes, 0.54, 8.0) : line(bytes, 0.06, 52.5);
      });
  const LinkFit fit = fit_link(load_link("pcie5-x16"), measurements, kSource);
  const std::vector<TransferSegment>& segments = fit.link.to_gpu.path(TransferPath::kBatchedDma);
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[1].from_bytes, 32768);
  EXPECT_NEAR(segments[0].piece_us.value, 0.54, 1e-4);
  EXPECT_NEAR(segments[0].gbps.value, 8.0, 1e-3);
  EXPECT_NEAR(segments[1].piece_us.value, 0.06, 1e-4);
  EXPECT_NEAR(segments[1].gbps.value, 52.5, 0.01);
}

TEST(LinkFit, NoiseMakesNoKnee) {
  int number = 0;
  const LinkMeasurements measurements =
      transfers(TransferPath::kKernel, Direction::kToHost, [&](double bytes) {
        return line(bytes, 0.3, 20.0) * (1.0 + 0.04 * std::sin(++number * 2.4));
      });
  const LinkFit fit = fit_link(load_link("pcie4-x16"), measurements, kSource);
  ASSERT_EQ(fit.paths.size(), 1U);
  EXPECT_EQ(fit.paths[0].segments.size(), 1U);
  EXPECT_NEAR(fit.paths[0].segments[0].gbps.value, 20.0, 1.0);
  EXPECT_LT(fit.paths[0].figures.mape, 0.05);
}

TEST(LinkFit, WhatWasNotMeasuredStays) {
  LinkMeasurements measurements = transfers(TransferPath::kDma, Direction::kToGpu,
                                            [](double bytes) { return line(bytes, 3.0, 24.0); });
  const LinkSpec base = load_link("pcie4-x16");
  LinkFit fit = fit_link(base, measurements, kSource);
  EXPECT_EQ(fit.link.to_host, base.to_host);
  EXPECT_EQ(fit.link.to_gpu.path(TransferPath::kKernel), base.to_gpu.path(TransferPath::kKernel));
  EXPECT_EQ(fit.link.latency_us, base.latency_us);
  EXPECT_EQ(fit.notes.size(), 7U + 2U);
  measurements.latency_us = 8.5;
  measurements.both_gbps = 40.0;
  fit = fit_link(base, measurements, kSource);
  EXPECT_EQ(fit.link.latency_us, (Sourced{8.5, kSource, true}));
  EXPECT_EQ(fit.link.both_gbps, (Sourced{40.0, kSource, true}));
  EXPECT_EQ(fit.notes.size(), 7U);
}

TEST(LinkFit, FasterThanTheDataSheetIsSaid) {
  const LinkMeasurements measurements = transfers(
      TransferPath::kDma, Direction::kToGpu, [](double bytes) { return line(bytes, 1.0, 53.0); });
  const LinkFit fit = fit_link(load_link("pcie4-x16"), measurements, kSource);
  EXPECT_TRUE(std::any_of(fit.notes.begin(), fit.notes.end(), [](const std::string& note) {
    return note.find("more than the 31.51 GB/s") != std::string::npos;
  })) << fit.notes[0];
}

TEST(LinkFit, TimesThatDoNotGrowWithTheBytesKeepARate) {
  const LinkMeasurements measurements =
      transfers(TransferPath::kDma, Direction::kToGpu, [](double) { return 4.0; });
  const LinkFit fit = fit_link(load_link("c2c-grace"), measurements, kSource);
  for (const TransferSegment& segment : fit.paths.at(0).segments) {
    EXPECT_TRUE(std::isfinite(segment.gbps.value));
    EXPECT_GT(segment.gbps.value, 0.0);
    EXPECT_GE(segment.piece_us.value, 0.0);
  }
}

TEST(LinkFit, TooLittleIsRefused) {
  LinkMeasurements measurements = transfers(TransferPath::kDma, Direction::kToGpu,
                                            [](double bytes) { return line(bytes, 3.0, 24.0); });
  measurements.transfers.resize(2);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "3 sizes", [&] {
    static_cast<void>(fit_link(load_link("pcie4-x16"), measurements, kSource));
  }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
