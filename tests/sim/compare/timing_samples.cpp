#include "timing_samples.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>

namespace kvsieve::tests {
namespace {

double normal(kernels::CounterRandom& random) {
  return std::sqrt(-2.0 * std::log(1.0 - random.uniform())) *
         std::cos(2.0 * std::numbers::pi * random.uniform());
}

}  // namespace

const std::map<std::string, std::vector<double>>& measured_repetitions() {
  static const auto kMeasured = [] {
    std::ifstream file(KVSIEVE_SAMPLE_TIMINGS);
    return nlohmann::json::parse(file)["cases"].get<std::map<std::string, std::vector<double>>>();
  }();
  return kMeasured;
}

std::pair<std::vector<double>, std::vector<double>> taking_turns(
    const std::vector<double>& measured, std::size_t count, kernels::CounterRandom& random) {
  const std::size_t begin = random.bits() % measured.size();
  std::pair<std::vector<double>, std::vector<double>> sides;
  for (std::size_t i = 0; i < count; ++i) {
    sides.first.push_back(measured[(begin + 2 * i) % measured.size()]);
    sides.second.push_back(measured[(begin + 2 * i + 1) % measured.size()]);
  }
  return sides;
}

std::vector<double> in_blocks(const std::vector<double>& measured, std::size_t count,
                              kernels::CounterRandom& random) {
  constexpr std::size_t kBlock = 5;
  std::vector<double> drawn;
  while (drawn.size() < count) {
    const std::size_t begin = random.bits() % measured.size();
    for (std::size_t i = 0; i < kBlock && drawn.size() < count; ++i) {
      drawn.push_back(measured[(begin + i) % measured.size()]);
    }
  }
  return drawn;
}

std::vector<double> drawn_from(const std::vector<double>& measured, std::size_t count,
                               kernels::CounterRandom& random) {
  std::vector<double> drawn;
  for (std::size_t i = 0; i < count; ++i) {
    drawn.push_back(measured[random.bits() % measured.size()]);
  }
  return drawn;
}

std::vector<double> heavy_tailed(double deviation, std::size_t count,
                                 kernels::CounterRandom& random) {
  std::vector<double> drawn;
  for (std::size_t i = 0; i < count; ++i) {
    const double width = random.uniform() < 0.1 ? 4.0 * deviation : deviation;
    const double delay = random.uniform() < 0.05 ? 0.5 * random.uniform() : 0.0;
    drawn.push_back(std::exp(width * normal(random)) + delay);
  }
  return drawn;
}

sim::BenchmarkFile file_of(const std::map<std::string, std::vector<double>>& cases) {
  sim::BenchmarkFile file;
  for (const auto& [name, values] : cases) {
    file.cases.push_back({name, {{"real_time", values}}, {}, {}, true, {}});
  }
  return file;
}

}  // namespace kvsieve::tests
