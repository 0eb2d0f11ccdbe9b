#pragma once
// Runs a test's body under every schedule order of the SIMT executor; once on a GPU.

#include <gtest/gtest.h>

#include "exec/device/runtime.h"
#ifdef KVSIEVE_TEST_SIMT
#include <initializer_list>

#include "exec/simt/order.h"
#endif

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Calls body() once an order: kernels must not depend on what CUDA leaves unordered.
template <class Body>
void for_each_order(const Body& body) {
#ifdef KVSIEVE_TEST_SIMT
  using Kind = simt::Order::Kind;
  const simt::Order before = simt::current_order();
  for (const simt::Order order : {simt::Order{Kind::kForward, 0}, simt::Order{Kind::kReverse, 0},
                                  simt::Order{Kind::kRandom, 1}}) {
    SCOPED_TRACE("order " + simt::to_text(order));
    simt::set_order(order);
    body();
  }
  simt::set_order(before);
#else
  body();
#endif
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
