#include "profile_tables.h"

#include <fmt/format.h>

#include "terminal.h"

namespace kvsieve::cli {
namespace {

/// Numbers for people, or all digits.
class Numbers {
 public:
  explicit Numbers(bool exact) : m_exact(exact) {}
  [[nodiscard]] std::string us(double us) const {
    return m_exact ? fmt::format("{}", us) : fmt::format("{:.2f}", us);
  }
  [[nodiscard]] std::string share(double share) const {
    return m_exact ? fmt::format("{}", share) : fmt::format("{:.1f} %", share * 100.0);
  }
  [[nodiscard]] std::string bytes(std::int64_t bytes) const {
    if (bytes == 0) {
      return "";
    }
    return m_exact ? std::to_string(bytes) : human_bytes(static_cast<double>(bytes));
  }
  [[nodiscard]] static std::string count(std::int64_t count) {
    return count == 0 ? "" : std::to_string(count);
  }

 private:
  bool m_exact;
};

std::string lane_text(sim::Lane lane) {
  return std::string(sim::name_of(lane));
}

Table lane_table(const profile::MeasuredTimeline& timeline, const Numbers& numbers) {
  Table table({"lane", "busy_us", "gap_us", "longest_gap_us", "bytes", "pieces"});
  for (std::size_t l = 0; l < sim::kLanes; ++l) {
    const profile::LaneFigures& lane = timeline.lanes[l];
    if (lane.busy_us > 0.0) {
      table.add({lane_text(static_cast<sim::Lane>(l)), numbers.us(lane.busy_us),
                 numbers.us(lane.gap_us), numbers.us(lane.longest_gap_us),
                 numbers.bytes(lane.bytes), Numbers::count(lane.pieces)});
    }
  }
  return table;
}

Table operation_table(const profile::MeasuredTimeline& timeline, const Numbers& numbers) {
  Table table({"operation", "lane", "n", "median_us", "longest_us", "sum_us", "call_us", "bytes",
               "pieces"});
  for (const profile::OperationSummary& summary : profile::summarise(timeline)) {
    table.add({one_line(summary.name), lane_text(summary.lane), std::to_string(summary.operations),
               numbers.us(summary.median_us), numbers.us(summary.longest_us),
               numbers.us(summary.us), summary.activities > 0 ? numbers.us(summary.call_us) : "",
               numbers.bytes(summary.bytes), Numbers::count(summary.pieces)});
  }
  return table;
}

Table stage_table(const profile::Pairing& pairing, const Numbers& numbers) {
  Table table({"stage", "lane", "n", "measured_us", "gap_us", "modelled_us", "median_error", "p95",
               "bias", "measured_bytes", "modelled_bytes"});
  for (const profile::StageError& stage : pairing.stages) {
    table.add({stage.stage, lane_text(stage.lane), std::to_string(stage.figures.n),
               numbers.us(stage.measured_median_us), numbers.us(stage.gap_median_us),
               numbers.us(stage.modelled_median_us), numbers.share(stage.figures.median_error),
               numbers.share(stage.figures.p95), numbers.share(stage.figures.bias),
               numbers.bytes(stage.measured_bytes), numbers.bytes(stage.modelled_bytes)});
  }
  return table;
}

Table unpaired_table(const profile::Pairing& pairing, const Numbers& numbers) {
  Table table({"without a partner", "lane", "side", "n", "sum_us"});
  const auto add = [&](const std::vector<profile::UnpairedOperations>& list, const char* side) {
    for (const profile::UnpairedOperations& unpaired : list) {
      table.add({one_line(unpaired.name), lane_text(unpaired.lane), side,
                 std::to_string(unpaired.operations), numbers.us(unpaired.us)});
    }
  };
  add(pairing.measured_only, "measured");
  add(pairing.modelled_only, "modelled");
  return table;
}

}  // namespace

std::string describe(const profile::MeasuredTimeline& timeline,
                     const std::optional<profile::Pairing>& pairing, const std::string& format) {
  const Numbers numbers(format != "table");
  if (format != "table") {
    return (pairing ? stage_table(*pairing, numbers) : operation_table(timeline, numbers))
        .format(format);
  }
  std::string text =
      fmt::format("measured on {}: {:.3g} ms\n\n{}\n{}",
                  timeline.device.empty() ? "an unnamed GPU" : one_line(timeline.device),
                  timeline.total_us * 1e-3, lane_table(timeline, numbers).format(format),
                  operation_table(timeline, numbers).format(format));
  if (pairing) {
    text += fmt::format("\n{}\n{}", stage_table(*pairing, numbers).format(format),
                        unpaired_table(*pairing, numbers).format(format));
  }
  return text;
}

std::string describe(const sim::LinkFit& fit, const std::string& format) {
  const Numbers numbers(format != "table");
  Table table({"path", "direction", "from_bytes", "piece_us", "gbps", "n", "median_error", "p95"});
  for (const sim::LinkPathFit& path : fit.paths) {
    for (const sim::TransferSegment& segment : path.segments) {
      const auto number = [&](double value) {
        return format == "table" ? fmt::format("{:.4g}", value) : fmt::format("{}", value);
      };
      table.add({std::string(sim::name_of(path.path)), std::string(sim::name_of(path.direction)),
                 std::to_string(segment.from_bytes), number(segment.piece_us.value),
                 number(segment.gbps.value), std::to_string(path.figures.n),
                 numbers.share(path.figures.median_error), numbers.share(path.figures.p95)});
    }
  }
  return table.format(format);
}

}  // namespace kvsieve::cli
