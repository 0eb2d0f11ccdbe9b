#include "kvsieve/sim/version.h"

namespace kvsieve::sim {

std::string_view version() noexcept {
  return KVSIEVE_VERSION;
}

}  // namespace kvsieve::sim
