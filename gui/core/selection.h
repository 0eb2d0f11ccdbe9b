#pragma once
// What the user points at: the one selection that all pages share.

#include <QString>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvsieve::gui {

/// An allocation unit of the shown run: a KV head, or a query head for runs of that granularity.
struct HeadId {
  std::int64_t layer = 0;  ///< index in the model
  std::int64_t head = 0;

  auto operator<=>(const HeadId&) const = default;
};

/// Tokens [begin, end).
struct TokenRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  auto operator<=>(const TokenRange&) const = default;
};

struct Selection {
  std::vector<HeadId> heads;      ///< ascending, each once; empty means all
  std::optional<HeadId> current;  ///< of `heads`, the one that detail pages show
  std::optional<TokenRange> tokens;
  std::optional<std::int64_t> step;  ///< decode step, from 0
  std::vector<std::int64_t> points;  ///< of the shown sweep, by number; ascending, each once

  bool operator==(const Selection&) const = default;
  [[nodiscard]] bool is_empty() const { return *this == Selection{}; }
  [[nodiscard]] bool contains(const HeadId& head) const;
};

/// How a click changes the selected heads.
enum class Pick {
  kReplace,  ///< click
  kToggle,   ///< Ctrl+click
  kExtend,   ///< Shift+click: from the current head to this one, in the order of `all`
};

/// `selection` after `head` was picked. `all` are the heads in the order in which they are shown.
[[nodiscard]] Selection pick(Selection selection, const HeadId& head, Pick how,
                             std::span<const HeadId> all);
/// `selection` with these heads, the first of them current; `add` keeps those selected before.
[[nodiscard]] Selection select_heads(Selection selection, std::vector<HeadId> heads, bool add);

/// `selection` with these points of the sweep; `add` keeps those selected before.
[[nodiscard]] Selection select_points(Selection selection, std::vector<std::int64_t> points,
                                      bool add);
/// `selection` with this point if it was not selected, without it if it was.
[[nodiscard]] Selection toggle_point(Selection selection, std::int64_t point);

/// "All", "layer 4", "layer 4 › KV head 1", "3 heads", with tokens and step behind them.
/// @param unit_name "KV head" or "query head"
[[nodiscard]] QString breadcrumb(const Selection& selection, const QString& unit_name);

}  // namespace kvsieve::gui
