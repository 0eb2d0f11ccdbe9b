#pragma once
// Hardware as data: GPUs, their architectures' efficiencies, host links and CPUs, each number with
// its source. The built-in ones are the JSON files under sim/hardware/data; users add theirs as
// files of the same form (docs/hardware-profiles.md).

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/calibration_record.h"

namespace kvsieve::sim {

/// A number and where it comes from.
struct Sourced {
  double value = 0.0;
  std::string source;
  bool verified = false;  ///< read in that source, rather than remembered or assumed
  bool operator==(const Sourced&) const = default;
};

/// A GPU's data sheet; dense, without sparsity.
struct GpuSpec {
  Sourced sms;           ///< streaming multiprocessors
  Sourced memory_bytes;  ///< that programs can use; the GB of data sheets are units of 2^30 here
  Sourced memory_gbps;   ///< device memory, 10^9 bytes a second
  Sourced bf16_tflops;   ///< tensor cores, fp32 accumulation
  Sourced fp32_tflops;   ///< CUDA cores
  Sourced l2_bytes;
  Sourced power_w;
  bool operator==(const GpuSpec&) const = default;
};

/// What all GPUs of an architecture share: how far kernels get of the data sheet. One value an
/// architecture, never one a device.
struct Architecture {
  std::string id;  ///< turing, ampere, ada, hopper, blackwell
  // Decode attention (operation_time.h has the formula).
  Sourced attention_floor_us;       ///< split and combine kernels on next to nothing
  Sourced attention_split_us;       ///< each doubling of the context from 128 to 1,024
  Sourced attention_unit_us;        ///< a wave of (sequence, KV head) units over the SMs
  Sourced attention_cold_us;        ///< the ramp to full bandwidth once the cache is not in L2
  Sourced attention_efficiency;     ///< share of memory_gbps in the hbm regime
  Sourced attention_l2_factor;      ///< bandwidth of a warm L2 as a multiple of memory_gbps
  Sourced attention_l2_knee;        ///< share of L2 that stays warm
  Sourced attention_8bit_unit;      ///< factor of attention_unit_us for 8-bit caches
  Sourced attention_8bit_slowdown;  ///< factor of the time per byte for 8-bit caches
  Sourced attention_flops;          ///< share of bf16_tflops in prefill attention
  // Dense layers.
  Sourced gemm_floor_us;
  Sourced gemm_bandwidth;  ///< share of memory_gbps while reading weights
  Sourced gemm_flops;      ///< share of bf16_tflops in full waves
  // Everything else.
  Sourced kernel_floor_us;   ///< a small kernel, launched from a graph
  Sourced kernel_bandwidth;  ///< share of memory_gbps of streaming kernels
  bool operator==(const Architecture&) const = default;
};

/// A way over the host link.
enum class TransferPath {
  kDma,         ///< one copy-engine call a piece
  kBatchedDma,  ///< one call for all pieces
  kKernel,      ///< a copy kernel, a block a piece
  kZeroCopy,    ///< a kernel whose warps read or write rows in host memory
};
inline constexpr std::size_t kTransferPaths = 4;
/// dma, batched-dma, kernel, zero-copy.
[[nodiscard]] std::string_view name_of(TransferPath path) noexcept;
[[nodiscard]] TransferPath transfer_path_from_name(std::string_view name);

/// Pieces of at least `from_bytes` take piece_us + bytes / gbps each.
struct TransferSegment {
  std::int64_t from_bytes = 0;
  Sourced piece_us;
  Sourced gbps;
  bool operator==(const TransferSegment&) const = default;
};

/// One direction of a link.
struct LinkDirection {
  Sourced spec_gbps;
  /// By path, ascending from_bytes, the first 0; empty where the path is not described.
  std::vector<TransferSegment> paths[kTransferPaths];

  [[nodiscard]] const std::vector<TransferSegment>& path(TransferPath path) const noexcept {
    return paths[static_cast<std::size_t>(path)];
  }
  bool operator==(const LinkDirection&) const = default;
};

/// A host link, e.g. PCIe 5.0 x16. Its directions differ.
struct LinkSpec {
  std::string id;
  std::string name;
  LinkDirection to_gpu;
  LinkDirection to_host;
  Sourced latency_us;  ///< of one copy that something waits for, its submission included
  Sourced both_gbps;   ///< both directions at once, together
  bool operator==(const LinkSpec&) const = default;
};

/// A host CPU with its memory, all sockets together.
struct CpuSpec {
  std::string id;
  std::string name;
  std::string isa;  ///< e.g. avx512-bf16, avx2, neon
  Sourced cores;
  Sourced fp32_gflops;        ///< sustained by all cores
  Sourced dram_gbps;          ///< data sheet
  Sourced dram_efficiency;    ///< share of it when streaming
  Sourced gather_efficiency;  ///< share of the streaming rate when gathering rows of 256 B or more
  Sourced memory_bytes;
  Sourced fork_us;  ///< starting and joining the threads of one stage
  bool operator==(const CpuSpec&) const = default;
};

/// A GPU in a host.
struct HardwareProfile {
  std::string id;    ///< h100-sxm
  std::string name;  ///< NVIDIA H100 SXM5 80 GB
  std::vector<std::string> aliases;
  GpuSpec gpu;
  Architecture architecture;
  LinkSpec link;
  CpuSpec cpu;
  /// Present once `calibrate` fitted this profile to rows of one engine.
  std::optional<CalibrationRecord> calibration;
  bool operator==(const HardwareProfile&) const = default;
};

/// Ids of the built-in profiles, links, CPUs, ascending.
[[nodiscard]] std::vector<std::string> hardware_ids();
[[nodiscard]] std::vector<std::string> link_ids();
[[nodiscard]] std::vector<std::string> cpu_ids();

/// The built-in profile with this id or alias (letter case does not matter), or nothing.
[[nodiscard]] std::optional<HardwareProfile> find_hardware(std::string_view id_or_alias);

/// A profile by id, alias, or path of a file (a name with a '/' or ending in ".json").
/// A file may say `"base": ID` and give only what differs, but for its own id. Throws Error(kUsage)
/// with the nearest names for an unknown id; Error(kBadInput), one line that begins with the path
/// and names the field, for a file that is none.
[[nodiscard]] HardwareProfile load_hardware(const std::string& name);
/// The same for links and CPUs, which replace a profile's own.
[[nodiscard]] LinkSpec load_link(const std::string& name);
[[nodiscard]] CpuSpec load_cpu(const std::string& name);

/// The document of a profile; load_hardware reads it back.
[[nodiscard]] nlohmann::ordered_json to_json(const HardwareProfile& profile);

/// Reads a profile's document. Errors as load_hardware, without a path.
[[nodiscard]] HardwareProfile hardware_from_json(const nlohmann::ordered_json& json);

}  // namespace kvsieve::sim
