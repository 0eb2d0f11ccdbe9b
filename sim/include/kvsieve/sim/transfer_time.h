#pragma once
// How long transfers over the host link take: a function of bytes, separate pieces and the way
// taken, because the same bytes in small pieces can take ten times as long. Modelled, in us.

#include "kvsieve/sim/cost_terms.h"
#include "kvsieve/sim/hardware_profile.h"

namespace kvsieve::sim {

enum class Direction { kToGpu, kToHost };
/// to-gpu, to-host.
[[nodiscard]] std::string_view name_of(Direction direction) noexcept;

/// The times of one link. Holds no reference to it.
class TransferTimes {
 public:
  explicit TransferTimes(LinkSpec link) : m_link(std::move(link)) {}

  /// Whether the profile describes a path in a direction.
  [[nodiscard]] bool has(TransferPath path, Direction direction) const noexcept {
    return !side(direction).path(path).empty();
  }

  /// `bytes` in `pieces` equal pieces, back to back: pieces x t_piece + bytes / rate, both of the
  /// segment that the size of a piece falls into. 0 for nothing. Never decreases with pieces at a
  /// fixed size of a piece, nor with bytes within a segment; where a profile has segments (the knee
  /// of batched copies), larger pieces may be faster, as they were measured to be.
  /// Throws Error(kMissingCapability) if the profile does not describe the path.
  [[nodiscard]] double transfer_us(TransferPath path, Direction direction, double bytes,
                                   double pieces, CostTerms* terms = nullptr) const;

  /// One copy that something waits for: latency + bytes / rate of the copy engine.
  [[nodiscard]] double message_us(Direction direction, double bytes,
                                  CostTerms* terms = nullptr) const;

  /// Share of what both directions together can carry that a transfer at `gbps` takes, at most 1.
  [[nodiscard]] double link_use(double gbps) const noexcept;

  [[nodiscard]] const LinkSpec& link() const noexcept { return m_link; }

 private:
  [[nodiscard]] const LinkDirection& side(Direction direction) const noexcept {
    return direction == Direction::kToGpu ? m_link.to_gpu : m_link.to_host;
  }
  LinkSpec m_link;
};

/// The times of the host's share of a decode step. Modelled, in us.
class HostTimes {
 public:
  explicit HostTimes(const CpuSpec& cpu);

  /// Attention over rows gathered from DRAM: fork + max(bytes / gather rate, FLOPs / peak).
  [[nodiscard]] double attention_us(double bytes, double flops, CostTerms* terms = nullptr) const;
  /// Reading `bytes` of scattered rows and writing them contiguously: fork + 2 bytes / gather rate.
  [[nodiscard]] double gather_us(double bytes, CostTerms* terms = nullptr) const;
  /// Streaming `bytes`: fork + bytes / streaming rate.
  [[nodiscard]] double stream_us(double bytes, CostTerms* terms = nullptr) const;
  /// Share of the memory's streaming rate that `gbps` takes, at most 1.
  [[nodiscard]] double memory_use(double gbps) const noexcept;

 private:
  double m_stream_gbps;
  double m_gather_gbps;
  double m_flops;  ///< FLOP an us
  double m_fork_us;
  std::string m_source;
};

}  // namespace kvsieve::sim
