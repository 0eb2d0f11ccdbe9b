#include "kvsieve/kernels/backend.h"

#include <fmt/format.h>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {

std::string_view name_of(Backend backend) noexcept {
  switch (backend) {
    case Backend::kCpu:
      return "cpu";
    case Backend::kSimt:
      return "simt";
    case Backend::kCuda:
      break;
  }
  return "cuda";
}

Backend backend_from_name(std::string_view name) {
  for (const Backend backend : kBackends) {
    if (name == name_of(backend)) {
      return backend;
    }
  }
  throw Error(ErrorKind::kUsage, fmt::format("the backend '{}' is unknown", name),
              "supported: cpu, simt, cuda");
}

}  // namespace kvsieve::kernels
