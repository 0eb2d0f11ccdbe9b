#pragma once
// Runs a test's body under every schedule order of an executor; once on a GPU.

#include <gtest/gtest.h>

#include "exec/device/runtime.h"
#ifdef KVSIEVE_TEST_SIMT
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "exec/simt/order.h"
#else
#include "kernels/device/seeds.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

#ifdef KVSIEVE_TEST_SIMT
/// Forward, reverse and one random order; as many random ones as the environment variable
/// KVSIEVE_TEST_RANDOM_ORDERS says.
inline std::vector<simt::Order> tested_orders() {
  const char* wanted = std::getenv("KVSIEVE_TEST_RANDOM_ORDERS");
  const std::uint64_t random = wanted == nullptr ? 1 : std::strtoull(wanted, nullptr, 10);
  std::vector<simt::Order> orders{{simt::Order::Kind::kForward, 0},
                                  {simt::Order::Kind::kReverse, 0}};
  for (std::uint64_t seed = 1; seed <= random; ++seed) {
    orders.push_back({simt::Order::Kind::kRandom, seed});
  }
  return orders;
}
#endif

/// Calls body() once an order: kernels must not depend on what CUDA leaves unordered.
template <class Body>
void for_each_order(const Body& body) {
#ifdef KVSIEVE_TEST_SIMT
  const simt::Order before = simt::current_order();
  for (const simt::Order& order : tested_orders()) {
    SCOPED_TRACE("order " + simt::to_text(order));
    simt::set_order(order);
    body();
  }
  simt::set_order(before);
#else
  for (const std::uint64_t seed : tested_seeds()) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    set_seed(seed);
    body();
  }
  set_seed(0);
#endif
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
