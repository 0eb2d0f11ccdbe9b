#pragma once
// Repetitions to compare: drawn from measured ones and from noise with heavy tails.

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/sim/benchmark_file.h"

namespace kvsieve::tests {

/// Measured repetitions by workload, in the order in which they were measured
/// (measured_repetitions.json).
const std::map<std::string, std::vector<double>>& measured_repetitions();

/// Two sides that took turns: every other one of a stretch of measured repetitions, so that what
/// disturbed one disturbed the other, too.
std::pair<std::vector<double>, std::vector<double>> taking_turns(
    const std::vector<double>& measured, std::size_t count, kernels::CounterRandom& random);

/// One side alone, drawn in blocks of 5 neighbours, so that what disturbed several of them stays
/// together.
std::vector<double> in_blocks(const std::vector<double>& measured, std::size_t count,
                              kernels::CounterRandom& random);

/// The same one by one: a bootstrap.
std::vector<double> drawn_from(const std::vector<double>& measured, std::size_t count,
                               kernels::CounterRandom& random);

/// Around 1: normal noise of this deviation, a tenth of it four times as wide, and a twentieth of
/// the repetitions delayed by up to a half.
std::vector<double> heavy_tailed(double deviation, std::size_t count,
                                 kernels::CounterRandom& random);

/// A file with a case for each entry, timed by wall clock, in microseconds.
sim::BenchmarkFile file_of(const std::map<std::string, std::vector<double>>& cases);

}  // namespace kvsieve::tests
