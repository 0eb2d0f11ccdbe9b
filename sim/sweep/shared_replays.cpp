#include "sweep/shared_replays.h"

#include <algorithm>
#include <exception>

#include "kvsieve/traces/error.h"
#include "sweep/replay_key.h"

namespace kvsieve::sim {
namespace {

// Figures that stay in memory for the calls to come.
constexpr std::size_t kKeptBytes = std::size_t{512} << 20U;
// Kept tokens of a layer that the plans of one pass may have between them.
constexpr std::int64_t kSelectedTokens = std::int64_t{256} << 20U;

/// Plans of one pass over a trace: each selects at most all prompt tokens, and so does its twin.
std::size_t plans_at_once(const traces::TraceHeader& trace) {
  const std::int64_t each =
      2 * trace.model.q_heads * std::max<std::int64_t>(1, trace.prompt_tokens);
  return static_cast<std::size_t>(std::max<std::int64_t>(8, kSelectedTokens / each));
}

bool same_pass(const EvictionOptions& a, const EvictionOptions& b) {
  return a.layers == b.layers && a.losses == b.losses && a.bound == b.bound &&
         a.backend == b.backend;
}

}  // namespace

/// Counts replays, and passes on what the caller's progress throws as its own rather than as the
/// failure of a replay.
class SharedReplays::ProgressPart {
 public:
  ProgressPart(const Progress& progress, std::size_t total)
      : m_progress(progress), m_total(static_cast<double>(std::max<std::size_t>(1, total))) {}

  /// For a replay that stands for `count` of them.
  [[nodiscard]] Progress part(std::size_t count) {
    return [this, count](double share) { report(share * static_cast<double>(count)); };
  }
  void finish(std::size_t count) {
    m_done += static_cast<double>(count);
    report(0.0);
  }
  /// Whether the exception being handled is the caller's.
  [[nodiscard]] bool stopped() const noexcept { return m_stopped; }

 private:
  void report(double more) {
    if (!m_progress) {
      return;
    }
    // Replays that failed together are begun again: the share does not fall meanwhile.
    m_share = std::clamp((m_done + more) / m_total, m_share, 1.0);
    try {
      m_progress(m_share);
    } catch (...) {
      m_stopped = true;
      throw;
    }
  }

  const Progress& m_progress;
  double m_total;
  double m_done = 0.0;
  double m_share = 0.0;
  bool m_stopped = false;
};

SharedReplays::SharedReplays(std::filesystem::path folder) : m_cache(std::move(folder)) {}

const SharedReplays::OpenTrace& SharedReplays::open(const std::string& path) {
  const auto found = m_traces.find(path);
  if (found != m_traces.end()) {
    return found->second;
  }
  traces::Trace trace = traces::Trace::open(path);
  std::string hash = trace.hash();
  return m_traces.emplace(path, OpenTrace{std::move(trace), std::move(hash)}).first->second;
}

std::string_view SharedReplays::codebook_hash(const std::shared_ptr<const Codebook>& codebook) {
  if (codebook == nullptr) {
    return {};
  }
  auto& [known, hash] = m_codebooks[codebook.get()];
  if (known.lock() != codebook) {
    known = codebook;
    hash = content_hash(*codebook);
  }
  return hash;
}

std::size_t SharedReplays::ask(const std::string& trace, const SweepTask::Eviction& eviction) {
  const OpenTrace& opened = open(trace);
  return add(opened, eviction, replay_key(opened.hash, eviction.plan, eviction.options));
}

std::size_t SharedReplays::ask(const std::string& trace, const RetrievalOptions& options) {
  const OpenTrace& opened = open(trace);
  return add(opened, options, replay_key(opened.hash, options, codebook_hash(options.codebook)));
}

std::size_t SharedReplays::add(const OpenTrace& trace, Method method, nlohmann::ordered_json key) {
  std::string name = text_hash(key.dump());
  const auto [found, is_new] = m_numbers.try_emplace(name, m_requests.size());
  if (is_new) {
    m_requests.push_back({&trace, std::move(method), std::move(key), std::move(name), nullptr, {}});
  }
  return found->second;
}

bool SharedReplays::recall(Request& request) {
  const auto found = m_known.find(request.name);
  if (found != m_known.end()) {
    request.figures = found->second;
    return true;
  }
  if (std::optional<ReplayFigures> figures = m_cache.find(request.name, request.key)) {
    request.figures = std::make_shared<const ReplayFigures>(std::move(*figures));
    ++m_cache_hits;
    return true;
  }
  return false;
}

void SharedReplays::finish(Request& request, ReplayFigures figures) {
  m_cache.keep(request.name, request.key, figures);
  request.figures = std::make_shared<const ReplayFigures>(std::move(figures));
  ++m_replays;
}

void SharedReplays::run(const Progress& progress) {
  std::vector<Request*> evictions;
  std::vector<Request*> retrievals;
  for (Request& request : m_requests) {
    if (request.figures == nullptr && request.error.empty() && !recall(request)) {
      (std::holds_alternative<RetrievalOptions>(request.method) ? retrievals : evictions)
          .push_back(&request);
    }
  }
  ProgressPart part(progress, evictions.size() + retrievals.size());
  std::vector<Request*> pass;
  while (!evictions.empty()) {
    const Request& first = *evictions.front();
    const auto joins = [&](const Request* request) {
      return request->trace == first.trace &&
             same_pass(std::get<SweepTask::Eviction>(request->method).options,
                       std::get<SweepTask::Eviction>(first.method).options);
    };
    const auto others = std::stable_partition(evictions.begin(), evictions.end(), joins);
    pass.assign(evictions.begin(), others);
    const std::size_t at_once = plans_at_once(first.trace->trace.header());
    for (std::size_t begin = 0; begin < pass.size(); begin += at_once) {
      replay(std::span(pass).subspan(begin, std::min(at_once, pass.size() - begin)), part);
    }
    evictions.erase(evictions.begin(), others);
  }
  for (Request* request : retrievals) {
    replay(*request, part);
  }
}

/// One pass for all; if it fails, one for each half, until those that fail are found.
void SharedReplays::replay(std::span<Request* const> evictions, ProgressPart& progress) {
  const OpenTrace& trace = *evictions.front()->trace;
  EvictionOptions options = std::get<SweepTask::Eviction>(evictions.front()->method).options;
  options.detail = EvictionDetail::kSummary;
  std::vector<EvictionPlan> plans;
  for (const Request* request : evictions) {
    plans.push_back(std::get<SweepTask::Eviction>(request->method).plan);
  }
  std::vector<EvictionResult> results;
  try {
    results = replay_eviction(trace.trace, plans, options, progress.part(plans.size()));
  } catch (const std::exception& error) {
    if (progress.stopped()) {
      throw;
    }
    if (evictions.size() > 1) {
      replay(evictions.first(evictions.size() / 2), progress);
      replay(evictions.subspan(evictions.size() / 2), progress);
      return;
    }
    evictions.front()->error = error.what();
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    try {
      finish(*evictions[i], replay_figures(results[i], trace.trace.header()));
    } catch (const Error& error) {
      evictions[i]->error = error.what();
    }
  }
  progress.finish(evictions.size());
}

void SharedReplays::replay(Request& retrieval, ProgressPart& progress) {
  const traces::Trace& trace = retrieval.trace->trace;
  try {
    finish(retrieval,
           replay_figures(replay_retrieval(trace, std::get<RetrievalOptions>(retrieval.method),
                                           progress.part(1)),
                          trace.header()));
  } catch (const std::exception& error) {
    if (progress.stopped()) {
      throw;
    }
    retrieval.error = error.what();
  }
  progress.finish(1);
}

const ReplayFigures& SharedReplays::figures(std::size_t request) const {
  const Request& asked = m_requests[request];
  if (asked.figures == nullptr) {
    throw Error(ErrorKind::kBadInput, asked.error);
  }
  return *asked.figures;
}

void SharedReplays::clear() {
  for (Request& request : m_requests) {
    if (request.figures != nullptr && m_known.try_emplace(request.name, request.figures).second) {
      m_order.push_back(request.name);
      m_bytes += request.figures->bytes();
    }
  }
  for (; m_bytes > kKeptBytes; m_order.pop_front()) {
    const auto oldest = m_known.find(m_order.front());
    m_bytes -= oldest->second->bytes();
    m_known.erase(oldest);
  }
  m_requests.clear();
  m_numbers.clear();
}

}  // namespace kvsieve::sim
