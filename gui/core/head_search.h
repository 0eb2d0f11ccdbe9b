#pragma once
// What a find box asks for: a layer, a head, a token, a step.

#include <QString>
#include <cstdint>
#include <optional>

namespace kvsieve::gui {

struct HeadSearch {
  std::optional<std::int64_t> layer;
  std::optional<std::int64_t> head;
  std::optional<std::int64_t> token;
  std::optional<std::int64_t> step;

  bool operator==(const HeadSearch&) const = default;
};

/// Reads "layer 4 head 2", "L4H2", "l4 h2", "4/2", "layer 4", "token 1200", "step 3" and their
/// combinations. Nothing if any part is not understood.
[[nodiscard]] std::optional<HeadSearch> parse_head_search(const QString& text);

}  // namespace kvsieve::gui
