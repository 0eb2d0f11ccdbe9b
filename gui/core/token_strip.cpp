#include "core/token_strip.h"

#include <QStringList>
#include <algorithm>

#include "core/qt_text.h"
#include "kvsieve/sim/number_text.h"

namespace kvsieve::gui {
namespace {

QString grouped(std::int64_t value) {
  return qs(sim::grouped(value));
}

bool holds(const std::vector<sim::TokenRun>& runs, std::int64_t position) {
  const auto after = std::upper_bound(
      runs.begin(), runs.end(), position,
      [](std::int64_t token, const sim::TokenRun& run) { return token < run.begin; });
  return after != runs.begin() && position < std::prev(after)->end;
}

/// Parts of the runs within [begin, end).
std::vector<sim::TokenRun> clipped(const std::vector<sim::TokenRun>& runs, std::int64_t begin,
                                   std::int64_t end) {
  std::vector<sim::TokenRun> parts;
  for (const sim::TokenRun& run : runs) {
    if (const sim::TokenRun part{std::max(run.begin, begin), std::min(run.end, end)};
        part.begin < part.end) {
      parts.push_back(part);
    }
  }
  return parts;
}

}  // namespace

QString name_of(TokenFate fate) {
  switch (fate) {
    case TokenFate::kSink:
      return QStringLiteral("sink, always kept");
    case TokenFate::kWindow:
      return QStringLiteral("window, always kept");
    case TokenFate::kDecoded:
      return QStringLiteral("decoded, always kept");
    case TokenFate::kKept:
      return QStringLiteral("kept");
    case TokenFate::kDropped:
      return QStringLiteral("dropped");
    case TokenFate::kUnknown:
      return QStringLiteral("retrieved when it scores high");
  }
  return {};
}

std::int64_t TokenStrip::Track::kept_tokens() const {
  std::int64_t count = 0;
  for (const sim::TokenRun& run : kept) {
    count += run.end - run.begin;
  }
  return count;
}

std::optional<float> TokenStrip::Curve::value_at(std::int64_t position) const {
  const auto at = static_cast<std::size_t>(position);
  return values && position >= 0 && at < values->size() ? std::optional((*values)[at])
                                                        : std::nullopt;
}

sim::Unit TokenStrip::Curve::unit() const {
  return is_mass ? sim::Unit::kShare : sim::Unit::kNumber;
}

sim::Range TokenStrip::Curve::range() const {
  sim::Range range;
  if (values && !values->empty()) {
    const auto [low, high] = std::minmax_element(values->begin(), values->end());
    range = {*low, *high};
  }
  return range;
}

TokenFate TokenStrip::fate(const Track& track, std::int64_t position) const {
  const bool in_window = position < window_end && position >= window_end - window;
  if (in_window) {
    return TokenFate::kWindow;
  }
  if (position >= prompt_tokens) {
    return track.lists_kept ? TokenFate::kDecoded : TokenFate::kUnknown;
  }
  if (position < sinks) {
    return TokenFate::kSink;
  }
  if (!track.lists_kept) {
    return TokenFate::kUnknown;
  }
  return holds(track.kept, position) ? TokenFate::kKept : TokenFate::kDropped;
}

std::vector<sim::TokenRun> TokenStrip::runs(const Track& track, TokenFate fate) const {
  std::vector<sim::TokenRun> all;
  switch (fate) {
    case TokenFate::kWindow:
      return clipped({{window_end - window, window_end}}, 0, tokens);
    case TokenFate::kSink:
      all = clipped({{0, sinks}}, 0, prompt_tokens);
      break;
    case TokenFate::kDecoded:
      if (track.lists_kept) {
        all = {{prompt_tokens, tokens}};
      }
      break;
    case TokenFate::kKept:
      if (track.lists_kept) {
        all = clipped(track.kept, sinks, prompt_tokens);
      }
      break;
    case TokenFate::kDropped:
    case TokenFate::kUnknown:
      break;
  }
  if (window == 0) {
    return clipped(all, 0, tokens);
  }
  // The window goes before all else.
  std::vector<sim::TokenRun> left = clipped(all, 0, window_end - window);
  const std::vector<sim::TokenRun> right = clipped(all, window_end, tokens);
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

QString TokenStrip::text_at(std::int64_t position) const {
  QStringList lines{QStringLiteral("position %1").arg(grouped(position))};
  const auto at = static_cast<std::size_t>(position);
  if (at < token_ids.size()) {
    lines.front() += QStringLiteral(", token id %1").arg(token_ids[at]);
  }
  if (needle && position >= needle->begin && position < needle->end) {
    lines.front() += QStringLiteral(", in the needle");
  }
  for (const Track& track : tracks) {
    lines << QStringLiteral("%1: %2").arg(track.name, name_of(fate(track, position)));
  }
  for (const Curve& curve : curves) {
    if (const std::optional<float> value = curve.value_at(position)) {
      const QString text = qs(sim::number_text(*value, curve.unit()));
      const QString exact = qs(sim::exact_text(*value, curve.unit()));
      lines << QStringLiteral("%1: %2%3, %4")
                   .arg(curve.name, text, exact == text ? QString() : " (" + exact + ")",
                        curve.formula);
    }
  }
  if (score_ranks && at < score_ranks->size()) {
    lines << QStringLiteral("score: place %1 of %2")
                 .arg(grouped((*score_ranks)[at]),
                      grouped(static_cast<std::int64_t>(score_ranks->size())));
  }
  return lines.join('\n');
}

sim::Table TokenStrip::table(std::int64_t begin, std::int64_t end) const {
  sim::Table table{{{.title = "position"}}, {}};
  if (!token_ids.empty()) {
    table.columns.push_back({.title = "token id"});
  }
  for (const Track& track : tracks) {
    table.columns.push_back({.title = track.name.toStdString(), .numeric = false});
  }
  for (const Curve& curve : curves) {
    table.columns.push_back({.title = curve.name.toStdString()});
  }
  for (std::int64_t position = begin; position < end; ++position) {
    std::vector<sim::Cell> row{{sim::grouped(position)}};
    if (!token_ids.empty()) {
      row.push_back({std::to_string(token_ids[static_cast<std::size_t>(position)])});
    }
    for (const Track& track : tracks) {
      row.push_back({name_of(fate(track, position)).toStdString()});
    }
    for (const Curve& curve : curves) {
      const std::optional<float> value = curve.value_at(position);
      row.push_back({value ? sim::number_text(*value, curve.unit()) : ""});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

QString TokenStrip::csv() const {
  const auto quoted = [](QString text) {
    return '"' + text.replace('"', QStringLiteral("\"\"")) + '"';
  };
  QString csv = QStringLiteral("position");
  if (!token_ids.empty()) {
    csv += QStringLiteral(",token_id");
  }
  for (const Track& track : tracks) {
    csv += ',' + quoted(track.name);
  }
  for (const Curve& curve : curves) {
    csv += ',' + quoted(curve.is_mass ? curve.name + " (share)" : curve.name);
  }
  csv += QStringLiteral("\n");
  for (std::int64_t position = 0; position < tokens; ++position) {
    csv += QString::number(position);
    if (!token_ids.empty()) {
      csv += ',' + QString::number(token_ids[static_cast<std::size_t>(position)]);
    }
    for (const Track& track : tracks) {
      csv += ',' + quoted(name_of(fate(track, position)));
    }
    for (const Curve& curve : curves) {
      const std::optional<float> value = curve.value_at(position);
      csv += ',' + (value ? QString::number(*value, 'g', 9) : QString());
    }
    csv += QStringLiteral("\n");
  }
  return csv;
}

}  // namespace kvsieve::gui
