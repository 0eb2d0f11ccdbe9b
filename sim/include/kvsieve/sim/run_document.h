#pragma once
// The JSON document of a run (schema kvsieve.run/1): what the command line prints, reports read and
// the viewer opens. docs/run.schema.json describes it.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::sim {

/// The document of an eviction run. Fields that do not apply are absent, never zero.
[[nodiscard]] nlohmann::ordered_json run_document(const traces::Trace& trace,
                                                  const EvictionResult& result);

/// The document of a retrieval run.
[[nodiscard]] nlohmann::ordered_json run_document(const traces::Trace& trace,
                                                  const RetrievalResult& result);

/// Writes a document whole or not at all: zstd-compressed if the name ends in ".kvrun", as text
/// otherwise. Throws Error as traces::OutputFile.
void write_run(const std::filesystem::path& path, const nlohmann::ordered_json& document,
               bool overwrite);

/// Reads a run written by write_run, compressed or not, at most 1 GiB when unpacked.
/// Throws Error(kBadInput), one line that begins with the path, if it is no run document.
[[nodiscard]] nlohmann::ordered_json read_run(const std::filesystem::path& path);

}  // namespace kvsieve::sim
