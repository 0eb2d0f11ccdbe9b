#pragma once
// What a fuzzed parser promises; breaking a promise stops the fuzzer as a crash would.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "kvsieve/traces/error.h"
#include "printable_line.h"

namespace kvsieve::tests {

inline void require(bool holds, const char* promise) {
  if (!holds) {
    std::fprintf(stderr, "broken promise: %s\n", promise);
    std::abort();
  }
}

/// Input may end in one kind of error only, with a short message on one line.
inline void require_error(const Error& error, ErrorKind kind) {
  const std::string_view text = error.what();
  require(error.kind() == kind, "the error is of the expected kind");
  require(is_printable_line(text), "the message is one printable line");
  require(text.size() < 500, "the message is short");
}

inline void require_bad_input(const Error& error) {
  require_error(error, ErrorKind::kBadInput);
}

}  // namespace kvsieve::tests
