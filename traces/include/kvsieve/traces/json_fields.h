#pragma once
// Reading fields out of JSON documents with errors that name the field, its value and what was
// expected. Shared by every file format of the project.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvsieve::traces {

/// A JSON object together with the dotted path that leads to it, for error messages.
class JsonFields {
 public:
  /// Throws Error(kBadInput) if `json` is no object. `json` must outlive the reader.
  JsonFields(const nlohmann::ordered_json& json, std::string path);

  [[nodiscard]] bool has(std::string_view key) const;  ///< present and not null
  [[nodiscard]] JsonFields object(std::string_view key) const;
  /// An array of objects; errors in them name the index.
  [[nodiscard]] std::vector<JsonFields> objects(std::string_view key) const;
  [[nodiscard]] const nlohmann::ordered_json& raw(std::string_view key) const;
  [[nodiscard]] std::string string(std::string_view key) const;
  [[nodiscard]] std::string string_or(std::string_view key, std::string fallback) const;
  [[nodiscard]] bool boolean_or(std::string_view key, bool fallback) const;
  /// An integer in [low, high].
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t low,
                                     std::int64_t high) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key, std::int64_t low,
                                                   std::int64_t high) const;
  /// A finite number.
  [[nodiscard]] double number(std::string_view key) const;
  [[nodiscard]] double number_or(std::string_view key, double fallback) const;
  /// A finite number above zero.
  [[nodiscard]] double positive(std::string_view key) const;

  /// Throws Error(kBadInput) for a key that is not among `known`, with the nearest one as a hint.
  void allow_only(const std::vector<std::string>& known) const;

  /// Throws Error(kBadInput): "<path>.<key> is <value>, expected <expected>".
  [[noreturn]] void fail(std::string_view key, std::string_view expected,
                         std::string hint = {}) const;

 private:
  [[nodiscard]] std::int64_t checked_integer(std::string_view key,
                                             const nlohmann::ordered_json& value, std::int64_t low,
                                             std::int64_t high) const;
  const nlohmann::ordered_json* m_json;
  std::string m_path;
};

/// Text from a file as an error message may show it: short, printable, on one line.
[[nodiscard]] std::string printable(std::string_view text);

/// The most keys that one object may have: ordered_json searches them one by one.
inline constexpr std::size_t kMaxJsonKeys = 32'768;

/// Parses strict JSON: UTF-8, no duplicate keys, at most 64 levels deep and kMaxJsonKeys keys an
/// object, so that a hostile file costs neither the stack nor quadratic time. Throws
/// Error(kBadInput) with `what` and, for syntax errors, the byte offset.
[[nodiscard]] nlohmann::ordered_json parse_json(std::string_view text, std::string_view what);

}  // namespace kvsieve::traces
