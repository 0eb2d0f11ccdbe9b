// Setting the most important figures of runs on one terminal screen.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "clean_text.h"
#include "kvsieve/sim/report.h"
#include "kvsieve/sim/run_series.h"
#include "report_model.h"
#include "screen_lines.h"
#include "screen_maps.h"
#include "section_parts.h"

namespace kvsieve::sim {
namespace {

struct ScreenColumn {
  std::string upper;  ///< the title in two lines
  std::string lower;
  bool right = true;
  std::vector<Cell> cells;
};

Cell cell_of(std::optional<double> value, Unit unit) {
  return {value ? number_text(*value, unit) : "\u2013"};
}

/// "×0.965 7/8": the factor and in how many layers it is below one.
Cell ratio_cell(const RunView& run, const std::string& key, const std::string& improved) {
  const std::optional<double> ratio =
      run.adaptive ? run.summary("ratio_to_uniform/" + key) : std::nullopt;
  Cell cell = cell_of(ratio, Unit::kRatio);
  const std::optional<double> better = run.summary("ratio_to_uniform/" + improved);
  const std::optional<double> layers = run.summary("ratio_to_uniform/layers");
  if (ratio && better && layers) {
    cell.text += fmt::format(" {:.0f}/{:.0f}", *better, *layers);
  }
  if (ratio) {
    cell.tone = *ratio < 1.0 ? Tone::kBetter : *ratio > 1.0 ? Tone::kWorse : Tone::kPlain;
  }
  return cell;
}

/// In order of importance: the last ones go first where the terminal is narrow.
std::vector<ScreenColumn> comparison_columns(const std::vector<RunView>& runs) {
  std::vector<ScreenColumn> columns;
  const auto add = [&](const char* upper, const char* lower, bool right, const auto& cell) {
    ScreenColumn column{upper, lower, right, {}};
    bool used = false;
    for (const RunView& run : runs) {
      column.cells.push_back(cell(run));
      used = used || column.cells.back().text != "\u2013";
    }
    if (used) {
      columns.push_back(std::move(column));
    }
  };
  const auto share = [](const char* key) {
    return [key](const RunView& run) { return cell_of(run.summary(key), Unit::kShare); };
  };
  add("", "#", true, [](const RunView& run) { return Cell{fmt::format("{}", run.number)}; });
  add("", "method", false, [](const RunView& run) { return Cell{shorten(run.method_name, 20)}; });
  add("", "budget", true, [](const RunView& run) {
    return Cell{run.budget.empty() ? "\u2013" : shorten(run.budget, 10)};
  });
  add("tokens", "a head", true,
      [](const RunView& run) { return cell_of(tokens_a_head(run), Unit::kTokens); });
  add("mass", "lost", true,
      [](const RunView& run) { return cell_of(lost_mass(run), Unit::kShare); });
  add("L1", "loss", true, share("l1_loss_relative"));
  add("mass to", "uniform", true,
      [](const RunView& run) { return ratio_cell(run, "evicted_mass", "layers_improved_mass"); });
  add("L1 to", "uniform", true,
      [](const RunView& run) { return ratio_cell(run, "l1_loss", "layers_improved_l1"); });
  add("", "recall", true, share("recall"));
  add("", "needle", true,
      [](const RunView& run) { return cell_of(needle_share(run), Unit::kShare); });
  add("PCIe", "a step*", true,
      [](const RunView& run) { return cell_of(run.cost("pcie_bytes_per_step"), Unit::kBytes); });
  add("KV", "kept*", true, [](const RunView& run) {
    return cell_of(share_of(run.cost("kv_kept_bytes"), run.cost("kv_full_bytes")), Unit::kShare);
  });
  return columns;
}

Block comparison_block(const Screen& screen, const std::vector<RunView>& runs) {
  Block block(runs.size() + 2);
  for (const ScreenColumn& column : comparison_columns(runs)) {
    std::vector<std::string> texts{column.upper, column.lower};
    for (const Cell& cell : column.cells) {
      texts.push_back(screen.shown(cell.text));
    }
    std::size_t width = 0;
    for (const std::string& text : texts) {
      width = std::max(width, text_columns(text));
    }
    const std::size_t gap = block[0].width == 0 ? 0 : 2;
    if (block[0].width + gap + width > screen.columns()) {
      break;
    }
    for (std::size_t row = 0; row < block.size(); ++row) {
      std::string text = padded(texts[row], width, column.right);
      const Tone tone = row < 2 ? Tone::kPlain : column.cells[row - 2].tone;
      if (row < 2) {
        text = screen.styled(text, "2");
      } else if (tone != Tone::kPlain) {
        text = screen.styled(text, tone == Tone::kBetter ? "36" : "33");
      }
      block[row].text += std::string(gap, ' ') + text;
      block[row].width += gap + width;
    }
  }
  return block;
}

}  // namespace

std::string screen_report(std::span<const nlohmann::ordered_json> runs,
                          const ScreenOptions& options) {
  constexpr std::size_t kFootLines = 2;
  const std::vector<RunView> views = view_runs(runs.data(), runs.size());
  const Report report = build_report(views, {});
  Screen screen({options.columns, options.rows - static_cast<int>(kFootLines), options.colours,
                 options.unicode});
  screen.add(report.title);
  screen.add(report.subtitle);
  screen.add("");
  screen.add(comparison_block(screen, views));
  if (const auto& needle = views[0].trace.needle) {
    screen.add("");
    screen.add(fmt::format("needle: \"{}\", {}", needle->text,
                           counted(needle->tokens.end - needle->tokens.begin, "token")));
  }
  std::size_t warnings = 0;
  for (const Section& section : report.sections) {
    warnings += section.warnings.size();
  }
  add_maps(screen, screen_maps(views));
  Screen foot({options.columns, options.rows, options.colours, options.unicode});
  foot.add("");
  foot.add(fmt::format("* modelled from counted bytes; all else is {}{}", report.comparison.origin,
                       warnings == 0
                           ? ""
                           : fmt::format(". {} in the full report",
                                         counted(static_cast<std::int64_t>(warnings), "warning"))));
  return screen.text() + foot.text();
}

}  // namespace kvsieve::sim
