#pragma once
// Runs an instruction of PTX once for every row of a table of operands.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "exec/ptx/executor.h"
#include "kernels/ptx/run_ptx.h"

namespace kvsieve::ptx {

/// Every combination of the values of several columns.
template <class A, class B>
void combine(std::vector<A>& a, std::vector<B>& b) {
  std::vector<A> all_a;
  std::vector<B> all_b;
  for (const A& x : a) {
    for (const B& y : b) {
      all_a.push_back(x);
      all_b.push_back(y);
    }
  }
  a = all_a;
  b = all_b;
}

template <class A, class B, class C>
void combine(std::vector<A>& a, std::vector<B>& b, std::vector<C>& c) {
  std::vector<A> all_a;
  std::vector<B> all_b;
  std::vector<C> all_c;
  for (const A& x : a) {
    for (const B& y : b) {
      for (const C& z : c) {
        all_a.push_back(x);
        all_b.push_back(y);
        all_c.push_back(z);
      }
    }
  }
  a = all_a;
  b = all_b;
  c = all_c;
}

/// The results %d of the text for each row of operands %a, %b and %c; registers %p and %q are
/// predicates, %t and %u have 32 bits. The threads of the last row's warp that have no row do
/// nothing.
template <class D, class... Columns>
std::vector<D> apply(std::string_view text, const std::vector<Columns>&... columns) {
  const std::vector<std::size_t> sizes = {columns.size()...};
  const std::vector<std::size_t> widths = {sizeof(Columns)...};
  const auto rows = static_cast<unsigned>(sizes.front());
  std::string body = fmt::format(R"(
  .reg .pred %end, %p, %q; .reg .b32 %t, %u, %row, %size; .reg .b64 %at; .reg .b{} %d;
  mov.u32 %row, %tid.x;
  mov.u32 %size, %ctaid.x;
  mad.lo.s32 %row, %size, 128, %row;
  setp.ge.u32 %end, %row, {};
  @%end ret;
)",
                                 sizeof(D) * 8, rows);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const char name = static_cast<char>('a' + i);
    names.push_back(fmt::format("column_{}", name));
    body += fmt::format(
        "  .reg .b{0} %{1};\n  mad.wide.u32 %at, %row, {2}, %column_{1};\n"
        "  ld.global.b{0} %{1}, [%at];\n",
        widths[i] * 8, name, widths[i]);
  }
  names.emplace_back("results");
  body += fmt::format("  {}\n  mad.wide.u32 %at, %row, {}, %results;\n  st.global.b{} [%at], %d;\n",
                      text, sizeof(D), sizeof(D) * 8);
  const Program program(one_kernel(names, body));
  Memory memory;
  const Buffer<D> results(memory, rows);
  [&](const auto&... buffers) {
    run(program, "k", {{(rows + 127) / 128}, {128}}, memory, 0, buffers.data()..., results.data());
  }(Buffer<Columns>(memory, columns)...);
  return results.values();
}

template <class T>
std::vector<T> boundary_integers() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> result = {0,
                           1,
                           2,
                           3,
                           7,
                           31,
                           100,
                           Limits::max(),
                           static_cast<T>(Limits::max() - 1),
                           static_cast<T>(Limits::max() / 2),
                           static_cast<T>(0x5a)};
  result.push_back(static_cast<T>(static_cast<std::make_unsigned_t<T>>(0x123456789abcdef0ULL)));
  if (std::is_signed_v<T>) {
    for (const T value : {static_cast<T>(-1), static_cast<T>(-2), static_cast<T>(-100),
                          Limits::min(), static_cast<T>(Limits::min() + 1)}) {
      result.push_back(value);
    }
  }
  return result;
}

template <class T>
std::vector<T> boundary_floats() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> result = {T{0},
                           T{1},
                           T{0.5},
                           T{1.5},
                           T{2.5},
                           T{3},
                           T(0.1),
                           T(1) + Limits::epsilon(),
                           T(1) - Limits::epsilon() / 2,
                           T(123456.789),
                           T(3e9),
                           T(1e-20),
                           Limits::min(),
                           Limits::denorm_min(),
                           Limits::min() / 2,
                           Limits::max(),
                           Limits::infinity()};
  const std::size_t positive = result.size();
  for (std::size_t i = 0; i < positive; ++i) {
    result.push_back(-result[i]);
  }
  result.push_back(Limits::quiet_NaN());
  return result;
}

/// Whether both are the same bits, or no numbers.
template <class T>
bool same(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
  } else {
    return a == b;
  }
}

}  // namespace kvsieve::ptx
