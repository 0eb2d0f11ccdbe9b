#include "kvsieve/sim/transfer_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr double kBytesPerUsOfGbps = 1e3;

/// The segment of a piece's size: the last one that begins at or below it.
const TransferSegment& segment_of(const std::vector<TransferSegment>& segments, double piece) {
  const TransferSegment* found = &segments.front();
  for (const TransferSegment& segment : segments) {
    if (static_cast<double>(segment.from_bytes) <= piece) {
      found = &segment;
    }
  }
  return *found;
}

}  // namespace

std::string_view name_of(Direction direction) noexcept {
  return direction == Direction::kToGpu ? "to-gpu" : "to-host";
}

double TransferTimes::transfer_us(TransferPath path, Direction direction, double bytes,
                                  double pieces, CostTerms* terms) const {
  const std::vector<TransferSegment>& segments = side(direction).path(path);
  if (segments.empty()) {
    throw Error(ErrorKind::kMissingCapability,
                fmt::format("the link {} does not describe the path {} {}", m_link.id,
                            sim::name_of(path), name_of(direction)),
                "add it to the profile's link, or choose another placement");
  }
  if (bytes <= 0.0 || pieces <= 0.0) {
    return 0.0;
  }
  const TransferSegment& segment = segment_of(segments, bytes / pieces);
  const double us =
      pieces * segment.piece_us.value + bytes / (segment.gbps.value * kBytesPerUsOfGbps);
  if (terms != nullptr) {
    terms->push_back(
        {fmt::format("transfer {} by {}", name_of(direction), sim::name_of(path)),
         "pieces x t_piece + bytes / rate",
         fmt::format("{:.4g} pieces of {:.4g} B, t_piece {:g} us, rate {:g} GB/s, link {}", pieces,
                     bytes / pieces, segment.piece_us.value, segment.gbps.value, m_link.name),
         us, "us", segment.gbps.source + (segment.gbps.verified ? "" : " (not verified)")});
  }
  return us;
}

double TransferTimes::message_us(Direction direction, double bytes, CostTerms* terms) const {
  if (bytes <= 0.0) {
    return 0.0;
  }
  const std::vector<TransferSegment>& segments = side(direction).path(TransferPath::kDma);
  const double gbps =
      segments.empty() ? side(direction).spec_gbps.value : segment_of(segments, bytes).gbps.value;
  const double us = m_link.latency_us.value + bytes / (gbps * kBytesPerUsOfGbps);
  if (terms != nullptr) {
    terms->push_back({fmt::format("message {}", name_of(direction)), "latency + bytes / rate",
                      fmt::format("{:.4g} B, latency {:g} us, rate {:g} GB/s", bytes,
                                  m_link.latency_us.value, gbps),
                      us, "us", m_link.latency_us.source});
  }
  return us;
}

double TransferTimes::link_use(double gbps) const noexcept {
  return m_link.both_gbps.value > 0.0 ? std::min(1.0, gbps / m_link.both_gbps.value) : 0.0;
}

HostTimes::HostTimes(const CpuSpec& cpu)
    : m_stream_gbps(cpu.dram_gbps.value * cpu.dram_efficiency.value),
      m_gather_gbps(m_stream_gbps * cpu.gather_efficiency.value),
      m_flops(cpu.fp32_gflops.value * 1e3),
      m_fork_us(cpu.fork_us.value),
      m_source(cpu.dram_gbps.source +
               (cpu.dram_efficiency.verified ? "" : "; efficiency not verified")) {}

double HostTimes::attention_us(double bytes, double flops, CostTerms* terms) const {
  const double us =
      m_fork_us + std::max(bytes / (m_gather_gbps * kBytesPerUsOfGbps), flops / m_flops);
  if (terms != nullptr) {
    terms->push_back({"host attention", "fork + max(bytes / gather rate, FLOP / peak)",
                      fmt::format("{:.4g} MB, {:.4g} MFLOP, gather {:.4g} GB/s, {:.4g} GFLOP/s",
                                  bytes * 1e-6, flops * 1e-6, m_gather_gbps, m_flops * 1e-3),
                      us, "us", m_source, bytes, flops});
  }
  return us;
}

double HostTimes::gather_us(double bytes, CostTerms* terms) const {
  const double us = m_fork_us + 2.0 * bytes / (m_gather_gbps * kBytesPerUsOfGbps);
  if (terms != nullptr) {
    terms->push_back({"host gather", "fork + 2 bytes / gather rate",
                      fmt::format("{:.4g} MB, gather {:.4g} GB/s", bytes * 1e-6, m_gather_gbps), us,
                      "us", m_source});
  }
  return us;
}

double HostTimes::stream_us(double bytes, CostTerms* terms) const {
  const double us = m_fork_us + bytes / (m_stream_gbps * kBytesPerUsOfGbps);
  if (terms != nullptr) {
    terms->push_back({"host stream", "fork + bytes / streaming rate",
                      fmt::format("{:.4g} KB, {:.4g} GB/s", bytes * 1e-3, m_stream_gbps), us, "us",
                      m_source, bytes, 0.0});
  }
  return us;
}

double HostTimes::memory_use(double gbps) const noexcept {
  return std::min(1.0, gbps / m_stream_gbps);
}

}  // namespace kvsieve::sim
