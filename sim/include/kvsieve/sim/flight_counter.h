#pragma once
// The bytes on their way over the link, as a counter of Chrome's trace event format.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "kvsieve/sim/timeline.h"

namespace kvsieve::sim {

/// Takes transfers in any order, and writes the sum a direction each time that it changes.
class FlightCounter {
 public:
  /// What the host's cores gather does not cross the link; what a kernel does comes from the host.
  void add(Lane lane, double begin_us, double end_us, std::int64_t bytes);

  /// Appends the counter's events. @param process number of the trace's process
  void write(nlohmann::ordered_json& events, int process);

 private:
  struct Change {
    double us;
    std::size_t direction;
    std::int64_t bytes;
  };
  std::vector<Change> m_changes;
};

}  // namespace kvsieve::sim
