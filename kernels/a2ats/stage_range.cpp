#include "kvsieve/kernels/stage_range.h"

#include <fmt/format.h>

#include <charconv>

namespace kvsieve::kernels {
namespace {

/// Takes "/key:number" off the front of `text`; nothing, and all of it left, if it does not begin
/// so.
std::optional<std::int32_t> take_number(std::string_view& text, std::string_view key) {
  const std::string mark = fmt::format("/{}:", key);
  if (!text.starts_with(mark)) {
    return std::nullopt;
  }
  const char* const begin = text.data() + mark.size();
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc() || value < 0) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace

std::string stage_range_text(const StageRange& range) {
  const std::string step = range.step < 0 ? "" : fmt::format("/step:{}", range.step);
  return fmt::format("{}{}/layer:{}/micro-batch:{}", range.stage, step, range.layer,
                     range.micro_batch);
}

std::optional<StageRange> parse_stage_range(std::string_view text) {
  const std::string_view name = text.substr(0, text.find('/'));
  if (name.empty() ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != std::string_view::npos) {
    return std::nullopt;
  }
  text.remove_prefix(name.size());
  const auto step = take_number(text, "step");
  const auto layer = take_number(text, "layer");
  const auto micro_batch = take_number(text, "micro-batch");
  if (!layer || !micro_batch || !text.empty()) {
    return std::nullopt;
  }
  return StageRange{std::string(name), step.value_or(-1), *layer, *micro_batch};
}

}  // namespace kvsieve::kernels
