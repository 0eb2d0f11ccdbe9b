#include "widgets/start_page.h"

#include <QApplication>
#include <QDir>
#include <QFileInfo>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace kvsieve::gui {

StartPage::StartPage(const QString& sample) : m_recent(new QListWidget) {
  setObjectName("start");
  auto* title = new QLabel("KVSieve");
  QFont large = title->font();
  large.setPointSizeF(large.pointSizeF() * 2.2);
  large.setBold(true);
  title->setFont(large);
  auto* steps = new QLabel(
      "1. Open a captured trace, a run, a sweep store or a timeline — or drop one here.\n"
      "2. Move the budget on the What-if panel: every page follows.\n"
      "3. Click a head, a step or a point: all pages show the same one. ? lists the keys.");
  steps->setWordWrap(true);
  auto* open = new QPushButton("&Open a file...");
  open->setObjectName("start.open");
  open->setDefault(true);
  auto* try_sample = new QPushButton("Open the bundled &sample trace");
  try_sample->setObjectName("start.sample");
  try_sample->setEnabled(!sample.isEmpty());
  try_sample->setToolTip(sample.isEmpty() ? "The sample is not installed" : sample);
  m_recent->setObjectName("start.recent");
  m_recent->setAccessibleName("Recent files");
  auto* column = new QVBoxLayout(this);
  column->addStretch(1);
  for (QWidget* widget : {static_cast<QWidget*>(title), static_cast<QWidget*>(steps),
                          static_cast<QWidget*>(open), static_cast<QWidget*>(try_sample)}) {
    constexpr int kWidth = 620;
    widget->setMaximumWidth(kWidth);
    column->addWidget(widget);
  }
  column->addWidget(new QLabel("Recent files"));
  column->addWidget(m_recent, 2);
  column->addStretch(1);
  constexpr int kMargin = 48;
  column->setContentsMargins(kMargin, 0, kMargin, 0);
  connect(open, &QPushButton::clicked, this, &StartPage::open_wanted);
  connect(try_sample, &QPushButton::clicked, this, [this, sample] { Q_EMIT file_wanted(sample); });
  connect(m_recent, &QListWidget::itemActivated, this,
          [this](QListWidgetItem* item) { Q_EMIT file_wanted(item->text()); });
}

void StartPage::set_recent(const QStringList& files) {
  m_recent->clear();
  m_recent->addItems(files);
}

QString bundled_sample() {
  const QString name = "smollm2-needle.kvtrace";
  const QDir beside(QApplication::applicationDirPath());
  for (const QString& place : {beside.filePath("../share/kvsieve/samples/" + name),
                               QString(KVSIEVE_SOURCE "/traces/samples/") + name}) {
    if (QFileInfo::exists(place)) {
      return QDir::cleanPath(place);
    }
  }
  return {};
}

}  // namespace kvsieve::gui
