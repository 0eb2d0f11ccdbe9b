// kvsieve-gui: the viewer, and its plots as files without a window.

#include <QApplication>
#include <QCommandLineParser>
#include <QTimer>
#include <cstdio>
#include <cstdlib>

#include "kvsieve/sim/version.h"
#include "kvsieve/traces/error.h"
#include "widgets/main_window.h"
#include "widgets/plot_export.h"

namespace kvsieve::gui {
namespace {

/// Prints an error as `kvsieve` does.
int report(ErrorKind kind, const QString& what, const QString& hint) {
  std::fprintf(stderr, "error: %s\n", qPrintable(what));
  if (!hint.isEmpty()) {
    std::fprintf(stderr, "hint: %s\n", qPrintable(hint));
  }
  return static_cast<int>(kind);
}

/// "1200x700".
QSize parse_size(const QString& text) {
  const QStringList parts = text.split('x');
  bool wide = false;
  bool high = false;
  const QSize size =
      parts.size() == 2 ? QSize(parts[0].toInt(&wide), parts[1].toInt(&high)) : QSize();
  constexpr int kSmallest = 100;
  constexpr int kLargest = 10'000;
  const auto fits = [](int pixels) { return pixels >= kSmallest && pixels <= kLargest; };
  if (!wide || !high || !fits(size.width()) || !fits(size.height())) {
    throw Error(ErrorKind::kUsage,
                "--size is '" + text.toStdString() + "', expected WIDTHxHEIGHT, each 100 to 10000");
  }
  return size;
}

/// Waits until nothing is computed any more; the first file that failed is an error.
void wait_for_files(MainWindow& window, const QStringList& files) {
  std::optional<Failure> failure;
  bool finished = false;
  QObject::connect(&window.workspace(), &Workspace::open_failed,
                   [&failure](const QString&, const Failure& one) {
                     if (!failure) {
                       failure = one;
                     }
                   });
  QObject::connect(&window.what_if(), &WhatIf::changed_in_vain, [&failure](const Failure& one) {
    if (!failure) {
      failure = one;
    }
  });
  QObject::connect(&window.workspace(), &Workspace::open_finished,
                   [&finished] { finished = true; });
  QObject::connect(&window.workspace().jobs(), &Jobs::failed, [&failure](const Failure& one) {
    if (!failure) {
      failure = one;
    }
  });
  if (files.size() == 1 && files.front().endsWith(kSessionSuffix)) {
    static_cast<void>(read_session(files.front()));  // the window would show what is wrong with it
  }
  window.open(files);
  while (!failure && (!finished || !window.workspace().jobs().is_idle())) {
    QApplication::processEvents(QEventLoop::WaitForMoreEvents);
  }
  if (failure) {
    throw Error(ErrorKind::kBadInput, failure->what.toStdString(), failure->hint.toStdString());
  }
}

int run(QApplication& application) {
  QCommandLineParser parser;
  parser.setApplicationDescription(
      "Shows captured attention traces, runs, sweep stores and timelines: budgets, eviction loss, "
      "retrieval latency and PCIe traffic.\nOf two runs or stores the first is what the second is "
      "compared with.");
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addPositionalArgument("files", "traces, runs, sweep stores, timelines, or one session",
                               "[FILES]");
  const QCommandLineOption folder("export", "write every plot into this folder and end", "DIR");
  const QCommandLineOption formats("format", "of --export: png, svg, csv, with commas between",
                                   "LIST", "png,csv");
  const QCommandLineOption size("size", "of exported images", "WxH", "1200x700");
  const QCommandLineOption page("page", "the page in front, by name: overview, heads, ...", "NAME");
  parser.addOptions({folder, formats, size, page});
  parser.process(application);

  MainWindow window;
  const QStringList files = parser.positionalArguments();
  if (parser.isSet(page) && window.page(parser.value(page)) == nullptr) {
    QStringList names;
    for (const Page* one : window.pages()) {
      names << one->id();
    }
    throw Error(ErrorKind::kUsage, "--page is '" + parser.value(page).toStdString() +
                                       "', supported: " + names.join(", ").toStdString());
  }
  if (parser.isSet(folder)) {
    if (files.isEmpty()) {
      throw Error(ErrorKind::kUsage, "--export needs a file to draw",
                  "kvsieve-gui --export plots run.kvrun");
    }
    const QSize pixels = parse_size(parser.value(size));
    window.what_if().set_looks_ahead(true);  // its curve is one of the plots
    window.show();
    wait_for_files(window, files);
    const QStringList written =
        export_pages(window.pages(), parser.value(folder),
                     parser.value(formats).split(',', Qt::SkipEmptyParts), pixels);
    for (const QString& path : written) {
      std::printf("%s\n", qPrintable(path));
    }
    return 0;
  }
  window.show();
  if (!files.isEmpty()) {
    window.open(files);
  }
  if (parser.isSet(page)) {
    QObject::connect(
        &window.workspace(), &Workspace::open_finished, &window,
        [&] { window.show_page(parser.value(page)); }, Qt::SingleShotConnection);
  }
  return QApplication::exec();
}

}  // namespace
}  // namespace kvsieve::gui

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    // Pictures need no screen.
    if (QByteArray(argv[i]).startsWith("--export") &&
        !qEnvironmentVariableIsSet("QT_QPA_PLATFORM")) {
      qputenv("QT_QPA_PLATFORM", "offscreen");
    }
  }
  QApplication application(argc, argv);
  QApplication::setOrganizationName("kvsieve");
  QApplication::setApplicationName("kvsieve-gui");
  QApplication::setApplicationVersion(QString::fromStdString(std::string(kvsieve::sim::version())));
  QGuiApplication::setDesktopFileName("kvsieve");
  try {
    return kvsieve::gui::run(application);
  } catch (const kvsieve::Error& error) {
    return kvsieve::gui::report(error.kind(), QString::fromStdString(error.what()),
                                QString::fromStdString(error.hint()));
  } catch (const std::exception& error) {
    return kvsieve::gui::report(kvsieve::ErrorKind::kInternal, error.what(), {});
  }
}
