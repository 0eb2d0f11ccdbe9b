#include "core/sweep_delta.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

namespace kvsieve::gui {
namespace {

using Json = nlohmann::ordered_json;

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

/// A point's options, whatever their order.
std::string options_text(const SweepTable& table, std::uint32_t row) {
  auto options = table.point(row);
  std::sort(options.begin(), options.end());
  std::string text;
  for (const auto& [name, value] : options) {
    text += name + '=' + value + '\n';
  }
  return text;
}

std::optional<double> number_in(const SweepColumn* column, std::uint32_t row) {
  const double number = column == nullptr ? std::nan("") : column->number(row);
  return std::isnan(number) ? std::nullopt : std::optional(number);
}

/// The values of an axis, or an input's hash, by name.
std::vector<std::pair<QString, QString>> parts_of(const sim::SweepIdentity& identity) {
  std::vector<std::pair<QString, QString>> parts{{"tool version", text_of(identity.tool_version)},
                                                 {"instruction set", text_of(identity.isa)}};
  const auto text = [](const Json& value) {
    return text_of(value.is_string() ? value.get<std::string>() : value.dump());
  };
  const Json inputs = Json::parse(identity.inputs, nullptr, false);
  if (inputs.is_object()) {
    for (const auto& [kind, files] : inputs.items()) {
      for (const auto& [path, hash] : files.items()) {
        parts.emplace_back(text_of(kind + " " + path), text(hash));
      }
    }
  }
  const Json definition = Json::parse(identity.definition, nullptr, false);
  if (definition.is_object()) {
    for (const auto& [name, value] : definition.items()) {
      if (name != "axes") {
        parts.emplace_back(text_of(name), text(value));
        continue;
      }
      for (const Json& axis : value) {
        if (!axis.is_object() || !axis.contains("name") || !axis.contains("values")) {
          continue;
        }
        QStringList values;
        for (const Json& one : axis["values"]) {
          values << text(one);
        }
        parts.emplace_back("axis " + text(axis["name"]), values.join(QStringLiteral(", ")));
      }
    }
  }
  return parts;
}

}  // namespace

SweepDelta::SweepDelta(std::shared_ptr<const SweepTable> baseline,
                       std::shared_ptr<const SweepTable> shown, const JobControl& control)
    : m_baseline(std::move(baseline)), m_shown(std::move(shown)) {
  compare_set_up();
  match(control);
  compare_metrics(control);
}

void SweepDelta::compare_set_up() {
  const auto before = parts_of(m_baseline->identity());
  const auto after = parts_of(m_shown->identity());
  const auto find = [](const auto& parts, const QString& name) {
    const auto found = std::find_if(parts.begin(), parts.end(),
                                    [&](const auto& part) { return part.first == name; });
    return found == parts.end() ? QString() : found->second;
  };
  for (const auto& [name, text] : before) {
    if (const QString other = find(after, name); other != text) {
      m_set_up.push_back({name, text, other});
    }
  }
  for (const auto& [name, text] : after) {
    if (find(before, name).isEmpty()) {
      m_set_up.push_back({name, {}, text});
    }
  }
}

void SweepDelta::match(const JobControl& control) {
  std::unordered_map<std::string_view, std::uint32_t> by_key;
  std::unordered_multimap<std::string, std::uint32_t> by_options;
  std::vector<bool> used(m_baseline->rows(), false);
  const auto rows_of = [](const SweepTable& table) {
    return static_cast<std::uint32_t>(table.rows());
  };
  for (std::uint32_t row = 0; row < rows_of(*m_baseline); ++row) {
    by_key.emplace(m_baseline->key(row), row);
  }
  constexpr std::int64_t kNone = -1;
  std::vector<std::int64_t> counterpart(m_shown->rows(), kNone);
  bool all_found = true;
  for (std::uint32_t row = 0; row < rows_of(*m_shown); ++row) {
    const auto found = by_key.find(m_shown->key(row));
    if (found != by_key.end() && !used[found->second]) {
      counterpart[row] = found->second;
      used[found->second] = true;
    }
    all_found = all_found && counterpart[row] != kNone;
  }
  control.check();
  if (!all_found) {
    // Backwards, so that of equal points the first one is found first.
    for (std::uint32_t row = rows_of(*m_baseline); row-- > 0;) {
      if (!used[row]) {
        by_options.emplace(options_text(*m_baseline, row), row);
      }
    }
    control.check();
    for (std::uint32_t row = 0; row < rows_of(*m_shown); ++row) {
      if (counterpart[row] != kNone) {
        continue;
      }
      if (const auto found = by_options.find(options_text(*m_shown, row));
          found != by_options.end()) {
        counterpart[row] = found->second;
        used[found->second] = true;
        by_options.erase(found);
      }
    }
  }
  for (std::uint32_t row = 0; row < rows_of(*m_shown); ++row) {
    if (counterpart[row] == kNone) {
      m_only_shown.push_back(row);
    } else {
      const auto before = static_cast<std::uint32_t>(counterpart[row]);
      if (m_baseline->is_failed(before) != m_shown->is_failed(row)) {
        m_failed_once.emplace_back(m_pairs.size(), m_baseline->is_failed(before));
      }
      m_pairs.emplace_back(before, row);
    }
  }
  for (std::uint32_t row = 0; row < rows_of(*m_baseline); ++row) {
    if (!used[row]) {
      m_only_baseline.push_back(row);
    }
  }
}

void SweepDelta::compare_metrics(const JobControl& control) {
  for (const SweepColumn& before : m_baseline->metrics()) {
    if (m_shown->metric(before.name) == nullptr) {
      m_missing_metrics.push_back({QStringLiteral("metric ") + text_of(before.name), true});
    }
  }
  for (const SweepColumn& after : m_shown->metrics()) {
    const SweepColumn* before = m_baseline->metric(after.name);
    if (before == nullptr) {
      m_missing_metrics.push_back({QStringLiteral("metric ") + text_of(after.name), false});
      continue;
    }
    control.check();
    MetricChange change;
    change.name = text_of(after.name);
    change.info = metric_info(after.name);
    double sum = 0.0;
    double count = 0.0;
    std::size_t lacking_before = 0;
    std::size_t lacking_after = 0;
    for (const auto& [a, b] : m_pairs) {
      const DeltaValue value{number_in(before, a), number_in(&after, b)};
      if (!value.difference()) {
        // Whatever failed is listed as such.
        const bool finished = !m_baseline->is_failed(a) && !m_shown->is_failed(b);
        lacking_before += finished && !value.baseline && value.shown ? 1 : 0;
        lacking_after += finished && value.baseline && !value.shown ? 1 : 0;
        continue;
      }
      if (change.points++ == 0 || is_worse(value, change.info, change.worst, change.info)) {
        change.worst = value;
        change.worst_row = b;
      }
      const Verdict verdict = verdict_of(value, change.info);
      change.better += verdict == Verdict::kBetter ? 1 : 0;
      change.worse += verdict == Verdict::kWorse ? 1 : 0;
      change.other += verdict == Verdict::kOther ? 1 : 0;
      if (const std::optional<double> relative = value.relative()) {
        sum += *relative;
        count += 1.0;
      }
    }
    const auto add_lacking = [&](std::size_t points, bool in_baseline) {
      if (points > 0) {
        m_missing_metrics.push_back({QStringLiteral("%1 of %2 point%3")
                                         .arg(change.name)
                                         .arg(points)
                                         .arg(points == 1 ? "" : "s"),
                                     in_baseline});
      }
    };
    add_lacking(lacking_after, true);
    add_lacking(lacking_before, false);
    if (change.points > 0) {
      change.mean_relative = count > 0.0 ? sum / count : 0.0;
      m_metrics.push_back(std::move(change));
    }
  }
  std::stable_sort(m_metrics.begin(), m_metrics.end(),
                   [](const MetricChange& a, const MetricChange& b) {
                     const auto value = [](const MetricChange& change) {
                       return DeltaValue{1.0, 1.0 + change.mean_relative};
                     };
                     return is_worse(value(a), a.info, value(b), b.info);
                   });
}

std::vector<MissingItem> SweepDelta::missing() const {
  constexpr std::size_t kNamed = 200;
  std::vector<MissingItem> items;
  const auto list = [&](const SweepTable& table, const std::vector<std::uint32_t>& rows,
                        bool in_baseline) {
    for (std::size_t i = 0; i < std::min(rows.size(), kNamed); ++i) {
      items.push_back({QStringLiteral("point ") + table.label(rows[i]), in_baseline});
    }
    if (rows.size() > kNamed) {
      items.push_back({QStringLiteral("%1 more points").arg(rows.size() - kNamed), in_baseline});
    }
  };
  list(*m_baseline, m_only_baseline, true);
  list(*m_shown, m_only_shown, false);
  std::size_t named = 0;
  for (const auto& [pair, failed_before] : m_failed_once) {
    if (named++ == kNamed) {
      items.push_back({QStringLiteral("results of %1 more points that failed on the other side")
                           .arg(m_failed_once.size() - kNamed),
                       !failed_before});
      break;
    }
    const auto& [a, b] = m_pairs[pair];
    const std::string& error = failed_before ? m_baseline->error(a) : m_shown->error(b);
    items.push_back({QStringLiteral("results of point %1, which failed on the other side: %2")
                         .arg(m_shown->label(b), text_of(error)),
                     !failed_before});
  }
  items.insert(items.end(), m_missing_metrics.begin(), m_missing_metrics.end());
  return items;
}

DeltaValue SweepDelta::value(std::size_t pair, const QString& metric) const {
  const std::string name = metric.toStdString();
  const auto& [a, b] = m_pairs[pair];
  return {number_in(m_baseline->metric(name), a), number_in(m_shown->metric(name), b)};
}

std::vector<std::size_t> SweepDelta::worst_pairs(const QString& metric, std::size_t count) const {
  const std::string name = metric.toStdString();
  const MetricInfo info = metric_info(name);
  const SweepColumn* before = m_baseline->metric(name);
  const SweepColumn* after = m_shown->metric(name);
  std::vector<std::pair<std::size_t, DeltaValue>> found;
  for (std::size_t pair = 0; pair < m_pairs.size(); ++pair) {
    const DeltaValue value{number_in(before, m_pairs[pair].first),
                           number_in(after, m_pairs[pair].second)};
    if (value.difference()) {
      found.emplace_back(pair, value);
    }
  }
  const std::size_t kept = std::min(count, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(),
                    [&](const auto& a, const auto& b) {
                      return is_worse(a.second, info, b.second, info) ||
                             (!is_worse(b.second, info, a.second, info) && a.first < b.first);
                    });
  std::vector<std::size_t> pairs;
  for (std::size_t i = 0; i < kept; ++i) {
    pairs.push_back(found[i].first);
  }
  return pairs;
}

}  // namespace kvsieve::gui
