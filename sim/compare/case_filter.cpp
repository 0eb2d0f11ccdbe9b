#include "case_filter.h"

#include <fmt/format.h>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {

CaseFilter::CaseFilter(const std::string& expression) {
  if (expression.empty()) {
    return;
  }
  try {
    m_expression.emplace(expression, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& error) {
    throw Error(ErrorKind::kUsage, fmt::format("the filter '{}' is no regular expression: {}",
                                               traces::printable(expression), error.what()));
  }
}

bool CaseFilter::keeps(std::string_view name) const {
  constexpr std::size_t kLooksAt = 2000;
  const std::string_view head = name.substr(0, kLooksAt);
  return !m_expression || std::regex_search(head.begin(), head.end(), *m_expression);
}

}  // namespace kvsieve::sim
