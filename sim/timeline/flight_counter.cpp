#include "kvsieve/sim/flight_counter.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

namespace kvsieve::sim {
namespace {

/// Directions of the link, as the counter calls them.
constexpr std::array<Lane, 2> kDirections{Lane::kToHost, Lane::kToGpu};

}  // namespace

void FlightCounter::add(Lane lane, double begin_us, double end_us, std::int64_t bytes) {
  if (bytes == 0 || lane == Lane::kCpu) {
    return;
  }
  const std::size_t direction = lane == Lane::kToHost ? 0 : 1;
  m_changes.push_back({begin_us, direction, bytes});
  m_changes.push_back({end_us, direction, -bytes});
}

void FlightCounter::write(nlohmann::ordered_json& events, int process) {
  std::sort(m_changes.begin(), m_changes.end(),
            [](const Change& a, const Change& b) { return a.us < b.us; });
  std::array<std::int64_t, kDirections.size()> bytes{};
  std::array<std::int64_t, kDirections.size()> written{};
  for (std::size_t i = 0; i < m_changes.size(); ++i) {
    bytes[m_changes[i].direction] += m_changes[i].bytes;
    const bool last = i + 1 == m_changes.size() || m_changes[i + 1].us > m_changes[i].us;
    if (!last || bytes == written) {
      continue;
    }
    written = bytes;
    nlohmann::ordered_json args = nlohmann::ordered_json::object();
    for (std::size_t d = 0; d < kDirections.size(); ++d) {
      args[std::string(name_of(kDirections[d]))] = bytes[d];
    }
    events.push_back({{"name", "bytes in flight"},
                      {"ph", "C"},
                      {"ts", m_changes[i].us},
                      {"pid", process},
                      {"args", std::move(args)}});
  }
}

}  // namespace kvsieve::sim
