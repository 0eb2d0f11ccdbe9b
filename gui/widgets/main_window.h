#pragma once
// The main window: pages in docks around one workspace, and everything that acts on all of them.

#include <QDockWidget>
#include <QLabel>
#include <QMainWindow>
#include <QMenu>
#include <QProgressBar>
#include <QPushButton>
#include <QToolBar>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "core/session.h"
#include "core/what_if.h"
#include "core/workspace.h"
#include "widgets/page.h"
#include "widgets/start_page.h"

namespace kvsieve::gui {

class HeadsPage;
class WhatIfPage;

class MainWindow : public QMainWindow {
  Q_OBJECT
 public:
  MainWindow();
  ~MainWindow() override;

  [[nodiscard]] Workspace& workspace() noexcept { return m_workspace; }
  [[nodiscard]] WhatIf& what_if() noexcept { return m_what_if; }
  /// In the order of their tabs.
  [[nodiscard]] const std::vector<Page*>& pages() const noexcept { return m_pages; }
  [[nodiscard]] Page* page(const QString& id) const;
  /// The page in front among the tabs.
  [[nodiscard]] Page* current_page() const;
  void show_page(const QString& id);
  /// Every action, as the palette lists them.
  [[nodiscard]] const std::vector<QAction*>& actions_in_order() const { return m_actions; }
  [[nodiscard]] QAction* action(const QString& id) const;

  /// Opens files in place of what is open; a session file brings its own. With `add`, beside it.
  void open(const QStringList& paths, bool add = false);
  [[nodiscard]] Session session() const;

 protected:
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;
  void closeEvent(QCloseEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  void make_pages();
  void make_actions();
  void make_file_menu();
  void make_edit_menu();
  void make_view_menu();
  void make_go_menu();
  void make_help_menu();
  void make_bars();
  QAction* add_action(QMenu* menu, const QString& id, const QString& text,
                      const QList<QKeySequence>& keys, std::function<void()> run);
  QDockWidget* add_dock(Page* page, Qt::DockWidgetArea area);

  void choose_files(bool add);
  void open_session(const QString& path);
  void open_point(const QStringList& words);
  void save_session();
  void save_run();
  void save_report(const QString& format);
  void export_plots();
  void print_page();
  void show_shortcuts();
  void show_about();
  void show_settings();
  void copy_environment();
  void find();
  void walk_heads(int direction);
  void set_layout(const QString& name);
  void save_layout();
  void list_layouts();
  void scale_font(double factor);

  void show_state();
  void show_breadcrumb();
  void follow_breadcrumb(const QString& link);
  void show_jobs();
  void show_message(const Failure& failure);
  void remember_recent();
  void list_recent();
  void restore_settings();
  void apply_settings();
  /// Runs something that may throw and shows what it says.
  void attempt(const std::function<void()>& work);

  Workspace m_workspace;
  WhatIf m_what_if;
  StartPage* m_start;
  WhatIfPage* m_what_if_page = nullptr;
  HeadsPage* m_heads = nullptr;
  std::vector<Page*> m_pages;
  Page* m_current = nullptr;
  std::map<QString, QDockWidget*> m_docks;
  std::vector<QAction*> m_actions;
  QMenu* m_recent_menu = nullptr;
  QMenu* m_layout_menu = nullptr;
  QByteArray m_usual_layout;
  QLabel* m_breadcrumb = nullptr;
  QLabel* m_value = nullptr;
  QLabel* m_job = nullptr;
  QProgressBar* m_progress = nullptr;
  QPushButton* m_cancel = nullptr;
  QToolBar* m_messages = nullptr;
  QLabel* m_message = nullptr;
  std::optional<Session> m_pending_session;
  double m_font_points = 0.0;
};

}  // namespace kvsieve::gui
