#include "kvsieve/sim/validation_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "clean_text.h"
#include "html_page.h"
#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/version.h"

namespace kvsieve::sim {
namespace {

constexpr std::size_t kImpossibleShown = 50;

Cell share(double value) {
  return {number_text(value, Unit::kShare)};
}

Table error_table(const std::string& title, const std::vector<const RegimeError*>& errors,
                  bool selections) {
  Table table{{{.title = "regime", .numeric = false},
               {.title = "device", .numeric = false},
               {.title = "engine", .numeric = false},
               {.title = "cache", .numeric = false}},
              {},
              title};
  if (selections) {
    table.columns.push_back({.title = "rows of", .numeric = false});
  }
  for (const char* name : {"n", "median", "MAPE", "p95", "bias"}) {
    table.columns.push_back({.title = name});
  }
  for (const RegimeError* error : errors) {
    std::vector<Cell> row{{error->regime},
                          {clean_text(error->device)},
                          {clean_text(error->engine)},
                          {clean_text(error->kv_dtype)}};
    if (selections) {
      row.push_back({error->selection});
    }
    row.push_back({grouped(error->figures.n)});
    row.push_back(share(error->figures.median_error));
    row.push_back(share(error->figures.mape));
    row.push_back(share(error->figures.p95));
    row.push_back(share(error->figures.bias));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string shape_text(const MeasuredRow& row) {
  switch (row.op) {
    case MeasuredOp::kGemm:
      return fmt::format("m {}, n {}, k {}", row.m, row.n, row.k);
    case MeasuredOp::kEndToEnd:
      return fmt::format("{}, batch {}, {} + {} tokens", row.model, row.batch, row.context,
                         row.output_tokens);
    case MeasuredOp::kDecodeAttention:
      break;
  }
  return fmt::format("batch {}, {}/{} heads, context {}, {}", row.batch, row.q_heads, row.kv_heads,
                     row.context, row.kv_dtype);
}

std::string row_name(const RowError& row) {
  return clean_text(fmt::format("{}, {}, {}", row.device, engine_of(row.row), shape_text(row.row)));
}

struct Kind {
  MeasuredOp op;
  const char* title;
  std::vector<std::string> regimes;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      {MeasuredOp::kDecodeAttention,
       "Decode attention",
       {"attention-launch", "attention-l2", "attention-hbm"}},
      {MeasuredOp::kGemm, "Dense layers", {"gemm-memory", "gemm-compute"}},
      {MeasuredOp::kEndToEnd, "End to end", {"end-to-end"}}};
  return all;
}

Figure agreement(const ValidationReport& report, const Kind& kind) {
  constexpr std::array kInks{Ink::kGrey, Ink::kWarm, Ink::kAccent};
  AgreementChart chart;
  chart.x_name = "measured";
  chart.y_name = "modelled";
  chart.unit = "us";
  for (std::size_t i = 0; i < kind.regimes.size(); ++i) {
    chart.kinds.push_back({kind.regimes[i], kInks[kInks.size() - kind.regimes.size() + i]});
  }
  for (const RowError& row : report.rows) {
    const auto regime = std::find(kind.regimes.begin(), kind.regimes.end(), row.regime);
    if (regime != kind.regimes.end() && !row.impossible) {
      chart.points.push_back({row_name(row), row.row.latency_us, row.modelled_us,
                              static_cast<std::size_t>(regime - kind.regimes.begin())});
    }
  }
  return make_figure("Modelled against measured time",
                     "A point a row, on logarithmic axes. On the line both agree; the band is 20 % "
                     "to either side.",
                     std::move(chart));
}

Table impossible_table(const ValidationReport& report) {
  Table table{{{.title = "row", .numeric = false}, {.title = "line"}, {.title = "measured / us"}},
              {},
              "Rows faster than the memory's data sheet, in no figure"};
  for (const RowError& row : report.rows) {
    if (row.impossible && table.rows.size() < kImpossibleShown) {
      table.rows.push_back({{row_name(row)},
                            {grouped(row.row.line)},
                            {number_text(row.row.latency_us, Unit::kNumber)}});
    }
  }
  return table;
}

std::vector<const RegimeError*> of_op(const std::vector<RegimeError>& errors, MeasuredOp op) {
  std::vector<const RegimeError*> chosen;
  for (const RegimeError& error : errors) {
    if (error.op == name_of(op)) {
      chosen.push_back(&error);
    }
  }
  return chosen;
}

Section op_section(const ValidationReport& report, const Kind& kind, int number) {
  Section section;
  section.number = number;
  section.title = kind.title;
  section.family = "modelled beside measured";
  section.origin = "modelled";
  Part part;
  part.title = "Errors";
  part.origin = "measured";
  part.figures.push_back(agreement(report, kind));
  part.tables.push_back(error_table("By regime, device, engine and cache type",
                                    of_op(report.regimes, kind.op), false));
  const std::vector<const RegimeError*> selections = of_op(report.selections, kind.op);
  if (!selections.empty()) {
    part.tables.push_back(error_table("Of some rows only", selections, true));
  }
  if (kind.op == MeasuredOp::kDecodeAttention && report.impossible_rows > 0) {
    part.tables.push_back(impossible_table(report));
  }
  section.parts.push_back(std::move(part));
  return section;
}

std::vector<std::string> left_out(const ValidationReport& report) {
  std::vector<std::string> text;
  const auto list = [&](const std::vector<UnknownName>& names, const char* what) {
    for (const UnknownName& name : names) {
      text.push_back(
          fmt::format("{} {}: {}", what, clean_text(name.name), counted(name.rows, "row")));
    }
  };
  list(report.unknown_devices, "Unknown device");
  list(report.unknown_models, "Unknown model");
  list(report.refused, "Not modelled:");
  if (report.impossible_rows > 0) {
    text.push_back(fmt::format("Faster than the memory's data sheet allows: {}.",
                               counted(report.impossible_rows, "row")));
  }
  return text;
}

}  // namespace

std::string html_report(const ValidationReport& report) {
  Report page;
  page.title = "Cost model against measured rows";
  page.subtitle = clean_text(
      fmt::format("{} of {}", counted(static_cast<std::int64_t>(report.rows.size()), "row"),
                  fmt::join(report.files, ", ")));
  page.tool = fmt::format("kvsieve {}", version());
  page.made_of = "measured rows that others published";
  page.definitions =
      "Definitions: an error is modelled / measured - 1; median, MAPE and p95 are of its size, "
      "bias "
      "is its mean. Regimes are fixed by input: KV bytes against the L2 cache for attention, FLOP "
      "a "
      "byte against the ridge of the roofline for dense layers.";
  page.origins = {{"measured", "by others, on the device that a row names"},
                  {"modelled", "by the cost model, without any clock"}};
  page.comparison.title = "Errors over all devices and engines";
  page.comparison.text = left_out(report);
  std::vector<const RegimeError*> pooled;
  for (const RegimeError& error : report.regimes) {
    if (error.device == "all") {
      pooled.push_back(&error);
    }
  }
  page.comparison.tables.push_back(error_table(page.comparison.title, pooled, false));
  for (const Kind& kind : kinds()) {
    const std::vector<const RegimeError*> errors = of_op(report.regimes, kind.op);
    if (!errors.empty()) {
      page.sections.push_back(op_section(report, kind, static_cast<int>(page.sections.size()) + 1));
    }
  }
  return html_page(page);
}

}  // namespace kvsieve::sim
