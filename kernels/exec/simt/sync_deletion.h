#pragma once
// Mutation testing without recompiling: one synchronisation, named by its source line, does
// nothing. tests/kernels/simt/sync_mutants.py shows with it that the tests notice each missing one.

#include <source_location>

namespace kvsieve::simt {

/// Whether the environment variable KVSIEVE_SIMT_DELETE is set, read at the start of the program.
extern const bool deletes_synchronisation;

/// Whether it names this line, as FILE:LINE with FILE the name without folders.
[[nodiscard]] bool is_named_for_deletion(const std::source_location& where);

[[nodiscard]] inline bool is_deleted(const std::source_location& where) {
  return deletes_synchronisation && is_named_for_deletion(where);
}

}  // namespace kvsieve::simt
