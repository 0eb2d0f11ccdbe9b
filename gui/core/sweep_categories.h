#pragma once
// Points by the values of one option, for colours and shapes.

#include <QString>
#include <QStringList>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/sweep_table.h"

namespace kvsieve::gui {

struct SweepCategories {
  QStringList names;            ///< numbers by value, then texts; "none" for points without it
  bool numeric = false;         ///< all of them are numbers
  std::vector<std::size_t> of;  ///< [rows of the table] index into `names`
};

/// The values of an option among all rows, so that a filter recolours nothing; one category without
/// a name if there is no such option.
[[nodiscard]] SweepCategories categories_of(const SweepTable& table, const std::string& option);

}  // namespace kvsieve::gui
