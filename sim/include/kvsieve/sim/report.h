#pragma once
// Reports of one or several runs, made from their documents alone (run_document.h): Markdown, one
// HTML file that needs nothing else, or one terminal screen. The same documents give the same
// bytes, whatever the locale.

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

namespace kvsieve::sim {

struct ReportOptions {
  std::string title;  ///< empty: made from the models' names
};

struct ScreenOptions {
  int columns = 100;
  int rows = 40;         ///< heat maps that do not fit are left out
  bool colours = false;  ///< ANSI 256 colours
  bool unicode = true;   ///< block characters; ASCII otherwise
};

/// GitHub-flavoured Markdown: a comparison table, then a section a run.
/// All three throw Error(kUsage) without runs, and Error(kBadInput), one line that begins with the
/// run's number, for a document that is no run or whose values have another type.
[[nodiscard]] std::string markdown_report(std::span<const nlohmann::ordered_json> runs,
                                          const ReportOptions& options = {});

/// One HTML file: inline style and drawings, no scripts, nothing from the network; follows the
/// reader's light or dark preference. Each chart has its numbers in a table behind it.
[[nodiscard]] std::string html_report(std::span<const nlohmann::ordered_json> runs,
                                      const ReportOptions& options = {});

/// What matters most on one screen: figures of every run and budgets a head as small heat maps.
[[nodiscard]] std::string screen_report(std::span<const nlohmann::ordered_json> runs,
                                        const ScreenOptions& options = {});

}  // namespace kvsieve::sim
