#include "core/head_groups.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvsieve::gui {
namespace {

std::vector<HeadId> heads_of(const sim::LayerView& layer) {
  std::vector<HeadId> heads;
  for (const sim::Node& head : layer.heads) {
    heads.push_back(
        {layer.layer, head.integer_or("head", static_cast<std::int64_t>(heads.size()))});
  }
  return heads;
}

}  // namespace

std::vector<HeadGroup> head_groups(const sim::RunView& run, std::span<const HeadId> selected) {
  std::vector<HeadGroup> groups;
  for (const sim::LayerView& layer : run.layers) {
    const std::vector<HeadId> heads = heads_of(layer);
    if (selected.empty()) {
      groups.push_back({fmt::format("{}", layer.layer), heads, layer.node});
      continue;
    }
    const auto first = std::lower_bound(selected.begin(), selected.end(), HeadId{layer.layer, 0});
    const bool touched = first != selected.end() && first->layer == layer.layer;
    for (std::size_t i = 0; touched && i < heads.size(); ++i) {
      groups.push_back(
          {fmt::format("{} · {}", layer.layer, heads[i].head), {heads[i]}, layer.heads[i]});
    }
  }
  return groups;
}

std::string group_kind(const sim::RunView& run, std::span<const HeadId> selected) {
  return selected.empty() ? "layer" : "layer · " + run.unit_name;
}

std::optional<std::size_t> group_of(std::span<const HeadGroup> groups,
                                    const std::optional<HeadId>& head) {
  for (std::size_t i = 0; head && i < groups.size(); ++i) {
    if (std::binary_search(groups[i].heads.begin(), groups[i].heads.end(), *head)) {
      return i;
    }
  }
  return std::nullopt;
}

Pick pick_of(Qt::KeyboardModifiers modifiers) {
  return (modifiers & Qt::ControlModifier) ? Pick::kToggle
         : (modifiers & Qt::ShiftModifier) ? Pick::kExtend
                                           : Pick::kReplace;
}

Selection pick_group(Selection selection, std::span<const HeadGroup> groups, std::size_t index,
                     Pick how) {
  const HeadGroup& group = groups[index];
  if (selection.heads.empty()) {
    return select_heads(std::move(selection), group.heads, false);
  }
  std::vector<HeadId> all;
  for (const HeadGroup& one : groups) {
    all.insert(all.end(), one.heads.begin(), one.heads.end());
  }
  return pick(std::move(selection), group.heads.front(), how, all);
}

std::string scope_text(const sim::RunView& run, std::span<const HeadId> selected) {
  if (selected.empty()) {
    return "all layers and heads";
  }
  if (selected.size() == 1) {
    return fmt::format("layer {}, {} {}", selected.front().layer, run.unit_name,
                       selected.front().head);
  }
  const bool one_layer = std::all_of(selected.begin(), selected.end(), [&](const HeadId& head) {
    return head.layer == selected.front().layer;
  });
  const std::string count = fmt::format("{} {}s", selected.size(), run.unit_name);
  return one_layer ? fmt::format("{} of layer {}", count, selected.front().layer) : count;
}

}  // namespace kvsieve::gui
