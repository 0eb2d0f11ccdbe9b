#include "case_name.h"

#include <algorithm>
#include <array>

namespace kvsieve::sim {
namespace {

constexpr std::array<std::string_view, 4> kMeasuring{"repeats", "iterations", "min_time",
                                                     "min_warmup_time"};

std::vector<std::string_view> segments_of(std::string_view name) {
  std::vector<std::string_view> segments;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    depth += name[i] == '<' ? 1 : name[i] == '>' && depth > 0 ? -1 : 0;
    if (name[i] == '/' && depth == 0) {
      segments.push_back(name.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  segments.push_back(name.substr(begin));
  return segments;
}

/// Where the key of `key:value` ends; 0 if the segment is none. `std::copy` is none.
std::size_t key_end(std::string_view segment) {
  const std::size_t colon = segment.find(':');
  const bool is_one = colon != std::string_view::npos && colon > 0 && colon + 1 < segment.size() &&
                      segment[colon + 1] != ':';
  return is_one ? colon : 0;
}

bool is_number(std::string_view segment) {
  return !segment.empty() && std::all_of(segment.begin(), segment.end(),
                                         [](char c) { return (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

std::string CaseName::key() const {
  return operation + parameter_key();
}

std::string CaseName::parameter_key() const {
  std::string text;
  for (const std::string& value : positional) {
    text += "/" + value;
  }
  for (const auto& [name, value] : parameters) {
    text += "/" + name + ":" + value;
  }
  return text;
}

CaseName parse_case_name(std::string_view name) {
  CaseName parsed;
  bool in_parameters = false;
  for (const std::string_view segment : segments_of(name)) {
    const std::size_t colon = key_end(segment);
    if (colon > 0) {
      in_parameters = true;
      const std::string_view key = segment.substr(0, colon);
      if (std::find(kMeasuring.begin(), kMeasuring.end(), key) == kMeasuring.end()) {
        parsed.parameters.emplace_back(key, segment.substr(colon + 1));
      }
    } else if (in_parameters || (is_number(segment) && !parsed.operation.empty())) {
      in_parameters = true;
      parsed.positional.emplace_back(segment);
    } else {
      parsed.operation += (parsed.operation.empty() ? "" : "/") + std::string(segment);
    }
  }
  std::stable_sort(parsed.parameters.begin(), parsed.parameters.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return parsed;
}

}  // namespace kvsieve::sim
