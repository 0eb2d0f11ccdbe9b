#pragma once
// Rows, identities and processes for tests of the sweep store.

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/sim/sweep_store.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::tests {

sim::SweepIdentity an_identity();

/// A key as point_key makes them, different for every number but not in their order.
std::string key_of(std::int64_t number);
sim::SweepRow finished_row(std::int64_t number);
sim::SweepRow failed_row(std::int64_t number, std::string error = "out of memory");
/// Finished rows [begin, end).
std::vector<sim::SweepRow> finished_rows(std::int64_t begin, std::int64_t end);

/// A new store with these rows, closed.
void make_store(const std::filesystem::path& path, std::vector<sim::SweepRow> rows,
                const sim::SweepIdentity& identity = an_identity());

std::vector<sim::SweepRow> all_rows(const sim::SweepStore& store);
std::vector<std::int64_t> all_numbers(const sim::SweepStore& store);

/// What an action throws; a failed expectation if it throws nothing.
Error error_of(const std::function<void()>& action);

/// Runs an action in a process of its own, which exits with the number that it returns.
pid_t start_child(const std::function<int()>& action);
/// Its exit status, or minus the signal that ended it.
int wait_for(pid_t child);
int in_child(const std::function<int()>& action);

/// The same as a user who is not root: root may write whatever it likes.
int in_child_as_nobody(const std::function<int()>& action);

}  // namespace kvsieve::tests
