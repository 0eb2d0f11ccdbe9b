#pragma once
// What bars of a run stand for: its layers, or the heads of the layers that are selected.

#include <Qt>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/selection.h"
#include "kvsieve/sim/run_view.h"

namespace kvsieve::gui {

/// Heads that are shown as one.
struct HeadGroup {
  std::string name;           ///< "4", or "4 · 1" for one head
  std::vector<HeadId> heads;  ///< ascending
  sim::Node node;             ///< of the layer or head in the run's document
};

/// The run's layers if no head is selected; otherwise each head of the layers in which some are. In
/// the order of the document. @param selected ascending, as Selection::heads
[[nodiscard]] std::vector<HeadGroup> head_groups(const sim::RunView& run,
                                                 std::span<const HeadId> selected);
/// "layer" or "layer · KV head": what names of these groups are.
[[nodiscard]] std::string group_kind(const sim::RunView& run, std::span<const HeadId> selected);
/// The group that holds the current head, by its index; nothing if none does.
[[nodiscard]] std::optional<std::size_t> group_of(std::span<const HeadGroup> groups,
                                                  const std::optional<HeadId>& head);
/// How these keys change the selected heads: Ctrl toggles, Shift extends.
[[nodiscard]] Pick pick_of(Qt::KeyboardModifiers modifiers);
/// `selection` after a group was picked: all heads of a layer, or one head as `how` says.
[[nodiscard]] Selection pick_group(Selection selection, std::span<const HeadGroup> groups,
                                   std::size_t index, Pick how);
/// "all layers and heads", "layer 4, KV head 1" or "3 KV heads": what means over `selected` are of.
[[nodiscard]] std::string scope_text(const sim::RunView& run, std::span<const HeadId> selected);

}  // namespace kvsieve::gui
