#include "flat_members.h"

#include <charconv>

namespace kvsieve::sim {

std::optional<double> FlatMember::number() const {
  double parsed = 0.0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, parsed);
  return is_number && error == std::errc() && stop == end ? std::optional(parsed) : std::nullopt;
}

const std::vector<FlatMember>& FlatMembers::read(const SweepRow& row) {
  if (!split(row.metrics)) {
    read_any(row);
  }
  return m_members;
}

bool FlatMembers::split(std::string_view json) {
  m_members.clear();
  if (json.size() < 2 || json.front() != '{' || json.back() != '}') {
    return false;
  }
  json = json.substr(1, json.size() - 2);
  // Goes behind a text that begins here; an escape is not for this reader.
  const auto take_text = [&](std::string_view& text) {
    const std::size_t end = json.find_first_of("\"\\", 1);
    if (json.empty() || json.front() != '"' || end == std::string_view::npos || json[end] == '\\') {
      return false;
    }
    text = json.substr(1, end - 1);
    json.remove_prefix(end + 1);
    return true;
  };
  while (!json.empty()) {
    FlatMember member;
    if (!take_text(member.name) || json.empty() || json.front() != ':') {
      return false;
    }
    json.remove_prefix(1);
    if (!json.empty() && json.front() == '"') {
      if (!take_text(member.value)) {
        return false;
      }
    } else {
      member.is_number = true;
      member.value = json.substr(0, json.find(','));
      json.remove_prefix(member.value.size());
      if (member.value.find_first_not_of("0123456789+-.eE") != std::string_view::npos ||
          member.value.empty()) {
        return false;
      }
    }
    m_members.push_back(member);
    if (json.empty()) {
      return true;
    }
    if (json.front() != ',' || json.size() == 1) {
      return false;
    }
    json.remove_prefix(1);
  }
  return true;
}

void FlatMembers::read_any(const SweepRow& row) {
  m_members.clear();
  m_texts.clear();
  m_fields.read({row.number, {}, {}, row.metrics, {}});
  for (const SweepField& field : m_fields.metrics()) {
    const std::string& name = m_texts.emplace_back(field.name);
    const std::string& value = m_texts.emplace_back(field.text());
    m_members.push_back({name, value, field.number().has_value()});
  }
}

}  // namespace kvsieve::sim
