#pragma once
// What crosses the bus during a part of a test.

#include "exec/device/runtime.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// Traffic over one path since this object was made; the path is counted on this backend.
class Traffic {
 public:
  explicit Traffic(BusPath path) : m_path(path), m_before(bus_traffic(path).value()) {}

  [[nodiscard]] BusTraffic since() const {
    const BusTraffic now = bus_traffic(m_path).value();
    return {now.bytes - m_before.bytes, now.pieces - m_before.pieces};
  }

 private:
  BusPath m_path;
  BusTraffic m_before;
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
