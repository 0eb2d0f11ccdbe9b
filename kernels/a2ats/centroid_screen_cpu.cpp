#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_map>

#include "a2ats/centroid_screen.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/scratch.h"
#include "kvsieve/kernels/counter_random.h"

namespace kvsieve::kernels {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::int64_t kAxesSample = 2048;  // points that the principal axes are taken from
constexpr std::int64_t kCostSample = 24;    // points that the number of axes is chosen on
constexpr std::int64_t kHitsPerRow = 96;
constexpr std::int64_t kMaxBoundsBytes = 256LL * 1024 * 1024;
constexpr double kUnits = 8192.0;   // of distance; the largest |x - a| is below 2
constexpr double kWorthless = 0.9;  // share looked at from which bounds cost more than they save
constexpr std::int64_t kRestRounds = 4;
constexpr double kEpsilon = 0x1p-24;  // relative rounding error of fp32
constexpr double kTiny = 1e-37;       // covers what underflows

/// What the product of two vectors in fp32 is off by at most, in the product of their lengths.
/// Codes: both are turned in fp32 first, by sums of d products with a matrix of norm sqrt(d) at
/// the most when all signs agree.
double rounding_share(std::int64_t d, bool codes) {
  const auto n = static_cast<double>(d);
  return (codes ? 4.0 * n * std::sqrt(n) + 16.0 : 2.0 * n + 16.0) * kEpsilon;
}

double squared_norm(const float* x, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t t = 0; t < n; ++t) {
    sum += static_cast<double>(x[t]) * static_cast<double>(x[t]);
  }
  return sum;
}

/// A little more than x, as fp32.
float rounded_up(double x) {
  return static_cast<float>(x * (1.0 + 4.0 * kEpsilon));
}

/// x ~ scale * code, and the lengths that bound the error.
struct Coded {
  float scale = 0.0F;
  double size = 0.0;  ///< of scale * code
  double rest = 0.0;  ///< of x less that
};

Coded encode(const float* x, std::int64_t n, std::int32_t largest_code, std::int32_t* codes) {
  float largest = 0.0F;
  for (std::int64_t t = 0; t < n; ++t) {
    largest = std::max(largest, std::abs(x[t]));
  }
  Coded coded;
  coded.scale = largest / static_cast<float>(largest_code);
  const double inverse = coded.scale > 0.0F ? 1.0 / static_cast<double>(coded.scale) : 0.0;
  double size = 0.0;
  double rest = 0.0;
  for (std::int64_t t = 0; t < n; ++t) {
    const auto code = static_cast<std::int32_t>(std::lrint(static_cast<double>(x[t]) * inverse));
    codes[t] = std::clamp(code, -largest_code, largest_code);
    const double value = static_cast<double>(coded.scale) * codes[t];
    const double difference = static_cast<double>(x[t]) - value;
    size += value * value;
    rest += difference * difference;
  }
  coded.size = std::sqrt(size);
  coded.rest = std::sqrt(rest);
  return coded;
}

/// Whose rows are evenly distributed directions.
RowMajor mixture(std::int64_t n) {
  CounterRandom random(0x6b76736965766551ULL);
  RowMajor normal(n, n);
  for (std::int64_t i = 0; i < n * n; ++i) {
    // The sum of twelve even numbers is close enough to a normal one.
    double sum = -6.0;
    for (int draw = 0; draw < 12; ++draw) {
      sum += random.uniform();
    }
    normal.data()[i] = sum;
  }
  return Eigen::HouseholderQR<Eigen::MatrixXd>(normal).householderQ();
}

}  // namespace

CentroidScreen::CentroidScreen(MatrixView<const float> points, MatrixView<const float> centroids,
                               const SimdOps& ops)
    : m_ops(ops),
      m_points(points),
      m_clusters(centroids.rows),
      m_panel_count(panel_count(centroids.rows)),
      m_center(static_cast<std::size_t>(points.cols)),
      m_squares(static_cast<std::size_t>(points.rows)),
      m_drift(static_cast<std::size_t>(m_panel_count), 0) {
  measure_points();
  choose_axes(centroids);
  if (m_axes > 0) {
    encode_points();
  }
  const std::int64_t blocks = (points.rows + kScreenRows - 1) / kScreenRows;
  const std::int64_t bounds = blocks * m_panel_count * kScreenRows;
  if (m_panel_count > 1 && bounds * 2 <= kMaxBoundsBytes) {
    m_bounds.resize(static_cast<std::size_t>(bounds), 0);
  }
}

void CentroidScreen::measure_points() {
  // Any vector near the points will do for a.
  const std::int64_t sample = std::min(m_points.rows, kAxesSample);
  for (std::int64_t s = 0; s < sample; ++s) {
    const auto row = m_points.row(s * m_points.rows / sample);
    for (std::size_t t = 0; t < row.size(); ++t) {
      m_center[t] += static_cast<double>(row[t]) / static_cast<double>(sample);
    }
  }
  parallel_blocks(m_points.rows, kScreenRows, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      double sum = 0.0;
      const auto row = m_points.row(i);
      for (std::size_t t = 0; t < row.size(); ++t) {
        const double difference = static_cast<double>(row[t]) - m_center[t];
        sum += difference * difference;
      }
      m_squares[static_cast<std::size_t>(i)] = sum;
    }
  });
  const double largest = *std::max_element(m_squares.begin(), m_squares.end());
  if (largest > 0.0) {
    m_scale = std::ldexp(1.0, -std::ilogb(std::sqrt(largest)));
  }
  for (double& square : m_squares) {
    square *= m_scale * m_scale;
  }
}

void CentroidScreen::shift(std::span<const float> row, float* out) const {
  for (std::size_t t = 0; t < row.size(); ++t) {
    out[t] = static_cast<float>((static_cast<double>(row[t]) - m_center[t]) * m_scale);
  }
}

void CentroidScreen::choose_axes(MatrixView<const float> centroids) {
  const std::int64_t d = m_points.cols;
  const std::int64_t stride = panel_count(d) * kPanelWidth;
  const std::int64_t sample = std::min(m_points.rows, kAxesSample);
  RowMajor rows(sample, d);
  std::vector<float> shifted(static_cast<std::size_t>(d));
  for (std::int64_t s = 0; s < sample; ++s) {
    shift(m_points.row(s * m_points.rows / sample), shifted.data());
    for (std::int64_t t = 0; t < d; ++t) {
      rows(s, t) = static_cast<double>(shifted[static_cast<std::size_t>(t)]);
    }
  }
  const Eigen::MatrixXd covariance = rows.transpose() * rows;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  RowMajor axes = solver.eigenvectors().rowwise().reverse();
  const auto pack = [&] {
    const std::vector<float> values(axes.data(), axes.data() + d * d);
    m_rotation.pack(MatrixView<const float>(values.data(), d, d));
  };
  pack();
  const auto turn = [&](MatrixView<const float> from, std::int64_t count, std::vector<float>& out) {
    std::vector<float> rows_in(static_cast<std::size_t>(count * d));
    out.resize(static_cast<std::size_t>(count * stride));
    for (std::int64_t i = 0; i < count; ++i) {
      shift(from.row(i * from.rows / count), rows_in.data() + i * d);
    }
    m_ops.multiply(rows_in.data(), d, count, m_rotation.panels(), m_rotation.panel_stride(),
                   panel_count(d), d, out.data(), stride, /*accumulate=*/false);
  };
  std::vector<float> turned;
  turn(centroids, m_clusters, turned);
  arrange_panels({turned.data(), m_clusters, d, stride});
  if (!m_ops.screens_codes) {
    return;
  }
  const std::int64_t points = std::min(m_points.rows, kCostSample);
  std::vector<float> turned_points;
  turn(m_points, points, turned_points);
  // Squared lengths up to each multiple of the step.
  const std::int64_t steps = (d + kScreenDepthStep - 1) / kScreenDepthStep;
  const auto lengths = [&](const float* x) {
    std::vector<double> heads(static_cast<std::size_t>(steps) + 1, 0.0);
    for (std::int64_t s = 0; s < steps; ++s) {
      const std::int64_t begin = s * kScreenDepthStep;
      heads[static_cast<std::size_t>(s) + 1] =
          heads[static_cast<std::size_t>(s)] +
          squared_norm(x + begin, std::min(kScreenDepthStep, d - begin));
    }
    return heads;
  };
  const std::int64_t step = std::max<std::int64_t>(1, m_clusters / 4096);
  std::vector<std::vector<double>> column_lengths;
  for (std::int64_t c = 0; c < m_clusters; c += step) {
    column_lengths.push_back(lengths(turned.data() + c * stride));
  }
  const auto columns = static_cast<std::int64_t>(column_lengths.size());
  std::vector<double> hits(static_cast<std::size_t>(steps) + 1, 0.0);
  std::vector<double> values(static_cast<std::size_t>(columns));
  for (std::int64_t p = 0; p < points; ++p) {
    const float* x = turned_points.data() + p * stride;
    const std::vector<double> head = lengths(x);
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t c = 0; c < columns; ++c) {
      values[static_cast<std::size_t>(c)] =
          column_lengths[static_cast<std::size_t>(c)].back() / 2.0 -
          static_cast<double>(m_ops.dot(x, turned.data() + c * step * stride, d));
      least = std::min(least, values[static_cast<std::size_t>(c)]);
    }
    for (std::int64_t s = 1; s <= steps; ++s) {
      const auto n = static_cast<double>(s * kScreenDepthStep);
      // What the largest of n even coordinates leaves of 7 bits.
      const double share = std::sqrt(2.0 * std::log(2.0 * n) / 12.0) / kScreenRowCode;
      const auto at = static_cast<std::size_t>(s);
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::vector<double>& column = column_lengths[static_cast<std::size_t>(c)];
        const double error = 2.0 * share * std::sqrt(head[at] * column[at]) +
                             std::sqrt(std::max(0.0, head.back() - head[at]) *
                                       std::max(0.0, column.back() - column[at])) +
                             rounding_share(d, true) * std::sqrt(head.back() * column.back());
        hits[at] += values[static_cast<std::size_t>(c)] - error <= least ? 1.0 : 0.0;
      }
    }
  }
  // Costs in multiply-adds of fp32: codes are multiplied 2.5 times as fast, a panel costs as much
  // again as some axes, and a distance in double precision is slow. Half of the panels are passed
  // over.
  const auto all = static_cast<double>(m_clusters) / 2.0;
  double least_cost = all * static_cast<double>(d + 8);
  for (std::int64_t s = 1; s <= steps; ++s) {
    const auto n = static_cast<double>(s * kScreenDepthStep);
    const double candidates = hits[static_cast<std::size_t>(s)] * static_cast<double>(m_clusters) /
                              static_cast<double>(columns * points);
    const double cost =
        all * (n / 2.5 + 8.0) + candidates * (400.0 + 16.0 * static_cast<double>(d));
    if (candidates < static_cast<double>(kHitsPerRow) / 2.0 && cost < least_cost) {
      least_cost = cost;
      m_axes = s * kScreenDepthStep;
    }
  }
  if (m_axes > 0) {
    const std::int64_t leading = std::min(m_axes, d);
    axes.leftCols(leading) = (axes.leftCols(leading) * mixture(leading)).eval();
    pack();
  }
}

/// Halves the centroids at the median of the axis that they differ most on, down to panels.
void CentroidScreen::arrange_panels(MatrixView<const float> turned) {
  constexpr std::int64_t kAxesConsidered = 16;
  m_order.resize(static_cast<std::size_t>(m_clusters));
  std::iota(m_order.begin(), m_order.end(), 0);
  const auto halve = [&](const auto& self, std::int64_t first, std::int64_t last) -> void {
    if (last - first <= kPanelWidth) {
      return;
    }
    std::int64_t widest = 0;
    double most = -1.0;
    for (std::int64_t t = 0; t < std::min(turned.cols, kAxesConsidered); ++t) {
      double sum = 0.0;
      double squares = 0.0;
      for (std::int64_t i = first; i < last; ++i) {
        const auto x = static_cast<double>(
            turned.row(m_order[static_cast<std::size_t>(i)])[static_cast<std::size_t>(t)]);
        sum += x;
        squares += x * x;
      }
      const double spread = squares - sum * sum / static_cast<double>(last - first);
      if (spread > most) {
        most = spread;
        widest = t;
      }
    }
    const std::int64_t middle =
        first + (last - first + 2 * kPanelWidth - 1) / (2 * kPanelWidth) * kPanelWidth;
    const auto at = [&](std::int32_t c) { return turned.row(c)[static_cast<std::size_t>(widest)]; };
    std::nth_element(
        m_order.begin() + first, m_order.begin() + middle, m_order.begin() + last,
        [&](std::int32_t a, std::int32_t b) { return at(a) != at(b) ? at(a) < at(b) : a < b; });
    self(self, first, middle);
    self(self, middle, last);
  };
  halve(halve, 0, m_clusters);
}

void CentroidScreen::encode_points() {
  const std::int64_t d = m_points.cols;
  const std::int64_t stride = panel_count(d) * kPanelWidth;
  const std::int64_t leading = std::min(m_axes, d);
  m_codes.resize(static_cast<std::size_t>(m_points.rows * m_axes), kScreenRowCode + 1);
  m_rows.resize(static_cast<std::size_t>(m_points.rows));
  parallel_blocks(m_points.rows, kScreenRows, [&](std::int64_t first, std::int64_t last) {
    Scratch<float> shifted(static_cast<std::size_t>(kScreenRows * d));
    Scratch<float> turned(static_cast<std::size_t>(kScreenRows * stride));
    Scratch<std::int32_t> codes(static_cast<std::size_t>(m_axes));
    for (std::int64_t i = first; i < last; ++i) {
      shift(m_points.row(i), shifted.data() + (i - first) * d);
    }
    m_ops.multiply(shifted.data(), d, last - first, m_rotation.panels(), m_rotation.panel_stride(),
                   panel_count(d), d, turned.data(), stride, /*accumulate=*/false);
    for (std::int64_t i = first; i < last; ++i) {
      const float* x = turned.data() + (i - first) * stride;
      const Coded coded = encode(x, leading, kScreenRowCode, codes.data());
      for (std::int64_t t = 0; t < leading; ++t) {
        m_codes[static_cast<std::size_t>(i * m_axes + t)] =
            static_cast<std::uint8_t>(codes.data()[t] + kScreenRowCode + 1);
      }
      ScreenRow& row = m_rows[static_cast<std::size_t>(i)];
      row.scale = coded.scale;
      row.size = rounded_up(coded.size);
      row.rest = rounded_up(coded.rest);
      row.tail = rounded_up(std::sqrt(squared_norm(x + leading, d - leading)));
    }
  });
}

void CentroidScreen::place(MatrixView<const float> centroids,
                           std::span<const double> squared_moves) {
  const std::int64_t slots = m_panel_count * kPanelWidth;
  // The first round only fills bounds, and so does the one after a rest.
  if (m_rest > 0) {
    --m_rest;
    m_filled = false;
  } else if (m_looked_at > 0) {
    if (m_filled && looked_at() > kWorthless) {
      m_rest = kRestRounds;
    }
    m_filled = true;
  }
  m_looked_at = 0;
  const std::vector<std::int32_t> slots_before = std::move(m_slots);
  m_slots.assign(static_cast<std::size_t>(slots), -1);
  // Equal centroids are told apart by their index alone, so that only the lowest counts.
  std::unordered_map<std::string_view, std::int32_t> lowest;
  lowest.reserve(static_cast<std::size_t>(m_clusters));
  const auto bytes = [&](std::int64_t c) {
    const auto row = centroids.row(c);
    return std::string_view(reinterpret_cast<const char*>(row.data()), row.size_bytes());
  };
  std::vector<bool> counts(static_cast<std::size_t>(m_clusters));
  for (std::int32_t c = 0; c < m_clusters; ++c) {
    counts[static_cast<std::size_t>(c)] = lowest.emplace(bytes(c), c).second;
  }
  for (std::int64_t s = 0; s < m_clusters; ++s) {
    const std::int32_t c = m_order[static_cast<std::size_t>(s)];
    m_slots[static_cast<std::size_t>(s)] = counts[static_cast<std::size_t>(c)] ? c : -1;
  }
  for (std::int64_t panel = 0; panel < m_panel_count; ++panel) {
    double farthest = 0.0;
    const std::int64_t last = std::min((panel + 1) * kPanelWidth, m_clusters);
    bool reappears = false;
    for (std::int64_t s = panel * kPanelWidth; s < last; ++s) {
      reappears =
          reappears || (!slots_before.empty() && m_slots[static_cast<std::size_t>(s)] >= 0 &&
                        slots_before[static_cast<std::size_t>(s)] < 0);
      farthest = std::max(
          farthest, squared_moves[static_cast<std::size_t>(m_order[static_cast<std::size_t>(s)])]);
    }
    if (farthest > 0.0) {
      std::uint16_t& drift = m_drift[static_cast<std::size_t>(panel)];
      const double moved = std::ceil(std::sqrt(farthest) * m_scale * kUnits * (1.0 + 1e-9));
      drift = static_cast<std::uint16_t>(
          std::min(static_cast<double>(kScreenFar), moved + static_cast<double>(drift)));
    }
    if (reappears) {
      forget_bounds(panel);
    }
  }
  m_number_columns.numbers.resize(static_cast<std::size_t>(slots * m_points.cols));
  m_number_columns.panels.resize(static_cast<std::size_t>(m_panel_count));
  if (m_axes > 0) {
    m_code_columns.numbers.resize(static_cast<std::size_t>(slots * m_axes));
    m_code_columns.panels.resize(static_cast<std::size_t>(m_panel_count));
  }
  parallel_blocks(m_panel_count, 1,
                  [&](std::int64_t panel, std::int64_t) { pack_panel(centroids, panel); });
}

/// Bounds do not speak of centroids that were left out as repetitions.
void CentroidScreen::forget_bounds(std::int64_t panel) {
  const std::int64_t block = m_panel_count * kScreenRows;
  const auto all = static_cast<std::int64_t>(m_bounds.size());
  for (std::int64_t first = panel * kScreenRows; first < all; first += block) {
    std::fill_n(m_bounds.begin() + first, kScreenRows, std::uint16_t{0});
  }
}

void CentroidScreen::pack_panel(MatrixView<const float> centroids, std::int64_t panel) {
  const std::int64_t d = m_points.cols;
  const std::int64_t stride = panel_count(d) * kPanelWidth;
  const std::int64_t leading = std::min(m_axes, d);
  Scratch<float> shifted(static_cast<std::size_t>(kPanelWidth * d));
  Scratch<float> turned(static_cast<std::size_t>(kPanelWidth * stride));
  Scratch<std::int32_t> codes(static_cast<std::size_t>(m_axes) + 1);
  std::fill_n(shifted.data(), kPanelWidth * d, 0.0F);
  ScreenPanel& numbers = m_number_columns.panels[static_cast<std::size_t>(panel)];
  numbers = {};
  double sizes[kPanelWidth];
  float* columns = m_number_columns.numbers.data() + panel * kPanelWidth * d;
  for (std::int64_t i = 0; i < kPanelWidth; ++i) {
    const std::int32_t c = m_slots[static_cast<std::size_t>(panel * kPanelWidth + i)];
    double square = 0.0;
    if (c >= 0) {
      const auto row = centroids.row(c);
      shift(row, shifted.data() + i * d);
      for (std::size_t t = 0; t < row.size(); ++t) {
        const double x = (static_cast<double>(row[t]) - m_center[t]) * m_scale;
        square += x * x;
      }
    }
    for (std::int64_t t = 0; t < d; ++t) {
      columns[t * kPanelWidth + i] = shifted.data()[i * d + t];
    }
    sizes[i] = std::sqrt(square);
    constexpr double kSlack = 32.0 * kEpsilon;
    numbers.low[i] = c < 0 ? std::numeric_limits<float>::infinity()
                           : static_cast<float>(square / 2.0 * (1.0 - kSlack) - kTiny);
    numbers.high[i] = static_cast<float>(square / 2.0 * (1.0 + kSlack) + kTiny);
    numbers.scale[i] = 1.0F;
    numbers.size[i] = rounded_up(rounding_share(d, false) * sizes[i]);
  }
  if (m_axes == 0) {
    return;
  }
  m_ops.multiply(shifted.data(), d, kPanelWidth, m_rotation.panels(), m_rotation.panel_stride(),
                 panel_count(d), d, turned.data(), stride, /*accumulate=*/false);
  ScreenPanel& coded = m_code_columns.panels[static_cast<std::size_t>(panel)];
  coded = numbers;
  std::int8_t* out = m_code_columns.numbers.data() + panel * kPanelWidth * m_axes;
  std::fill_n(out, kPanelWidth * m_axes, std::int8_t{0});
  for (std::int64_t i = 0; i < kPanelWidth; ++i) {
    const float* x = turned.data() + i * stride;
    const Coded code = encode(x, leading, kScreenColumnCode, codes.data());
    std::int32_t sum = 0;
    for (std::int64_t t = 0; t < leading; ++t) {
      out[t / 4 * 4 * kPanelWidth + i * 4 + t % 4] = static_cast<std::int8_t>(codes.data()[t]);
      sum += codes.data()[t];
    }
    const double rounding = rounding_share(d, true) * sizes[i];
    coded.start[i] = -(kScreenRowCode + 1) * sum;
    coded.scale[i] = code.scale;
    coded.size[i] = rounded_up(code.rest + rounding);
    coded.rest[i] = rounded_up(code.size + code.rest + rounding);
    coded.tail[i] = rounded_up(std::sqrt(squared_norm(x + leading, d - leading)) + rounding);
  }
}

double CentroidScreen::looked_at() const {
  return static_cast<double>(m_looked_at) /
         (static_cast<double>(m_points.rows) * static_cast<double>(m_panel_count));
}

void CentroidScreen::find(std::int64_t first, std::int64_t last,
                          std::span<const double> squared_distances,
                          std::vector<Candidate>& candidates) {
  const std::int64_t d = m_points.cols;
  const std::int64_t rows = last - first;
  ScreenRow row[kScreenRows];
  std::uint16_t reach[kScreenRows] = {};
  Scratch<ScreenHit> hits(static_cast<std::size_t>(kHitsPerRow * kScreenRows));
  Scratch<float> numbers(static_cast<std::size_t>(kScreenRows * d));
  for (bool codes = m_axes > 0;; codes = false) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const double square = m_squares[static_cast<std::size_t>(first + i)];
      const double own = squared_distances[static_cast<std::size_t>(i)] * m_scale * m_scale;
      if (codes) {
        row[i] = m_rows[static_cast<std::size_t>(first + i)];
      } else {
        shift(m_points.row(first + i), numbers.data() + i * d);
        row[i] = {.scale = 1.0F, .size = rounded_up(std::sqrt(square)), .rest = 0.0F, .tail = 0.0F};
      }
      constexpr double kSlack = 32.0 * kEpsilon;
      row[i].square = static_cast<float>(square * (1.0 - kSlack));
      // Finite, which the values of padding are not.
      row[i].limit =
          static_cast<float>(std::min(static_cast<double>(std::numeric_limits<float>::max()),
                                      (own - square) / 2.0 + kSlack * (own + square) + kTiny));
      reach[i] = static_cast<std::uint16_t>(
          std::min(static_cast<double>(kScreenFar), std::sqrt(own) * kUnits + 2.0));
    }
    ScreenBlock block{};
    block.rows = rows;
    block.depth = codes ? m_axes : d;
    block.codes = codes ? m_codes.data() + first * m_axes : nullptr;
    block.numbers = numbers.data();
    block.stride = codes ? m_axes : d;
    block.row = row;
    block.panels_n = m_panel_count;
    block.panel_codes = m_code_columns.numbers.data();
    block.panel_numbers = m_number_columns.numbers.data();
    block.panels = codes ? m_code_columns.panels.data() : m_number_columns.panels.data();
    if (!m_bounds.empty() && m_rest == 0) {
      block.bounds = m_bounds.data() + first * m_panel_count;
    }
    block.reach = reach;
    block.drift = m_drift.data();
    block.units = static_cast<float>(kUnits);
    block.hits = hits.data();
    block.capacity = kHitsPerRow * kScreenRows;
    if (m_ops.screen_block(block)) {
      m_looked_at.fetch_add(block.looked_at, std::memory_order_relaxed);
      for (std::int64_t i = 0; i < block.hits_n; ++i) {
        const std::int32_t c = m_slots[static_cast<std::size_t>(block.hits[i].column)];
        candidates.push_back({first + block.hits[i].row, c});
      }
      return;
    }
    if (!codes) {
      break;
    }
  }
  // fp32 does not tell the centroids apart either.
  for (std::int64_t i = first; i < last; ++i) {
    for (const std::int32_t c : m_slots) {
      if (c >= 0) {
        candidates.push_back({i, c});
      }
    }
  }
}

}  // namespace kvsieve::kernels
