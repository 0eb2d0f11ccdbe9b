#pragma once
// What a C function that Python calls does about exceptions.

#include <cstdio>
#include <exception>

namespace kvsieve::bench {

/// Runs `action`; false, with the reason on stderr, if it throws.
template <class Action>
bool succeeds(const Action& action) {
  try {
    action();
    return true;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return false;
  }
}

}  // namespace kvsieve::bench
