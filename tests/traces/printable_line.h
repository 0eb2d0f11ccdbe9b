#pragma once
// What an error message may consist of, whatever the file that caused it holds.

#include <cstddef>
#include <string_view>

namespace kvsieve::tests {

/// One line of UTF-8 without control characters and line or paragraph separators.
inline bool is_printable_line(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || i + length > text.size()) {
      return false;
    }
    unsigned code = length == 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t j = 1; j < length; ++j) {
      const auto next = static_cast<unsigned char>(text[i + j]);
      if ((next & 0xc0U) != 0x80) {
        return false;
      }
      code = code << 6U | (next & 0x3fU);
    }
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029) {
      return false;
    }
    i += length;
  }
  return true;
}

}  // namespace kvsieve::tests
