#pragma once
// Text from a file, made safe for a page, a table or a terminal.

#include <string>
#include <string_view>

namespace kvsieve::sim {

/// Valid UTF-8 on one line: line breaks and tabs become spaces; other control characters, marks
/// that reorder text and broken bytes become U+FFFD.
[[nodiscard]] std::string clean_text(std::string_view text);

/// Escapes for XML text and quoted attributes.
[[nodiscard]] std::string escape_xml(std::string_view text);

/// Escapes what GitHub's Markdown would take for markup, inside and outside tables.
[[nodiscard]] std::string escape_markdown(std::string_view text);

/// Columns of a terminal that clean UTF-8 text takes, one a character.
[[nodiscard]] std::size_t text_columns(std::string_view text);

/// The first `columns` characters, the last of them an ellipsis ("..." without Unicode) if
/// something was cut off.
[[nodiscard]] std::string shorten(std::string_view text, std::size_t columns, bool unicode = true);

}  // namespace kvsieve::sim
