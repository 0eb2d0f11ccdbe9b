#include "exec/simt/order.h"

#include <charconv>
#include <cstdlib>
#include <mutex>
#include <string>

#include "kvsieve/traces/error.h"

namespace kvsieve::simt {
namespace {

std::mutex g_mutex;
std::uint64_t g_epoch = 0;

Order order_of_environment() {
  const char* text = std::getenv("KVSIEVE_SIMT_ORDER");
  return text == nullptr ? Order{} : parse_order(text);
}

Order& order_slot() {
  static Order order = order_of_environment();
  return order;
}

}  // namespace

Order parse_order(std::string_view text) {
  if (text == "forward") {
    return {Order::Kind::kForward, 0};
  }
  if (text == "reverse") {
    return {Order::Kind::kReverse, 0};
  }
  constexpr std::string_view kRandomPrefix = "random:";
  if (text.starts_with(kRandomPrefix)) {
    const std::string_view digits = text.substr(kRandomPrefix.size());
    std::uint64_t seed = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seed);
    if (error == std::errc{} && end == digits.data() + digits.size()) {
      return {Order::Kind::kRandom, seed};
    }
  }
  throw Error(ErrorKind::kUsage, "unknown order '" + std::string(text) +
                                     "', supported: forward, reverse, random:SEED");
}

std::string to_text(const Order& order) {
  switch (order.kind) {
    case Order::Kind::kForward:
      return "forward";
    case Order::Kind::kReverse:
      return "reverse";
    case Order::Kind::kRandom:
      break;
  }
  return "random:" + std::to_string(order.seed);
}

void set_order(Order order) {
  const std::lock_guard lock(g_mutex);
  order_slot() = order;
  ++g_epoch;
}

std::uint64_t order_epoch() {
  const std::lock_guard lock(g_mutex);
  return g_epoch;
}

Order current_order() {
  const std::lock_guard lock(g_mutex);
  return order_slot();
}

}  // namespace kvsieve::simt
