#include "core/selection.h"

#include <QStringList>
#include <algorithm>

namespace kvsieve::gui {
namespace {

template <class T>
void tidy(std::vector<T>& all) {
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
}

QString heads_text(const Selection& selection, const QString& unit_name) {
  const std::vector<HeadId>& heads = selection.heads;
  if (heads.empty()) {
    return QStringLiteral("All");
  }
  const HeadId& first = heads.front();
  if (heads.size() == 1) {
    return QStringLiteral("layer %1 › %2 %3").arg(first.layer).arg(unit_name).arg(first.head);
  }
  const bool one_layer = std::all_of(heads.begin(), heads.end(),
                                     [&](const HeadId& head) { return head.layer == first.layer; });
  const QString count = QStringLiteral("%1 %2s").arg(heads.size()).arg(unit_name);
  return one_layer ? QStringLiteral("layer %1 › %2").arg(first.layer).arg(count) : count;
}

}  // namespace

bool Selection::contains(const HeadId& head) const {
  return std::binary_search(heads.begin(), heads.end(), head);
}

Selection pick(Selection selection, const HeadId& head, Pick how, std::span<const HeadId> all) {
  if (how == Pick::kExtend && selection.current) {
    const auto from = std::find(all.begin(), all.end(), *selection.current);
    const auto to = std::find(all.begin(), all.end(), head);
    if (from != all.end() && to != all.end()) {
      selection.heads.assign(std::min(from, to), std::max(from, to) + 1);
      tidy(selection.heads);
      return selection;
    }
  }
  if (how == Pick::kToggle) {
    if (selection.contains(head)) {
      std::erase(selection.heads, head);
      if (selection.current == head) {
        selection.current.reset();
        if (!selection.heads.empty()) {
          selection.current = selection.heads.back();
        }
      }
      return selection;
    }
    selection.heads.push_back(head);
    tidy(selection.heads);
  } else {
    selection.heads = {head};
  }
  selection.current = head;
  return selection;
}

Selection select_heads(Selection selection, std::vector<HeadId> heads, bool add) {
  if (add) {
    heads.insert(heads.end(), selection.heads.begin(), selection.heads.end());
  }
  tidy(heads);
  selection.heads = std::move(heads);
  if (!selection.current || !selection.contains(*selection.current)) {
    selection.current.reset();
    if (!selection.heads.empty()) {
      selection.current = selection.heads.front();
    }
  }
  return selection;
}

Selection select_points(Selection selection, std::vector<std::int64_t> points, bool add) {
  if (add) {
    points.insert(points.end(), selection.points.begin(), selection.points.end());
  }
  tidy(points);
  selection.points = std::move(points);
  return selection;
}

Selection toggle_point(Selection selection, std::int64_t point) {
  const auto at = std::lower_bound(selection.points.begin(), selection.points.end(), point);
  if (at != selection.points.end() && *at == point) {
    selection.points.erase(at);
  } else {
    selection.points.insert(at, point);
  }
  return selection;
}

QString breadcrumb(const Selection& selection, const QString& unit_name) {
  QStringList parts{heads_text(selection, unit_name)};
  if (selection.tokens) {
    parts << QStringLiteral("tokens %1–%2")
                 .arg(selection.tokens->begin)
                 .arg(selection.tokens->end - 1);
  }
  if (selection.step) {
    parts << QStringLiteral("step %1").arg(*selection.step);
  }
  if (selection.points.size() == 1) {
    parts << QStringLiteral("point %1").arg(selection.points.front());
  } else if (!selection.points.empty()) {
    parts << QStringLiteral("%1 points").arg(selection.points.size());
  }
  return parts.join(QStringLiteral(" › "));
}

}  // namespace kvsieve::gui
