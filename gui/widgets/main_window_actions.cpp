// The main window's menus and what their commands do.

#include <QApplication>
#include <QClipboard>
#include <QDialogButtonBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QHeaderView>
#include <QInputDialog>
#include <QMenuBar>
#include <QMessageBox>
#include <QPainter>
#include <QPrintDialog>
#include <QPrinter>
#include <QSettings>
#include <QStyleFactory>
#include <QSysInfo>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <array>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/sim/report.h"
#include "kvsieve/sim/run_document.h"
#include "kvsieve/sim/version.h"
#include "pages/what_if_page.h"
#include "widgets/command_palette.h"
#include "widgets/main_window.h"
#include "widgets/plot_export.h"
#include "widgets/settings_dialog.h"

namespace kvsieve::gui {
namespace {

const char* const kFiles =
    "KVSieve files (*.kvtrace *.safetensors *.kvrun *.json *.db *.kvsweep *.kvcodebook "
    "*.kvsession);;All files (*)";

/// Keys that plots understand, beside the window's own.
const std::pair<const char*, const char*> kPlotKeys[] = {
    {"W / S", "zoom in / out"},
    {"A / D, arrows", "pan; in the head matrix: move to the next head"},
    {"wheel", "zoom at the cursor (Ctrl: along x alone, Shift: pan)"},
    {"drag", "zoom into a box; on the timeline: measure a stretch"},
    {"Shift+drag", "pan; on the token strip: select tokens"},
    {"0, double click", "show everything"},
    {", / .", "previous / next point or event"},
    {"Enter, Space", "pick the point, event or head"},
    {"F", "focus the selected event or step (timeline)"},
    {"Ctrl+click, Shift+click, drag", "add a head, extend to a head, select a block (head matrix)"},
};

}  // namespace

QAction* MainWindow::add_action(QMenu* menu, const QString& id, const QString& text,
                                const QList<QKeySequence>& keys, std::function<void()> run) {
  auto* made = new QAction(text, this);
  made->setObjectName(id);
  made->setShortcuts(keys);
  connect(made, &QAction::triggered, this, std::move(run));
  menu->addAction(made);
  addAction(made);
  m_actions.push_back(made);
  return made;
}

void MainWindow::make_actions() {
  make_file_menu();
  make_edit_menu();
  make_view_menu();
  make_go_menu();
  make_help_menu();
}

void MainWindow::make_file_menu() {
  QMenu* menu = menuBar()->addMenu("&File");
  add_action(menu, "open", "&Open...", {QKeySequence::Open}, [this] { choose_files(false); });
  add_action(menu, "add", "Open &beside, to compare...", {QKeySequence("Ctrl+Shift+O")},
             [this] { choose_files(true); });
  m_recent_menu = menu->addMenu("Open &recent");
  add_action(menu, "sample", "Open the bundled &sample trace", {}, [this] {
    if (const QString sample = bundled_sample(); !sample.isEmpty()) {
      open({sample});
    } else {
      show_message({"The bundled sample trace is not installed", ""});
    }
  });
  add_action(menu, "reload", "Re&load", {QKeySequence::Refresh}, [this] { m_workspace.reload(); });
  menu->addSeparator();
  add_action(menu, "session.save", "Save sess&ion...", {QKeySequence::Save},
             [this] { save_session(); });
  add_action(menu, "run.save", "Save ru&n...", {QKeySequence("Ctrl+Shift+S")},
             [this] { save_run(); });
  add_action(menu, "report.html", "Save report as &HTML...", {}, [this] { save_report("html"); });
  add_action(menu, "report.markdown", "Save report as &Markdown...", {},
             [this] { save_report("md"); });
  add_action(menu, "export", "&Export all plots...", {QKeySequence("Ctrl+E")},
             [this] { export_plots(); });
  add_action(menu, "print", "&Print page...", {QKeySequence::Print}, [this] { print_page(); });
  menu->addSeparator();
  add_action(menu, "close", "&Close files", {QKeySequence::Close},
             [this] { m_workspace.close_all(); });
  add_action(menu, "quit", "&Quit", {QKeySequence::Quit}, [this] { close(); });
}

void MainWindow::make_edit_menu() {
  QMenu* menu = menuBar()->addMenu("&Edit");
  add_action(menu, "undo", "&Undo selection or zoom", {QKeySequence::Undo},
             [this] { m_workspace.view().back(); });
  add_action(menu, "redo", "&Redo selection or zoom", {QKeySequence::Redo},
             [this] { m_workspace.view().forward(); });
  add_action(menu, "clear", "Clear selection, then zoom and filter", {QKeySequence("Esc")},
             [this] { m_workspace.view().escape(); });
  menu->addSeparator();
  add_action(menu, "command.copy", "Copy as &command line", {QKeySequence("Ctrl+Shift+C")},
             [this] { m_what_if_page->copy_command(); });
  add_action(menu, "find", "&Find a layer, head, event or point", {QKeySequence::Find},
             [this] { find(); });
  menu->addSeparator();
  add_action(menu, "settings", "&Settings...", {QKeySequence("Ctrl+,")},
             [this] { show_settings(); });
}

void MainWindow::make_view_menu() {
  QMenu* menu = menuBar()->addMenu("&View");
  int number = 1;
  for (const Page* page : m_pages) {
    add_action(menu, "page." + page->id(), "&" + QString::number(number) + " " + page->title(),
               {QKeySequence("Ctrl+" + QString::number(number % 10))},
               [this, id = page->id()] { show_page(id); });
    ++number;
  }
  menu->addSeparator();
  QMenu* panels = menu->addMenu("&Panels");
  for (const Page* page : m_pages) {
    panels->addAction(m_docks[page->id()]->toggleViewAction());
  }
  m_layout_menu = menu->addMenu("&Layout");
  add_action(menu, "layout.save", "Save layout as...", {}, [this] { save_layout(); });
  add_action(menu, "layout.tabs", "Layout: tabs", {}, [this] { set_layout("tabs"); });
  add_action(menu, "layout.side", "Layout: heads beside their detail", {},
             [this] { set_layout("side"); });
  add_action(menu, "layout.timeline", "Layout: timeline below", {},
             [this] { set_layout("timeline"); });
  menu->addSeparator();
  add_action(menu, "fit", "Show &everything in all plots", {QKeySequence("Ctrl+0")}, [this] {
    ViewState state = m_workspace.view().state();
    state.zoom.clear();
    m_workspace.view().restore(state);
  });
  add_action(menu, "tables", "Plots as &tables", {QKeySequence("Ctrl+T")}, [this] {
    const QList<PlotFrame*> frames = current_page()->findChildren<PlotFrame*>();
    const bool all = std::all_of(frames.begin(), frames.end(), [](const PlotFrame* frame) {
      return frame->shows_table() || frame->plot()->is_empty();
    });
    for (PlotFrame* frame : frames) {
      frame->set_shows_table(!all);
    }
  });
  add_action(menu, "font.larger", "&Larger text", {QKeySequence::ZoomIn, QKeySequence("Ctrl+=")},
             [this] { scale_font(1.1); });
  add_action(menu, "font.smaller", "S&maller text", {QKeySequence::ZoomOut},
             [this] { scale_font(1.0 / 1.1); });
  add_action(menu, "full-screen", "&Full screen", {QKeySequence::FullScreen},
             [this] { setWindowState(windowState() ^ Qt::WindowFullScreen); });
}

void MainWindow::make_go_menu() {
  QMenu* menu = menuBar()->addMenu("&Go");
  add_action(menu, "back", "&Back", {QKeySequence::Back}, [this] { m_workspace.view().back(); });
  add_action(menu, "forward", "&Forward", {QKeySequence::Forward},
             [this] { m_workspace.view().forward(); });
  add_action(menu, "head.previous", "&Previous head", {QKeySequence("[")},
             [this] { walk_heads(-1); });
  add_action(menu, "head.next", "&Next head", {QKeySequence("]")}, [this] { walk_heads(1); });
  add_action(menu, "swap", "&Swap the compared runs", {QKeySequence("Ctrl+Shift+X")},
             [this] { m_workspace.swap_compared(); });
}

void MainWindow::make_help_menu() {
  QMenu* menu = menuBar()->addMenu("&Help");
  add_action(menu, "palette", "&Commands...", {QKeySequence("Ctrl+Shift+P")},
             [this] { CommandPalette(m_actions, this).exec(); });
  add_action(menu, "shortcuts", "&Keys...", {QKeySequence("?"), QKeySequence::HelpContents},
             [this] { show_shortcuts(); });
  add_action(menu, "environment", "Copy &environment for a report", {},
             [this] { copy_environment(); });
  add_action(menu, "about", "&About KVSieve", {}, [this] { show_about(); });
}

void MainWindow::choose_files(bool add) {
  const QString folder = QSettings().value("folder").toString();
  const QStringList paths =
      QFileDialog::getOpenFileNames(this, add ? "Open beside, to compare" : "Open", folder, kFiles);
  if (!paths.isEmpty()) {
    open(paths, add);
  }
}

void MainWindow::save_session() {
  const QString path = QFileDialog::getSaveFileName(this, "Save session", "view.kvsession",
                                                    "KVSieve sessions (*.kvsession)");
  if (!path.isEmpty()) {
    attempt([&] {
      write_session(path.endsWith(kSessionSuffix) ? path : path + kSessionSuffix, session());
    });
  }
}

void MainWindow::save_run() {
  const auto run = m_workspace.run();  // files may change while the dialog is open
  const QString path =
      QFileDialog::getSaveFileName(this, "Save run", "run.kvrun", "KVSieve runs (*.kvrun *.json)");
  if (!path.isEmpty()) {
    attempt([&] { sim::write_run(path.toStdString(), run->document(), true); });
  }
}

void MainWindow::save_report(const QString& format) {
  const std::array runs{m_workspace.baseline(), m_workspace.run()};
  const QString path =
      QFileDialog::getSaveFileName(this, "Save report", "report." + format, "*." + format);
  if (path.isEmpty()) {
    return;
  }
  attempt([&] {
    std::vector<nlohmann::ordered_json> documents;
    for (const auto& run : runs) {
      if (run) {
        documents.push_back(run->document());
      }
    }
    save_text(QString::fromStdString(format == "html" ? sim::html_report(documents)
                                                      : sim::markdown_report(documents)),
              path);
  });
}

void MainWindow::export_plots() {
  const QString folder = QFileDialog::getExistingDirectory(this, "Export all plots into a folder");
  if (!folder.isEmpty()) {
    attempt([&] {
      const QStringList files = export_pages(m_pages, folder, {"png", "svg", "csv"}, kExportSize);
      m_value->setText(QStringLiteral("%1 files written to %2").arg(files.size()).arg(folder));
    });
  }
}

void MainWindow::print_page() {
  QPrinter printer;
  if (QPrintDialog(&printer, this).exec() == QDialog::Accepted) {
    print_plots(*current_page(), printer);
  }
}

void MainWindow::show_shortcuts() {
  auto* dialog = new QDialog(this);
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setObjectName("shortcuts");
  dialog->setWindowTitle("Keys");
  auto* table = new QTableWidget(0, 2);
  table->setHorizontalHeaderLabels({"keys", "what they do"});
  table->setEditTriggers(QAbstractItemView::NoEditTriggers);
  table->verticalHeader()->hide();
  table->horizontalHeader()->setStretchLastSection(true);
  table->setAccessibleName("Keys and what they do");
  const auto add = [table](const QString& keys, const QString& what) {
    const int row = table->rowCount();
    table->insertRow(row);
    table->setItem(row, 0, new QTableWidgetItem(keys));
    table->setItem(row, 1, new QTableWidgetItem(what));
  };
  for (const QAction* one : m_actions) {
    if (!one->shortcuts().isEmpty()) {
      add(QKeySequence::listToString(one->shortcuts(), QKeySequence::NativeText),
          one->text().remove('&'));
    }
  }
  for (const auto& [keys, what] : kPlotKeys) {
    add(keys, what);
  }
  table->resizeColumnToContents(0);
  auto* column = new QVBoxLayout(dialog);
  column->addWidget(table);
  constexpr QSize kSize(640, 620);
  dialog->resize(kSize);
  dialog->open();
}

void MainWindow::copy_environment() {
  QStringList lines{
      "KVSieve " + QString::fromStdString(std::string(sim::version())),
      "Qt " + QString(qVersion()) + " (built with " QT_VERSION_STR ")",
      "platform " + QApplication::platformName(),
      "system " + QSysInfo::prettyProductName() + ", " + QSysInfo::currentCpuArchitecture(),
      "kernel " + QSysInfo::kernelType() + " " + QSysInfo::kernelVersion(),
      "compiler " __VERSION__,
      QStringLiteral("screen scale %1").arg(devicePixelRatioF())};
  for (const OpenedFile& file : m_workspace.files()) {
    lines << name_of(file.kind) + ", " + QString::number(file.bytes) + " bytes";
  }
  QApplication::clipboard()->setText(lines.join('\n') + '\n');
  m_value->setText("The environment is on the clipboard");
}

void MainWindow::show_about() {
  auto* box = new QMessageBox(this);
  box->setAttribute(Qt::WA_DeleteOnClose);
  box->setObjectName("about");
  box->setWindowTitle("About KVSieve");
  box->setTextFormat(Qt::PlainText);
  box->setText(
      QStringLiteral("KVSieve %1\n\nWhat does reducing a language model's KV cache keep, lose and "
                     "move?\n\nThis viewer is licensed under the GNU General Public License 3, "
                     "because it contains QCustomPlot (GPLv3). KVSieve's libraries and its other "
                     "programs are licensed under the Apache License 2.0.\nQt %2 (LGPLv3).")
          .arg(QString::fromStdString(std::string(sim::version())), qVersion()));
  QPushButton* copy = box->addButton("Copy environment", QMessageBox::ActionRole);
  box->addButton(QMessageBox::Close);
  connect(copy, &QPushButton::clicked, this, &MainWindow::copy_environment);
  box->open();
}

void MainWindow::show_settings() {
  auto* dialog = new SettingsDialog(this);
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  connect(dialog, &QDialog::accepted, this, &MainWindow::apply_settings);
  dialog->open();
}

void MainWindow::find() {
  // The current page's own box; without one, that of the heads.
  QWidget* box = nullptr;
  const auto box_of = [](const QWidget* page) -> QWidget* {
    for (QLineEdit* edit : page->findChildren<QLineEdit*>()) {
      if (edit->objectName().endsWith(".search") || edit->objectName().endsWith(".filter")) {
        return edit;
      }
    }
    return nullptr;
  };
  box = box_of(current_page());
  if (box == nullptr) {
    if (const Page* heads = page("heads")) {
      show_page("heads");
      box = box_of(heads);
    }
  }
  if (box != nullptr) {
    box->setFocus(Qt::ShortcutFocusReason);
  }
}

void MainWindow::walk_heads(int direction) {
  std::vector<HeadId> all;
  for (const sim::LayerView& layer : m_workspace.run()->view().layers) {
    for (std::size_t i = 0; i < layer.heads.size(); ++i) {
      all.push_back({layer.layer, layer.heads[i].integer_or("head", static_cast<std::int64_t>(i))});
    }
  }
  if (all.empty()) {
    return;
  }
  const Selection& selection = m_workspace.view().selection();
  std::size_t next = direction > 0 ? 0 : all.size() - 1;
  if (selection.current) {
    const auto found = std::find(all.begin(), all.end(), *selection.current);
    if (found != all.end()) {
      const auto count = static_cast<std::ptrdiff_t>(all.size());
      next = static_cast<std::size_t>((found - all.begin() + direction + count) % count);
    }
  }
  m_workspace.view().select(pick(selection, all[next], Pick::kReplace, all));
}

void MainWindow::set_layout(const QString& name) {
  restoreState(m_usual_layout);
  for (const auto& [id, dock] : m_docks) {
    dock->setVisible(!m_workspace.files().empty());
  }
  const auto dock = [this](const QString& id) {
    const auto found = m_docks.find(id);
    return found == m_docks.end() ? nullptr : found->second;
  };
  if (name == "side" && dock("heads") != nullptr && dock("head-detail") != nullptr) {
    splitDockWidget(dock("heads"), dock("head-detail"), Qt::Horizontal);
    dock("heads")->raise();
  } else if (name == "timeline" && dock("timeline") != nullptr) {
    addDockWidget(Qt::BottomDockWidgetArea, dock("timeline"));
    dock("overview")->raise();
  } else if (name != "tabs") {
    restoreState(QSettings().value("layouts/" + name).toByteArray());
  }
}

void MainWindow::save_layout() {
  bool accepted = false;
  const QString name = QInputDialog::getText(
      this, "Save layout", "Name of the layout:", QLineEdit::Normal, {}, &accepted);
  if (accepted && !name.trimmed().isEmpty()) {
    QSettings().setValue("layouts/" + name.trimmed(), saveState());
    list_layouts();
  }
}

void MainWindow::list_layouts() {
  m_layout_menu->clear();
  for (const char* id : {"layout.tabs", "layout.side", "layout.timeline"}) {
    m_layout_menu->addAction(action(id));
  }
  m_layout_menu->addSeparator();
  QSettings settings;
  settings.beginGroup("layouts");
  for (const QString& name : settings.childKeys()) {
    m_layout_menu->addAction(name, this, [this, name] { set_layout(name); });
  }
  m_layout_menu->addSeparator();
  m_layout_menu->addAction(action("layout.save"));
}

}  // namespace kvsieve::gui
