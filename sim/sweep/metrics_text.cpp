#include "sweep/metrics_text.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "kvsieve/traces/error.h"

namespace kvsieve::sim {

void MetricsText::begin(std::string_view name) {
  if (!m_members.empty()) {
    m_members += ',';
  }
  m_members += '"';
  m_members += name;  // names are this library's own: nothing in them to escape
  m_members += "\":";
}

void MetricsText::add(std::string_view name, double value) {
  if (!std::isfinite(value)) {
    throw Error(ErrorKind::kBadInput, fmt::format("{} is {}, no finite number", name, value));
  }
  begin(name);
  fmt::format_to(std::back_inserter(m_members), "{}", value);
}

void MetricsText::add(std::string_view name, std::int64_t value) {
  begin(name);
  fmt::format_to(std::back_inserter(m_members), "{}", value);
}

void MetricsText::add(std::string_view name, const std::optional<double>& value) {
  if (value) {
    add(name, *value);
  }
}

void MetricsText::append(std::string_view members) {
  if (!m_members.empty() && !members.empty()) {
    m_members += ',';
  }
  m_members += members;
}

std::string MetricsText::object() const {
  return "{" + m_members + "}";
}

}  // namespace kvsieve::sim
