#include "core/live_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "cost_options.h"
#include "kvsieve/sim/cost_report.h"
#include "kvsieve/sim/run_document.h"
#include "point_command.h"
#include "run_options.h"

namespace kvsieve::gui {
namespace {

template <class Result>
nlohmann::ordered_json document_of(const cli::Arguments& arguments, const traces::Trace& trace,
                                   const Result& result) {
  nlohmann::ordered_json document = sim::run_document(trace, result);
  sim::CostRequest request = cli::run_cost_request(arguments, trace.header());
  request.point.method = cli::run_cost_method(arguments, result);
  request.loads = sim::captured_loads(result, trace.header());
  request.steps = std::max<std::int64_t>(request.loads.steps(), 1);
  document["cost"].update(sim::to_json(sim::cost_report(std::move(request))));
  return document;
}

}  // namespace

struct LiveRun::Parsed {
  cli::Arguments arguments{"run TRACE", "", {}};
  cli::RunPlan plan;
};

std::vector<std::string> words_of(const RunOptions& options) {
  std::vector<std::string> words;
  const auto add = [&words](const std::string& name, const std::string& text) {
    words.push_back("--" + name);
    if (!text.empty()) {
      words.push_back(text);
    }
  };
  if (const auto method = options.find("method"); method != options.end()) {
    add(method->first, method->second);
  }
  for (const auto& [name, text] : options) {
    if (name != "method") {
      add(name, text);
    }
  }
  return words;
}

QString command_line(const QString& trace_path, const RunOptions& options) {
  std::vector<std::string> words = words_of(options);
  words.insert(words.begin(), {"run", trace_path.toStdString()});
  return QString::fromStdString(cli::command_line(words));
}

LiveRun::LiveRun(const RunOptions& options, const traces::TraceHeader& trace)
    : m_options(options), m_parsed(std::make_unique<Parsed>()) {
  cli::Arguments& arguments = m_parsed->arguments;
  cli::add_method_options(arguments);
  cli::add_run_cost_options(arguments);
  static_cast<void>(arguments.parse(words_of(options)));
  m_parsed->plan = cli::make_plan(arguments, trace.model, kernels::Backend::kCpu);
  static_cast<void>(cli::run_cost_request(arguments, trace));  // complains before the replay
}

LiveRun::LiveRun(LiveRun&&) noexcept = default;
LiveRun& LiveRun::operator=(LiveRun&&) noexcept = default;
LiveRun::~LiveRun() = default;

const sim::EvictionPlan* LiveRun::eviction() const {
  const auto* run = std::get_if<cli::EvictionRun>(&m_parsed->plan);
  return run == nullptr ? nullptr : &run->plan;
}

const sim::RetrievalOptions* LiveRun::retrieval() const {
  const auto* run = std::get_if<cli::RetrievalRun>(&m_parsed->plan);
  return run == nullptr ? nullptr : &run->options;
}

sim::EvictionOptions LiveRun::eviction_options() const {
  return std::get<cli::EvictionRun>(m_parsed->plan).options;
}

sim::RetrievalResult LiveRun::replay(const traces::Trace& trace,
                                     const sim::RetrievalOptions& options,
                                     const sim::Progress& progress) const {
  const auto& run = std::get<cli::RetrievalRun>(m_parsed->plan);
  return run.decode ? sim::replay_decode(trace, options, *run.decode, progress)
                    : sim::replay_retrieval(trace, options, progress);
}

nlohmann::ordered_json LiveRun::document(const traces::Trace& trace,
                                         const sim::EvictionResult& result) const {
  return document_of(m_parsed->arguments, trace, result);
}

nlohmann::ordered_json LiveRun::document(const traces::Trace& trace,
                                         const sim::RetrievalResult& result) const {
  return document_of(m_parsed->arguments, trace, result);
}

}  // namespace kvsieve::gui
