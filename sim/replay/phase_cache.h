#pragma once
// RoPE tables shared by the layers that rotate alike.

#include <list>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/traces/rope.h"

namespace kvsieve::sim {

/// Keeps the tables of the last two RoPE specifications: models alternate between at most a local
/// and a global one.
class PhaseCache {
 public:
  PhaseCache(std::int64_t head_dim, std::int64_t positions)
      : m_head_dim(head_dim), m_positions(positions) {}

  /// The table of `spec`, valid until two other specifications were asked for.
  const kernels::RopePhases& get(const traces::RopeSpec& spec) {
    for (const kernels::RopePhases& phases : m_tables) {
      if (phases.table().spec() == spec) {
        return phases;
      }
    }
    if (m_tables.size() == 2) {
      m_tables.pop_front();
    }
    return m_tables.emplace_back(traces::RopeTable(spec, m_head_dim), m_positions);
  }

 private:
  std::int64_t m_head_dim;
  std::int64_t m_positions;
  std::list<kernels::RopePhases> m_tables;
};

}  // namespace kvsieve::sim
