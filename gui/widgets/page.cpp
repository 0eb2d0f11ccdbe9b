#include "widgets/page.h"

#include <QScrollArea>

namespace kvsieve::gui {

Page::Page(QString id, QString title, Workspace& workspace)
    : m_id(std::move(id)), m_title(std::move(title)), m_workspace(workspace) {
  setObjectName(m_id);
  setAccessibleName(m_title);
  auto* scroll = new QScrollArea;
  scroll->setWidgetResizable(true);
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setFocusPolicy(Qt::NoFocus);
  auto* content = new QWidget;
  m_column = new QVBoxLayout(content);
  scroll->setWidget(content);
  auto* outer = new QVBoxLayout(this);
  outer->setContentsMargins(0, 0, 0, 0);
  outer->addWidget(scroll);
}

PlotFrame* Page::add_plot(PlotView* plot) {
  m_plots.push_back(plot);
  connect(plot, &PlotView::hovered, this, &Page::hovered);
  return new PlotFrame(plot);
}

}  // namespace kvsieve::gui
