#pragma once
// The replays that the points of a sweep need, each once: one for every trace and method, and one
// pass over a trace for all of its evictions.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "kvsieve/sim/sweep_evaluator.h"
#include "sweep/replay_cache.h"

namespace kvsieve::sim {

/// Figures by what they are of, in memory and on disk. Points ask, run() answers them all.
/// Not for several threads at once.
class SharedReplays {
 public:
  /// @param folder of the cache on disk; empty for none
  explicit SharedReplays(std::filesystem::path folder);

  /// Asks for a replay and returns its number, that of an equal one if there is one.
  /// Throws Error if the trace cannot be opened.
  std::size_t ask(const std::string& trace, const SweepTask::Eviction& eviction);
  std::size_t ask(const std::string& trace, const RetrievalOptions& options);

  /// Finds or computes everything that was asked for. `progress` gets the finished share; what it
  /// throws ends the call.
  void run(const Progress& progress);

  /// The figures of a request. Throws Error(kBadInput) with the message of a replay that failed.
  [[nodiscard]] const ReplayFigures& figures(std::size_t request) const;

  /// Forgets the requests, not the figures, as far as memory allows.
  void clear();

  [[nodiscard]] std::int64_t replays() const noexcept { return m_replays; }
  [[nodiscard]] std::int64_t cache_hits() const noexcept { return m_cache_hits; }

 private:
  struct OpenTrace {
    traces::Trace trace;
    std::string hash;
  };
  using Method = std::variant<SweepTask::Eviction, RetrievalOptions>;
  struct Request {
    const OpenTrace* trace = nullptr;
    Method method;
    nlohmann::ordered_json key;
    std::string name;  ///< text_hash of the key
    std::shared_ptr<const ReplayFigures> figures;
    std::string error;
  };
  class ProgressPart;

  const OpenTrace& open(const std::string& path);
  [[nodiscard]] std::string_view codebook_hash(const std::shared_ptr<const Codebook>& codebook);
  std::size_t add(const OpenTrace& trace, Method method, nlohmann::ordered_json key);
  [[nodiscard]] bool recall(Request& request);
  void finish(Request& request, ReplayFigures figures);
  void replay(std::span<Request* const> evictions, ProgressPart& progress);
  void replay(Request& retrieval, ProgressPart& progress);

  ReplayCache m_cache;
  std::map<std::string, OpenTrace> m_traces;
  std::unordered_map<const Codebook*, std::pair<std::weak_ptr<const Codebook>, std::string>>
      m_codebooks;
  std::deque<Request> m_requests;
  std::unordered_map<std::string, std::size_t> m_numbers;  ///< of requests, by name
  std::unordered_map<std::string, std::shared_ptr<const ReplayFigures>> m_known;
  std::deque<std::string> m_order;  ///< of m_known, oldest first
  std::size_t m_bytes = 0;          ///< of m_known
  std::int64_t m_replays = 0;
  std::int64_t m_cache_hits = 0;
};

}  // namespace kvsieve::sim
