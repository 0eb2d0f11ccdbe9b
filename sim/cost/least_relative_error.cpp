#include "least_relative_error.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

namespace kvsieve::sim {
namespace {

using Vector = LinearTerms;
using Matrix = std::array<Vector, kLinearTerms>;
using Point = std::array<double, 3>;

constexpr std::size_t kTerms = kLinearTerms;

/// Solves a x = b for the terms in `chosen`, the others 0; nothing if they depend on each other.
std::optional<Vector> solve(Matrix a, Vector b, unsigned chosen) {
  constexpr double kDependent = 1e-12;  // of a diagonal of ones
  for (std::size_t i = 0; i < kTerms; ++i) {
    if ((chosen >> i & 1U) == 0) {
      a[i] = {};
      for (Vector& row : a) {
        row[i] = 0.0;
      }
      a[i][i] = 1.0;
      b[i] = 0.0;
    }
  }
  for (std::size_t column = 0; column < kTerms; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < kTerms; ++row) {
      pivot = std::abs(a[row][column]) > std::abs(a[pivot][column]) ? row : pivot;
    }
    if (std::abs(a[pivot][column]) < kDependent) {
      return std::nullopt;
    }
    std::swap(a[pivot], a[column]);
    std::swap(b[pivot], b[column]);
    for (std::size_t row = column + 1; row < kTerms; ++row) {
      const double factor = a[row][column] / a[column][column];
      for (std::size_t i = column; i < kTerms; ++i) {
        a[row][i] -= factor * a[column][i];
      }
      b[row] -= factor * b[column];
    }
  }
  Vector x{};
  for (std::size_t row = kTerms; row-- > 0;) {
    double rest = b[row];
    for (std::size_t i = row + 1; i < kTerms; ++i) {
      rest -= a[row][i] * x[i];
    }
    x[row] = rest / a[row][row];
  }
  return x;
}

/// The smallest weighted sum of squares of (terms x - 1) over x >= 0: with so few terms every set
/// of those that are not 0 can be tried.
Vector non_negative_least_squares(const std::vector<Vector>& rows, const std::vector<double>& w) {
  Matrix a{};
  Vector b{};
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < kTerms; ++i) {
      b[i] += w[r] * rows[r][i];
      for (std::size_t j = 0; j < kTerms; ++j) {
        a[i][j] += w[r] * rows[r][i] * rows[r][j];
      }
    }
  }
  Vector scale{};
  for (std::size_t i = 0; i < kTerms; ++i) {
    scale[i] = a[i][i] > 0.0 ? 1.0 / std::sqrt(a[i][i]) : 0.0;
  }
  for (std::size_t i = 0; i < kTerms; ++i) {
    b[i] *= scale[i];
    for (std::size_t j = 0; j < kTerms; ++j) {
      a[i][j] *= scale[i] * scale[j];
    }
  }
  Vector best{};
  double best_gain = 0.0;
  for (unsigned chosen = 1; chosen < 1U << kTerms; ++chosen) {
    const std::optional<Vector> x = solve(a, b, chosen);
    if (!x || *std::min_element(x->begin(), x->end()) < 0.0) {
      continue;
    }
    // At a minimum over its terms the sum of squares has fallen by x b.
    const double gain = std::inner_product(x->begin(), x->end(), b.begin(), 0.0);
    if (gain > best_gain) {
      best_gain = gain;
      best = *x;
    }
  }
  for (std::size_t i = 0; i < kTerms; ++i) {
    best[i] *= scale[i];
  }
  return best;
}

}  // namespace

LinearTerms fit_least_relative_error(const std::vector<LinearRow>& rows) {
  constexpr int kIterations = 120;
  constexpr double kFirstWidth = 0.1;
  constexpr double kLastWidth = 1e-7;
  constexpr double kNarrowing = 0.85;
  std::vector<Vector> terms;
  std::vector<double> weights;
  for (const LinearRow& row : rows) {
    Vector& relative = terms.emplace_back(row.terms);
    for (double& term : relative) {
      term /= row.value;
    }
    weights.push_back(row.weight);
  }
  Vector x = non_negative_least_squares(terms, weights);
  // Errors below a width count by their square; the width narrows, so that early weights do not
  // lock on to whichever rows the first fit happened to meet.
  double width = kFirstWidth;
  for (int i = 0; i < kIterations; ++i) {
    for (std::size_t r = 0; r < terms.size(); ++r) {
      const double modelled = std::inner_product(x.begin(), x.end(), terms[r].begin(), 0.0);
      weights[r] = rows[r].weight / std::max(std::abs(modelled - 1.0), width);
    }
    x = non_negative_least_squares(terms, weights);
    width = std::max(kLastWidth, width * kNarrowing);
  }
  return x;
}

double fit_least_relative_error(const std::vector<ShiftRow>& rows) {
  std::vector<std::pair<double, double>> shifts;  // what the row asks for, and its weight
  double total = 0.0;
  for (const ShiftRow& row : rows) {
    shifts.emplace_back((row.value - row.base) / row.slope, row.slope / row.value);
    total += shifts.back().second;
  }
  std::sort(shifts.begin(), shifts.end());
  double below = 0.0;
  for (const auto& [shift, weight] : shifts) {
    below += weight;
    if (below >= 0.5 * total) {
      return std::max(0.0, shift);
    }
  }
  return 0.0;
}

std::array<double, 3> simplex_minimum(
    const std::function<double(const std::array<double, 3>&)>& loss,
    const std::array<double, 3>& start, const std::array<double, 3>& steps) {
  constexpr int kRestarts = 3;
  constexpr int kMoves = 400;
  constexpr double kSmallSpread = 1e-12;
  struct Corner {
    Point at;
    double loss;
  };
  Point best = start;
  for (int restart = 0; restart < kRestarts; ++restart) {
    std::vector<Corner> corners{{best, loss(best)}};
    for (std::size_t i = 0; i < best.size(); ++i) {
      Point at = best;
      at[i] += restart % 2 == 0 ? steps[i] : -steps[i];
      corners.push_back({at, loss(at)});
    }
    const auto by_loss = [](const Corner& a, const Corner& b) { return a.loss < b.loss; };
    for (int move = 0; move < kMoves; ++move) {
      std::stable_sort(corners.begin(), corners.end(), by_loss);
      if (corners.back().loss - corners.front().loss < kSmallSpread && move > kMoves / 4) {
        break;
      }
      Corner& worst = corners.back();
      const auto along = [&](double factor) {
        Corner corner;
        for (std::size_t i = 0; i < best.size(); ++i) {
          const double middle = (corners[0].at[i] + corners[1].at[i] + corners[2].at[i]) / 3.0;
          corner.at[i] = middle + factor * (worst.at[i] - middle);
        }
        corner.loss = loss(corner.at);
        return corner;
      };
      const Corner reflected = along(-1.0);
      if (reflected.loss < corners.front().loss) {
        const Corner expanded = along(-2.0);
        worst = expanded.loss < reflected.loss ? expanded : reflected;
      } else if (reflected.loss < corners[2].loss) {
        worst = reflected;
      } else {
        const Corner contracted = along(reflected.loss < worst.loss ? -0.5 : 0.5);
        if (contracted.loss < std::min(reflected.loss, worst.loss)) {
          worst = contracted;
        } else {
          for (std::size_t c = 1; c < corners.size(); ++c) {
            for (std::size_t i = 0; i < best.size(); ++i) {
              corners[c].at[i] = 0.5 * (corners[c].at[i] + corners[0].at[i]);
            }
            corners[c].loss = loss(corners[c].at);
          }
        }
      }
    }
    best = std::min_element(corners.begin(), corners.end(), by_loss)->at;
  }
  return best;
}

}  // namespace kvsieve::sim
