#include "core/trace_lookup.h"

#include <QDir>
#include <QFileInfo>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::gui {

QStringList trace_candidates(const Run& run) {
  QStringList paths;
  const auto add = [&](const QString& path) {
    const QFileInfo file(path);
    const QString absolute = file.absoluteFilePath();
    if (file.isFile() && !paths.contains(absolute)) {
      paths << absolute;
    }
  };
  QString named;
  if (const auto trace = run.view().document.child("trace")) {
    named = QString::fromStdString(trace->text("path"));
  }
  if (!named.isEmpty()) {
    add(named);
  }
  if (!run.path().isEmpty()) {
    const QDir folder = QFileInfo(run.path()).absoluteDir();
    if (!named.isEmpty()) {
      add(folder.filePath(named));
      add(folder.filePath(QFileInfo(named).fileName()));
    }
    for (const QFileInfo& file :
         folder.entryInfoList({QStringLiteral("*.kvtrace")}, QDir::Files, QDir::Name)) {
      add(file.absoluteFilePath());
    }
  }
  return paths;
}

std::optional<QString> find_trace(const Run& run, const JobControl& control) {
  const std::string& wanted = run.view().trace.hash;
  for (const QString& path : trace_candidates(run)) {
    control.check();
    try {
      if (!wanted.empty() && traces::Trace::open(path.toStdString()).hash() == wanted) {
        return path;
      }
    } catch (const Error&) {
      continue;  // not a trace, or a broken one
    }
  }
  return std::nullopt;
}

}  // namespace kvsieve::gui
