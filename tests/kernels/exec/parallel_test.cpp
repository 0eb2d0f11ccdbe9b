#include "exec/cpu/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "kvsieve/kernels/parallel_tasks.h"

namespace kvsieve::kernels {
namespace {

TEST(ParallelBlocks, CoversEveryIndexOnceInBlocksOfTheGivenSize) {
  for (const std::int64_t count : {0, 1, 2, 7, 8, 9, 63, 64, 65, 1000}) {
    for (const std::int64_t block : {1, 7, 8, 64, 2000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      std::atomic<bool> aligned = true;
      parallel_blocks(count, block, [&](std::int64_t first, std::int64_t last) {
        if (first % block != 0 || last != std::min(count, first + block)) {
          aligned = false;
        }
        for (std::int64_t i = first; i < last; ++i) {
          ++visits[static_cast<std::size_t>(i)];
        }
      });
      EXPECT_TRUE(aligned) << count << " by " << block;
      EXPECT_TRUE(std::all_of(visits.begin(), visits.end(), [](const auto& v) { return v == 1; }))
          << count << " by " << block;
    }
  }
}

TEST(ParallelTasks, VisitsEveryIndexOnceAndPassesOnWhatIsThrown) {
  for (const std::int64_t count : {0, 1, 2, 65, 1000}) {
    std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
    parallel_tasks(count, [&](std::int64_t i) { ++visits[static_cast<std::size_t>(i)]; });
    EXPECT_TRUE(std::all_of(visits.begin(), visits.end(), [](const auto& v) { return v == 1; }))
        << count;
  }
  EXPECT_THROW(parallel_tasks(100,
                              [](std::int64_t i) {
                                if (i == 37) {
                                  throw std::runtime_error("37");
                                }
                              }),
               std::runtime_error);
}

}  // namespace
}  // namespace kvsieve::kernels
