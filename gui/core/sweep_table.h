#pragma once
// The rows of a sweep store, column by column.

#include <QString>
#include <QStringList>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/jobs.h"
#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::gui {

/// One option or metric of all rows. Texts are kept once each.
struct SweepColumn {
  std::string name;
  std::vector<double> numbers;         ///< [rows] of a metric, NaN where it is absent or a text
  std::vector<std::uint32_t> texts;    ///< [rows] index into `distinct`; empty if there is no text
  std::vector<std::string> distinct;   ///< the texts; the first stands for an absent one
  std::vector<double> distinct_value;  ///< what each means as a number (5% is 0.05), NaN if none
  bool varies = false;                 ///< two rows differ in it; of a metric, two finished ones

  [[nodiscard]] bool has_texts() const { return !texts.empty(); }
  /// The number in a row, of an option the one that its text means; NaN if there is none.
  [[nodiscard]] double number(std::size_t row) const {
    return numbers.empty() ? distinct_value[texts[row]] : numbers[row];
  }
  /// The text in a row; nothing if there is none.
  [[nodiscard]] std::optional<std::string_view> text(std::size_t row) const {
    if (texts.empty() || texts[row] == 0) {
      return std::nullopt;
    }
    return distinct[texts[row]];
  }
};

/// Rows have the order in which they were stored: those that a writer adds stand behind the others.
/// Shared between pages, never changed.
class SweepTable {
 public:
  /// Reads a store. Throws Error as sim::SweepStore, also for rows that are no flat JSON objects.
  [[nodiscard]] static std::shared_ptr<const SweepTable> load(const QString& path,
                                                              const JobControl& control);
  /// The table of the same store as it is now: reads what was added since, and failed rows again.
  /// `table` itself if nothing is new. A store that took the place of the other is read anew.
  [[nodiscard]] static std::shared_ptr<const SweepTable> refreshed(
      const std::shared_ptr<const SweepTable>& table, const JobControl& control);

  [[nodiscard]] const QString& path() const noexcept { return m_path; }
  /// The file's name.
  [[nodiscard]] const QString& name() const noexcept { return m_name; }
  [[nodiscard]] const sim::SweepIdentity& identity() const noexcept { return m_identity; }
  /// Rows of more than one sweep are among these.
  [[nodiscard]] bool mixed() const noexcept { return m_mixed; }

  [[nodiscard]] std::size_t rows() const noexcept { return m_numbers.size(); }
  [[nodiscard]] std::size_t failed() const noexcept { return m_failed; }
  /// Options and metrics in the order of their first appearance.
  [[nodiscard]] const std::vector<SweepColumn>& options() const noexcept { return m_options; }
  [[nodiscard]] const std::vector<SweepColumn>& metrics() const noexcept { return m_metrics; }
  /// Null if there is none of the name.
  [[nodiscard]] const SweepColumn* option(std::string_view name) const;
  [[nodiscard]] const SweepColumn* metric(std::string_view name) const;

  /// The point's number in its sweep.
  [[nodiscard]] std::int64_t number(std::size_t row) const { return m_numbers[row]; }
  [[nodiscard]] std::string_view key(std::size_t row) const;
  [[nodiscard]] bool is_failed(std::size_t row) const { return m_error_of[row] != 0; }
  /// Empty if the point did not fail.
  [[nodiscard]] const std::string& error(std::size_t row) const {
    return m_errors[m_error_of[row]];
  }
  /// Names and values of the options that a point has.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> point(std::size_t row) const;
  /// "#12 ada-snapkv, budget 20%": the number and the options that vary.
  [[nodiscard]] QString label(std::size_t row) const;
  /// The words of the command that reproduces a point, behind "kvsieve": run TRACE ... or cost ...
  [[nodiscard]] QStringList command_words(std::size_t row) const;
  /// That command as a shell takes it.
  [[nodiscard]] QString command(std::size_t row) const;

 private:
  class Builder;

  QString m_path;
  QString m_name;
  sim::SweepIdentity m_identity;
  bool m_mixed = false;
  std::size_t m_failed = 0;
  std::vector<SweepColumn> m_options;
  std::vector<SweepColumn> m_metrics;
  std::vector<std::int64_t> m_numbers;
  std::vector<std::int64_t> m_places;  ///< in the store, ascending
  std::string m_keys;                  ///< of all rows, one behind the other
  std::vector<std::size_t> m_key_ends;
  std::vector<std::string> m_errors{std::string()};
  std::vector<std::uint32_t> m_error_of;  ///< index into m_errors
};

}  // namespace kvsieve::gui
