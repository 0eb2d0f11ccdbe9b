#include "kvsieve/sim/sweep_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/sim/expression.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "kvsieve/traces/nearest.h"
#include "sweep/quantity.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;
using traces::printable;

constexpr std::int64_t kMostPoints = 100'000'000;

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::kUsage, what);
}

/// How an axis advances with a point's index in the product: its value is index / stride modulo
/// the number of its values.
struct AxisStep {
  std::int64_t stride = 1;
  std::int64_t values = 1;
};

/// The axes' steps and the size of their product.
class Product {
 public:
  explicit Product(const SweepDefinition& definition) : m_axes(definition.axes) {
    check_axes();
    assign_groups(definition.zipped);
    // The last axis varies fastest; a group does where its first axis stands.
    m_steps.resize(m_axes.size());
    for (std::size_t i = m_axes.size(); i-- > 0;) {
      if (m_leader[i] == i) {
        const auto values = std::ssize(m_axes[i].values);
        m_steps[i] = {m_size, values};
        if (values > kMostPoints / m_size) {
          fail(fmt::format("the sweep has more than 100,000,000 points: axes of {} values",
                           fmt::join(lengths(), " x ")));
        }
        m_size *= values;
      }
    }
    for (std::size_t i = 0; i < m_axes.size(); ++i) {
      m_steps[i] = m_steps[m_leader[i]];
    }
  }

  [[nodiscard]] std::int64_t size() const noexcept { return m_size; }

  /// Which of its values axis `axis` has at point `index` of the product.
  [[nodiscard]] std::size_t value_index(std::size_t axis, std::int64_t index) const noexcept {
    return static_cast<std::size_t>(index / m_steps[axis].stride % m_steps[axis].values);
  }

 private:
  void check_axes() const {
    for (std::size_t i = 0; i < m_axes.size(); ++i) {
      if (m_axes[i].values.empty()) {
        fail(fmt::format("axis '{}' has no values", printable(m_axes[i].name)));
      }
      if (find(m_axes[i].name) != i) {
        fail(fmt::format("axis '{}' is given twice", printable(m_axes[i].name)));
      }
    }
  }

  void assign_groups(const std::vector<std::vector<std::string>>& groups) {
    m_leader.resize(m_axes.size());
    for (std::size_t i = 0; i < m_axes.size(); ++i) {
      m_leader[i] = i;
    }
    std::vector<bool> zipped(m_axes.size(), false);
    for (const std::vector<std::string>& group : groups) {
      std::size_t leader = m_axes.size();
      for (const std::string& name : group) {
        const std::size_t axis = find(name);
        if (axis == m_axes.size()) {
          fail(fmt::format("zipped '{}' is no axis of the sweep", printable(name)));
        }
        if (zipped[axis]) {
          fail(fmt::format("axis '{}' is zipped twice", printable(name)));
        }
        zipped[axis] = true;
        leader = std::min(leader, axis);
      }
      for (const std::string& name : group) {
        const std::size_t axis = find(name);
        if (m_axes[axis].values.size() != m_axes[leader].values.size()) {
          fail(fmt::format("zipped axes '{}' and '{}' have {} and {} values, expected as many",
                           printable(m_axes[leader].name), printable(name),
                           m_axes[leader].values.size(), m_axes[axis].values.size()));
        }
        m_leader[axis] = leader;
      }
    }
  }

  [[nodiscard]] std::size_t find(std::string_view name) const {
    std::size_t axis = 0;
    while (axis < m_axes.size() && m_axes[axis].name != name) {
      ++axis;
    }
    return axis;
  }

  [[nodiscard]] std::vector<std::size_t> lengths() const {
    std::vector<std::size_t> lengths;
    for (std::size_t i = 0; i < m_axes.size(); ++i) {
      if (m_leader[i] == i) {
        lengths.push_back(m_axes[i].values.size());
      }
    }
    return lengths;
  }

  const std::vector<SweepAxis>& m_axes;
  std::vector<std::size_t> m_leader;  // of its group; an axis alone leads itself
  std::vector<AxisStep> m_steps;
  std::int64_t m_size = 1;
};

/// A number as an option takes it.
std::string option_text(double value) {
  constexpr double kWhole = 0x1p53;
  if (std::abs(value) < kWhole && value == std::trunc(value)) {
    return fmt::format("{}", static_cast<std::int64_t>(value));
  }
  std::string text = fmt::format("{:.9f}", value);
  text.resize(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) {
    text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

/// A derived option.
struct Derivation {
  std::string name;
  std::string text;
  Expression expression;
  bool copies = false;  ///< the expression is one name
};

/// The points of a product, built one at a time.
class PointBuilder {
 public:
  PointBuilder(const SweepDefinition& definition, const Product& product)
      : m_axes(definition.axes), m_product(product) {
    std::vector<std::string> known;
    for (const SweepAxis& axis : m_axes) {
      known.push_back(axis.name);
    }
    for (const auto& [name, text] : definition.derived) {
      if (!is_option_name(name)) {
        fail(fmt::format("derived '{}' is no option's name", printable(name)));
      }
      if (std::find(known.begin(), known.end(), name) != known.end()) {
        fail(fmt::format("derived '{}' is an axis or is derived twice", printable(name)));
      }
      Expression expression(text);
      const std::vector<std::string> names = expression.names();
      require_known(names, known, fmt::format("derived '{}'", printable(name)));
      const bool copies = names.size() == 1 && names[0] == trimmed(text);
      m_derivations.push_back({name, text, std::move(expression), copies});
      known.push_back(name);
    }
    if (!definition.where.empty()) {
      m_where.emplace(definition.where);
      const std::vector<std::string> names = m_where->names();
      require_known(names, known, "where");
      m_where_derives = std::any_of(
          m_derivations.begin(), m_derivations.end(), [&](const Derivation& derivation) {
            return std::find(names.begin(), names.end(), derivation.name) != names.end();
          });
      // Each value is read once, not at each of the points that have it.
      for (const SweepAxis& axis : m_axes) {
        std::vector<ExpressionValue>& values = m_values.emplace_back();
        std::transform(axis.values.begin(), axis.values.end(), std::back_inserter(values),
                       [](const std::string& text) { return value_of(text); });
      }
      // Throws if it is no condition, even where there is no point to judge.
      static_cast<void>(m_where->holds([](std::string_view) { return std::nullopt; }));
    }
  }

  /// Whether the condition keeps point `index` of the product.
  [[nodiscard]] bool keeps(std::int64_t index) const {
    if (!m_where) {
      return true;
    }
    if (m_where_derives) {
      const SweepPoint whole = point(index, 0);
      return m_where->holds([&](std::string_view name) { return value_in(whole, name); });
    }
    return m_where->holds([&](std::string_view name) -> std::optional<ExpressionValue> {
      std::size_t axis = 0;
      while (m_axes[axis].name != name) {
        ++axis;
      }
      return m_values[axis][m_product.value_index(axis, index)];
    });
  }

  [[nodiscard]] SweepPoint point(std::int64_t index, std::int64_t number) const {
    SweepPoint point;
    point.number = number;
    point.options.reserve(m_axes.size() + m_derivations.size());
    for (std::size_t axis = 0; axis < m_axes.size(); ++axis) {
      point.options.emplace_back(m_axes[axis].name,
                                 m_axes[axis].values[m_product.value_index(axis, index)]);
    }
    for (const Derivation& derivation : m_derivations) {
      point.options.emplace_back(derivation.name, derived_text(derivation, point));
    }
    return point;
  }

 private:
  static void require_known(const std::vector<std::string>& names,
                            const std::vector<std::string>& known, std::string_view where) {
    for (const std::string& name : names) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        throw Error(ErrorKind::kUsage,
                    fmt::format("{}: '{}' is no option of the sweep, it has {}", where,
                                printable(name), known.empty() ? "none" : shown(known)),
                    hint_for(name, known));
      }
    }
  }

  static std::string hint_for(const std::string& name, const std::vector<std::string>& known) {
    const std::string before = name.substr(0, name.find('-'));
    if (before != name && std::find(known.begin(), known.end(), before) != known.end()) {
      return "a difference is written with spaces around its '-'";
    }
    const std::string near = traces::nearest(name, known);
    return near.empty() ? "text is written in single quotes"
                        : fmt::format("did you mean {}?", printable(near));
  }

  static std::string shown(const std::vector<std::string>& names) {
    std::vector<std::string> texts;
    std::transform(names.begin(), names.end(), std::back_inserter(texts),
                   [](const std::string& name) { return printable(name); });
    return fmt::format("{}", fmt::join(texts, ", "));
  }

  static std::optional<ExpressionValue> value_in(const SweepPoint& point, std::string_view name) {
    return value_of(*point.find(name));
  }

  static std::string derived_text(const Derivation& derivation, const SweepPoint& point) {
    if (derivation.copies) {
      return std::string(*point.find(trimmed(derivation.text)));
    }
    const auto value = derivation.expression.evaluate(
        [&](std::string_view name) { return value_in(point, name); });
    if (const auto* text = std::get_if<std::string>(&*value)) {
      return *text;
    }
    const double number = std::get<double>(*value);
    if (!std::isfinite(number)) {
      fail(fmt::format("derived '{}': '{}' is {} at {}", printable(derivation.name),
                       printable(derivation.text), number, described(point)));
    }
    return option_text(number);
  }

  static std::string described(const SweepPoint& point) {
    std::vector<std::string> options;
    for (const auto& [name, value] : point.options) {
      options.push_back(printable(name) + "=" + printable(value));
    }
    return fmt::format("{}", fmt::join(options, " "));
  }

  const std::vector<SweepAxis>& m_axes;
  const Product& m_product;
  std::vector<std::vector<ExpressionValue>> m_values;  // [axes, values], with a condition
  std::vector<Derivation> m_derivations;
  std::optional<Expression> m_where;
  bool m_where_derives = false;
};

/// A point that may be in the sample.
struct Candidate {
  std::uint64_t draw = 0;
  std::int64_t number = 0;
  std::int64_t index = 0;  ///< in the product

  bool operator<(const Candidate& other) const noexcept { return draw < other.draw; }
};

/// The candidates with the `most` smallest draws. The draws of SplitMix64 differ from one another,
/// and the draw of a number depends on the seed alone, which makes a sample part of larger ones.
class SampleDraw {
 public:
  SampleDraw(std::int64_t most, std::uint64_t seed) : m_most(most), m_random(seed) {}

  /// To be called for each number in turn.
  void offer(std::int64_t number, std::int64_t index) {
    const Candidate candidate{m_random.bits(), number, index};
    if (std::ssize(m_heap) < m_most) {
      m_heap.push_back(candidate);
      std::push_heap(m_heap.begin(), m_heap.end());
    } else if (candidate < m_heap.front()) {
      std::pop_heap(m_heap.begin(), m_heap.end());
      m_heap.back() = candidate;
      std::push_heap(m_heap.begin(), m_heap.end());
    }
  }

  /// In ascending order of numbers.
  [[nodiscard]] std::vector<Candidate> take() && {
    std::sort(m_heap.begin(), m_heap.end(),
              [](const Candidate& a, const Candidate& b) { return a.number < b.number; });
    return std::move(m_heap);
  }

 private:
  std::int64_t m_most;
  kernels::CounterRandom m_random;
  std::vector<Candidate> m_heap;  // the largest draw in front
};

}  // namespace

std::optional<std::string_view> SweepPoint::find(std::string_view name) const {
  for (const auto& [option, value] : options) {
    if (option == name) {
      return value;
    }
  }
  return std::nullopt;
}

std::vector<SweepPoint> sweep_points(const SweepDefinition& definition) {
  const Product product(definition);
  const PointBuilder builder(definition, product);
  if (definition.sample && *definition.sample < 1) {
    fail(fmt::format("a sample of {} points, expected at least 1", *definition.sample));
  }
  std::vector<SweepPoint> points;
  std::int64_t number = 0;
  if (definition.sample) {
    SampleDraw draw(*definition.sample, definition.seed);
    for (std::int64_t index = 0; index < product.size(); ++index) {
      if (builder.keeps(index)) {
        draw.offer(number++, index);
      }
    }
    for (const Candidate& chosen : std::move(draw).take()) {
      points.push_back(builder.point(chosen.index, chosen.number));
    }
    return points;
  }
  if (definition.where.empty()) {
    points.reserve(static_cast<std::size_t>(product.size()));
  }
  for (std::int64_t index = 0; index < product.size(); ++index) {
    if (builder.keeps(index)) {
      points.push_back(builder.point(index, number++));
    }
  }
  return points;
}

std::int64_t product_size(const SweepDefinition& definition) {
  return Product(definition).size();
}

ordered_json canonical_point(const SweepPoint& point, const ordered_json& context) {
  auto sorted = point.options;
  std::sort(sorted.begin(), sorted.end());
  ordered_json options = ordered_json::object();
  for (const auto& [name, value] : sorted) {
    options[name] = value;
  }
  ordered_json canonical = ordered_json::object();
  canonical["options"] = std::move(options);
  canonical["context"] = context;
  return canonical;
}

std::string point_key(const ordered_json& canonical) {
  try {
    const std::string text = canonical.dump();
    const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  } catch (const ordered_json::type_error&) {
    fail("an option of a point is not UTF-8 text");
  }
}

std::vector<SweepPoint> shard_of(const std::vector<SweepPoint>& points, std::int64_t shard,
                                 std::int64_t shards) {
  if (shards < 1 || shard < 0 || shard >= shards) {
    fail(fmt::format("shard {} of {}, expected i of n with 0 <= i < n", shard, shards));
  }
  std::vector<SweepPoint> chosen;
  for (std::int64_t i = shard; i < std::ssize(points); i += shards) {
    chosen.push_back(points[static_cast<std::size_t>(i)]);
  }
  return chosen;
}

}  // namespace kvsieve::sim
