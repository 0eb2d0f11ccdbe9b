#pragma once
// Runs a model over a prompt and writes the trace.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::record {

/// What to record.
struct RecordOptions {
  std::filesystem::path model;   ///< GGUF file
  std::filesystem::path prompt;  ///< text file; one newline at its end is dropped
  std::filesystem::path output;
  std::int64_t decode = 64;                          ///< greedy steps after the prompt
  std::optional<std::int64_t> prompt_queries = 128;  ///< the last ones; all of them if empty
  std::string layers = "all";
  traces::DType dtype = traces::DType::kF16;
  std::string needle;        ///< text inside the prompt; none if empty
  std::int64_t context = 0;  ///< tokens that the KV cache holds; 0 means as many as needed
  int threads = 0;           ///< 0 means all cores
  std::string note;
  bool chat = false;   ///< wrap the prompt in the model's chat template
  bool force = false;  ///< replace an existing output
};

/// What was recorded.
struct RecordSummary {
  std::uint64_t file_bytes = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t decode_tokens = 0;
  double prompt_seconds = 0.0;
  double decode_seconds = 0.0;
  std::string decoded_text;
};

/// Records. Throws Error, or Interrupted on Ctrl-C; the output appears whole or not at all.
RecordSummary record(const RecordOptions& options);

}  // namespace kvsieve::record
