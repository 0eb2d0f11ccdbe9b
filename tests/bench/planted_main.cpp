// A program with the options of `kvsieve bench` whose case takes as long as its arguments say: what
// the comparison of two programs is tested with.
//
//   kvsieve_planted WORK[,CASE...] bench [options]    WORK units of work in each of the cases

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "arguments.h"
#include "bench_command.h"
#include "kvsieve/traces/error.h"
#include "terminal.h"

namespace {

using namespace kvsieve;

/// Rounds of a unit: some hundred units take about 100 us.
constexpr int kRounds = 250;

/// Work that takes time in proportion to its units and nothing else.
void spin(std::int64_t units) {
  std::uint64_t state = 1;
  for (std::int64_t round = 0; round < units * kRounds; ++round) {
    state = state * 6'364'136'223'846'793'005ULL + 1'442'695'040'888'963'407ULL;
    benchmark::DoNotOptimize(state);
  }
}

std::vector<bench::BenchCase> planted_cases(const std::vector<std::string>& parts) {
  const std::int64_t units = cli::whole_number(parts[0]).value_or(0);
  std::vector<bench::BenchCase> cases;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    cases.push_back({parts[i],
                     1,
                     [units] {
                       bench::PreparedCase prepared;
                       prepared.iterate = [units] { spin(units); };
                       return prepared;
                     },
                     {}});
  }
  return cases;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  cli::catch_interrupts();
  try {
    if (words.size() < 3 || words[2] != "bench") {
      throw Error(ErrorKind::kUsage, "usage: kvsieve_planted WORK[,CASE...] bench [options]");
    }
    std::vector<std::string> parts = cli::split_list(words[1]);
    if (parts.size() == 1) {
      parts.emplace_back("spin/n:1");
    }
    const cli::BenchProgram program{
        {words[0], words[1]},
        [&](const std::string&, const bench::CpuCaseOptions&) { return planted_cases(parts); }};
    return cli::run_bench_command(program, {words.begin() + 3, words.end()});
  } catch (const cli::Interrupted&) {
    return cli::kInterruptedCode;
  } catch (const Error& error) {
    return cli::report_error(error.what(), error.hint(), error.kind());
  }
}
