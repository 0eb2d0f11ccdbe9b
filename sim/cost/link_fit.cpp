#include "kvsieve/sim/link_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "cost/least_relative_error.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr double kBytesPerUsOfGbps = 1e3;
constexpr std::size_t kFewestSizes = 3;  ///< of a path
constexpr std::size_t kSizesOfSegment = 2;
constexpr int kMostCuts = 2;              ///< on top of one another: four segments
constexpr double kGainOfCut = 2.0 / 3.0;  ///< the errors that are left are at most so large
constexpr double kGoodEnough = 0.03;      ///< mean error that needs no cut

using Rows = std::span<const MeasuredTransfer>;  // ascending by size

double bytes_of(const MeasuredTransfer& row) {
  return static_cast<double>(row.piece_bytes) * static_cast<double>(row.pieces);
}

/// A line over a stretch of sizes.
struct Line {
  std::int64_t from_bytes = 0;
  double piece_us = 0.0;
  double gbps = 0.0;
  double error = 0.0;  ///< sum of |fitted / measured - 1|

  [[nodiscard]] double us(const MeasuredTransfer& row) const {
    return static_cast<double>(row.pieces) * piece_us + bytes_of(row) / (gbps * kBytesPerUsOfGbps);
  }
};

Line fit_line(Rows rows) {
  std::vector<LinearRow> linear;
  double fastest_gbps = 0.0;
  for (const MeasuredTransfer& row : rows) {
    linear.push_back(
        {{static_cast<double>(row.pieces), bytes_of(row) / kBytesPerUsOfGbps}, row.us});
    fastest_gbps = std::max(fastest_gbps, bytes_of(row) / row.us / kBytesPerUsOfGbps);
  }
  const LinearTerms terms = fit_least_relative_error(linear);
  Line line{rows.front().piece_bytes, terms[0], terms[1] > 0.0 ? 1.0 / terms[1] : 0.0};
  if (!(line.gbps > 0.0) || !std::isfinite(line.gbps)) {
    // Times that do not grow with the bytes: the rate is at least the fastest that was seen.
    line.gbps = fastest_gbps;
    std::vector<ShiftRow> shifts;
    for (const MeasuredTransfer& row : rows) {
      shifts.push_back({bytes_of(row) / (line.gbps * kBytesPerUsOfGbps),
                        static_cast<double>(row.pieces), row.us});
    }
    line.piece_us = fit_least_relative_error(shifts);
  }
  for (const MeasuredTransfer& row : rows) {
    line.error += std::abs(line.us(row) / row.us - 1.0);
  }
  return line;
}

/// Where each size begins, and the end.
std::vector<std::size_t> size_begins(Rows rows) {
  std::vector<std::size_t> begins;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (r == 0 || rows[r].piece_bytes != rows[r - 1].piece_bytes) {
      begins.push_back(r);
    }
  }
  begins.push_back(rows.size());
  return begins;
}

/// The lines of a path: one, or two that are cut again.
void fit_lines(Rows rows, int cuts, std::vector<Line>& lines) {
  const Line whole = fit_line(rows);
  const std::vector<std::size_t> begins = size_begins(rows);
  std::optional<std::size_t> best;
  double least = whole.error * kGainOfCut;
  if (cuts > 0 && whole.error > kGoodEnough * static_cast<double>(rows.size())) {
    for (std::size_t size = kSizesOfSegment; size + kSizesOfSegment < begins.size(); ++size) {
      const double error =
          fit_line(rows.first(begins[size])).error + fit_line(rows.subspan(begins[size])).error;
      if (error < least) {
        least = error;
        best = begins[size];
      }
    }
  }
  if (!best) {
    lines.push_back(whole);
    return;
  }
  fit_lines(rows.first(*best), cuts - 1, lines);
  fit_lines(rows.subspan(*best), cuts - 1, lines);
}

LinkPathFit fit_path(Rows rows, TransferPath path, Direction direction, const std::string& source) {
  std::vector<Line> lines;
  fit_lines(rows, kMostCuts, lines);
  lines.front().from_bytes = 0;
  LinkPathFit fit;
  fit.path = path;
  fit.direction = direction;
  for (const Line& line : lines) {
    fit.segments.push_back(
        {line.from_bytes, {line.piece_us, source, true}, {line.gbps, source, true}});
  }
  std::vector<double> errors;
  for (const MeasuredTransfer& row : rows) {
    const Line* found = &lines.front();
    for (const Line& line : lines) {
      found = line.from_bytes <= row.piece_bytes ? &line : found;
    }
    errors.push_back(found->us(row) / row.us - 1.0);
  }
  fit.figures = error_figures(std::move(errors));
  return fit;
}

}  // namespace

LinkFit fit_link(LinkSpec link, const LinkMeasurements& measurements, const std::string& source) {
  LinkFit fit;
  for (const Direction direction : {Direction::kToGpu, Direction::kToHost}) {
    LinkDirection& side = direction == Direction::kToGpu ? link.to_gpu : link.to_host;
    for (std::size_t p = 0; p < kTransferPaths; ++p) {
      const auto path = static_cast<TransferPath>(p);
      std::vector<MeasuredTransfer> rows;
      double fastest_gbps = 0.0;
      for (const MeasuredTransfer& row : measurements.transfers) {
        if (row.path == path && row.direction == direction) {
          rows.push_back(row);
          fastest_gbps = std::max(fastest_gbps, bytes_of(row) / row.us / kBytesPerUsOfGbps);
        }
      }
      std::stable_sort(rows.begin(), rows.end(),
                       [](const MeasuredTransfer& a, const MeasuredTransfer& b) {
                         return a.piece_bytes < b.piece_bytes;
                       });
      if (size_begins(rows).size() <= kFewestSizes) {
        fit.notes.push_back(fmt::format(
            "{} {}: {} sizes were measured, {} are needed; the profile's own numbers stay",
            name_of(path), name_of(direction), size_begins(rows).size() - 1, kFewestSizes));
        continue;
      }
      if (fastest_gbps > side.spec_gbps.value) {
        fit.notes.push_back(fmt::format("{} {} reaches {:.4g} GB/s, more than the {:g} GB/s of {}",
                                        name_of(path), name_of(direction), fastest_gbps,
                                        side.spec_gbps.value, link.name));
      }
      fit.paths.push_back(fit_path(rows, path, direction, source));
      side.paths[p] = fit.paths.back().segments;
    }
  }
  if (fit.paths.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("no path of the link has transfers of {} sizes or more", kFewestSizes));
  }
  if (measurements.latency_us > 0.0) {
    link.latency_us = {measurements.latency_us, source, true};
  } else {
    fit.notes.emplace_back("the latency was not measured; the profile's own number stays");
  }
  if (measurements.both_gbps > 0.0) {
    link.both_gbps = {measurements.both_gbps, source, true};
  } else {
    fit.notes.emplace_back(
        "both directions at once were not measured; the profile's own number stays");
  }
  fit.link = std::move(link);
  return fit;
}

}  // namespace kvsieve::sim
