#pragma once
// What a sweep varies: axes over the options of `run` and `cost`, and the numbered points that they
// make (docs/sweeps.md).

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvsieve::sim {

/// An option and the values that it takes, as text: what the command line would be given.
struct SweepAxis {
  std::string name;
  std::vector<std::string> values;
};

/// Parses one axis:
///   budget=5%,10%,20%              a list
///   budget=[5%,10%,20%]            the same
///   alpha=[0:0.5:0.1]              start:stop:stride, stop included; the stride is 1 if left out
///   context[pow2]=[12:17]          2^12 to 2^17, a stride may follow
///   layers=['0,4','8-11']          quotes, single or double, keep commas, colons and brackets
/// Numbers are exact decimals: 0:0.3:0.1 gives 0, 0.1, 0.2, 0.3. A '%' or a byte unit behind all
/// three numbers of a range stays behind each value. A list may hold ranges; what begins with a
/// number and a ':' is one.
/// Throws Error(kUsage) naming the text, the part and the accepted forms; also for an axis of more
/// than 1,000,000 values, a stride of 0 or one that leads away from the stop.
[[nodiscard]] SweepAxis parse_axis(std::string_view text);

/// A point: its number in the sweep from 0, and its options in the order of the axes, derived ones
/// last.
struct SweepPoint {
  std::int64_t number = 0;
  std::vector<std::pair<std::string, std::string>> options;

  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
};

/// What makes the points.
struct SweepDefinition {
  std::vector<SweepAxis> axes;  ///< the first varies slowest
  /// Names of axes that advance together; all of one group have as many values.
  std::vector<std::vector<std::string>> zipped;
  /// name = expression over the axes and the derived options before it: "window=budget/16". A
  /// number is rounded to 9 decimals, what options take; an expression that is one name copies
  /// that option's text, unit included.
  std::vector<std::pair<std::string, std::string>> derived;
  std::string where;  ///< a condition over the point's options; empty for all
  std::optional<std::int64_t>
      sample;  ///< so many of the points that are left, drawn without repeats
  std::uint64_t seed = 0;
};

/// All points of a definition, in a fixed order: the product of axes and zipped groups, those that
/// `where` keeps, numbered before the sample is drawn; a sample is in ascending order of numbers.
/// A zipped group stands where the first of its axes does. A sample holds every smaller one of the
/// same seed; all points if there are no more.
/// Throws Error(kUsage) for an axis given twice or without values, zipped axes of different
/// lengths, an unknown name in an expression, a derived value that is not finite, a sample below 1
/// or more than 100,000,000 points.
[[nodiscard]] std::vector<SweepPoint> sweep_points(const SweepDefinition& definition);

/// How many points the product has, before where and sample. Throws as sweep_points does for axes
/// and zipped groups.
[[nodiscard]] std::int64_t product_size(const SweepDefinition& definition);

/// The canonical document of what a point's result depends on: {"options": sorted by name,
/// "context": e.g. hashes of traces and profiles and the tool's version}.
[[nodiscard]] nlohmann::ordered_json canonical_point(const SweepPoint& point,
                                                     const nlohmann::ordered_json& context);
/// xxh128 of the canonical document's compact text, 32 hexadecimal digits. Throws Error(kUsage) for
/// text that is not UTF-8.
[[nodiscard]] std::string point_key(const nlohmann::ordered_json& canonical);

/// The points of shard i of n, 0 <= i < n: every n-th from i on. Throws Error(kUsage) for others.
[[nodiscard]] std::vector<SweepPoint> shard_of(const std::vector<SweepPoint>& points,
                                               std::int64_t shard, std::int64_t shards);

}  // namespace kvsieve::sim
