#include "a2ats/kmeans_seeds.cuh"

#include <algorithm>
#include <vector>

#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "kvsieve/kernels/counter_random.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "kmeans_seeds";
constexpr std::int64_t kSampledPerSeed = 4;
constexpr std::int64_t kSeedsBetweenPauses = 64;

bool is_sampled(const SeedsArgs& args) {
  return seed_candidates(args) < args.points.rows;
}

/// `count` of the numbers below `from`, ascending, every choice equally likely.
std::vector<std::int32_t> sample(std::int64_t from, std::int64_t count, CounterRandom& random) {
  std::vector<std::int32_t> chosen;
  chosen.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < from; ++i) {
    const auto wanted = static_cast<double>(count) - static_cast<double>(chosen.size());
    if (random.uniform() * static_cast<double>(from - i) < wanted) {
      chosen.push_back(static_cast<std::int32_t>(i));
    }
  }
  return chosen;
}

}  // namespace

std::int64_t seed_candidates(const SeedsArgs& args) {
  return args.seeding == KMeansSeeding::kPlusPlus
             ? args.points.rows
             : std::min(args.points.rows, kSampledPerSeed * args.clusters);
}

LaunchConfig seed_distances_config(const SeedsArgs& args) {
  return {{blocks_for(seed_candidates(args), kSeedPoints)}, {kSeedThreads}};
}

void choose_seeds(const SeedsArgs& args, Stream& stream, const std::function<void()>& pause) {
  dispatch_head_dim(kOperation, args.points.head_dim, [&]<int kHeadDim> {});
  const OperationRange range(kOperation);
  const std::int64_t candidates = seed_candidates(args);
  CounterRandom random(args.seed);
  std::vector<std::int32_t> rows;
  if (is_sampled(args)) {
    rows = sample(args.points.rows, candidates, random);
  }
  const DeviceBuffer<std::int32_t> device_rows(std::span<const std::int32_t>(rows), stream);
  const DeviceBuffer<float> distances(static_cast<std::size_t>(candidates));
  const LaunchConfig config = seed_distances_config(args);
  const DeviceBuffer<double> block_sums(config.grid.x);
  const SeedsTask task{args.points,
                       is_sampled(args) ? device_rows.data() : nullptr,
                       static_cast<std::int32_t>(candidates),
                       args.seeds,
                       distances.data(),
                       block_sums.data()};
  const auto first = static_cast<std::int32_t>(
      std::min(static_cast<std::int64_t>(random.uniform() * static_cast<double>(candidates)),
               candidates - 1));
  copy_to_device(args.seeds, &first, sizeof(first), stream);
  for (int number = 0; number + 1 < args.clusters; ++number) {
    launch<seed_distances>(config, stream, task, number);
    launch<draw_seed>(LaunchConfig{{1}, {kDrawThreads}}, stream, task, number + 1,
                      random.uniform());
    if (pause && number % kSeedsBetweenPauses == 0) {
      stream.synchronize();
      pause();
    }
  }
  if (is_sampled(args)) {
    launch<seeds_to_rows>(LaunchConfig{{blocks_for(args.clusters, kSeedThreads)}, {kSeedThreads}},
                          stream, device_rows.data(), args.seeds, static_cast<int>(args.clusters));
  }
  // The buffers above may not go before the kernels have done with them.
  stream.synchronize();
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
