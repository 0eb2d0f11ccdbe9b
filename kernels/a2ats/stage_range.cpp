#include "kvsieve/kernels/stage_range.h"

#include <fmt/format.h>

#include <charconv>

namespace kvsieve::kernels {
namespace {

/// Takes "/key:number" off the front of `text`; nothing if it does not begin so.
std::optional<std::int32_t> take_number(std::string_view& text, std::string_view key) {
  if (!text.starts_with('/') || !text.substr(1).starts_with(key)) {
    return std::nullopt;
  }
  text.remove_prefix(1 + key.size());
  if (!text.starts_with(':')) {
    return std::nullopt;
  }
  text.remove_prefix(1);
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace

std::string stage_range_text(const StageRange& range) {
  return fmt::format("{}/step:{}/layer:{}/micro-batch:{}", name_of(range.stage), range.step,
                     range.layer, range.micro_batch);
}

std::optional<StageRange> parse_stage_range(std::string_view text) {
  const std::string_view name = text.substr(0, text.find('/'));
  for (std::size_t s = 0; s < kStepStages; ++s) {
    const auto stage = static_cast<StepStage>(s);
    if (name != name_of(stage)) {
      continue;
    }
    text.remove_prefix(name.size());
    const auto step = take_number(text, "step");
    const auto layer = take_number(text, "layer");
    const auto micro_batch = take_number(text, "micro-batch");
    if (step && layer && micro_batch && text.empty()) {
      return StageRange{stage, *step, *layer, *micro_batch};
    }
  }
  return std::nullopt;
}

}  // namespace kvsieve::kernels
