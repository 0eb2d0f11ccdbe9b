// Kernels with one bug each (seeded_bugs.cu) have to be stopped with a message that names kernel,
// thread and source line; their mended twins have to run.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <numeric>
#include <string>

#include "kernels/ptx/run_ptx.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

std::string read_file(const std::string& name) {
  std::ifstream file(std::string(KVSIEVE_PTX_TEST_DIR) + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Number of the line that ends with the comment `tag`.
int line_of(const std::string& text, const std::string& tag) {
  const std::size_t at = text.find("// " + tag + "\n");
  return at == std::string::npos
             ? 0
             : 1 + static_cast<int>(std::count(
                       text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

struct SeededBug {
  const char* kernel;
  const char* message;
  unsigned thread;
  unsigned block = 0;
  unsigned blocks = 1;
  std::size_t shared_bytes = 0;
};

constexpr SeededBug kBugs[] = {
    {"global_overrun", "out of bounds: writes 4 bytes of global memory", 63},
    {"global_underrun", "out of bounds: reads 4 bytes of global memory", 0},
    {"shared_overrun", "0 bytes after the end of values of 256 bytes", 63},
    {"dynamic_overrun", "0 bytes after the end of dynamic shared memory of 256 bytes", 63, 0, 1,
     256},
    {"misaligned_vector", "misaligned: 16 bytes of global memory", 0},
    {"misaligned_shared", "misaligned: 8 bytes of shared memory", 0, 0, 1, 256},
    {"uninitialised_global", "uninitialised: reads 4 bytes of global memory", 58},
    {"uninitialised_shared", "uninitialised: reads 4 bytes of shared memory", 58},
    {"uninitialised_local", "uninitialised: reads 4 bytes of local memory, 0 bytes into its 16", 3},
    {"missing_syncthreads", "that thread (31, 0, 0) read, and nothing orders them", 32},
    {"missing_syncthreads_before_reuse", "race: writes 4 bytes of shared memory", 20},
    {"missing_syncwarp", "that thread (31, 0, 0) wrote, and nothing orders them", 0},
    {"shuffle_instead_of_syncwarp", "that thread (31, 0, 0) wrote, and nothing orders them", 0},
    {"syncwarp_of_halves", "that thread (16, 0, 0) wrote, and nothing orders them", 0},
    {"same_word_in_lockstep", "race: writes 4 bytes of shared memory", 1},
    {"counter_without_atomic", "race: writes 4 bytes of shared memory", 0},
    {"plain_read_of_atomic", "race: reads 4 bytes of shared memory", 0},
    {"global_race", "that thread (1, 0, 0) wrote, and nothing orders them", 0},
    {"blocks_add", "that another block wrote, and nothing orders them", 3, 1, 2},
    {"block_reads_what_another_wrote", "that another block wrote", 0, 1, 2},
    {"divergent_barrier", "barrier that not all lanes of the warp reach: thread (1, 0, 0) waits at",
     0},
    {"barrier_after_return", "barrier that not all threads reach: thread (40, 0, 0) exits", 0},
    {"warp_skips_barrier", "barrier that not all threads reach: thread (32, 0, 0) exits", 0},
    {"arrive_instead_of_sync", "that thread (31, 0, 0) wrote, and nothing orders them", 32},
    {"lane_missing",
     "warp operation with mask ffffffff, but thread (0, 0, 0), which it names, exits", 1},
    {"lane_not_in_its_mask", "warp operation of a lane that is not in its own mask fffffffe", 0},
    {"shuffle_from_outside", "shuffle from lane 20, which is not in the mask 0000ffff", 0},
    {"missing_async_wait", "missing wait: reads 4 bytes of shared memory", 0, 0, 1, 256},
    {"wait_for_too_few", "missing wait: reads 4 bytes of shared memory", 0},
    {"async_wait_without_barrier", "that thread (1, 0, 0) wrote", 0, 0, 1, 256},
};

class PtxSeededBugsTest : public testing::TestWithParam<SeededBug> {
 protected:
  static const Program& program() {
    static const Program result(read_file("seeded_bugs.ptx"));
    return result;
  }
  static void run_kernel(const std::string& kernel, std::uint64_t seed) {
    const SeededBug& bug = GetParam();
    Memory memory;
    std::vector<int> numbers(64);
    std::iota(numbers.begin(), numbers.end(), 1);
    const Buffer<int> in(memory, numbers);
    const Buffer<int> out(memory, 64 * bug.blocks);
    if (std::string_view(bug.kernel) == "blocks_add") {
      memory.mark_written(out.data(), sizeof(int));
    }
    run(program(), kernel, {{bug.blocks}, {64}, bug.shared_bytes}, memory, seed, in.data(),
        out.data());
  }
};

TEST_P(PtxSeededBugsTest, IsFound) {
  const SeededBug& bug = GetParam();
  std::string message;
  try {
    run_kernel(bug.kernel, 0);
  } catch (const Error& error) {
    message = error.what();
  }
  const int line = line_of(read_file("seeded_bugs.cu"), bug.kernel);
  ASSERT_GT(line, 0);
  EXPECT_NE(message.find(bug.message), std::string::npos) << message;
  EXPECT_TRUE(
      message.starts_with(fmt::format("kernel {}, block ({}, 0, 0), thread ({}, 0, 0), PTX line ",
                                      bug.kernel, bug.block, bug.thread)))
      << message;
  EXPECT_NE(message.find(fmt::format("seeded_bugs.cu:{}: ", line)), std::string::npos)
      << message << ", expected line " << line;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST_P(PtxSeededBugsTest, IsFoundInEveryOrder) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    EXPECT_THROW(run_kernel(GetParam().kernel, seed), Error) << seed;
  }
}

TEST_P(PtxSeededBugsTest, MendedTwinRuns) {
  for (const std::uint64_t seed : {0, 1, 2}) {
    EXPECT_NO_THROW(run_kernel(std::string(GetParam().kernel) + "_fixed", seed));
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, PtxSeededBugsTest, testing::ValuesIn(kBugs),
                         [](const auto& bug) { return std::string(bug.param.kernel); });

TEST(PtxSeededBugsFileTest, BelongsToItsSource) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : read_file("seeded_bugs.cu")) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  EXPECT_TRUE(
      read_file("seeded_bugs.ptx").starts_with(fmt::format("// seeded_bugs.cu {:016x}\n", hash)))
      << "run make_ptx.py seeded_bugs.cu";
}

TEST(PtxSeededBugsFileTest, FreedMemoryIsNamed) {
  const Program program(read_file("seeded_bugs.ptx"));
  Memory memory;
  const Buffer<int> in(memory, std::vector<int>(64, 1));
  void* const gone = memory.allocate(256, MemoryKind::kDevice);
  memory.free(gone);
  try {
    run(program, "freed", {{1}, {64}}, memory, 0, in.data(), gone);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("0 bytes into 256 bytes that were freed"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace kvsieve::ptx
