#pragma once
// Tests of tests: a run without one of the kernels' synchronisations, which a test should notice
// (tests/kernels/simt/sync_mutants.py).

#include <source_location>

namespace kvsieve::simt {

/// Whether the environment variable KVSIEVE_SIMT_DELETE is set.
extern const bool g_deletes;

/// Whether KVSIEVE_SIMT_DELETE=FILE:LINE names this line; FILE is the name without folders.
[[nodiscard]] bool is_named_for_deletion(const std::source_location& where);

inline bool is_deleted(const std::source_location& where) {
  return g_deletes && is_named_for_deletion(where);
}

}  // namespace kvsieve::simt
