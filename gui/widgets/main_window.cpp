#include "widgets/main_window.h"

#include <QApplication>
#include <QClipboard>
#include <QCloseEvent>
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QMimeData>
#include <QSettings>
#include <QStatusBar>
#include <QToolButton>
#include <algorithm>

#include "pages/compare_page.h"
#include "pages/head_detail_page.h"
#include "pages/heads_page.h"
#include "pages/overview_page.h"
#include "pages/pcie_page.h"
#include "pages/retrieval_page.h"
#include "pages/sweep_page.h"
#include "pages/timeline_page.h"
#include "pages/what_if_page.h"
#include "widgets/theme.h"

namespace kvsieve::gui {
namespace {

constexpr int kRecentFiles = 10;

}  // namespace

MainWindow::MainWindow() : m_what_if(m_workspace), m_start(new StartPage(bundled_sample())) {
  setWindowTitle("KVSieve");
  setObjectName("main");
  setAcceptDrops(true);
  setDockOptions(AnimatedDocks | AllowNestedDocks | AllowTabbedDocks | GroupedDragging);
  setTabPosition(Qt::AllDockWidgetAreas, QTabWidget::North);
  m_font_points = QApplication::font().pointSizeF();
  setCentralWidget(m_start);
  constexpr QSize kSize(1360, 860);
  resize(kSize);
  make_pages();
  make_bars();
  make_actions();
  m_usual_layout = saveState();
  connect(m_start, &StartPage::open_wanted, this, [this] { choose_files(false); });
  connect(m_start, &StartPage::file_wanted, this, [this](const QString& path) { open({path}); });
  connect(&m_workspace, &Workspace::files_changed, this, &MainWindow::show_state);
  connect(&m_workspace, &Workspace::open_failed, this,
          [this](const QString&, const Failure& failure) { show_message(failure); });
  connect(&m_workspace, &Workspace::open_finished, this, &MainWindow::remember_recent);
  connect(&m_workspace, &Workspace::run_changed, this, &MainWindow::show_breadcrumb);
  connect(&m_workspace.jobs(), &Jobs::changed, this, &MainWindow::show_jobs);
  connect(&m_workspace.jobs(), &Jobs::failed, this, &MainWindow::show_message);
  connect(&m_workspace.view(), &ViewStack::changed, this, &MainWindow::show_breadcrumb);
  restore_settings();
  list_recent();
  list_layouts();
  show_state();
  show_breadcrumb();
  show_jobs();
}

MainWindow::~MainWindow() {
  // Pages go before the workspace that they watch.
  m_workspace.jobs().cancel_all();
  for (const auto& [id, dock] : m_docks) {
    delete dock;
  }
}

Page* MainWindow::page(const QString& id) const {
  for (Page* page : m_pages) {
    if (page->id() == id) {
      return page;
    }
  }
  return nullptr;
}

Page* MainWindow::current_page() const {
  return m_current;
}

void MainWindow::show_page(const QString& id) {
  const auto dock = m_docks.find(id);
  if (dock == m_docks.end()) {
    return;
  }
  dock->second->show();
  dock->second->raise();
  dock->second->widget()->setFocus(Qt::ShortcutFocusReason);
}

QAction* MainWindow::action(const QString& id) const {
  for (QAction* one : m_actions) {
    if (one->objectName() == id) {
      return one;
    }
  }
  return nullptr;
}

void MainWindow::open(const QStringList& paths, bool add) {
  if (paths.size() == 1 && paths.front().endsWith(kSessionSuffix)) {
    attempt([&] { open_session(paths.front()); });
    return;
  }
  m_messages->hide();
  m_pending_session.reset();
  if (add) {
    m_workspace.add(paths);
  } else {
    m_workspace.open(paths);
  }
}

Session MainWindow::session() const {
  Session session;
  for (const OpenedFile& file : m_workspace.files()) {
    session.files << file.path;
  }
  session.options = m_what_if.options();
  session.view = const_cast<MainWindow*>(this)->m_workspace.view().state();
  session.page = current_page()->id();
  session.layout = saveState();
  return session;
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  if (event->mimeData()->hasUrls()) {
    event->acceptProposedAction();
  }
}

void MainWindow::dropEvent(QDropEvent* event) {
  QStringList paths;
  for (const QUrl& url : event->mimeData()->urls()) {
    if (url.isLocalFile()) {
      paths << url.toLocalFile();
    }
  }
  if (!paths.isEmpty()) {
    event->acceptProposedAction();
    open(paths, event->modifiers().testFlag(Qt::ShiftModifier));
  }
}

void MainWindow::closeEvent(QCloseEvent* event) {
  QSettings settings;
  settings.setValue("window/geometry", saveGeometry());
  settings.setValue("window/state", saveState());
  settings.setValue("window/font", QApplication::font().pointSizeF());
  m_workspace.jobs().cancel_all();
  QMainWindow::closeEvent(event);
}

void MainWindow::changeEvent(QEvent* event) {
  QMainWindow::changeEvent(event);
  if (event->type() == QEvent::PaletteChange && m_breadcrumb != nullptr) {
    show_breadcrumb();
  }
}

void MainWindow::make_pages() {
  m_what_if_page = new WhatIfPage(m_workspace, m_what_if);
  m_heads = new HeadsPage(m_workspace);
  connect(m_heads, &HeadsPage::head_activated, this, [this] { show_page("head-detail"); });
  auto* sweep = new SweepPage(m_workspace);
  connect(sweep, &SweepPage::open_point, this, &MainWindow::open_point);
  std::vector<Page*> tabs{new OverviewPage(m_workspace),
                          m_heads,
                          new HeadDetailPage(m_workspace),
                          new RetrievalPage(m_workspace),
                          new TimelinePage(m_workspace),
                          new PciePage(m_workspace),
                          sweep,
                          new ComparePage(m_workspace)};
  QDockWidget* first = nullptr;
  for (Page* page : tabs) {
    QDockWidget* dock = add_dock(page, Qt::LeftDockWidgetArea);
    if (first == nullptr) {
      first = dock;
    } else {
      tabifyDockWidget(first, dock);
    }
  }
  add_dock(m_what_if_page, Qt::RightDockWidgetArea);
  m_current = tabs.front();
  first->raise();
}

QDockWidget* MainWindow::add_dock(Page* page, Qt::DockWidgetArea area) {
  auto* dock = new QDockWidget(page->title(), this);
  dock->setObjectName("dock." + page->id());
  dock->setWidget(page);
  addDockWidget(area, dock);
  m_docks[page->id()] = dock;
  m_pages.push_back(page);
  // A tab that comes to the front becomes visible, though its widget was never hidden.
  connect(dock, &QDockWidget::visibilityChanged, this, [this, page](bool visible) {
    if (visible && page != m_what_if_page) {
      m_current = page;
    }
  });
  connect(page, &Page::hovered, this, [this](const QString& text) { m_value->setText(text); });
  return dock;
}

void MainWindow::make_bars() {
  auto* way = addToolBar("Where");
  way->setObjectName("bar.where");
  way->setMovable(false);
  m_breadcrumb = new QLabel;
  m_breadcrumb->setObjectName("breadcrumb");
  m_breadcrumb->setTextFormat(Qt::RichText);
  m_breadcrumb->setTextInteractionFlags(Qt::LinksAccessibleByMouse | Qt::LinksAccessibleByKeyboard);
  m_breadcrumb->setAccessibleName("Selection");
  connect(m_breadcrumb, &QLabel::linkActivated, this, &MainWindow::follow_breadcrumb);
  way->addWidget(m_breadcrumb);

  addToolBarBreak();
  m_messages = addToolBar("Messages");
  m_messages->setObjectName("bar.messages");
  m_messages->setMovable(false);
  m_message = new QLabel;
  m_message->setObjectName("message");
  m_message->setTextFormat(Qt::PlainText);
  m_message->setWordWrap(true);
  m_message->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_message->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
  m_message->setAccessibleName("Error message");
  m_messages->addWidget(m_message);
  auto* close = new QToolButton;
  close->setText("Dismiss");
  connect(close, &QToolButton::clicked, m_messages, &QWidget::hide);
  m_messages->addWidget(close);
  m_messages->hide();

  m_value = new QLabel;
  m_value->setObjectName("cursor-value");
  m_value->setAccessibleName("Value under the cursor");
  m_job = new QLabel;
  m_job->setObjectName("job");
  m_progress = new QProgressBar;
  m_progress->setObjectName("progress");
  m_progress->setRange(0, 100);
  constexpr int kBarWidth = 160;
  m_progress->setMaximumWidth(kBarWidth);
  m_progress->setAccessibleName("Progress");
  m_cancel = new QPushButton("Cancel");
  m_cancel->setObjectName("cancel");
  connect(m_cancel, &QPushButton::clicked, this, [this] { m_workspace.jobs().cancel_all(); });
  statusBar()->addWidget(m_value, 1);
  statusBar()->addPermanentWidget(m_job);
  statusBar()->addPermanentWidget(m_progress);
  statusBar()->addPermanentWidget(m_cancel);
}

void MainWindow::open_session(const QString& path) {
  Session session = read_session(path);
  m_pending_session = session;
  m_workspace.open(session.files);
  // Options follow the trace: open_finished has come by then.
}

void MainWindow::open_point(const QStringList& words) {
  if (words.size() < 2 || words.front() != "run") {
    QApplication::clipboard()->setText("kvsieve " + words.join(' '));
    show_message({"This point has no trace to replay: it was costed alone",
                  "The command that reproduces it is on the clipboard"});
    return;
  }
  RunOptions options;
  for (qsizetype i = 2; i < words.size(); ++i) {
    const std::string name = words[i].mid(2).toStdString();
    const bool has_text = i + 1 < words.size() && !words[i + 1].startsWith("--");
    options[name] = has_text ? words[++i].toStdString() : std::string();
  }
  const QString path = QFileInfo(words[1]).absoluteFilePath();
  const auto& trace = m_workspace.trace();
  if (trace &&
      QFileInfo(QString::fromStdString(trace->path().string())).absoluteFilePath() == path) {
    m_what_if.set_all(options);
    show_page("overview");
    return;
  }
  m_pending_session = Session{.files = {path},
                              .options = std::move(options),
                              .view = m_workspace.view().state(),
                              .page = "overview"};
  m_workspace.add({path});
}

void MainWindow::show_state() {
  const bool open = !m_workspace.files().empty();
  // Docks take the whole window once there is something to show in them.
  m_start->setVisible(!open);
  for (const auto& [id, dock] : m_docks) {
    if (!open) {
      dock->hide();
    }
  }
  if (open && !m_docks.begin()->second->isVisible()) {
    for (const auto& [id, dock] : m_docks) {
      dock->show();
    }
    constexpr int kTabsWidth = 960;
    constexpr int kSideWidth = 400;
    resizeDocks({m_docks["overview"], m_docks["what-if"]}, {kTabsWidth, kSideWidth},
                Qt::Horizontal);
    m_docks["overview"]->raise();
  }
  QStringList names;
  for (const OpenedFile& file : m_workspace.files()) {
    names << QFileInfo(file.path).fileName();
  }
  setWindowTitle(open ? names.join(", ") + " — KVSieve" : "KVSieve");
  for (const char* id : {"add", "reload", "close", "export", "print", "session.save"}) {
    action(id)->setEnabled(open);
  }
}

void MainWindow::show_breadcrumb() {
  const ViewStack& view = m_workspace.view();
  const auto& run = m_workspace.run();
  const Selection& selection = view.selection();
  const QString unit = run ? QString::fromStdString(run->view().unit_name) : QString("head");
  QStringList parts = breadcrumb(selection, unit).split(QStringLiteral(" › "));
  QStringList linked{"<a href=\"all\">All</a>"};
  if (!selection.heads.empty()) {
    for (QString& part : parts) {
      linked << (part.startsWith("layer ") ? "<a href=\"layer\">" + part + "</a>" : part);
    }
  } else {
    linked += parts.mid(1);
  }
  m_breadcrumb->setText(linked.join(QStringLiteral(" › ")));
  action("back")->setEnabled(view.can_go_back());
  action("forward")->setEnabled(view.can_go_forward());
  action("undo")->setEnabled(view.can_go_back());
  action("redo")->setEnabled(view.can_go_forward());
  for (const char* id : {"head.next", "head.previous"}) {
    action(id)->setEnabled(run != nullptr);
  }
  for (const char* id : {"run.save", "report.html", "report.markdown"}) {
    action(id)->setEnabled(run && run->is_whole());
  }
  action("command.copy")->setEnabled(m_what_if.is_live());
}

void MainWindow::follow_breadcrumb(const QString& link) {
  Selection selection = m_workspace.view().selection();
  if (link == "all") {
    m_workspace.view().select({});
    return;
  }
  const auto& run = m_workspace.run();
  if (!run || selection.heads.empty()) {
    return;
  }
  std::vector<HeadId> heads;
  for (const sim::LayerView& layer : run->view().layers) {
    if (layer.layer == selection.heads.front().layer) {
      for (std::size_t i = 0; i < layer.heads.size(); ++i) {
        heads.push_back(
            {layer.layer, layer.heads[i].integer_or("head", static_cast<std::int64_t>(i))});
      }
    }
  }
  m_workspace.view().select(select_heads(std::move(selection), std::move(heads), false));
}

void MainWindow::show_jobs() {
  const std::vector<Jobs::Running> running = m_workspace.jobs().running();
  const bool busy = !running.empty();
  m_job->setVisible(busy);
  m_progress->setVisible(busy);
  m_cancel->setVisible(busy);
  if (busy) {
    m_job->setText(
        running.size() == 1
            ? running.front().name
            : QStringLiteral("%1 and %2 more").arg(running.front().name).arg(running.size() - 1));
    m_progress->setValue(static_cast<int>(100.0 * running.front().share));
  }
}

void MainWindow::show_message(const Failure& failure) {
  m_message->setText(failure.hint.isEmpty() ? failure.what : failure.what + "\n" + failure.hint);
  m_messages->show();
}

void MainWindow::remember_recent() {
  QSettings settings;
  QStringList recent = settings.value("recent").toStringList();
  for (const OpenedFile& file : m_workspace.files()) {
    recent.removeAll(file.path);
    recent.prepend(file.path);
    settings.setValue("folder", QFileInfo(file.path).absolutePath());
  }
  settings.setValue("recent", recent.mid(0, kRecentFiles));
  list_recent();
  if (m_pending_session) {
    const Session session = std::move(*m_pending_session);
    m_pending_session.reset();
    const auto is_open = [this](const QString& path) {
      const std::vector<OpenedFile>& files = m_workspace.files();
      return std::any_of(files.begin(), files.end(),
                         [&path](const OpenedFile& file) { return file.path == path; });
    };
    if (!std::all_of(session.files.begin(), session.files.end(), is_open)) {
      return;  // its options would be set on other files
    }
    m_what_if.set_all(session.options);
    if (!session.layout.isEmpty()) {
      restoreState(session.layout);
    }
    m_workspace.view().restore(session.view);
    show_page(session.page);
  }
}

void MainWindow::list_recent() {
  const QStringList recent = QSettings().value("recent").toStringList();
  m_start->set_recent(recent);
  m_recent_menu->clear();
  for (const QString& path : recent) {
    m_recent_menu->addAction(path, this, [this, path] { open({path}); });
  }
  m_recent_menu->addSeparator();
  m_recent_menu->addAction("&Clear", this, [this] {
    QSettings().remove("recent");
    list_recent();
  });
}

void MainWindow::restore_settings() {
  const QSettings settings;
  restoreGeometry(settings.value("window/geometry").toByteArray());
  restoreState(settings.value("window/state").toByteArray());
  const double points = settings.value("window/font").toDouble();
  if (points > 0.0) {
    scale_font(points / QApplication::font().pointSizeF());
  }
  apply_settings();
}

void MainWindow::apply_settings() {
  const QSettings settings;
  m_workspace.set_reloads(settings.value("files/reload", true).toBool());
  m_what_if.set_looks_ahead(settings.value("what-if/look-ahead", true).toBool());
  m_heads->set_cividis(settings.value("view/cividis", false).toBool());
}

void MainWindow::scale_font(double factor) {
  constexpr double kSmallest = 6.0;
  constexpr double kLargest = 32.0;
  QFont font = QApplication::font();
  font.setPointSizeF(std::clamp(font.pointSizeF() * factor, kSmallest, kLargest));
  QApplication::setFont(font);
}

void MainWindow::attempt(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    show_message(current_failure());
  }
}

}  // namespace kvsieve::gui
