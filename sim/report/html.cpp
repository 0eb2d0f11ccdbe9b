// Setting a report as one HTML file.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "clean_text.h"
#include "html_page.h"
#include "html_style.h"
#include "kvsieve/sim/report.h"
#include "svg_chart.h"

namespace kvsieve::sim {
namespace {

class Page {
 public:
  explicit Page(const Report& report) { write(report); }
  [[nodiscard]] std::string take() { return std::move(m_html); }

 private:
  template <class... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(m_html), format, std::forward<Values>(values)...);
  }

  void write(const Report& report);
  void write(const Section& section);
  void write(const Part& part, bool overview);
  void write(const Figure& figure);
  void write(const Table& table, bool overview);
  void write_origins(const Table& table);
  void write(const Cell& cell, const Column& column, bool first, bool pinned);
  void write_headline(const std::vector<Fact>& facts);
  void write_facts(const std::vector<Fact>& facts);
  void write_warnings(const std::vector<std::string>& warnings);
  void write_scrolled(const Table& table, std::string_view label, bool overview);

  std::string m_html;
  int m_charts = 0;
};

std::string chip(const std::string& origin) {
  if (origin.empty()) {
    return "";
  }
  const bool modelled = origin != "captured" && origin != "measured";
  return fmt::format("<span class=\"origin{}\">{}</span>", modelled ? " modelled" : "",
                     escape_xml(origin));
}

void Page::write(const Report& report) {
  const std::string title = escape_xml(report.title);
  add("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
  add("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
  add("<meta name=\"color-scheme\" content=\"light dark\">\n");
  add("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n");
  add("<meta name=\"generator\" content=\"{}\">\n", escape_xml(report.tool));
  add("<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n", title, html_style());
  add("<header>\n<p class=\"eyebrow\">KVSieve report</p>\n<h1>{}</h1>\n", title);
  add("<p class=\"subtitle\">{}</p>\n", escape_xml(report.subtitle));
  add("<p class=\"key sans\">");
  for (std::size_t i = 0; i < report.origins.size(); ++i) {
    add("{}{} {}.", i == 0 ? "" : " ", chip(report.origins[i].name),
        escape_xml(report.origins[i].value));
  }
  add("</p>\n</header>\n<main>\n");
  add("<section class=\"overview\">\n");
  write(report.comparison, true);
  add("</section>\n");
  for (const Section& section : report.sections) {
    write(section);
  }
  add("</main>\n<footer><p>Made by {} from {}. {}</p></footer>\n</body>\n</html>\n",
      escape_xml(report.tool), escape_xml(report.made_of), escape_xml(report.definitions));
}

void Page::write(const Section& section) {
  add("<section class=\"run\" id=\"run-{}\">\n<div class=\"run-title\">", section.number);
  add("<h2><span class=\"number\">{}</span>{}</h2>", section.number, escape_xml(section.title));
  add("<span class=\"subtitle\">{}</span>{}</div>\n", escape_xml(section.family),
      chip(section.origin));
  write_headline(section.headline);
  write_warnings(section.warnings);
  if (!section.set_up.empty()) {
    add("<details class=\"setup\"><summary>Set-up: method, trace and tool</summary>\n");
    write_facts(section.set_up);
    add("</details>\n");
  }
  for (const Part& part : section.parts) {
    add("<section class=\"part\">\n");
    write(part, false);
    add("</section>\n");
  }
  add("</section>\n");
}

void Page::write(const Part& part, bool overview) {
  add("<div class=\"part-title\"><h3>{}</h3>{}</div>\n", escape_xml(part.title),
      overview ? std::string() : chip(part.origin));
  for (const std::string& text : part.text) {
    add("<p>{}</p>\n", escape_xml(text));
  }
  write_headline(part.facts);
  if (overview) {
    for (const Table& table : part.tables) {
      write_scrolled(table, part.title, true);
    }
  }
  if (!part.figures.empty()) {
    add("<div class=\"figures\">\n");
    for (const Figure& figure : part.figures) {
      write(figure);
    }
    add("</div>\n");
  }
  if (!overview) {
    for (const Table& table : part.tables) {
      add("<details><summary>{}</summary>\n", escape_xml(table.title));
      write_scrolled(table, table.title, false);
      add("</details>\n");
    }
  }
}

void Page::write(const Figure& figure) {
  const std::string id = fmt::format("chart-{}", ++m_charts);
  add("<figure{}>\n<figcaption><strong>{}</strong>{}</figcaption>\n",
      figure.wide ? " class=\"wide\"" : "", escape_xml(figure.title), escape_xml(figure.note));
  const std::string svg = svg_chart(figure, id);
  if (figure.wide) {
    add("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\n{}</div>\n",
        escape_xml(figure.title), svg);
  } else {
    m_html += svg;
  }
  add("<details><summary>Numbers</summary>\n");
  write_scrolled(figure.data, figure.title, false);
  add("</details>\n</figure>\n");
}

void Page::write_scrolled(const Table& table, std::string_view label, bool overview) {
  add("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: {}\">\n",
      escape_xml(label));
  write(table, overview);
  add("</div>\n");
}

/// A row that says which columns are captured and which modelled.
void Page::write_origins(const Table& table) {
  add("<tr class=\"origins\">");
  for (std::size_t i = 0; i < table.columns.size();) {
    std::size_t end = i + 1;
    while (end < table.columns.size() && table.columns[end].origin == table.columns[i].origin) {
      ++end;
    }
    const std::string& origin = table.columns[i].origin;
    if (origin.empty()) {
      add("<td colspan=\"{}\"></td>", end - i);
    } else {
      add("<th scope=\"colgroup\" colspan=\"{}\"><span>{}</span></th>", end - i, chip(origin));
    }
    i = end;
  }
  add("</tr>\n");
}

void Page::write(const Table& table, bool overview) {
  add("<table{}>\n<thead>\n", overview ? " class=\"overview\"" : "");
  if (overview) {
    write_origins(table);
  }
  add("<tr>");
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const Column& column = table.columns[i];
    const bool pinned = overview && i == 1;
    add("<th scope=\"col\"{}>{}</th>",
        column.numeric ? " class=\"n\""
        : pinned       ? " class=\"pin\""
                       : "",
        escape_xml(column.title));
  }
  add("</tr>\n</thead>\n<tbody>\n");
  for (const std::vector<Cell>& row : table.rows) {
    add("<tr>");
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t head = overview ? 1 : 0;
      write(row[i], table.columns[i], i == head, overview);
    }
    add("</tr>\n");
  }
  add("</tbody>\n</table>\n");
}

void Page::write(const Cell& cell, const Column& column, bool first, bool overview) {
  const std::string_view tone = cell.tone == Tone::kBetter  ? "better"
                                : cell.tone == Tone::kWorse ? "worse"
                                                            : "";
  const bool long_text = !first && !overview && !column.numeric && cell.text.size() > 24;
  add("<{}{}>", first ? "th scope=\"row\"" : "td",
      column.numeric ? " class=\"n\""
      : long_text    ? " class=\"wrap\""
                     : "");
  if (cell.text.empty()) {
    add("<span class=\"none\">\u2013</span>");
  } else if (cell.section > 0) {
    add("<a href=\"#run-{}\">{}</a>", cell.section, escape_xml(cell.text));
  } else if (!tone.empty()) {
    add("<span class=\"{}\">{}</span>", tone, escape_xml(cell.text));
  } else {
    m_html += escape_xml(cell.text);
  }
  if (!cell.detail.empty()) {
    add("<small>{}</small>", escape_xml(cell.detail));
  }
  add("</{}>", first ? "th" : "td");
}

void Page::write_headline(const std::vector<Fact>& facts) {
  if (facts.empty()) {
    return;
  }
  add("<dl class=\"headline\">\n");
  for (const Fact& fact : facts) {
    add("<div><dt>{}</dt><dd class=\"value\">{}</dd>", escape_xml(fact.name),
        escape_xml(fact.value));
    if (!fact.detail.empty()) {
      add("<dd class=\"detail\">{}</dd>", escape_xml(fact.detail));
    }
    add("</div>\n");
  }
  add("</dl>\n");
}

void Page::write_facts(const std::vector<Fact>& facts) {
  add("<dl class=\"facts\">\n");
  for (const Fact& fact : facts) {
    add("<div><dt>{}</dt><dd>{}</dd></div>\n", escape_xml(fact.name), escape_xml(fact.value));
  }
  add("</dl>\n");
}

void Page::write_warnings(const std::vector<std::string>& warnings) {
  if (warnings.empty()) {
    return;
  }
  add("<aside class=\"warnings\" aria-label=\"Warnings\"><strong>{}</strong><ul>\n",
      warnings.size() == 1 ? "Warning" : "Warnings");
  for (const std::string& warning : warnings) {
    add("<li>{}</li>\n", escape_xml(warning));
  }
  add("</ul></aside>\n");
}

}  // namespace

std::string html_page(const Report& report) {
  return Page(report).take();
}

std::string html_report(std::span<const nlohmann::ordered_json> runs,
                        const ReportOptions& options) {
  const std::vector<RunView> views = view_runs(runs.data(), runs.size());
  return html_page(build_report(views, options));
}

}  // namespace kvsieve::sim
