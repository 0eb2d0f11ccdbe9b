#include "kvsieve/sim/pareto.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <optional>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "sweep/quantity.h"

namespace kvsieve::sim {
namespace {

constexpr std::array<std::string_view, 5> kBestLarge = {"tokens_per_second", "throughput", "recall",
                                                        "captured_mass", "hit_rate"};
constexpr std::array<std::string_view, 7> kBestSmall = {"us",    "ms",    "bytes",  "loss",
                                                        "error", "bound", "evicted"};

class ObjectiveParser {
 public:
  explicit ObjectiveParser(std::string_view text) : m_text(text) {}

  std::vector<ParetoObjective> parse() {
    std::string_view rest = m_text;
    while (true) {
      const std::size_t comma = std::min(rest.size(), rest.find(','));
      add(trimmed(rest.substr(0, comma)));
      if (comma == rest.size()) {
        return std::move(m_objectives);
      }
      rest.remove_prefix(comma + 1);
    }
  }

 private:
  [[noreturn]] void fail(std::string_view part, std::string_view what) const {
    throw Error(ErrorKind::kUsage,
                fmt::format("objectives '{}': '{}' {}; expected METRIC:max or METRIC:min, joined "
                            "with commas",
                            traces::printable(m_text), traces::printable(part), what));
  }

  void add(std::string_view part) {
    const std::size_t colon = std::min(part.size(), part.rfind(':'));
    const std::string_view metric = trimmed(part.substr(0, colon));
    if (!is_option_name(metric)) {
      fail(part, "is no metric");
    }
    for (const ParetoObjective& objective : m_objectives) {
      if (objective.metric == metric) {
        fail(metric, "is given twice");
      }
    }
    m_objectives.push_back({std::string(metric), direction_of(part, colon, metric)});
  }

  ParetoDirection direction_of(std::string_view part, std::size_t colon,
                               std::string_view metric) const {
    if (colon == part.size()) {
      const std::optional<ParetoDirection> known = known_direction(metric);
      if (!known) {
        fail(metric, "does not say whether large or small is best");
      }
      return *known;
    }
    const std::string_view suffix = trimmed(part.substr(colon + 1));
    if (suffix != "max" && suffix != "min") {
      fail(part, "ends in neither :max nor :min");
    }
    return suffix == "max" ? ParetoDirection::kMax : ParetoDirection::kMin;
  }

  std::string_view m_text;
  std::vector<ParetoObjective> m_objectives;
};

/// Rows with every objective turned so that small is best.
class Rows {
 public:
  Rows(std::span<const double> values, std::span<const ParetoDirection> directions)
      : m_width(directions.size()), m_values(values.begin(), values.end()) {
    for (std::size_t i = 0; i < m_values.size(); ++i) {
      if (directions[i % m_width] == ParetoDirection::kMax) {
        m_values[i] = -m_values[i];
      }
    }
  }

  [[nodiscard]] std::span<const double> row(std::int64_t number) const {
    return std::span(m_values).subspan(static_cast<std::size_t>(number) * m_width, m_width);
  }

  [[nodiscard]] bool is_complete(std::int64_t number) const {
    const auto values = row(number);
    return std::none_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
  }

  /// Better in the first objective in which they differ.
  [[nodiscard]] bool comes_before(std::int64_t a, std::int64_t b) const {
    const auto left = row(a);
    const auto right = row(b);
    for (std::size_t i = 0; i < m_width; ++i) {
      if (left[i] != right[i]) {
        return left[i] < right[i];
      }
    }
    return false;
  }

  [[nodiscard]] bool dominates(std::int64_t a, std::int64_t b) const {
    const auto left = row(a);
    const auto right = row(b);
    bool better = false;
    for (std::size_t i = 0; i < m_width; ++i) {
      if (left[i] > right[i]) {
        return false;
      }
      better = better || left[i] < right[i];
    }
    return better;
  }

 private:
  std::size_t m_width;
  std::vector<double> m_values;
};

}  // namespace

std::optional<ParetoDirection> known_direction(std::string_view metric) {
  for (const std::string_view ending : kBestLarge) {
    if (metric.ends_with(ending)) {
      return ParetoDirection::kMax;
    }
  }
  while (!metric.empty()) {
    const std::size_t end = std::min(metric.size(), metric.find_first_of("_."));
    if (std::find(kBestSmall.begin(), kBestSmall.end(), metric.substr(0, end)) !=
        kBestSmall.end()) {
      return ParetoDirection::kMin;
    }
    metric.remove_prefix(std::min(metric.size(), end + 1));
  }
  return std::nullopt;
}

std::vector<ParetoObjective> parse_objectives(std::string_view text) {
  return ObjectiveParser(text).parse();
}

std::vector<std::int64_t> pareto_front(std::span<const double> values,
                                       std::span<const ParetoDirection> directions) {
  if (directions.empty()) {
    throw Error(ErrorKind::kUsage, "a Pareto front needs at least one objective");
  }
  if (values.size() % directions.size() != 0) {
    throw Error(ErrorKind::kInternal, fmt::format("pareto_front: {} values are no rows of {}",
                                                  values.size(), directions.size()));
  }
  const Rows rows(values, directions);
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < std::ssize(values) / std::ssize(directions); ++i) {
    if (rows.is_complete(i)) {
      order.push_back(i);
    }
  }
  std::sort(order.begin(), order.end(),
            [&](std::int64_t a, std::int64_t b) { return rows.comes_before(a, b); });
  // Whatever dominates a row comes before it. With two objectives the last row of the front is the
  // best so far in the second one, so no other needs to be looked at.
  std::vector<std::int64_t> front;
  for (const std::int64_t row : order) {
    const auto first =
        directions.size() > 2 || front.empty() ? front.begin() : std::prev(front.end());
    if (std::none_of(first, front.end(),
                     [&](std::int64_t kept) { return rows.dominates(kept, row); })) {
      front.push_back(row);
    }
  }
  // Beyond the first objective, rows stand by number.
  std::sort(front.begin(), front.end(), [&](std::int64_t a, std::int64_t b) {
    return rows.row(a)[0] != rows.row(b)[0] ? rows.row(a)[0] < rows.row(b)[0] : a < b;
  });
  return front;
}

}  // namespace kvsieve::sim
