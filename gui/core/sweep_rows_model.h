#pragma once
// The shown rows of a sweep for a table view.

#include <QAbstractTableModel>
#include <QString>
#include <QStringList>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/sweep_arrangement.h"

namespace kvsieve::gui {

/// Columns: whether a point is on the front or failed, its number, options, metrics, error, key.
/// Columns that do not vary are folded away unless the user asks for them.
class SweepRowsModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Role {
    kOnFrontRole = Qt::UserRole,  ///< bool
    kFailedRole,                  ///< bool
    kMarkedRole,                  ///< bool: the point is selected
  };

  explicit SweepRowsModel(QObject* parent = nullptr) : QAbstractTableModel(parent) {}

  /// Shows an arrangement, or nothing.
  void show(std::shared_ptr<const SweepArrangement> arrangement);
  [[nodiscard]] const std::shared_ptr<const SweepArrangement>& arrangement() const {
    return m_arrangement;
  }
  /// Marks points by their numbers, ascending.
  void mark(std::vector<std::int64_t> points);

  [[nodiscard]] const std::vector<SweepColumnId>& fields() const { return m_fields; }
  /// -1 if there is none.
  [[nodiscard]] int column_of(const SweepColumnId& field) const;
  [[nodiscard]] bool is_hidden(int column) const;
  /// Shows or hides a column whatever it holds.
  void set_hidden(int column, bool hidden);
  /// "budget 20%, batch 1": the options that all rows share.
  [[nodiscard]] QString shared_options() const;

  /// The table's row that a shown one is.
  [[nodiscard]] std::uint32_t row_of(int shown) const;
  /// The place of a table's row, or -1.
  [[nodiscard]] int place_of(std::uint32_t row) const;
  /// The shown rows as CSV with all columns, as `kvsieve sweep export` names them.
  [[nodiscard]] QString csv() const;

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation,
                                    int role) const override;

 Q_SIGNALS:
  void hidden_changed();

 private:
  [[nodiscard]] QString text(std::uint32_t row, const SweepColumnId& field) const;
  [[nodiscard]] QString tooltip(std::uint32_t row, const SweepColumnId& field) const;
  [[nodiscard]] QString header_tooltip(const SweepColumnId& field) const;
  [[nodiscard]] const SweepColumn* column(const SweepColumnId& field) const;

  std::shared_ptr<const SweepArrangement> m_arrangement;
  std::vector<SweepColumnId> m_fields;
  std::vector<int> m_places;  ///< by row of the table
  std::vector<std::int64_t> m_marked;
  std::map<std::pair<int, std::string>, bool> m_hidden;  ///< what the user asked for
};

}  // namespace kvsieve::gui
