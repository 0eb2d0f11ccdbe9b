#include "core/sweep_categories.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace kvsieve::gui {

SweepCategories categories_of(const SweepTable& table, const std::string& option) {
  SweepCategories categories;
  const SweepColumn* column = table.option(option);
  if (column == nullptr) {
    categories.names << QString();
    categories.of.assign(table.rows(), 0);
    return categories;
  }
  std::vector<bool> present(column->distinct.size(), false);
  for (const std::uint32_t text : column->texts) {
    present[text] = true;
  }
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < present.size(); ++i) {
    if (present[i]) {
      order.push_back(i);
    }
  }
  const auto place = [&](std::uint32_t i) {
    const double value = column->distinct_value[i];
    return std::tuple(i == 0, std::isnan(value), std::isnan(value) ? 0.0 : value,
                      std::string_view(column->distinct[i]));
  };
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return place(a) < place(b); });
  std::vector<std::size_t> category(present.size(), 0);
  categories.numeric = true;
  for (const std::uint32_t i : order) {
    category[i] = static_cast<std::size_t>(categories.names.size());
    categories.names << (i == 0 ? QStringLiteral("none")
                                : QString::fromStdString(column->distinct[i]));
    categories.numeric = categories.numeric && (i == 0 || !std::isnan(column->distinct_value[i]));
  }
  categories.of.reserve(table.rows());
  for (const std::uint32_t text : column->texts) {
    categories.of.push_back(category[text]);
  }
  return categories;
}

}  // namespace kvsieve::gui
