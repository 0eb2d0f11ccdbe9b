#pragma once
// A run computed here: what `kvsieve run` computes for the same options, and the words to say so.

#include <QString>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/jobs.h"
#include "kvsieve/sim/eviction_replay.h"
#include "kvsieve/sim/retrieval_replay.h"

namespace kvsieve::gui {

/// Options of `kvsieve run` by name, without dashes: {"method", "ada-snapkv"}, {"budget", "20%"}. A
/// switch has an empty text.
using RunOptions = std::map<std::string, std::string>;

/// The method first: "--method", "ada-snapkv", "--budget", "20%".
[[nodiscard]] std::vector<std::string> words_of(const RunOptions& options);
/// The command that computes the same run, quoted for a shell.
[[nodiscard]] QString command_line(const QString& trace_path, const RunOptions& options);

/// Options as the command line reads them, for one trace.
class LiveRun {
 public:
  /// Throws Error(kUsage) as `kvsieve run` does.
  LiveRun(const RunOptions& options, const traces::TraceHeader& trace);
  LiveRun(LiveRun&&) noexcept;
  LiveRun& operator=(LiveRun&&) noexcept;
  ~LiveRun();

  [[nodiscard]] const RunOptions& options() const noexcept { return m_options; }
  /// Of an eviction method; null for the others.
  [[nodiscard]] const sim::EvictionPlan* eviction() const;
  /// Of a retrieval method; null for the others.
  [[nodiscard]] const sim::RetrievalOptions* retrieval() const;
  [[nodiscard]] sim::EvictionOptions eviction_options() const;

  /// Replays a retrieval method, on the backend and with the decode steps that the options ask for.
  [[nodiscard]] sim::RetrievalResult replay(const traces::Trace& trace,
                                            const sim::RetrievalOptions& options,
                                            const sim::Progress& progress) const;
  /// The document of a result, with its modelled cost, as `kvsieve run --output` writes it.
  [[nodiscard]] nlohmann::ordered_json document(const traces::Trace& trace,
                                                const sim::EvictionResult& result) const;
  [[nodiscard]] nlohmann::ordered_json document(const traces::Trace& trace,
                                                const sim::RetrievalResult& result) const;

 private:
  struct Parsed;
  RunOptions m_options;
  std::unique_ptr<Parsed> m_parsed;
};

}  // namespace kvsieve::gui
