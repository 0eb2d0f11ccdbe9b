// Setting a report as GitHub-flavoured Markdown.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "clean_text.h"
#include "kvsieve/sim/report.h"
#include "markdown_page.h"

namespace kvsieve::sim {
namespace {

constexpr std::size_t kMostRows = 24;  // longer tables are folded

std::string text_of(const Cell& cell) {
  if (cell.text.empty()) {
    return "\u2013";
  }
  const std::string text = escape_markdown(cell.text);
  return cell.detail.empty() ? text : fmt::format("{} ({})", text, escape_markdown(cell.detail));
}

std::string table_text(const Table& table) {
  std::string head = "|";
  std::string rule = "|";
  for (const Column& column : table.columns) {
    head += fmt::format(" {} |", escape_markdown(column.title));
    rule += column.numeric ? " ---: |" : " --- |";
  }
  std::string text = head + "\n" + rule + "\n";
  for (const std::vector<Cell>& row : table.rows) {
    text += "|";
    for (const Cell& cell : row) {
      text += fmt::format(" {} |", text_of(cell));
    }
    text += "\n";
  }
  return text;
}

std::string folded(const Table& table, const std::string& summary) {
  const std::string text = table_text(table);
  if (table.rows.size() <= kMostRows) {
    return text;
  }
  return fmt::format("<details><summary>{}</summary>\n\n{}\n</details>\n", summary, text);
}

std::string facts_text(const std::vector<Fact>& facts) {
  Table table{
      {{.title = "figure", .numeric = false}, {.title = "value"}, {.title = "", .numeric = false}},
      {}};
  for (const Fact& fact : facts) {
    table.rows.push_back({{fact.name}, {fact.value}, {fact.detail.empty() ? " " : fact.detail}});
  }
  return table_text(table);
}

std::string part_text(const Part& part, int level, bool table_first) {
  std::string text =
      fmt::format("{} {}{}\n\n", std::string(static_cast<std::size_t>(level), '#'),
                  escape_markdown(part.title), part.origin.empty() ? "" : " (" + part.origin + ")");
  for (const std::string& paragraph : part.text) {
    text += escape_markdown(paragraph) + "\n\n";
  }
  if (!part.facts.empty()) {
    text += facts_text(part.facts) + "\n";
  }
  const auto add_tables = [&] {
    for (const Table& table : part.tables) {
      text += table.title.empty() ? "" : fmt::format("**{}.**\n\n", escape_markdown(table.title));
      text += folded(table, "Numbers") + "\n";
    }
  };
  if (table_first) {
    add_tables();
  }
  for (const Figure& figure : part.figures) {
    text += fmt::format("**{}.** {}\n\n{}\n", escape_markdown(figure.title),
                        escape_markdown(figure.note), folded(figure.data, "Numbers"));
  }
  if (!table_first) {
    add_tables();
  }
  return text;
}

std::string section_text(const Section& section) {
  std::string text =
      fmt::format("## {}. {} ({}, {})\n\n", section.number, escape_markdown(section.title),
                  section.family, escape_markdown(section.origin));
  if (!section.headline.empty()) {
    text += facts_text(section.headline) + "\n";
  }
  for (const std::string& warning : section.warnings) {
    text += fmt::format("> **Warning:** {}\n\n", escape_markdown(warning));
  }
  if (!section.set_up.empty()) {
    Table table{{{.title = "set-up", .numeric = false}, {.title = "", .numeric = false}}, {}};
    for (const Fact& fact : section.set_up) {
      table.rows.push_back({{fact.name}, {fact.value}});
    }
    text += fmt::format(
        "<details><summary>Set-up: method, trace and tool</summary>\n\n{}\n"
        "</details>\n\n",
        table_text(table));
  }
  for (const Part& part : section.parts) {
    text += part_text(part, 3, false);
  }
  return text;
}

/// The comparison and the sections.
std::string body_text(const Report& report) {
  Part comparison = report.comparison;
  comparison.origin.clear();
  std::string text = part_text(comparison, 2, true);
  for (const Section& section : report.sections) {
    text += section_text(section);
  }
  return text;
}

}  // namespace

std::string markdown_page(const Report& report) {
  std::string text = fmt::format("# {}\n\n{}.\n\n", escape_markdown(report.title),
                                 escape_markdown(report.subtitle));
  std::string sources;
  for (const Fact& origin : report.origins) {
    sources += fmt::format("{}{}: {}", sources.empty() ? "" : "; ", origin.name, origin.value);
  }
  if (!sources.empty()) {
    text += escape_markdown(sources) + ".\n\n";
  }
  text += body_text(report);
  text += fmt::format("Made by {} from {}.\n", escape_markdown(report.tool),
                      escape_markdown(report.made_of));
  return text;
}

std::string markdown_report(std::span<const nlohmann::ordered_json> runs,
                            const ReportOptions& options) {
  const Report report = build_report(view_runs(runs.data(), runs.size()), options);
  std::string text = fmt::format("# {}\n\n{}.\n\n", escape_markdown(report.title),
                                 escape_markdown(report.subtitle));
  text +=
      "PCIe and KV bytes are modelled: computed from counted bytes, without any clock. All "
      "other numbers are captured: replayed on tensors that were recorded from a model.";
  text += report.synthetic ? " Those marked as synthetic are replayed on generated tensors, which "
                             "say nothing about a model.\n\n"
                           : "\n\n";
  text += body_text(report);
  return text + fmt::format("Made by {} from run documents (kvsieve.run/1).\n",
                            escape_markdown(report.tool));
}

}  // namespace kvsieve::sim
