#include "widgets/plot_view.h"

namespace kvsieve::gui {

PlotView::PlotView(QString id, QString title, Workspace& workspace)
    : m_id(std::move(id)), m_title(std::move(title)), m_workspace(workspace) {
  setObjectName(m_id);
  setFocusPolicy(Qt::StrongFocus);
  setAccessibleName(m_title);
}

QString PlotView::spoken() const {
  return is_empty() ? QStringLiteral("%1: %2").arg(m_title, m_empty_text)
                    : QStringLiteral("%1, %2. %3 Its numbers are in the table behind it.")
                          .arg(m_title, m_origin, m_note);
}

void PlotView::fit() {
  m_workspace.view().set_zoom(m_id, std::nullopt);
}

}  // namespace kvsieve::gui
