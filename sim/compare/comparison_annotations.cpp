#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/sim/comparison_report.h"
#include "report/clean_text.h"

namespace kvsieve::sim {
namespace {

constexpr int kMost = 10;  // GitHub shows no more of a kind and step

/// Escapes as GitHub's own toolkit does; a property may not hold ':' and ',' either.
std::string escape(std::string_view text, bool property) {
  std::string escaped;
  for (const char c : clean_text(text)) {
    if (c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','))) {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string relative_path(const std::string& file, const std::filesystem::path& root) {
  const std::filesystem::path path(file);
  if (!path.is_absolute()) {
    return file;
  }
  const std::filesystem::path relative = path.lexically_relative(root);
  return relative.empty() || *relative.begin() == ".." ? file : relative.string();
}

class AnnotationWriter {
 public:
  explicit AnnotationWriter(const std::filesystem::path& root) : m_root(root) {}

  void add(bool error, const std::string& title, const std::string& message,
           const LineChange* line = nullptr) {
    int& count = error ? m_errors : m_warnings;
    if (++count > kMost) {
      return;
    }
    m_text += error ? "::error " : "::warning ";
    if (line != nullptr && !line->file.empty()) {
      m_text += fmt::format("file={},line={},", escape(relative_path(line->file, m_root), true),
                            line->line);
    }
    m_text += fmt::format("title={}::{}\n", escape(title, true), escape(message, false));
  }

  [[nodiscard]] std::string text() const {
    const int left_out = std::max(0, m_errors - kMost) + std::max(0, m_warnings - kMost);
    return left_out == 0 ? m_text
                         : m_text + fmt::format(
                                        "::notice title=kvsieve compare::{} more changes "
                                        "are in the report\n",
                                        left_out);
  }

 private:
  const std::filesystem::path& m_root;
  std::string m_text;
  int m_errors = 0;
  int m_warnings = 0;
};

}  // namespace

std::string comparison_annotations(const ResultComparison& comparison, const GateRule& rule,
                                   const std::filesystem::path& root) {
  AnnotationWriter writer(root);
  bool any_failed = false;
  for (const ResultChange& change : comparison.changes) {
    const bool failed = fails(change, rule);
    any_failed = any_failed || failed;
    if (!failed && change.verdict != ChangeVerdict::kWorse &&
        change.verdict != ChangeVerdict::kChanged) {
      continue;
    }
    std::string message =
        fmt::format("{} {}: {} to {}", change.metric, change_text(change),
                    value_text(change, change.before), value_text(change, change.after));
    if (!change.reason.empty()) {
      message += " (" + change.reason + ")";
    }
    const LineChange* line = change.lines.empty() ? nullptr : &change.lines.front();
    if (line != nullptr) {
      message += fmt::format(", here {} to {}", line->before, line->after);
    }
    writer.add(failed, change.case_name, message, line);
  }
  const auto add_names = [&](const std::vector<std::string>& names, bool failed,
                             const std::string& how) {
    for (const std::string& name : names) {
      any_failed = any_failed || failed;
      writer.add(failed, name, how);
    }
  };
  add_names(comparison.removed, rule.missing || rule.any, "this case was removed");
  if (rule.added || rule.any) {
    add_names(comparison.added, true, "this case was added");
  }
  for (const RenamedCase& one : comparison.renamed) {
    if (rule.renamed || rule.any) {
      any_failed = true;
      writer.add(true, one.before, "this case was renamed to " + one.after);
    }
  }
  for (const std::string& warning : comparison.warnings) {
    writer.add(false, "kvsieve compare", warning);
  }
  if (const std::string failure = gate_failure(comparison, rule); !failure.empty() && !any_failed) {
    writer.add(true, "kvsieve compare", failure);
  }
  return writer.text();
}

}  // namespace kvsieve::sim
