#include "clean_text.h"

#include <algorithm>
#include <cstdint>

namespace kvsieve::sim {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// Bytes of the well-formed character at the start of `text`, or 0.
std::size_t character_bytes(std::string_view text, std::uint32_t& code) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80U) {
    code = lead;
    return 1;
  }
  const std::size_t bytes = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : 2;
  if (lead < 0xC2U || lead > 0xF4U || text.size() < bytes) {
    return 0;
  }
  code = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(text[i])) {
      return 0;
    }
    code = (code << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  constexpr std::uint32_t kSmallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800U && code <= 0xDFFFU;
  return code < kSmallest[bytes] || code > 0x10FFFFU || surrogate ? 0 : bytes;
}

bool is_harmful(std::uint32_t code) {
  const bool control = code < 0x20U || (code >= 0x7FU && code <= 0x9FU);
  const bool reorders = code == 0x61CU || code == 0x200EU || code == 0x200FU ||
                        (code >= 0x202AU && code <= 0x202EU) ||
                        (code >= 0x2066U && code <= 0x2069U);
  const bool no_xml_character = (code & 0xFFFEU) == 0xFFFEU;
  return control || reorders || no_xml_character || code == 0x2028U || code == 0x2029U;
}

}  // namespace

std::string clean_text(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    std::uint32_t code = 0;
    const std::size_t bytes = character_bytes(text, code);
    if (bytes == 1 && (code == '\n' || code == '\r' || code == '\t')) {
      clean += ' ';
    } else if (bytes == 0 || is_harmful(code)) {
      clean += kReplacement;
    } else {
      clean += text.substr(0, bytes);
    }
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return clean;
}

std::string escape_xml(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string escape_markdown(std::string_view text) {
  constexpr std::string_view kMarkup = "\\`*_[]|~$#!";
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '@') {
      escaped += "&#64;";  // would notify the account of that name
    } else {
      if (kMarkup.find(c) != std::string_view::npos) {
        escaped += '\\';
      }
      escaped += c;
    }
  }
  return escaped;
}

std::size_t text_columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string shorten(std::string_view text, std::size_t columns, bool unicode) {
  if (text_columns(text) <= columns) {
    return std::string(text);
  }
  const std::string_view ellipsis = unicode ? "\u2026" : "...";
  const std::size_t marks = std::min(columns, text_columns(ellipsis));
  std::size_t bytes = 0;
  for (std::size_t kept = 0; kept < columns - marks; ++kept) {
    do {
      ++bytes;
    } while (bytes < text.size() && is_continuation(text[bytes]));
  }
  const std::size_t whole = marks == text_columns(ellipsis) ? ellipsis.size() : marks;
  return std::string(text.substr(0, bytes)) + std::string(ellipsis.substr(0, whole));
}

}  // namespace kvsieve::sim
