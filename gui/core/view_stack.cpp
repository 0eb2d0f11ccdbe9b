#include "core/view_stack.h"

#include <QDateTime>

namespace kvsieve::gui {
namespace {

constexpr std::size_t kHistory = 200;
constexpr qint64 kOneGestureMs = 500;

}  // namespace

std::optional<Zoom> ViewStack::zoom(const QString& plot) const {
  const auto found = m_state.zoom.find(plot);
  return found == m_state.zoom.end() ? std::nullopt : std::optional(found->second);
}

void ViewStack::select(Selection selection) {
  ViewState next = m_state;
  next.selection = std::move(selection);
  enter(std::move(next), {});
}

void ViewStack::set_filter(const QString& filter) {
  ViewState next = m_state;
  next.filter = filter;
  enter(std::move(next), {});
}

void ViewStack::set_zoom(const QString& plot, const std::optional<Zoom>& zoom) {
  ViewState next = m_state;
  if (zoom) {
    next.zoom[plot] = *zoom;
  } else {
    next.zoom.erase(plot);
  }
  enter(std::move(next), plot);
}

void ViewStack::back() {
  if (m_before.empty()) {
    return;
  }
  m_after.push_back(m_state);
  ViewState state = std::move(m_before.back());
  m_before.pop_back();
  m_zoomed_plot.clear();
  show(std::move(state));
}

void ViewStack::forward() {
  if (m_after.empty()) {
    return;
  }
  m_before.push_back(m_state);
  ViewState state = std::move(m_after.back());
  m_after.pop_back();
  m_zoomed_plot.clear();
  show(std::move(state));
}

void ViewStack::escape() {
  ViewState next = m_state;
  if (!next.selection.is_empty()) {
    next.selection = {};
  } else {
    next.zoom.clear();
    next.filter.clear();
  }
  enter(std::move(next), {});
}

void ViewStack::reset() {
  m_before.clear();
  m_after.clear();
  m_zoomed_plot.clear();
  show({});
}

void ViewStack::restore(ViewState state) {
  enter(std::move(state), {});
}

void ViewStack::enter(ViewState state, const QString& zoomed_plot) {
  if (state == m_state) {
    return;
  }
  const qint64 now = QDateTime::currentMSecsSinceEpoch();
  const bool same_gesture = !zoomed_plot.isEmpty() && zoomed_plot == m_zoomed_plot &&
                            now - m_last_change_ms < kOneGestureMs;
  if (!same_gesture) {
    m_before.push_back(m_state);
    if (m_before.size() > kHistory) {
      m_before.erase(m_before.begin());
    }
  }
  m_after.clear();
  m_zoomed_plot = zoomed_plot;
  m_last_change_ms = now;
  show(std::move(state));
}

void ViewStack::show(ViewState state) {
  const ViewState old = std::exchange(m_state, std::move(state));
  if (old.selection != m_state.selection) {
    Q_EMIT selection_changed();
  }
  if (old.filter != m_state.filter) {
    Q_EMIT filter_changed();
  }
  if (old.zoom != m_state.zoom) {
    Q_EMIT zoom_changed();
  }
  Q_EMIT changed();
}

}  // namespace kvsieve::gui
