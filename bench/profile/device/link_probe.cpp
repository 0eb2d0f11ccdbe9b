#include "device/link_probe.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "a2ats/kv_gather_device.h"
#include "exec/device/pieces_to_host.h"

namespace kvsieve::profile::KVSIEVE_BACKEND_NS {
namespace {

namespace device = kernels::KVSIEVE_BACKEND_NS;
using sim::Direction;
using sim::TransferPath;

constexpr double kBytesPerUsOfGbps = 1e3;
constexpr std::size_t kMessageBytes = 64;
/// Copies each way while both ways are measured.
constexpr int kCopiesBothWays = 8;

std::size_t as_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double host_us(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
      .count();
}

class LinkProbe {
 public:
  explicit LinkProbe(const LinkPlan& plan)
      : m_plan(plan),
        // Pieces take every other place, so that neighbours cannot become one copy.
        m_host(as_size(2 * largest_transfer())),
        m_device(as_size(largest_transfer())) {
    std::fill_n(m_host.data(), m_host.size(), std::byte{1});
  }

  sim::LinkMeasurements measure(const std::function<void(double)>& progress) {
    std::vector<std::function<void()>> tasks;
    for (const std::int64_t bytes : m_plan.piece_bytes) {
      tasks.emplace_back([=, this] { copies(Direction::kToGpu, bytes); });
      tasks.emplace_back([=, this] { copies(Direction::kToHost, bytes); });
      tasks.emplace_back([=, this] { batch(Direction::kToGpu, bytes); });
      tasks.emplace_back([=, this] { batch(Direction::kToHost, bytes); });
      if (bytes <= m_plan.largest_row_bytes) {
        tasks.emplace_back([=, this] { rows(bytes); });
      }
    }
    tasks.emplace_back([this] { messages(); });
    tasks.emplace_back([this] { both_ways(); });
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      tasks[t]();
      if (progress) {
        progress(static_cast<double>(t + 1) / static_cast<double>(tasks.size()));
      }
    }
    return std::move(m_measurements);
  }

 private:
  [[nodiscard]] std::int64_t pieces_of(std::int64_t bytes) const {
    return std::clamp<std::int64_t>(m_plan.total_bytes / bytes, 1, m_plan.most_pieces);
  }
  [[nodiscard]] std::int64_t largest_transfer() const {
    std::int64_t largest = 0;
    for (const std::int64_t bytes : m_plan.piece_bytes) {
      largest = std::max(largest, bytes * pieces_of(bytes));
    }
    return largest;
  }
  [[nodiscard]] std::byte* host_piece(std::int64_t bytes, std::int64_t piece) const {
    return m_host.data() + 2 * piece * bytes;
  }
  [[nodiscard]] std::byte* device_piece(std::int64_t bytes, std::int64_t piece) const {
    return m_device.data() + piece * bytes;
  }

  /// Times `enqueue` on the device's clock: once to warm up, then the median of the repetitions.
  void time(TransferPath path, Direction direction, std::int64_t bytes,
            const std::function<void()>& enqueue) {
    enqueue();
    m_stream.synchronize();
    std::vector<double> times;
    for (int repetition = 0; repetition < m_plan.repetitions; ++repetition) {
      m_begin.record(m_stream);
      enqueue();
      m_end.record(m_stream);
      m_stream.synchronize();
      times.push_back(m_end.microseconds_since(m_begin).value_or(0.0));
    }
    m_measurements.transfers.push_back(
        {path, direction, bytes, pieces_of(bytes), median(std::move(times))});
  }

  void copies(Direction direction, std::int64_t bytes) {
    time(TransferPath::kDma, direction, bytes, [&] {
      for (std::int64_t piece = 0; piece < pieces_of(bytes); ++piece) {
        if (direction == Direction::kToGpu) {
          device::copy_to_device(device_piece(bytes, piece), host_piece(bytes, piece),
                                 as_size(bytes), m_stream);
        } else {
          device::copy_to_host(host_piece(bytes, piece), device_piece(bytes, piece), as_size(bytes),
                               m_stream);
        }
      }
    });
  }

  void batch(Direction direction, std::int64_t bytes) {
    const bool to_gpu = direction == Direction::kToGpu;
    std::vector<device::CopyPiece> pieces;
    for (std::int64_t piece = 0; piece < pieces_of(bytes); ++piece) {
      std::byte* const there = device_piece(bytes, piece);
      std::byte* const here = host_piece(bytes, piece);
      pieces.push_back({to_gpu ? there : here, to_gpu ? here : there, as_size(bytes)});
    }
    time(TransferPath::kBatchedDma, direction, bytes, [&] {
      if (to_gpu) {
        device::copy_pieces_to_device(pieces, m_stream);
      } else {
        device::copy_pieces_to_host(pieces, m_stream);
      }
    });
  }

  /// Pieces as the rows of one head: a kernel reads every other row.
  void rows(std::int64_t bytes) {
    const std::int64_t pieces = pieces_of(bytes);
    std::vector<std::int32_t> tokens;
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      tokens.push_back(static_cast<std::int32_t>(2 * piece));
    }
    const std::vector<std::int32_t> counts{static_cast<std::int32_t>(pieces)};
    const device::DeviceBuffer<std::int32_t> listed(std::span<const std::int32_t>(tokens),
                                                    m_stream);
    const device::DeviceBuffer<std::int32_t> counted(std::span<const std::int32_t>(counts),
                                                     m_stream);
    device::GatherRowsArgs args;
    args.source.rows = m_host.data();
    args.source.dtype = traces::DType::kF16;
    args.source.head_dim =
        bytes / static_cast<std::int64_t>(2 * traces::size_of(args.source.dtype));
    args.source.segment_rows = 2 * pieces;
    args.segments = 1;
    args.lists = {listed.data(), counted.data(), pieces};
    args.target = m_device.data();
    time(TransferPath::kZeroCopy, Direction::kToGpu, bytes,
         [&] { device::gather_rows(args, m_stream); });
  }

  void messages() {
    std::vector<double> times;
    for (int message = 0; message < m_plan.messages; ++message) {
      times.push_back(host_us([&] {
        device::copy_to_host(m_host.data(), m_device.data(), kMessageBytes, m_stream);
        m_stream.synchronize();
      }));
    }
    m_measurements.latency_us = median(std::move(times));
  }

  void both_ways() {
    // Half of the device's memory each way; the host's halves lie apart anyway.
    const std::size_t bytes = m_device.size() / 2;
    std::byte* back = m_host.data() + m_host.size() / 2;
    std::vector<double> times;
    for (int repetition = 0; repetition < m_plan.repetitions; ++repetition) {
      times.push_back(host_us([&] {
        for (int copy = 0; copy < kCopiesBothWays; ++copy) {
          device::copy_to_device(m_device.data(), m_host.data(), bytes, m_stream);
          device::copy_to_host(back, m_device.data() + bytes, bytes, m_back);
        }
        m_stream.synchronize();
        m_back.synchronize();
      }));
    }
    const double moved = 2.0 * kCopiesBothWays * static_cast<double>(bytes);
    m_measurements.both_gbps = moved / median(std::move(times)) / kBytesPerUsOfGbps;
  }

  const LinkPlan& m_plan;
  device::Stream m_stream;
  device::Stream m_back;
  device::Event m_begin;
  device::Event m_end;
  device::PinnedBuffer<std::byte> m_host;
  device::DeviceBuffer<std::byte> m_device;
  sim::LinkMeasurements m_measurements;
};

}  // namespace

LinkPlan link_plan() {
  constexpr std::int64_t kSmallest = 256;
  constexpr std::int64_t kLargest = std::int64_t{16} << 20U;
  LinkPlan plan;
  for (std::int64_t bytes = kSmallest; bytes <= kLargest; bytes *= 2) {
    plan.piece_bytes.push_back(bytes);
  }
  return plan;
}

sim::LinkMeasurements measure_link(const LinkPlan& plan,
                                   const std::function<void(double)>& progress) {
  return LinkProbe(plan).measure(progress);
}

}  // namespace kvsieve::profile::KVSIEVE_BACKEND_NS
