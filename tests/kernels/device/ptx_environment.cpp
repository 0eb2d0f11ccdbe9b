// Orders of a *_ptx program.

#include <algorithm>
#include <cstdlib>

#include "exec/ptx/standin.h"
#include "kernels/device/seeds.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// A random order, the ascending one, and another random one; or as many of them as the environment
/// variable KVSIEVE_TEST_SEEDS says.
std::vector<std::uint64_t> tested_seeds() {
  std::vector<std::uint64_t> seeds{1, 0, 2};
  if (const char* wanted = std::getenv("KVSIEVE_TEST_SEEDS")) {
    seeds.resize(std::min(seeds.size(), std::strtoul(wanted, nullptr, 10)));
  }
  return seeds;
}
void set_seed(std::uint64_t seed) {
  ptx::set_seed(seed);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
