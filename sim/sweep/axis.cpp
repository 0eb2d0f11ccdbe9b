#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "kvsieve/sim/sweep_plan.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "report/clean_text.h"
#include "sweep/quantity.h"

namespace kvsieve::sim {
namespace {

constexpr std::int64_t kMostValues = 1'000'000;
constexpr int kMostDecimals = 9;
constexpr std::int64_t kMostUnits = 1'000'000'000'000'000'000;
constexpr std::int64_t kMostPower = 62;

/// units / 10^decimals with what is written behind it.
struct ExactNumber {
  std::int64_t units = 0;
  int decimals = 0;
  std::string_view unit;
};

/// `units` * 10^places; nothing beyond kMostUnits.
std::optional<std::int64_t> shifted(std::int64_t units, int places) {
  for (int i = 0; i < places; ++i) {
    if (std::abs(units) > kMostUnits / 10) {
      return std::nullopt;
    }
    units *= 10;
  }
  return units;
}

/// "-12.5%"; nothing for text that is no number, has an exponent, more than 9 decimals or too many
/// digits.
std::optional<ExactNumber> exact_number(std::string_view text) {
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  const std::optional<Quantity> quantity = quantity_at_start(text);
  if (!quantity || quantity->size != text.size() || !quantity->exponent.empty()) {
    return std::nullopt;
  }
  ExactNumber number;
  number.unit = quantity->unit;
  std::string_view digits = quantity->digits;
  if (digits.find('.') != std::string_view::npos) {
    digits = digits.substr(0, digits.find_last_not_of('0') + 1);
  }
  bool point = false;
  for (const char c : digits) {
    if (c == '.') {
      point = true;
      continue;
    }
    number.decimals += point ? 1 : 0;
    if (number.units > kMostUnits / 10 - 1 || number.decimals > kMostDecimals) {
      return std::nullopt;
    }
    number.units = number.units * 10 + (c - '0');
  }
  number.units = negative ? -number.units : number.units;
  return number;
}

/// The shortest text of units / 10^decimals.
std::string decimal_text(std::int64_t units, int decimals) {
  while (decimals > 0 && units % 10 == 0) {
    units /= 10;
    --decimals;
  }
  const std::int64_t scale = *shifted(1, decimals);
  const std::int64_t size = std::abs(units);
  std::string text = fmt::format("{}{}", units < 0 ? "-" : "", size / scale);
  if (decimals > 0) {
    text += fmt::format(".{:0{}}", size % scale, decimals);
  }
  return text;
}

class AxisParser {
 public:
  explicit AxisParser(std::string_view text) : m_text(text) {}

  SweepAxis parse() {
    if (clean_text(m_text) != m_text) {
      fail(m_text, "is not one line of printable UTF-8");
    }
    const std::size_t equals = m_text.find('=');
    if (equals == std::string_view::npos) {
      fail(m_text, "has no '='");
    }
    parse_name(trimmed(m_text.substr(0, equals)));
    std::string_view list = trimmed(m_text.substr(equals + 1));
    if (list.starts_with('[')) {
      if (list.size() < 2 || !list.ends_with(']')) {
        fail(list, "has no closing ']'");
      }
      list = list.substr(1, list.size() - 2);
    }
    parse_list(list);
    return std::move(m_axis);
  }

 private:
  [[noreturn]] void fail(std::string_view part, std::string_view what) const {
    throw Error(ErrorKind::kUsage,
                fmt::format("axis '{}': '{}' {}; expected NAME=V1,V2, NAME=[V1,V2], "
                            "NAME=[START:STOP:STRIDE] or NAME[pow2]=[START:STOP:STRIDE]",
                            traces::printable(m_text), traces::printable(part), what));
  }

  void parse_name(std::string_view head) {
    std::string_view name = head;
    if (head.ends_with(']')) {
      const std::size_t open = head.find('[');
      name = trimmed(head.substr(0, open));
      const std::string_view flag =
          open == std::string_view::npos ? head : head.substr(open + 1, head.size() - open - 2);
      if (trimmed(flag) != "pow2") {
        fail(flag, "is no kind of axis, the only one is pow2");
      }
      m_pow2 = true;
    }
    if (!is_option_name(name)) {
      fail(name, "is no option's name");
    }
    m_axis.name = name;
  }

  void parse_list(std::string_view list) {
    std::string_view rest = list;
    while (true) {
      rest = rest.substr(std::min(rest.size(), rest.find_first_not_of(" \t")));
      std::size_t end = 0;
      if (rest.starts_with('\'') || rest.starts_with('"')) {
        end = rest.find(rest.front(), 1);
        if (end == std::string_view::npos) {
          fail(rest, "has no closing quote");
        }
        add_text(rest.substr(1, end - 1));
        const std::size_t comma = std::min(rest.size(), rest.find(',', end));
        if (!trimmed(rest.substr(end + 1, comma - end - 1)).empty()) {
          fail(rest.substr(0, comma), "goes on behind its closing quote");
        }
        end = comma;
      } else {
        end = std::min(rest.size(), rest.find(','));
        add_element(trimmed(rest.substr(0, end)));
      }
      if (end == rest.size()) {
        return;
      }
      rest.remove_prefix(end + 1);
    }
  }

  /// A range, or one value without quotes.
  void add_element(std::string_view element) {
    if (element.empty()) {
      fail(m_text.substr(m_text.find('=') + 1), "has an empty value");
    }
    if (element.find_first_of("[]") != std::string_view::npos) {
      fail(element, "has a bracket that quotes would keep");
    }
    const std::size_t colon = element.find(':');
    if (colon != std::string_view::npos && is_number(trimmed(element.substr(0, colon)))) {
      add_range(element);
    } else if (m_pow2) {
      add_number(power_of(element), 0, {}, element);
    } else {
      add_text(element);
    }
  }

  static bool is_number(std::string_view text) {
    text.remove_prefix(text.starts_with('-') ? 1 : 0);
    const std::optional<Quantity> quantity = quantity_at_start(text);
    return quantity && quantity->size == text.size();
  }

  void add_range(std::string_view range) {
    std::array<ExactNumber, 3> numbers;  // start, stop, stride
    std::size_t count = 0;
    for (std::string_view rest = range;; ++count) {
      const std::size_t colon = std::min(rest.size(), rest.find(':'));
      if (count == numbers.size()) {
        fail(range, "has more than start, stop and stride");
      }
      const std::string_view part = trimmed(rest.substr(0, colon));
      const std::optional<ExactNumber> number = exact_number(part);
      if (!number) {
        fail(part, "is no number such as 12, 0.5, 5% or 64KiB, of at most 9 decimals");
      }
      numbers[count] = *number;
      if (numbers[count].unit != numbers[0].unit) {
        fail(range, "has different units, expected the same behind each number");
      }
      if (colon == rest.size()) {
        break;
      }
      rest.remove_prefix(colon + 1);
    }
    if (count == 1) {
      numbers[2].units = 1;
    }
    if (m_pow2 && (!numbers[0].unit.empty() || numbers[0].decimals > 0 || numbers[1].decimals > 0 ||
                   numbers[2].decimals > 0)) {
      fail(range, "is no range of whole exponents");
    }
    add_steps(range, numbers[0], numbers[1], numbers[2]);
  }

  void add_steps(std::string_view range, const ExactNumber& start, const ExactNumber& stop,
                 const ExactNumber& stride) {
    const int decimals = std::max({start.decimals, stop.decimals, stride.decimals});
    const auto first = shifted(start.units, decimals - start.decimals);
    const auto last = shifted(stop.units, decimals - stop.decimals);
    const auto step = shifted(stride.units, decimals - stride.decimals);
    if (!first || !last || !step) {
      fail(range, "has too many digits");
    }
    if (*step == 0) {
      fail(range, "has a stride of 0");
    }
    if (*first != *last && (*step > 0) != (*last > *first)) {
      fail(range, fmt::format("has a stride of {}, which leads away from the stop",
                              decimal_text(*step, decimals)));
    }
    const std::int64_t steps = (*last - *first) / *step;
    if (steps >= kMostValues) {
      fail(range, "has more than 1,000,000 values");
    }
    for (std::int64_t i = 0; i <= steps; ++i) {
      add_number(*first + i * *step, decimals, start.unit, range);
    }
  }

  std::int64_t power_of(std::string_view text) const {
    const std::optional<ExactNumber> number = exact_number(text);
    if (!number || number->decimals > 0 || !number->unit.empty()) {
      fail(text, "is no whole exponent");
    }
    return number->units;
  }

  void add_number(std::int64_t units, int decimals, std::string_view unit, std::string_view part) {
    if (!m_pow2) {
      add(decimal_text(units, decimals) + std::string(unit));
      return;
    }
    if (units < 0 || units > kMostPower) {
      fail(part, fmt::format("has the exponent {}, expected 0 to {}", units, kMostPower));
    }
    add(fmt::format("{}", std::int64_t{1} << units));
  }

  void add_text(std::string_view text) {
    if (m_pow2) {
      fail(text, "is no whole exponent");
    }
    add(std::string(text));
  }

  void add(std::string value) {
    if (std::ssize(m_axis.values) == kMostValues) {
      fail(m_axis.name, "has more than 1,000,000 values");
    }
    m_axis.values.push_back(std::move(value));
  }

  std::string_view m_text;
  bool m_pow2 = false;
  SweepAxis m_axis;
};

}  // namespace

SweepAxis parse_axis(std::string_view text) {
  return AxisParser(text).parse();
}

}  // namespace kvsieve::sim
