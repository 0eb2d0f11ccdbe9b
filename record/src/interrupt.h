#pragma once
// Ctrl-C: a flag that the long loops look at, so that files are removed on the way out.

namespace kvsieve::record {

/// Thrown where work stops because of Ctrl-C.
struct Interrupted {};

/// From now on SIGINT and SIGTERM set the flag rather than end the process.
void install_interrupt_handler();

/// Whether the flag is set.
[[nodiscard]] bool interrupted() noexcept;

/// Throws Interrupted if the flag is set.
void check_interrupt();

}  // namespace kvsieve::record
