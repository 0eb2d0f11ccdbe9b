#pragma once
// The library of this sample: means over a window that moves along a series.

#include <cstddef>
#include <vector>

namespace sample {

/// One mean for each place where the whole window fits. `window` is at least 1.
inline std::vector<double> moving_average(const std::vector<double>& series, std::size_t window) {
  std::vector<double> means;
  means.reserve(series.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < series.size(); ++i) {
    sum += series[i];
    if (i >= window) {
      sum -= series[i - window];
    }
    if (i + 1 >= window) {
      means.push_back(sum / static_cast<double>(window));
    }
  }
  return means;
}

/// The largest mean over the window.
inline double highest_average(const std::vector<double>& series, std::size_t window) {
  double highest = 0.0;
  for (const double mean : moving_average(series, window)) {
    highest = mean > highest ? mean : highest;
  }
  return highest;
}

}  // namespace sample
