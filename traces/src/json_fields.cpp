#include "kvsieve/traces/json_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/nearest.h"

namespace kvsieve::traces {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxShown = 60;
constexpr int kMaxDepth = 64;  // copying and printing a document recurse

/// ASCII on one line, whatever the value holds.
std::string ascii(const ordered_json& value) {
  return value.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
}

std::string shortened(std::string text) {
  if (text.size() > kMaxShown) {
    text.resize(kMaxShown);
    text += "...";
  }
  return text;
}

/// A value as an error message shows it.
std::string shown(const ordered_json& value) {
  return shortened(ascii(value));
}

}  // namespace

JsonFields::JsonFields(const ordered_json& json, std::string path)
    : m_json(&json), m_path(std::move(path)) {
  if (!json.is_object()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} is {}, expected an object", m_path, shown(json)));
  }
}

void JsonFields::fail(std::string_view key, std::string_view expected, std::string hint) const {
  const auto found = m_json->find(std::string(key));
  throw Error(ErrorKind::kBadInput,
              fmt::format("{}.{} is {}, expected {}", m_path, printable(key),
                          found == m_json->end() ? "missing" : shown(*found), expected),
              std::move(hint));
}

void JsonFields::allow_only(const std::vector<std::string>& known) const {
  for (const auto& [key, value] : m_json->items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      const std::string near = nearest(key, known);
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}.{} is unknown, expected one of {}", m_path, printable(key),
                              fmt::join(known, ", ")),
                  near.empty() ? "" : fmt::format("did you mean {}?", near));
    }
  }
}

bool JsonFields::has(std::string_view key) const {
  const auto found = m_json->find(std::string(key));
  return found != m_json->end() && !found->is_null();
}

const ordered_json& JsonFields::raw(std::string_view key) const {
  const auto found = m_json->find(std::string(key));
  if (found == m_json->end()) {
    fail(key, "a value");
  }
  return *found;
}

JsonFields JsonFields::object(std::string_view key) const {
  const auto found = m_json->find(std::string(key));
  if (found == m_json->end() || !found->is_object()) {
    fail(key, "an object");
  }
  return {*found, m_path + "." + std::string(key)};
}

std::vector<JsonFields> JsonFields::objects(std::string_view key) const {
  const auto found = m_json->find(std::string(key));
  if (found == m_json->end() || !found->is_array()) {
    fail(key, "an array of objects");
  }
  std::vector<JsonFields> objects;
  objects.reserve(found->size());
  for (const ordered_json& value : *found) {
    objects.emplace_back(value, fmt::format("{}.{}[{}]", m_path, key, objects.size()));
  }
  return objects;
}

std::string JsonFields::string(std::string_view key) const {
  const auto found = m_json->find(std::string(key));
  if (found == m_json->end() || !found->is_string()) {
    fail(key, "a string");
  }
  return found->get<std::string>();
}

std::string JsonFields::string_or(std::string_view key, std::string fallback) const {
  return has(key) ? string(key) : std::move(fallback);
}

bool JsonFields::boolean_or(std::string_view key, bool fallback) const {
  if (!has(key)) {
    return fallback;
  }
  if (!raw(key).is_boolean()) {
    fail(key, "true or false");
  }
  return raw(key).get<bool>();
}

std::int64_t JsonFields::checked_integer(std::string_view key, const ordered_json& value,
                                         std::int64_t low, std::int64_t high) const {
  // Beyond int64 the parser yields an unsigned or a floating value, which must not wrap around.
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)
                        : value.is_number_integer();
  if (!fits || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
    fail(key, fmt::format("an integer in [{}, {}]", low, high));
  }
  return value.get<std::int64_t>();
}

std::int64_t JsonFields::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const auto found = m_json->find(std::string(key));
  if (found == m_json->end()) {
    fail(key, fmt::format("an integer in [{}, {}]", low, high));
  }
  return checked_integer(key, *found, low, high);
}

std::vector<std::int64_t> JsonFields::integers(std::string_view key, std::int64_t low,
                                               std::int64_t high) const {
  const auto found = m_json->find(std::string(key));
  if (found == m_json->end() || !found->is_array()) {
    fail(key, "an array of integers");
  }
  std::vector<std::int64_t> values;
  values.reserve(found->size());
  for (const ordered_json& value : *found) {
    values.push_back(checked_integer(key, value, low, high));
  }
  return values;
}

double JsonFields::number(std::string_view key) const {
  const auto found = m_json->find(std::string(key));
  if (found == m_json->end() || !found->is_number() || !std::isfinite(found->get<double>())) {
    fail(key, "a finite number");
  }
  return found->get<double>();
}

double JsonFields::number_or(std::string_view key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

double JsonFields::positive(std::string_view key) const {
  const double value = number(key);
  if (value <= 0.0) {
    fail(key, "a number above 0");
  }
  return value;
}

std::string printable(std::string_view text) {
  const std::string quoted = ascii(std::string(text.substr(0, kMaxShown + 1)));
  return shortened(quoted.substr(1, quoted.size() - 2));
}

ordered_json parse_json(std::string_view text, std::string_view what) {
  const auto error_at = [&](std::size_t byte) {
    return Error(ErrorKind::kBadInput,
                 fmt::format("{} is not valid UTF-8 JSON (error at its byte {} of {})", what, byte,
                             text.size()));
  };
  // The parser would take a zero byte for the end and ignore what follows.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw error_at(zero + 1);
  }
  std::vector<std::set<std::string, std::less<>>> open_objects;
  const auto check = [&](int depth, ordered_json::parse_event_t event, ordered_json& parsed) {
    if (depth > kMaxDepth) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{} nests deeper than {} levels", what, kMaxDepth));
    }
    if (event == ordered_json::parse_event_t::object_start) {
      open_objects.emplace_back();
    } else if (event == ordered_json::parse_event_t::object_end) {
      open_objects.pop_back();
    } else if (event == ordered_json::parse_event_t::key) {
      if (!open_objects.back().insert(parsed.get<std::string>()).second) {
        throw Error(ErrorKind::kBadInput,
                    fmt::format("{} has the key {} twice", what, shown(parsed)));
      }
      if (open_objects.back().size() > kMaxJsonKeys) {
        throw Error(ErrorKind::kBadInput,
                    fmt::format("{} has more than {} keys in one object", what, kMaxJsonKeys));
      }
    }
    return true;
  };
  try {
    return ordered_json::parse(text.begin(), text.end(), check);
  } catch (const ordered_json::parse_error& error) {
    throw error_at(error.byte);
  } catch (const ordered_json::out_of_range&) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} holds a number outside the range of a double", what));
  }
}

}  // namespace kvsieve::traces
