#include "kvsieve/sim/metric_info.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

namespace kvsieve::sim {
namespace {

struct Known {
  std::string_view name;  ///< or the ending of longer ones, behind a '_'
  Unit unit;
  const char* meaning;
};

// The first entry that fits counts.
constexpr std::array kKnown{
    Known{"kept_tokens_per_head_mean", Unit::kTokens, "Tokens that a head keeps, on average"},
    Known{"ratio_evicted_mass", Unit::kRatio,
          "Evicted mass divided by that of equal budgets at the same total"},
    Known{"ratio_l1_loss", Unit::kRatio,
          "L1 loss divided by that of equal budgets at the same total"},
    Known{"ratio_to_uniform_evicted_mass", Unit::kRatio,
          "Evicted mass divided by that of equal budgets at the same total"},
    Known{"ratio_to_uniform_l1_loss", Unit::kRatio,
          "L1 loss divided by that of equal budgets at the same total"},
    Known{"layers_improved_mass", Unit::kTokens,
          "Layers that lose less attention than with equal budgets"},
    Known{"layers_improved_l1", Unit::kTokens,
          "Layers that lose less output than with equal budgets"},
    Known{"evicted_mass", Unit::kShare, "Share of attention on tokens that were dropped"},
    Known{"l1_loss_relative", Unit::kShare,
          "||y - y^||_1 after the output projection, divided by ||y||_1"},
    Known{"l1_loss", Unit::kNumber, "||y - y^||_1 after the output projection"},
    Known{"bound_head", Unit::kNumber,
          "Upper bound of the L1 loss, head by head: tighter than eps"},
    Known{"bound_theta", Unit::kNumber,
          "Upper bound of the L1 loss by value norms (CriticalKV): the tightest"},
    Known{"bound", Unit::kNumber, "Upper bound of the L1 loss, eps: the loosest"},
    Known{"kept_share", Unit::kShare, "Share of the needle's tokens that heads keep"},
    Known{"needle_recall", Unit::kShare, "Share of the needle's tokens that were retrieved"},
    Known{"recall_vs_wrope", Unit::kShare, "Recall against the exact top K of windowed RoPE"},
    Known{"wrope_recall", Unit::kShare, "Recall of windowed RoPE's exact top K"},
    Known{"recall", Unit::kShare, "Share of the exact top K that was retrieved"},
    Known{"captured_mass", Unit::kShare,
          "Share of attention on attended tokens: sinks, window and retrieved ones"},
    Known{"retrieved_mass", Unit::kShare, "Share of attention on retrieved tokens"},
    Known{"output_error", Unit::kShare, "Relative Frobenius error of the attention output"},
    Known{"attended_tokens", Unit::kTokens, "Tokens that a head attends to at a step"},
    Known{"union_tokens", Unit::kTokens, "Tokens that the heads of a group retrieve together"},
    Known{"selected_tokens", Unit::kTokens, "Tokens that a query head selects at a step"},
    Known{"union_factor", Unit::kRatio, "Tokens of a group's union, by those of one head"},
    Known{"boundary_ties", Unit::kTokens, "Tokens with the score of the last one selected"},
    Known{"overlap", Unit::kShare, "Share of a step's tokens that the step before selected"},
    Known{"hit_rate", Unit::kShare, "Share of rows found in the hot buffer"},
    Known{"nmse", Unit::kNumber, "Normalised mean square error of scores"},
    Known{"loss_context", Unit::kTokens, "Context at which the losses were captured"},
    Known{"tpot_ms", Unit::kMicroseconds, "Time per output token"},
    Known{"step_us", Unit::kMicroseconds, "Time of a decode step"},
    Known{"tokens_per_second", Unit::kNumber, "Output tokens a second over the whole batch"},
    Known{"prefill_us", Unit::kMicroseconds, "Time of the prompt"},
    Known{"exposed_transfer_us", Unit::kMicroseconds,
          "Time of a step in which the GPU waits for transfers"},
    Known{"to_gpu_bytes", Unit::kBytes, "Host to device, a step"},
    Known{"to_host_bytes", Unit::kBytes, "Device to host, a step"},
    Known{"pcie_bytes_per_step", Unit::kBytes, "Both ways over the host link, a step"},
    Known{"pcie_pieces_per_step", Unit::kTokens, "Separate transfers, a step"},
    Known{"gpu_bytes", Unit::kBytes, "Memory on the GPU"},
    Known{"host_bytes", Unit::kBytes, "Memory on the host"},
    Known{"fits", Unit::kNumber, "1 if the GPU's memory holds it"},
    Known{"largest_batch", Unit::kTokens, "Largest batch that the GPU's memory holds"},
    Known{"batch", Unit::kTokens, "Sequences decoded together"},
    Known{"error_low_us", Unit::kMicroseconds, "Lower end of the step's error band"},
    Known{"error_high_us", Unit::kMicroseconds, "Upper end of the step's error band"},
    Known{"speedup", Unit::kRatio, "Step time of the full cache divided by this one's"},
    Known{"throughput_ratio", Unit::kRatio, "Throughput divided by the full cache's best"},
    Known{"kv_full_bytes", Unit::kBytes, "The full KV cache"},
    Known{"kv_kept_bytes", Unit::kBytes, "The KV cache that is kept"},
    Known{"budget", Unit::kTokens, "Tokens that a head may keep"},
    Known{"budget_total", Unit::kTokens, "Tokens that a layer's heads may keep together"},
    Known{"needle_kept", Unit::kTokens, "Tokens of the needle that a head keeps"},
    Known{"real_time", Unit::kMicroseconds, "Wall-clock time of an iteration"},
    Known{"cpu_time", Unit::kMicroseconds, "CPU time of an iteration"},
    Known{"global_excess_sectors", Unit::kTokens,
          "Sectors beyond the fewest that could hold the bytes asked for"},
    Known{"shared_bank_conflicts", Unit::kTokens,
          "Wavefronts beyond the fewest for the requests' widths"},
    Known{"registers", Unit::kTokens, "Registers of a thread"},
    Known{"theoretical_occupancy", Unit::kShare, "Warps that fit on a multiprocessor, of the most"},
};

// Of kernels' counters and resources, then of what a retrieval reads and moves, less is better;
// bytes are known by their name.
constexpr std::array<std::string_view, 18> kLessIsBetter{
    "instructions",    "requests",       "sectors",
    "wavefronts",      "bank_conflicts", "atomics",
    "branches",        "registers",      "divergent_branches",
    "real_time",       "cpu_time",       "stack",
    "attended_tokens", "union_tokens",   "union_factor",
    "dead_codes",      "pieces",         "pcie_pieces_per_step"};

// Here neither large nor small is better, whatever their names say: work, or what makes it right.
constexpr std::array<std::string_view, 2> kNeither{"tensor_instructions", "barriers"};

// From the cost model; everything else comes from a replay.
constexpr std::array<std::string_view, 18> kModelled{
    "tpot_ms",       "step_us",       "tokens_per_second",  "prefill_us",    "exposed_transfer_us",
    "to_gpu_bytes",  "to_host_bytes", "gpu_bytes",          "host_bytes",    "fits",
    "batch",         "largest_batch", "error_low_us",       "error_high_us", "speedup",
    "kv_full_bytes", "kv_kept_bytes", "pcie_bytes_per_step"};

constexpr std::array<std::string_view, 13> kMoreIsBetter{
    "kept_share",         "speedup",        "throughput_ratio", "layers_improved_mass",
    "layers_improved_l1", "retrieved_mass", "largest_batch",    "theoretical_occupancy",
    "retained_mass",      "needle_kept",    "recall_vs_wrope",  "overlap",
    "entropy_bits"};

bool ends_in(std::string_view name, std::string_view ending) {
  return name == ending || (name.size() > ending.size() && name.ends_with(ending) &&
                            (name[name.size() - ending.size() - 1] == '_'));
}

Unit unit_of(std::string_view name) {
  for (const auto& [ending, unit] :
       {std::pair{"us", Unit::kMicroseconds}, std::pair{"ms", Unit::kMicroseconds},
        std::pair{"bytes", Unit::kBytes}, std::pair{"share", Unit::kShare},
        std::pair{"mass", Unit::kShare}, std::pair{"tokens", Unit::kTokens},
        std::pair{"count", Unit::kTokens}, std::pair{"ratio", Unit::kRatio}}) {
    if (ends_in(name, ending)) {
      return unit;
    }
  }
  return Unit::kNumber;
}

bool ends_in_one_of(std::string_view name, std::span<const std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return ends_in(name, ending); });
}

std::optional<ParetoDirection> direction_of(std::string_view flat) {
  if (ends_in(flat, "error_low_us") || ends_in(flat, "error_high_us") ||
      ends_in_one_of(flat, kNeither)) {
    return std::nullopt;
  }
  if (ends_in(flat, "per_second") || ends_in_one_of(flat, kMoreIsBetter) || flat == "fits") {
    return ParetoDirection::kMax;
  }
  if (const std::optional<ParetoDirection> known = known_direction(flat)) {
    return known;
  }
  return ends_in_one_of(flat, kLessIsBetter) ? std::optional(ParetoDirection::kMin) : std::nullopt;
}

}  // namespace

std::string MetricInfo::text(double value) const {
  return number_text(value * scale, unit);
}

MetricInfo metric_info(std::string_view name) {
  std::string flat(name);
  std::replace(flat.begin(), flat.end(), '/', '_');
  MetricInfo info;
  const auto known = std::find_if(kKnown.begin(), kKnown.end(),
                                  [&](const Known& entry) { return ends_in(flat, entry.name); });
  if (known != kKnown.end()) {
    info.unit = known->unit;
    info.meaning = known->meaning;
    if (flat.starts_with("uniform_")) {
      info.meaning += ", with equal budgets at the same total";
    }
  } else {
    info.unit = unit_of(flat);
  }
  info.scale = ends_in(flat, "ms") ? 1000.0 : 1.0;
  info.modelled = std::find(kModelled.begin(), kModelled.end(), flat) != kModelled.end() ||
                  flat == "throughput_ratio";
  info.best = direction_of(flat);
  return info;
}

}  // namespace kvsieve::sim
