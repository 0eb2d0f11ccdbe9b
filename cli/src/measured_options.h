#pragma once
// Options of the verbs that read measured rows.

#include <string>
#include <vector>

#include "arguments.h"
#include "kvsieve/sim/validation.h"

namespace kvsieve::cli {

/// --measured, --rows, --engine, --engine-version, --kv-dtype and --as.
void add_measured_options(Arguments& arguments);

/// The files of --measured, read. Throws Error(kUsage) without any.
[[nodiscard]] std::vector<sim::MeasuredFile> measured_files(const Arguments& arguments);

/// Which of their rows.
[[nodiscard]] sim::RowFilter row_filter(const Arguments& arguments);

}  // namespace kvsieve::cli
