// The main window as its users meet it: menus, keys, files, panels. Functions named cNN show an
// item of the viewer's checklist (docs/viewer.md).

#include "widgets/main_window.h"

#include <QApplication>
#include <QClipboard>
#include <QDockWidget>
#include <QDropEvent>
#include <QFile>
#include <QLabel>
#include <QMessageBox>
#include <QMimeData>
#include <QPrinter>
#include <QSettings>
#include <QSignalSpy>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QtTest>

#include "kvsieve/sim/run_document.h"
#include "pages/what_if_page.h"
#include "widgets/command_palette.h"
#include "widgets/copy_cells.h"
#include "widgets/plot_export.h"
#include "widgets/settings_dialog.h"

namespace kvsieve::gui {
namespace {

const QString kSample = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");
constexpr int kPatienceMs = 60'000;

QPalette dark_palette() {
  QPalette palette;
  for (const auto role : {QPalette::Base, QPalette::Window, QPalette::Button}) {
    palette.setColor(role, QColor(32, 32, 36));
  }
  for (const auto role : {QPalette::Text, QPalette::WindowText, QPalette::ButtonText}) {
    palette.setColor(role, QColor(235, 235, 235));
  }
  return palette;
}

class MainWindowTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void initTestCase();
  void init();
  void cleanup();
  void c01_files_can_be_dropped_and_opened_several_at_once();
  void c03_recent_files_are_ten_and_can_be_cleared();
  void c04_geometry_panels_and_folder_are_remembered();
  void c05_the_start_page_opens_the_sample();
  void c06_opening_runs_in_a_worker_with_progress_and_cancel();
  void c07_a_broken_file_gives_one_line_and_nothing_is_lost();
  void c08_the_overview_says_what_the_file_is();
  void c09_opening_again_shows_nothing_stale();
  void c14_the_breadcrumb_leads_back();
  void c15_back_forward_and_undo();
  void c16_escape_clears_the_selection_then_the_zoom();
  void c34_question_mark_lists_every_shortcut();
  void c36_the_palette_finds_and_runs_commands();
  void c38_the_status_bar_shows_the_value_under_the_cursor();
  void c40_cells_are_copied_as_tab_separated_text();
  void c41_the_report_and_all_plots_are_written();
  void c43_a_page_is_printed();
  void c48_a_dark_palette_is_followed();
  void c49_text_grows_and_pictures_are_sharp();
  void c50_every_control_is_reached_by_keyboard();
  void c51_every_control_has_an_accessible_name();
  void c52_empty_pages_say_what_to_do();
  void c53_every_plot_states_its_origin();
  void c55_settings_are_few_searchable_and_reset();
  void c56_panels_hide_float_and_layouts_have_names();
  void c57_a_session_brings_files_options_and_view_back();
  void c59_the_command_line_is_copied();
  void c60_about_names_versions_and_licences();
  void pages_are_reached_by_number();

 private:
  void open_sample();
  void open_and_wait(const QStringList& paths, bool add = false);
  QString run_file(const QString& name, const QString& budget);

  std::unique_ptr<QTemporaryDir> m_folder;
  std::unique_ptr<MainWindow> m_window;
};

void MainWindowTest::initTestCase() {
  QCoreApplication::setOrganizationName("kvsieve-test");
  QCoreApplication::setApplicationName("viewer");
  QSettings::setDefaultFormat(QSettings::IniFormat);
}

void MainWindowTest::init() {
  m_folder = std::make_unique<QTemporaryDir>();
  QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, m_folder->filePath("settings"));
  m_window = std::make_unique<MainWindow>();
  m_window->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_window.get()));
}

void MainWindowTest::cleanup() {
  m_window.reset();
  m_folder.reset();
}

void MainWindowTest::open_and_wait(const QStringList& paths, bool add) {
  QSignalSpy finished(&m_window->workspace(), &Workspace::open_finished);
  m_window->open(paths, add);
  QVERIFY(finished.wait(kPatienceMs));
  QTRY_VERIFY_WITH_TIMEOUT(m_window->workspace().jobs().is_idle(), kPatienceMs);
}

void MainWindowTest::open_sample() {
  m_window->what_if().set_looks_ahead(false);
  open_and_wait({kSample});
  QTRY_VERIFY_WITH_TIMEOUT(m_window->workspace().run() != nullptr, kPatienceMs);
  QTRY_VERIFY_WITH_TIMEOUT(m_window->workspace().jobs().is_idle(), kPatienceMs);
}

QString MainWindowTest::run_file(const QString& name, const QString& budget) {
  const traces::Trace trace = traces::Trace::open(kSample.toStdString());
  const LiveRun live({{"method", "ada-snapkv"}, {"budget", budget.toStdString()}}, trace.header());
  const auto results = sim::replay_eviction(trace, {live.eviction(), 1}, live.eviction_options());
  const QString path = m_folder->filePath(name);
  sim::write_run(path.toStdString(), live.document(trace, results.front()), true);
  return path;
}

void MainWindowTest::c01_files_can_be_dropped_and_opened_several_at_once() {
  const QString a = run_file("a.kvrun", "20%");
  const QString b = run_file("b.kvrun", "10%");
  QMimeData data;
  data.setUrls({QUrl::fromLocalFile(a), QUrl::fromLocalFile(b)});
  QSignalSpy finished(&m_window->workspace(), &Workspace::open_finished);
  QDropEvent drop(QPointF(100, 100), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
  QDragEnterEvent enter(QPoint(100, 100), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
  QApplication::sendEvent(m_window.get(), &enter);
  QVERIFY(enter.isAccepted());
  QApplication::sendEvent(m_window.get(), &drop);
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(m_window->workspace().files().size(), std::size_t{2});
  QCOMPARE(m_window->workspace().baseline()->name(), QString("a.kvrun"));
  QVERIFY(m_window->action("open")->shortcuts().contains(QKeySequence(QKeySequence::Open)));
}

void MainWindowTest::c03_recent_files_are_ten_and_can_be_cleared() {
  QStringList paths;
  for (int i = 0; i < 12; ++i) {
    const QString path = m_folder->filePath(QStringLiteral("%1.kvrun").arg(i));
    QVERIFY(i == 0 || QFile::copy(paths.front(), path));
    paths << (i == 0 ? run_file("0.kvrun", "20%") : path);
  }
  for (const QString& path : paths) {
    open_and_wait({path});
  }
  const QStringList recent = QSettings().value("recent").toStringList();
  QCOMPARE(recent.size(), qsizetype{10});
  QCOMPARE(recent.front(), paths.back());
  const auto menus = m_window->findChildren<QMenu*>();
  const auto menu = std::find_if(menus.begin(), menus.end(),
                                 [](const QMenu* one) { return one->title() == "Open &recent"; });
  QVERIFY(menu != menus.end());
  QCOMPARE((*menu)->actions().front()->text(), paths.back());
  (*menu)->actions().back()->trigger();
  QVERIFY(QSettings().value("recent").toStringList().isEmpty());
}

void MainWindowTest::c04_geometry_panels_and_folder_are_remembered() {
  open_and_wait({run_file("a.kvrun", "20%")});
  QCOMPARE(QSettings().value("folder").toString(), m_folder->path());
  m_window->resize(900, 640);
  auto* dock = m_window->findChild<QDockWidget*>("dock.what-if");
  dock->setFloating(true);
  m_window->close();
  m_window = std::make_unique<MainWindow>();
  m_window->show();
  QCOMPARE(m_window->size(), QSize(900, 640));
  QVERIFY(m_window->findChild<QDockWidget*>("dock.what-if")->isFloating());
}

void MainWindowTest::c05_the_start_page_opens_the_sample() {
  auto* start = m_window->findChild<QWidget*>("start");
  QVERIFY(start->isVisible());
  auto* button = start->findChild<QPushButton*>("start.sample");
  QVERIFY(button->isEnabled());
  m_window->what_if().set_looks_ahead(false);
  QTest::mouseClick(button, Qt::LeftButton);
  QTRY_VERIFY_WITH_TIMEOUT(m_window->workspace().run() != nullptr, kPatienceMs);
  QVERIFY(!start->isVisible());
}

void MainWindowTest::c06_opening_runs_in_a_worker_with_progress_and_cancel() {
  std::atomic<bool> release = false;
  auto* cancel = m_window->findChild<QPushButton*>("cancel");
  QVERIFY(!cancel->isVisible());
  bool delivered = false;
  m_window->workspace().jobs().start("Long work", [&](const JobControl& control) -> Jobs::Delivery {
    while (!release) {
      control.progress(0.5);
      QThread::msleep(1);
    }
    return [&delivered] { delivered = true; };
  });
  // The user interface lives on while it runs.
  QTRY_VERIFY(cancel->isVisible());
  auto* progress = m_window->findChild<QProgressBar*>("progress");
  QTRY_COMPARE(progress->value(), 50);
  QCOMPARE(m_window->findChild<QLabel*>("job")->text(), QString("Long work"));
  QTest::mouseClick(cancel, Qt::LeftButton);
  QVERIFY(!cancel->isVisible());
  release = true;
  QTest::qWait(20);
  QVERIFY(!delivered);
}

void MainWindowTest::c07_a_broken_file_gives_one_line_and_nothing_is_lost() {
  open_sample();
  const auto shown = m_window->workspace().run();
  QFile whole(kSample);
  QVERIFY(whole.open(QIODevice::ReadOnly));
  QFile part(m_folder->filePath("cut.kvtrace"));
  QVERIFY(part.open(QIODevice::WriteOnly));
  part.write(whole.read(100'000));
  part.close();
  open_and_wait({part.fileName()});
  auto* message = m_window->findChild<QLabel*>("message");
  QVERIFY(message->isVisible());
  QVERIFY2(message->text().startsWith(part.fileName()), qPrintable(message->text()));
  QVERIFY2(message->text().contains(QRegularExpression("[0-9]")), qPrintable(message->text()));
  QCOMPARE(m_window->workspace().run(), shown);
}

void MainWindowTest::c08_the_overview_says_what_the_file_is() {
  open_sample();
  const auto* facts = m_window->findChild<QTableWidget*>("overview.facts");
  QStringList text;
  for (int row = 0; row < facts->rowCount(); ++row) {
    text << facts->item(row, 1)->text() + "=" + facts->item(row, 2)->text();
  }
  for (const char* wanted : {"kind=trace", "KV heads (Hkv)=3", "query heads (Hq)=9",
                             "head dimension (d)=64", "prompt tokens=2,009", "size=20.6 MiB"}) {
    QVERIFY2(text.contains(wanted), qPrintable(text.join(", ")));
  }
}

void MainWindowTest::c09_opening_again_shows_nothing_stale() {
  open_sample();
  m_window->workspace().view().select(pick({}, {4, 1}, Pick::kReplace, {}));
  m_window->workspace().view().set_zoom("overview.layers", Zoom{0, 1, 0, 1});
  open_and_wait({run_file("a.kvrun", "10%")});
  QVERIFY(!m_window->workspace().trace());
  QVERIFY(!m_window->workspace().view().can_go_back());
  QVERIFY(m_window->findChild<QLabel*>("overview.what")->text().contains("budget 10%"));
  QVERIFY(!m_window->what_if().is_live());
  // Reading the same files again keeps the view instead.
  m_window->workspace().view().select(pick({}, {8, 2}, Pick::kReplace, {}));
  QSignalSpy finished(&m_window->workspace(), &Workspace::open_finished);
  m_window->action("reload")->trigger();
  QVERIFY(finished.wait(kPatienceMs));
  QVERIFY(m_window->workspace().view().selection().contains({8, 2}));
}

void MainWindowTest::c14_the_breadcrumb_leads_back() {
  open_sample();
  m_window->workspace().view().select(pick({}, {4, 1}, Pick::kReplace, {}));
  auto* way = m_window->findChild<QLabel*>("breadcrumb");
  QVERIFY2(way->text().contains("layer 4") && way->text().contains("KV head 1"),
           qPrintable(way->text()));
  Q_EMIT way->linkActivated("layer");
  QCOMPARE(m_window->workspace().view().selection().heads.size(), std::size_t{3});
  Q_EMIT way->linkActivated("all");
  QVERIFY(m_window->workspace().view().selection().is_empty());
}

void MainWindowTest::c15_back_forward_and_undo() {
  open_sample();
  QVERIFY(!m_window->action("back")->isEnabled());
  m_window->workspace().view().select(pick({}, {4, 1}, Pick::kReplace, {}));
  m_window->workspace().view().select(pick({}, {8, 0}, Pick::kReplace, {}));
  QTest::keyClick(m_window.get(), Qt::Key_Z, Qt::ControlModifier);
  QVERIFY(m_window->workspace().view().selection().contains({4, 1}));
  m_window->action("forward")->trigger();
  QVERIFY(m_window->workspace().view().selection().contains({8, 0}));
  QVERIFY(!m_window->action("forward")->isEnabled());
}

void MainWindowTest::c16_escape_clears_the_selection_then_the_zoom() {
  open_sample();
  m_window->workspace().view().set_zoom("overview.layers", Zoom{0, 1, 0, 1});
  m_window->workspace().view().select(pick({}, {4, 1}, Pick::kReplace, {}));
  QTest::keyClick(m_window.get(), Qt::Key_Escape);
  QVERIFY(m_window->workspace().view().selection().is_empty());
  QVERIFY(m_window->workspace().view().zoom("overview.layers"));
  QTest::keyClick(m_window.get(), Qt::Key_Escape);
  QVERIFY(!m_window->workspace().view().zoom("overview.layers"));
}

void MainWindowTest::c34_question_mark_lists_every_shortcut() {
  QTest::keyClick(m_window.get(), '?');
  QTRY_VERIFY(m_window->findChild<QDialog*>("shortcuts") != nullptr);
  auto* dialog = m_window->findChild<QDialog*>("shortcuts");
  const auto* table = dialog->findChild<QTableWidget*>();
  QStringList listed;
  for (int row = 0; row < table->rowCount(); ++row) {
    listed << table->item(row, 1)->text();
  }
  for (const QAction* action : m_window->actions_in_order()) {
    if (!action->shortcuts().isEmpty()) {
      QVERIFY2(listed.contains(action->text().remove('&')), qPrintable(action->text()));
    }
  }
  dialog->close();
}

void MainWindowTest::c36_the_palette_finds_and_runs_commands() {
  open_sample();
  QVERIFY(matches_loosely("Save report as HTML...", "rephtml"));
  QVERIFY(!matches_loosely("Quit", "tiuq"));
  bool checked = false;
  QTimer::singleShot(0, this, [&] {
    auto* palette = m_window->findChild<QDialog*>("command-palette");
    QVERIFY(palette != nullptr);
    QTest::keyClicks(palette->findChild<QLineEdit*>(), "nexthead");
    QCOMPARE(palette->findChild<QListWidget*>()->count(), 1);
    QTest::keyClick(palette->findChild<QLineEdit*>(), Qt::Key_Return);
    checked = true;
  });
  QTest::keyClick(m_window.get(), Qt::Key_P, Qt::ControlModifier | Qt::ShiftModifier);
  QTRY_VERIFY(checked);
  QVERIFY(m_window->workspace().view().selection().contains({0, 0}));
}

void MainWindowTest::c38_the_status_bar_shows_the_value_under_the_cursor() {
  open_sample();
  Page* overview = m_window->page("overview");
  Q_EMIT overview->plots().front()->hovered("layer 4: 12%");
  QCOMPARE(m_window->findChild<QLabel*>("cursor-value")->text(), QString("layer 4: 12%"));
}

void MainWindowTest::c40_cells_are_copied_as_tab_separated_text() {
  open_sample();
  auto* facts = m_window->findChild<QTableWidget*>("overview.facts");
  facts->setRangeSelected(QTableWidgetSelectionRange(0, 1, 1, 2), true);
  facts->setFocus();
  QTest::keyClick(facts, Qt::Key_C, Qt::ControlModifier);
  QCOMPARE(QApplication::clipboard()->text(),
           QString("property\tvalue\nkind\ttrace\nsize\t20.6 MiB"));
}

void MainWindowTest::c41_the_report_and_all_plots_are_written() {
  open_sample();
  const QString folder = m_folder->filePath("plots");
  const QStringList files =
      export_pages(m_window->pages(), folder, {"png", "svg", "csv"}, QSize(600, 400));
  QVERIFY(files.size() >= 6);
  for (const QString& path : files) {
    QVERIFY2(QFileInfo(path).size() > 40, qPrintable(path));
    if (path.endsWith("png")) {
      QCOMPARE(QImage(path).size(), QSize(1200, 800));
    }
  }
  QVERIFY_EXCEPTION_THROWN(export_pages(m_window->pages(), folder, {"bmp"}, QSize(600, 400)),
                           std::runtime_error);
}

void MainWindowTest::c43_a_page_is_printed() {
  open_sample();
  QPrinter printer;
  printer.setOutputFormat(QPrinter::PdfFormat);
  printer.setOutputFileName(m_folder->filePath("page.pdf"));
  print_plots(*m_window->page("overview"), printer);
  QFile pdf(m_folder->filePath("page.pdf"));
  QVERIFY(pdf.open(QIODevice::ReadOnly));
  const QByteArray bytes = pdf.readAll();
  QVERIFY(bytes.startsWith("%PDF"));
  QVERIFY(bytes.contains("/Count 2"));
}

void MainWindowTest::c48_a_dark_palette_is_followed() {
  open_sample();
  const QPalette light = QApplication::palette();
  QApplication::setPalette(dark_palette());
  QCoreApplication::processEvents();
  const QImage night = m_window->page("overview")->grab().toImage();
  std::int64_t bright = 0;
  for (int y = 0; y < night.height(); y += 4) {
    for (int x = 0; x < night.width(); x += 4) {
      bright += night.pixelColor(x, y).lightness() > 128 ? 1 : 0;
    }
  }
  QApplication::setPalette(light);
  const double share = 16.0 * static_cast<double>(bright) / (night.width() * night.height());
  QVERIFY2(share < 0.25, qPrintable(QString::number(share)));
}

void MainWindowTest::c49_text_grows_and_pictures_are_sharp() {
  open_sample();
  const QFont before = QApplication::font();
  const int height = m_window->findChild<QLabel*>("cursor-value")->fontMetrics().height();
  for (int i = 0; i < 4; ++i) {
    m_window->action("font.larger")->trigger();
  }
  QVERIFY(QApplication::font().pointSizeF() > 1.4 * before.pointSizeF());
  QCoreApplication::processEvents();
  QVERIFY(m_window->findChild<QLabel*>("cursor-value")->fontMetrics().height() > height);
  QApplication::setFont(before);
  save_png(*m_window->page("overview")->plots().front(), m_folder->filePath("x.png"),
           QSize(400, 300), 1.5);
  QCOMPARE(QImage(m_folder->filePath("x.png")).size(), QSize(600, 450));
}

void MainWindowTest::c50_every_control_is_reached_by_keyboard() {
  open_sample();
  for (Page* page : m_window->pages()) {
    m_window->show_page(page->id());
    QCoreApplication::processEvents();
    for (QWidget* widget : page->findChildren<QWidget*>()) {
      const bool control = qobject_cast<QAbstractButton*>(widget) != nullptr ||
                           qobject_cast<QLineEdit*>(widget) != nullptr ||
                           qobject_cast<QSlider*>(widget) != nullptr ||
                           qobject_cast<PlotView*>(widget) != nullptr;
      // A table's own corner is no control of ours.
      const bool inside = qobject_cast<QAbstractItemView*>(widget->parentWidget()) != nullptr;
      if (control && !inside && widget->isVisible() && widget->isEnabled()) {
        QVERIFY2((widget->focusPolicy() & Qt::TabFocus) || widget->focusProxy() != nullptr,
                 qPrintable(page->id() + ": " + widget->objectName()));
      }
    }
  }
  // Tab moves on from the first control.
  m_window->show_page("what-if");
  auto* method = m_window->findChild<QWidget*>("what-if.method");
  method->setFocus();
  QTest::keyClick(method, Qt::Key_Tab);
  QVERIFY(QApplication::focusWidget() != method);
}

void MainWindowTest::c51_every_control_has_an_accessible_name() {
  open_sample();
  for (const Page* page : m_window->pages()) {
    for (QWidget* widget : page->findChildren<QWidget*>()) {
      const bool input = qobject_cast<QComboBox*>(widget) != nullptr ||
                         qobject_cast<QSlider*>(widget) != nullptr ||
                         qobject_cast<QTableView*>(widget) != nullptr ||
                         qobject_cast<PlotView*>(widget) != nullptr;
      if (input) {
        QVERIFY2(!widget->accessibleName().isEmpty(),
                 qPrintable(page->id() + ": " + widget->objectName() + " " +
                            widget->metaObject()->className()));
      }
    }
    for (PlotView* plot : page->plots()) {
      QVERIFY2(plot->is_empty() || !plot->table().rows.empty(), qPrintable(plot->id()));
      QVERIFY2(!plot->spoken().isEmpty(), qPrintable(plot->id()));
    }
  }
}

void MainWindowTest::c52_empty_pages_say_what_to_do() {
  for (const Page* page : m_window->pages()) {
    for (const PlotView* plot : page->plots()) {
      QVERIFY2(plot->is_empty(), qPrintable(plot->id()));
      QVERIFY2(plot->empty_text().size() > 10, qPrintable(plot->id()));
    }
  }
}

void MainWindowTest::c53_every_plot_states_its_origin() {
  open_sample();
  for (const Page* page : m_window->pages()) {
    for (const PlotView* plot : page->plots()) {
      if (!plot->is_empty()) {
        QVERIFY2(plot->origin().contains("captured") || plot->origin().contains("modelled") ||
                     plot->origin().contains("measured"),
                 qPrintable(plot->id() + ": " + plot->origin()));
      }
    }
  }
}

void MainWindowTest::c55_settings_are_few_searchable_and_reset() {
  SettingsDialog dialog(m_window.get());
  dialog.show();
  const QList<QCheckBox*> boxes = dialog.findChildren<QCheckBox*>();
  QVERIFY(boxes.size() >= 3 && boxes.size() <= 12);
  QTest::keyClicks(dialog.findChild<QLineEdit*>("settings.search"), "cividis");
  int visible = 0;
  for (const QCheckBox* box : boxes) {
    visible += box->isVisible() ? 1 : 0;
  }
  QCOMPARE(visible, 1);
  auto* cividis = dialog.findChild<QCheckBox*>("view/cividis");
  cividis->setChecked(true);
  dialog.accept();
  QCOMPARE(QSettings().value("view/cividis").toBool(), true);
  // Accepting the window's own dialog applies them.
  m_window->action("settings")->trigger();
  auto* own = m_window->findChild<SettingsDialog*>("settings", Qt::FindDirectChildrenOnly);
  for (SettingsDialog* one : m_window->findChildren<SettingsDialog*>()) {
    own = one == &dialog ? own : one;
  }
  own->accept();
  bool applied = false;
  for (const QComboBox* box : m_window->page("heads")->findChildren<QComboBox*>()) {
    applied = applied || box->currentText() == "cividis";
  }
  QVERIFY(applied);
  SettingsDialog again(m_window.get());
  QVERIFY(again.findChild<QCheckBox*>("view/cividis")->isChecked());
  for (QPushButton* button : again.findChildren<QPushButton*>()) {
    if (button->text().contains("Restore")) {
      button->click();
    }
  }
  QVERIFY(!again.findChild<QCheckBox*>("view/cividis")->isChecked());
}

void MainWindowTest::c56_panels_hide_float_and_layouts_have_names() {
  open_sample();
  auto* dock = m_window->findChild<QDockWidget*>("dock.what-if");
  QVERIFY(dock->isVisible());
  dock->toggleViewAction()->trigger();
  QVERIFY(!dock->isVisible());
  m_window->action("layout.tabs")->trigger();
  QVERIFY(dock->isVisible());
  QVERIFY(m_window->action("layout.side") != nullptr);
  QVERIFY(dock->features().testFlag(QDockWidget::DockWidgetFloatable));
}

void MainWindowTest::c57_a_session_brings_files_options_and_view_back() {
  open_sample();
  m_window->what_if().set("budget", "10%");
  QTRY_VERIFY_WITH_TIMEOUT(m_window->workspace().jobs().is_idle(), kPatienceMs);
  Selection selection = pick({}, {4, 1}, Pick::kReplace, {});
  selection.tokens = TokenRange{974, 993};
  selection.step = 7;
  m_window->workspace().view().select(selection);
  m_window->workspace().view().set_zoom("overview.layers", Zoom{0, 2, 0, 0.5});
  const QString path = m_folder->filePath("mine.kvsession");
  write_session(path, m_window->session());
  m_window = std::make_unique<MainWindow>();
  m_window->what_if().set_looks_ahead(false);
  m_window->show();
  open_and_wait({path});
  QTRY_VERIFY_WITH_TIMEOUT(
      m_window->workspace().run() && m_window->workspace().run()->view().budget == "10%",
      kPatienceMs);
  QCOMPARE(m_window->workspace().view().selection(), selection);
  QCOMPARE(m_window->workspace().view().zoom("overview.layers"), std::optional(Zoom{0, 2, 0, 0.5}));
  QFile broken(m_folder->filePath("broken.kvsession"));
  QVERIFY(broken.open(QIODevice::WriteOnly));
  broken.write("{}");
  broken.close();
  m_window->open({broken.fileName()});
  QVERIFY(m_window->findChild<QLabel*>("message")->text().contains("broken.kvsession"));
}

void MainWindowTest::c59_the_command_line_is_copied() {
  open_sample();
  m_window->what_if().set("alpha", "0.5");
  const QString here = QDir::currentPath();
  const QString options = " --method ada-snapkv --alpha 0.5 --budget 20%";
  QVERIFY(QDir::setCurrent(m_folder->path()));
  m_window->action("command.copy")->trigger();
  QCOMPARE(QApplication::clipboard()->text(), "kvsieve run " + kSample + options);
  QVERIFY(QDir::setCurrent(KVSIEVE_SOURCE));
  m_window->action("command.copy")->trigger();
  QCOMPARE(QApplication::clipboard()->text(),
           "kvsieve run traces/samples/smollm2-needle.kvtrace" + options);
  QDir::setCurrent(here);
}

void MainWindowTest::c60_about_names_versions_and_licences() {
  m_window->action("about")->trigger();
  auto* about = m_window->findChild<QMessageBox*>("about");
  QVERIFY(about != nullptr);
  for (const char* word : {"GNU General Public License 3", "Apache License 2.0", "QCustomPlot"}) {
    QVERIFY2(about->text().contains(word), word);
  }
  about->close();
  m_window->action("environment")->trigger();
  const QString text = QApplication::clipboard()->text();
  for (const char* word : {"KVSieve ", "Qt ", "system ", "compiler ", "platform "}) {
    QVERIFY2(text.contains(word), word);
  }
  QVERIFY(!text.contains(QDir::homePath()));
}

void MainWindowTest::pages_are_reached_by_number() {
  open_sample();
  for (std::size_t i = 0; i < m_window->pages().size() && i < 9; ++i) {
    const auto key = static_cast<Qt::Key>(Qt::Key_1 + static_cast<int>(i));
    QTest::keyClick(m_window.get(), key, Qt::ControlModifier);
    if (m_window->pages()[i]->id() != "what-if") {  // beside the pages, always in front
      QTRY_COMPARE(m_window->current_page()->id(), m_window->pages()[i]->id());
    }
  }
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::MainWindowTest)
#include "main_window_test.moc"
