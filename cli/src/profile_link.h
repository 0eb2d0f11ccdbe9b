#pragma once
// `kvsieve profile --link`: the host link, measured and fitted.

#include <string>

namespace kvsieve::cli {

struct LinkOptions {
  std::string hardware;  ///< profile to start from
  std::string from;      ///< measurements instead of measuring; empty: measure
  std::string rows;      ///< measurements to write; empty: none
  std::string output;    ///< profile to write
  std::string date;
  std::string format;
  bool force = false;
  bool quiet = false;
};

/// Returns the exit code.
[[nodiscard]] int profile_link(const LinkOptions& options);

}  // namespace kvsieve::cli
