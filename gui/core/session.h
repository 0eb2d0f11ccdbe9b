#pragma once
// Session files: what was looked at and how, apart from the data.

#include <QString>
#include <QStringList>

#include "core/live_run.h"
#include "core/view_stack.h"

namespace kvsieve::gui {

struct Session {
  QStringList files = {};  ///< absolute; in the file relative to it, so that both can move together
  RunOptions options;      ///< of the live run
  ViewState view;
  QString page;       ///< id of the page in front
  QByteArray layout;  ///< of QMainWindow::saveState; empty for the usual one
};

/// The end of session files' names.
inline constexpr const char* kSessionSuffix = ".kvsession";

/// Writes a JSON document (schema kvsieve.session/1), whole or not at all, in place of one that
/// exists. Errors as traces::OutputFile.
void write_session(const QString& path, const Session& session);
/// Throws Error(kBadInput), one line that begins with the path, if it is no session file.
[[nodiscard]] Session read_session(const QString& path);

}  // namespace kvsieve::gui
