#pragma once
// Names of the nodes in llama.cpp's compute graph, such as "Qcur_normed-12".

#include <cstdint>
#include <optional>
#include <string_view>

namespace kvsieve::record {

/// What an attention node holds.
enum class NodeRole { kQuery, kKey, kValue, kOutput };

/// The role and layer that a node's name gives it.
struct NodeName {
  NodeRole role = NodeRole::kQuery;
  std::int64_t layer = 0;

  bool operator==(const NodeName&) const = default;
};

/// Reads names of the form BASE-LAYER, optionally followed by a remark such as " (view)", where
/// BASE is Qcur, Kcur (both also with _normed), Vcur or kqv_out. Empty for every other name.
[[nodiscard]] std::optional<NodeName> parse_node_name(std::string_view name) noexcept;

}  // namespace kvsieve::record
