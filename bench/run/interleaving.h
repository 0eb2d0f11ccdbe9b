#pragma once
// In which order two programs are measured, and which of their measurements count.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kvsieve::bench {

enum class Side { kOld, kNew };

/// The measurements of a block: old new new old, or new old old new, as a coin of the seed says.
/// Both sides have the same middle in time, so that a machine that slows down steadily slows both
/// alike.
inline constexpr std::size_t kBlockRuns = 4;
[[nodiscard]] std::vector<Side> block_order(std::uint64_t seed, std::int64_t block);

/// Which blocks count, `wanted` of them, ascending: the first ones unless they were disturbed, and
/// instead of disturbed ones later ones that were disturbed less.
/// @param disturbances of each block in order: the share of a measurement that others took
[[nodiscard]] std::vector<std::size_t> counted_blocks(std::span<const double> disturbances,
                                                      std::size_t wanted);

/// A block is disturbed if others took more than this share of one of its measurements.
inline constexpr double kMostDisturbance = 0.05;

/// Whether a ratio of both sides' times is uncertain by more than 0.5 %, by how much the times of
/// each side scatter around their own median. Which side is faster plays no part, so that measuring
/// on while this holds makes no difference look larger than it is. Neither side may be empty.
/// @param before, after seconds in the order in which they were measured
[[nodiscard]] bool is_noisy(std::span<const double> before, std::span<const double> after);

/// The name as a regular expression that finds this name alone.
[[nodiscard]] std::string exact_pattern(const std::string& name);

}  // namespace kvsieve::bench
