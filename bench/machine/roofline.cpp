#include "kvsieve/bench/roofline.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <latch>
#include <map>
#include <numeric>
#include <random>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/kernels/row_memory.h"

namespace kvsieve::bench {
namespace {

constexpr std::int64_t kFmaRounds = 5'000'000;
constexpr std::int64_t kReadBytes = std::int64_t{256} << 20U;  // per thread
constexpr int kRepetitions = 5;

// Results are folded into this, so that no loop can be left out.
volatile float g_float_sink;
volatile std::int64_t g_integer_sink;

// Chains of multiply-adds that hide the latency (4 cycles, 2 a cycle) and fit the registers.
constexpr int kChains = 12;
constexpr std::int64_t kReadUnroll = 8;
constexpr std::int64_t kCacheLine = 64;

// Of the rows there are, as many are read as a retrieval selects.
constexpr std::int64_t kRowsAStride = 16;
// Rows that lie between the prefetch and the reading of a row; which is best depends on the
// machine.
constexpr std::int64_t kDistances[] = {8, 16, 32};
// Whether they are also prefetched twice as far ahead: a core may drop prefetches when its buffers
// for outstanding lines are taken.
constexpr bool kTwice[] = {false, true};

/// Rows to read in their order.
struct RowReads {
  const std::byte* base;
  std::span<const std::int32_t> rows;
  std::int64_t row_bytes;
  std::int64_t first_ahead;  ///< rows between a prefetch and the reading; 0: none
  std::int64_t ahead;

  [[nodiscard]] const std::byte* row(std::int64_t i) const {
    return base + rows[static_cast<std::size_t>(i)] * row_bytes;
  }
};

// One function body an instruction set: GCC lowers vector types before it inlines, so that a
// template could not carry the target in.
#define KVSIEVE_BENCH_LOOPS(isa, target_attribute, bytes)                           \
  typedef float Floats_##isa __attribute__((vector_size(bytes)));                   \
  typedef std::int64_t Integers_##isa __attribute__((vector_size(bytes)));          \
                                                                                    \
  target_attribute double fma_##isa(std::int64_t rounds) {                          \
    Floats_##isa chain[kChains];                                                    \
    for (int c = 0; c < kChains; ++c) {                                             \
      chain[c] = Floats_##isa{} + static_cast<float>(c);                            \
    }                                                                               \
    Floats_##isa factor = Floats_##isa{} + 0.999F;                                  \
    Floats_##isa term = Floats_##isa{} + 0.001F;                                    \
    for (std::int64_t i = 0; i < rounds; ++i) {                                     \
      for (int c = 0; c < kChains; ++c) {                                           \
        chain[c] = chain[c] * factor + term;                                        \
      }                                                                             \
    }                                                                               \
    Floats_##isa total{};                                                           \
    for (int c = 0; c < kChains; ++c) {                                             \
      total += chain[c];                                                            \
    }                                                                               \
    for (int lane = 0; lane < (bytes) / 4; ++lane) {                                \
      g_float_sink = total[lane];                                                   \
    }                                                                               \
    return static_cast<double>(rounds) * kChains * 2.0 * (bytes / 4);               \
  }                                                                                 \
                                                                                    \
  target_attribute void read_##isa(const std::int64_t* words, std::int64_t count) { \
    const auto* vectors = reinterpret_cast<const Integers_##isa*>(words);           \
    const std::int64_t vector_count = count * 8 / (bytes);                          \
    Integers_##isa sums[kReadUnroll] = {};                                          \
    for (std::int64_t i = 0; i + kReadUnroll <= vector_count; i += kReadUnroll) {   \
      for (std::int64_t u = 0; u < kReadUnroll; ++u) {                              \
        sums[u] += vectors[i + u];                                                  \
      }                                                                             \
    }                                                                               \
    Integers_##isa total{};                                                         \
    for (const Integers_##isa& sum : sums) {                                        \
      total += sum;                                                                 \
    }                                                                               \
    for (int lane = 0; lane < (bytes) / 8; ++lane) {                                \
      g_integer_sink = total[lane];                                                 \
    }                                                                               \
  }                                                                                 \
                                                                                    \
  target_attribute void gather_##isa(const RowReads& reads) {                       \
    Integers_##isa sums[kReadUnroll] = {};                                          \
    const auto count = static_cast<std::int64_t>(reads.rows.size());                \
    for (std::int64_t i = 0; i < count; ++i) {                                      \
      for (const std::int64_t distance : {reads.first_ahead, reads.ahead}) {        \
        if (distance > 0 && i + distance < count) {                                 \
          const std::byte* row = reads.row(i + distance);                           \
          for (std::int64_t at = 0; at < reads.row_bytes; at += kCacheLine) {       \
            __builtin_prefetch(row + at);                                           \
          }                                                                         \
        }                                                                           \
      }                                                                             \
      const auto* vectors = reinterpret_cast<const Integers_##isa*>(reads.row(i));  \
      const std::int64_t vector_count = reads.row_bytes / (bytes);                  \
      for (std::int64_t v = 0; v < vector_count; ++v) {                             \
        sums[v % kReadUnroll] += vectors[v];                                        \
      }                                                                             \
    }                                                                               \
    Integers_##isa total{};                                                         \
    for (const Integers_##isa& sum : sums) {                                        \
      total += sum;                                                                 \
    }                                                                               \
    for (int lane = 0; lane < (bytes) / 8; ++lane) {                                \
      g_integer_sink = total[lane];                                                 \
    }                                                                               \
  }

#if defined(__x86_64__)
KVSIEVE_BENCH_LOOPS(avx512, __attribute__((target("avx512f,fma"))), 64)
KVSIEVE_BENCH_LOOPS(avx2, __attribute__((target("avx2,fma"))), 32)
#endif
KVSIEVE_BENCH_LOOPS(baseline, , 16)
#undef KVSIEVE_BENCH_LOOPS

struct Loops {
  double (*fma)(std::int64_t rounds);
  void (*read)(const std::int64_t* words, std::int64_t count);
  void (*gather)(const RowReads& reads);
};

Loops loops() {
#if defined(__x86_64__)
  const std::string_view isa = kernels::instruction_set();
  if (isa.starts_with("avx512")) {
    return {fma_avx512, read_avx512, gather_avx512};
  }
  if (isa == "avx2") {
    return {fma_avx2, read_avx2, gather_avx2};
  }
#endif
  return {fma_baseline, read_baseline, gather_baseline};
}

/// Seconds of the quickest of several runs of body(thread) on all threads at once, from the first
/// start to the last end. The threads take the times themselves: the caller may wake late.
double best_seconds(int threads, const std::function<void(int)>& body) {
  using Clock = std::chrono::steady_clock;
  double best = 0.0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    std::latch ready(threads);
    std::vector<Clock::time_point> starts(static_cast<std::size_t>(threads));
    std::vector<Clock::time_point> ends(static_cast<std::size_t>(threads));
    std::vector<std::thread> workers;
    for (int thread = 0; thread < threads; ++thread) {
      workers.emplace_back([&, thread] {
        ready.arrive_and_wait();
        starts[static_cast<std::size_t>(thread)] = Clock::now();
        body(thread);
        ends[static_cast<std::size_t>(thread)] = Clock::now();
      });
    }
    for (std::thread& worker : workers) {
      worker.join();
    }
    const double seconds =
        std::chrono::duration<double>(*std::max_element(ends.begin(), ends.end()) -
                                      *std::min_element(starts.begin(), starts.end()))
            .count();
    best = repetition == 0 ? seconds : std::min(best, seconds);
  }
  return best;
}

}  // namespace

Roofline measure_roofline(int threads) {
  const Loops chosen = loops();
  Roofline limits;
  std::vector<double> operations(static_cast<std::size_t>(threads));
  const double fma_seconds = best_seconds(threads, [&](int thread) {
    operations[static_cast<std::size_t>(thread)] = chosen.fma(kFmaRounds);
  });
  limits.flops_per_second = operations[0] * threads / fma_seconds;

  constexpr std::int64_t kWords = kReadBytes / 8;
  // Vectors of 64 bytes are read from here.
  struct alignas(64) Line {
    std::int64_t words[8];
  };
  std::vector<std::vector<Line>> memory(static_cast<std::size_t>(threads));
  for (std::vector<Line>& piece : memory) {
    piece.resize(static_cast<std::size_t>(kWords / 8));
  }
  const double read_seconds = best_seconds(threads, [&](int thread) {
    chosen.read(memory[static_cast<std::size_t>(thread)].data()->words, kWords);
  });
  limits.read_bytes_per_second = static_cast<double>(kReadBytes) * threads / read_seconds;
  return limits;
}

double measure_row_reads(int threads, std::int64_t row_bytes) {
  const Loops chosen = loops();
  const std::int64_t rows = kReadBytes / row_bytes;
  // A thread's memory, and the lists that it goes through, each once: the last-level cache may hold
  // one of them.
  struct Reader {
    kernels::RowMemory memory{static_cast<std::size_t>(kReadBytes)};
    std::vector<std::vector<std::int32_t>> lists;
    std::size_t turn = 0;
  };
  std::vector<Reader> readers(static_cast<std::size_t>(threads));
  std::mt19937 generator(1);
  std::vector<std::int32_t> all(static_cast<std::size_t>(rows));
  std::iota(all.begin(), all.end(), 0);
  for (Reader& reader : readers) {
    std::fill_n(reader.memory.data(), kReadBytes, std::byte{1});
    for (std::size_t i = 0; i < std::size(kDistances) * std::size(kTwice) * kRepetitions; ++i) {
      std::sample(all.begin(), all.end(), std::back_inserter(reader.lists.emplace_back()),
                  rows / kRowsAStride, generator);
    }
  }
  double least = 0.0;
  for (const std::int64_t distance : kDistances) {
    for (const bool twice : kTwice) {
      const double seconds = best_seconds(threads, [&](int thread) {
        Reader& reader = readers[static_cast<std::size_t>(thread)];
        chosen.gather({reader.memory.data(), reader.lists[reader.turn++], row_bytes,
                       twice ? 2 * distance : 0, distance});
      });
      least = least == 0.0 ? seconds : std::min(least, seconds);
    }
  }
  return static_cast<double>(threads * (rows / kRowsAStride) * row_bytes) / least;
}

const Roofline& roofline(int threads) {
  static std::map<int, Roofline> measured;
  const auto found = measured.find(threads);
  return found != measured.end()
             ? found->second
             : measured.emplace(threads, measure_roofline(threads)).first->second;
}

}  // namespace kvsieve::bench
