#pragma once
// What a report says, before it is set as Markdown or HTML: the two formats differ in form only.

#include <string>
#include <vector>

#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/report.h"
#include "kvsieve/sim/run_view.h"

namespace kvsieve::sim {

struct Figure {
  std::string title;
  std::string note;  ///< how to read it, a sentence or two
  Chart chart;
  Table data;
  bool wide = false;
};

/// A figure with the table of its chart.
[[nodiscard]] Figure make_figure(std::string title, std::string note, Chart chart,
                                 bool wide = false);

/// One name and its value.
struct Fact {
  std::string name;
  std::string value;
  std::string detail;
};

/// A part of a section whose numbers have one origin.
struct Part {
  std::string title;
  std::string origin;             ///< "captured" or "modelled"
  std::vector<std::string> text;  ///< paragraphs
  std::vector<Fact> facts;
  std::vector<Figure> figures;
  std::vector<Table> tables;
};

/// One run.
struct Section {
  int number = 0;
  std::string title;
  std::string family;
  std::string origin;
  std::vector<Fact> headline;  ///< the few numbers that matter most
  std::vector<std::string> warnings;
  std::vector<Fact> set_up;
  std::vector<Part> parts;
};

struct Report {
  std::string title;
  std::string subtitle;
  std::string tool;
  std::string made_of;        ///< "run documents (kvsieve.run/1)"
  std::string definitions;    ///< sentences at a page's end
  std::vector<Fact> origins;  ///< what the marks "captured", "modelled", ... mean here
  bool synthetic = false;     ///< some trace is
  Part comparison;
  std::vector<Section> sections;
};

[[nodiscard]] Report build_report(const std::vector<RunView>& runs, const ReportOptions& options);

/// The runs beside each other (comparison.cpp).
[[nodiscard]] Part compare_runs(const std::vector<RunView>& runs);

/// A section of one run (eviction_section.cpp, retrieval_section.cpp).
[[nodiscard]] Section eviction_section(const RunView& run);
[[nodiscard]] Section retrieval_section(const RunView& run);

}  // namespace kvsieve::sim
