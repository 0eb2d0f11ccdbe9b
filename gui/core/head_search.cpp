#include "core/head_search.h"

#include <QRegularExpression>

namespace kvsieve::gui {

std::optional<HeadSearch> parse_head_search(const QString& text) {
  static const QRegularExpression pair(
      QStringLiteral("^\\s*(\\d{1,9})\\s*[/.,: ]\\s*(\\d{1,9})\\s*$"));
  static const QRegularExpression part(
      QStringLiteral("\\G[\\s,›>]*(layer|l|(?:kv |query )?head|h|tokens?|t|step|s)\\s*(\\d{1,9})"),
      QRegularExpression::CaseInsensitiveOption);
  if (const auto match = pair.match(text); match.hasMatch()) {
    return HeadSearch{match.captured(1).toLongLong(), match.captured(2).toLongLong(), {}, {}};
  }
  HeadSearch search;
  qsizetype at = 0;
  for (auto match = part.match(text, at); match.hasMatch(); match = part.match(text, at)) {
    const QString name = match.captured(1).toLower();
    const std::int64_t number = match.captured(2).toLongLong();
    if (name.startsWith('l')) {
      search.layer = number;
    } else if (name.startsWith('t')) {
      search.token = number;
    } else if (name.startsWith('s')) {
      search.step = number;
    } else {
      search.head = number;
    }
    at = match.capturedEnd();
  }
  if (at == 0 || !text.mid(at).trimmed().isEmpty()) {
    return std::nullopt;
  }
  return search;
}

}  // namespace kvsieve::gui
