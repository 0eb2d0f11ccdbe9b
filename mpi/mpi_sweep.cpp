#include "mpi_sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/mpi/request.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "kvsieve/traces/error.h"
#include "sweep_command.h"

namespace kvsieve::cli {
namespace {

/// Messages between rank 0 and the others. Numbers name points: every rank read the same command.
constexpr int kWork = 1;    ///< numbers of points, and their keys; no points mean goodbye
constexpr int kResult = 2;  ///< their rows

/// Few enough that the last chunks keep all ranks busy.
constexpr std::size_t kMpiCostPoints = 256;

struct Work {
  std::vector<std::int64_t> numbers;
  std::vector<std::string> keys;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& numbers& keys;
  }
};

struct Rows {
  std::vector<std::int64_t> numbers;
  std::vector<std::string> keys;
  std::vector<std::string> options;
  std::vector<std::string> metrics;
  std::vector<std::string> errors;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& numbers& keys& options& metrics& errors;
  }
};

Rows pack(const std::vector<sim::SweepRow>& rows) {
  Rows packed;
  for (const sim::SweepRow& row : rows) {
    packed.numbers.push_back(row.number);
    packed.keys.push_back(row.key);
    packed.options.push_back(row.options);
    packed.metrics.push_back(row.metrics);
    packed.errors.push_back(row.error);
  }
  return packed;
}

std::vector<sim::SweepRow> unpack(const Rows& packed) {
  std::vector<sim::SweepRow> rows;
  for (std::size_t r = 0; r < packed.numbers.size(); ++r) {
    rows.push_back({packed.numbers[r], packed.keys[r], packed.options[r], packed.metrics[r],
                    packed.errors[r]});
  }
  return rows;
}

Work work_of(const sim::SweepChunk& chunk) {
  Work work;
  for (const sim::SweepPoint& point : chunk.points) {
    work.numbers.push_back(point.number);
  }
  work.keys = chunk.keys;
  return work;
}

}  // namespace

sim::SweepState spread_sweep(const boost::mpi::communicator& world,
                             std::span<const sim::SweepPoint> points,
                             const nlohmann::ordered_json& context, sim::SweepEvaluator& evaluator,
                             sim::SweepStore& store, const sim::SweepProgress& progress,
                             const std::function<bool()>& stop) {
  if (world.size() == 1) {
    return sim::run_sweep(points, context, evaluator, store, progress, stop);
  }
  const std::vector<sim::SweepChunk> chunks =
      sim::sweep_chunks(points, context, store.finished_keys(), kMpiCostPoints);
  sim::SweepState state = sim::state_before(points, chunks);
  std::size_t next = 0;
  std::int64_t out = 0;  // chunks that ranks are at
  const auto hand_out = [&](int rank) {
    if (next < chunks.size() && !state.stopped) {
      world.send(rank, kWork, work_of(chunks[next++]));
      ++out;
    }
  };
  for (int rank = 1; rank < world.size(); ++rank) {
    hand_out(rank);
  }
  while (out > 0) {
    Rows packed;
    const boost::mpi::status status = world.recv(boost::mpi::any_source, kResult, packed);
    --out;
    sim::record(unpack(packed), store, state);
    progress(state, static_cast<double>(state.finished) /
                        static_cast<double>(std::max<std::int64_t>(state.total, 1)));
    state.stopped = state.stopped || (stop() && next < chunks.size());
    hand_out(status.source());
  }
  return state;
}

void dismiss_ranks(const boost::mpi::communicator& world) {
  for (int rank = 1; rank < world.size(); ++rank) {
    world.send(rank, kWork, Work{});
  }
}

void serve_points(const boost::mpi::communicator& world, const std::vector<std::string>& words) {
  // Rank 0 says what is wrong with a command; the others only wait to be dismissed then.
  std::optional<SweepWorker> worker;
  const auto evaluated = [&](const Work& work) {
    try {
      if (!worker) {
        worker.emplace(words);
      }
      return worker->evaluate(work.numbers, work.keys);
    } catch (const Error& error) {
      // A rank that lacks a file fails its points, not the job.
      std::vector<sim::SweepRow> rows;
      for (std::size_t p = 0; p < work.numbers.size(); ++p) {
        rows.push_back({work.numbers[p], work.keys[p], "{}", "",
                        fmt::format("rank {}: {}", world.rank(), error.what())});
      }
      return rows;
    }
  };
  while (true) {
    Work work;
    world.recv(0, kWork, work);
    if (work.numbers.empty()) {
      return;
    }
    world.send(0, kResult, pack(evaluated(work)));
  }
}

}  // namespace kvsieve::cli
