#include "kvsieve/sim/budget.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {
namespace {

constexpr std::array<std::pair<std::string_view, std::int64_t>, 7> kUnits{{{"KiB", 1LL << 10},
                                                                           {"MiB", 1LL << 20},
                                                                           {"GiB", 1LL << 30},
                                                                           {"KB", 1'000},
                                                                           {"MB", 1'000'000},
                                                                           {"GB", 1'000'000'000},
                                                                           {"B", 1}}};

[[noreturn]] void fail(std::string_view text) {
  throw Error(ErrorKind::kUsage,
              fmt::format("--budget '{}' is neither tokens (512), a share of the prompt (20%) nor "
                          "bytes (64MiB)",
                          text));
}

/// The number in front of a unit; `text` is the whole budget, for the error.
kernels::Decimal parse_number(std::string_view number, std::string_view text) {
  try {
    return kernels::Decimal::parse(number);
  } catch (const Error&) {
    fail(text);
  }
}

}  // namespace

Budget Budget::parse(std::string_view text) {
  Budget budget;
  if (text.ends_with('%')) {
    budget.kind = Kind::kShare;
    budget.share = parse_number(text, text);
    return budget;
  }
  for (const auto& [unit, factor] : kUnits) {
    if (text.ends_with(unit)) {
      budget.kind = Kind::kBytes;
      const kernels::Decimal number = parse_number(text.substr(0, text.size() - unit.size()), text);
      try {
        budget.amount = number.floor_times(factor);
      } catch (const Error&) {
        throw Error(ErrorKind::kUsage, fmt::format("--budget '{}' is too large", text));
      }
      return budget;
    }
  }
  budget.kind = Kind::kTokens;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, budget.amount);
  if (error != std::errc() || stop != end || budget.amount < 0) {
    fail(text);
  }
  return budget;
}

std::string Budget::text() const {
  switch (kind) {
    case Kind::kTokens:
      return fmt::format("{}", amount);
    case Kind::kBytes:
      return fmt::format("{}B", amount);
    case Kind::kShare:
      break;
  }
  // Percent, without binary rounding: one decimal point moved by two places.
  kernels::Decimal percent = share;
  for (int place = 0; place < 2; ++place) {
    if (percent.scale > 1) {
      percent.scale /= 10;
    } else {
      percent.units *= 10;
    }
  }
  return percent.text() + "%";
}

std::int64_t Budget::tokens_per_head(const traces::TraceHeader& trace,
                                     Granularity granularity) const {
  const traces::ModelShape& model = trace.model;
  switch (kind) {
    case Kind::kTokens:
      return amount;
    case Kind::kShare:
      return share.floor_times(trace.prompt_tokens);
    case Kind::kBytes:
      break;
  }
  const std::int64_t heads = granularity == Granularity::kKvHead ? model.kv_heads : model.q_heads;
  const auto element = static_cast<std::int64_t>(traces::size_of(trace.dtype));
  return amount / (2 * model.head_dim * element * heads * model.layers);
}

}  // namespace kvsieve::sim
