#include "widgets/plot_frame.h"

#include <QApplication>
#include <QClipboard>
#include <QEvent>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QMenu>
#include <QMessageBox>
#include <QVBoxLayout>

#include "widgets/plot_export.h"
#include "widgets/table_cells.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

enum Sheet { kPlot, kEmpty, kTable };

QLabel* wrapped_label() {
  auto* label = new QLabel;
  label->setWordWrap(true);
  label->setTextFormat(Qt::PlainText);
  return label;
}

}  // namespace

PlotFrame::PlotFrame(PlotView* plot)
    : m_plot(plot),
      m_title(new QLabel),
      m_origin(new QLabel),
      m_note(wrapped_label()),
      m_menu(new QToolButton),
      m_stack(new QStackedWidget),
      m_empty(wrapped_label()),
      m_table(make_table(plot->id() + ".table", plot->title() + " as a table")) {
  setObjectName(plot->id() + ".frame");
  QFont bold = m_title->font();
  bold.setBold(true);
  m_title->setFont(bold);
  m_title->setTextFormat(Qt::PlainText);
  m_title->setBuddy(plot);
  m_origin->setObjectName(plot->id() + ".origin");
  m_empty->setAlignment(Qt::AlignCenter);
  m_stack->insertWidget(kPlot, plot);
  m_stack->insertWidget(kEmpty, m_empty);
  m_stack->insertWidget(kTable, m_table);

  auto* head = new QHBoxLayout;
  head->addWidget(m_title);
  head->addWidget(m_origin);
  head->addStretch();
  head->addWidget(m_menu);
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->addLayout(head);
  column->addWidget(m_note);
  column->addWidget(m_stack, 1);
  make_menu();
  connect(plot, &PlotView::content_changed, this, &PlotFrame::refresh);
  refresh();
}

bool PlotFrame::shows_table() const {
  return m_stack->currentIndex() == kTable;
}

void PlotFrame::set_shows_table(bool shows) {
  if (shows && !m_plot->is_empty()) {
    show_table(*m_table, m_plot->table());
    m_stack->setCurrentIndex(kTable);
  } else {
    m_stack->setCurrentIndex(m_plot->is_empty() ? kEmpty : kPlot);
  }
}

void PlotFrame::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (event->type() == QEvent::PaletteChange) {
    refresh();
  }
}

void PlotFrame::refresh() {
  const bool table = shows_table();
  m_title->setText(m_plot->title());
  m_origin->setText(m_plot->origin().isEmpty() ? QString() : "(" + m_plot->origin() + ")");
  QPalette faint = m_origin->palette();
  faint.setColor(QPalette::WindowText, faint_text(palette()));
  m_origin->setPalette(faint);
  m_note->setPalette(faint);
  m_note->setText(m_plot->note());
  m_note->setVisible(!m_plot->note().isEmpty());
  m_empty->setText(m_plot->empty_text());
  m_plot->setAccessibleName(m_plot->title());
  m_plot->setAccessibleDescription(m_plot->spoken());
  m_menu->setEnabled(!m_plot->is_empty());
  set_shows_table(table);
}

void PlotFrame::make_menu() {
  m_menu->setText(QStringLiteral("⋯"));
  m_menu->setAccessibleName(m_plot->title() + ": export and table");
  m_menu->setToolTip(QStringLiteral("Export, copy, table"));
  m_menu->setPopupMode(QToolButton::InstantPopup);
  auto* menu = new QMenu(m_menu);
  menu->addAction(QStringLiteral("Show as table"), this,
                  [this] { set_shows_table(!shows_table()); });
  menu->addAction(QStringLiteral("Show everything (0)"), m_plot, &PlotView::fit);
  menu->addSeparator();
  menu->addAction(QStringLiteral("Copy image"), this, [this] {
    QImage image(m_plot->size(), QImage::Format_ARGB32_Premultiplied);
    image.fill(m_plot->palette().color(QPalette::Base));
    m_plot->draw(image, m_plot->size());
    QApplication::clipboard()->setImage(image);
  });
  menu->addAction(QStringLiteral("Copy data"), this,
                  [this] { QApplication::clipboard()->setText(m_plot->csv()); });
  menu->addSeparator();
  menu->addAction(QStringLiteral("Save as PNG..."), this, [this] { save_image("png"); });
  menu->addAction(QStringLiteral("Save as SVG..."), this, [this] { save_image("svg"); });
  menu->addAction(QStringLiteral("Save data as CSV..."), this, &PlotFrame::save_csv);
  m_menu->setMenu(menu);
  m_plot->setContextMenuPolicy(Qt::CustomContextMenu);
  connect(m_plot, &QWidget::customContextMenuRequested, this,
          [this, menu](const QPoint& at) { menu->popup(m_plot->mapToGlobal(at)); });
}

void PlotFrame::save_image(const QString& suffix) {
  const QString path =
      QFileDialog::getSaveFileName(this, "Save " + m_plot->title(), m_plot->id() + "." + suffix,
                                   suffix.toUpper() + " (*." + suffix + ")");
  if (path.isEmpty()) {
    return;
  }
  try {
    if (suffix == "png") {
      save_png(*m_plot, path, m_plot->size());
    } else {
      save_svg(*m_plot, path, m_plot->size());
    }
  } catch (...) {
    QMessageBox::warning(this, QStringLiteral("Not saved"), current_failure().what);
  }
}

void PlotFrame::save_csv() {
  const QString path = QFileDialog::getSaveFileName(this, "Save the data of " + m_plot->title(),
                                                    m_plot->id() + ".csv", "CSV (*.csv)");
  if (path.isEmpty()) {
    return;
  }
  try {
    gui::save_csv(*m_plot, path);
  } catch (...) {
    QMessageBox::warning(this, QStringLiteral("Not saved"), current_failure().what);
  }
}

}  // namespace kvsieve::gui
