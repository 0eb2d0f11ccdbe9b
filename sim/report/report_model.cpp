#include "report_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "clean_text.h"
#include "kvsieve/sim/run_series.h"
#include "section_parts.h"

namespace kvsieve::sim {
namespace {

constexpr const char* kDefinitions =
    "Definitions: evicted mass is the share of attention on dropped tokens; the relative L1 loss "
    "compares attention outputs after the output projection; \u201cuniform\u201d gives every head "
    "of a layer the same budget at the same total.";

std::string joined(const std::set<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string list;
  std::size_t shown = 0;
  for (const std::string& name : names) {
    if (shown == kShown) {
      return fmt::format("{} and {} more", list, names.size() - kShown);
    }
    list += (shown == 0 ? "" : shown + 1 == names.size() ? " and " : ", ") + name;
    ++shown;
  }
  return list;
}

std::string subtitle(const std::vector<RunView>& runs) {
  const TraceView& first = runs[0].trace;
  const bool one_trace = std::all_of(runs.begin(), runs.end(), [&](const RunView& run) {
    return run.trace.hash == first.hash && run.trace.file == first.file;
  });
  const std::string count = counted(static_cast<std::int64_t>(runs.size()), "run");
  if (!one_trace) {
    std::set<std::string> traces;
    for (const RunView& run : runs) {
      traces.insert(run.trace.file + "\n" + run.trace.hash);
    }
    return fmt::format("{} on {} traces", count, traces.size());
  }
  return fmt::format("{} on {}: {}, {}, {} of {} layers captured", count, first.file,
                     counted(first.prompt_tokens, "prompt token"),
                     counted(first.decode_steps, "decode step"), first.captured_layers,
                     first.layers);
}

}  // namespace

Report build_report(const std::vector<RunView>& runs, const ReportOptions& options) {
  Report report;
  std::set<std::string> models;
  std::set<std::string> versions;
  for (const RunView& run : runs) {
    models.insert(run.trace.model);
    report.synthetic = report.synthetic || run.trace.synthetic;
    versions.insert(run.document.text("tool_version", "unknown"));
  }
  report.title =
      options.title.empty() ? "KV-cache reduction of " + joined(models) : clean_text(options.title);
  report.subtitle = subtitle(runs);
  report.tool = "kvsieve " + joined(versions);
  report.made_of = "run documents (kvsieve.run/1)";
  report.definitions = kDefinitions;
  report.origins = {{"captured", "replayed on tensors that were recorded from a model"},
                    {"modelled", "computed from counted bytes, without any clock"}};
  if (report.synthetic) {
    report.origins.push_back(
        {"synthetic", "replayed on generated tensors, which say nothing about a model"});
  }
  report.comparison = compare_runs(runs);
  for (const RunView& run : runs) {
    Section section =
        run.family == Family::kEviction ? eviction_section(run) : retrieval_section(run);
    if (run.trace.synthetic) {
      section.warnings.insert(section.warnings.begin(),
                              "the trace is synthetic: its numbers say nothing about a model");
    }
    if (!run.whole_layers.empty()) {
      section.warnings.insert(
          section.warnings.begin(),
          fmt::format("left whole, and outside all numbers here: sliding-window {}",
                      list_layers(run.whole_layers)));
    }
    report.sections.push_back(std::move(section));
  }
  return report;
}

Figure make_figure(std::string title, std::string note, Chart chart, bool wide) {
  Table data = table_of(chart);
  return {std::move(title), std::move(note), std::move(chart), std::move(data), wide};
}

}  // namespace kvsieve::sim
