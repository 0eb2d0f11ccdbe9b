#include "json_difference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxDifferences = 4;
constexpr std::size_t kMaxValue = 60;

std::string shown(const ordered_json* value) {
  if (value == nullptr) {
    return "missing";
  }
  std::string text = value->dump(-1, ' ', true);
  if (text.size() > kMaxValue) {
    text.resize(kMaxValue);
    text += "...";
  }
  return text;
}

class Comparison {
 public:
  void compare(const ordered_json* there, const ordered_json* here, const std::string& path) {
    if (there != nullptr && here != nullptr) {
      if (*there == *here) {
        return;
      }
      if (there->is_object() && here->is_object()) {
        compare_objects(*there, *here, path);
        return;
      }
      if (there->is_array() && here->is_array()) {
        compare_arrays(*there, *here, path);
        return;
      }
    }
    add(fmt::format("{} is {} there and {} here", path, shown(there), shown(here)));
  }

  std::string text() const {
    return fmt::format(
        "{}{}", fmt::join(m_lines, "; "),
        m_found > m_lines.size() ? fmt::format("; and {} more", m_found - m_lines.size()) : "");
  }

 private:
  void compare_objects(const ordered_json& there, const ordered_json& here,
                       const std::string& path) {
    const std::size_t found_before = m_found;
    const auto below = [&](const std::string& key) { return path + "." + traces::printable(key); };
    for (const auto& [key, value] : there.items()) {
      const auto other = here.find(key);
      compare(&value, other == here.end() ? nullptr : &*other, below(key));
    }
    for (const auto& [key, value] : here.items()) {
      if (!there.contains(key)) {
        compare(nullptr, &value, below(key));
      }
    }
    if (m_found == found_before) {
      add(path + " has another order");
    }
  }

  void compare_arrays(const ordered_json& there, const ordered_json& here,
                      const std::string& path) {
    if (there.size() != here.size()) {
      add(fmt::format("{} has {} values there and {} here", path, there.size(), here.size()));
      return;
    }
    for (std::size_t i = 0; i < there.size(); ++i) {
      compare(&there[i], &here[i], fmt::format("{}[{}]", path, i));
    }
  }

  void add(std::string line) {
    if (++m_found <= kMaxDifferences) {
      m_lines.push_back(std::move(line));
    }
  }

  std::vector<std::string> m_lines;
  std::size_t m_found = 0;
};

}  // namespace

std::string json_difference(std::string_view there, std::string_view here, std::string_view name) {
  if (there == here) {
    return {};
  }
  try {
    const ordered_json first = traces::parse_json(there, name);
    const ordered_json second = traces::parse_json(here, name);
    if (first == second) {
      return {};
    }
    Comparison comparison;
    comparison.compare(&first, &second, std::string(name));
    return comparison.text();
  } catch (const Error&) {
    return fmt::format("{} differs", name);
  }
}

}  // namespace kvsieve::sim
