#pragma once
// Numbers with their sources in JSON: {"value", "source", "verified"}. One table of fields a struct
// serves reading, writing and the list of known keys.

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {

/// What a number may be.
enum class NumberRange {
  kPositive,
  kNonNegative,
  kShare,  ///< above 0, at most 1
};

/// A number of a struct T under its key.
template <class T>
struct SourcedField {
  std::string_view key;
  Sourced T::*member;
  NumberRange range;
};

/// Throws Error(kBadInput) naming the field. "verified" may be left out: false.
[[nodiscard]] Sourced sourced_from_json(const traces::JsonFields& fields, std::string_view key,
                                        NumberRange range);
[[nodiscard]] nlohmann::ordered_json to_json(const Sourced& number);

template <class T>
void read_sourced(const traces::JsonFields& fields, std::span<const SourcedField<T>> table, T& to) {
  for (const SourcedField<T>& field : table) {
    to.*field.member = sourced_from_json(fields, field.key, field.range);
  }
}

template <class T>
void write_sourced(const T& from, std::span<const SourcedField<T>> table,
                   nlohmann::ordered_json& to) {
  for (const SourcedField<T>& field : table) {
    to[std::string(field.key)] = to_json(from.*field.member);
  }
}

/// `others` and the keys of `table`.
template <class T>
[[nodiscard]] std::vector<std::string> known_keys(std::vector<std::string> others,
                                                  std::span<const SourcedField<T>> table) {
  for (const SourcedField<T>& field : table) {
    others.emplace_back(field.key);
  }
  return others;
}

/// A string that is not empty.
[[nodiscard]] std::string text_from_json(const traces::JsonFields& fields, std::string_view key);

}  // namespace kvsieve::sim
