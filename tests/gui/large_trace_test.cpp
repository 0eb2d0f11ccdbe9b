// Opens the trace named by KVSIEVE_LARGE_TRACE; large_trace.py makes one and watches the memory.

#include <QApplication>
#include <QSettings>
#include <QSignalSpy>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QtTest>

#include "widgets/main_window.h"

namespace kvsieve::gui {
namespace {

constexpr int kPatienceMs = 600'000;

class LargeTraceTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void shows_the_overview_first_and_heads_as_they_come();
};

void LargeTraceTest::shows_the_overview_first_and_heads_as_they_come() {
  const QString path = qEnvironmentVariable("KVSIEVE_LARGE_TRACE");
  if (path.isEmpty()) {
    QSKIP("KVSIEVE_LARGE_TRACE is not set: large_trace.py sets it");
  }
  const QTemporaryDir folder;
  QSettings::setDefaultFormat(QSettings::IniFormat);
  QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, folder.path());
  QCoreApplication::setOrganizationName("kvsieve-test");
  MainWindow window;
  window.show();
  QVERIFY(QTest::qWaitForWindowExposed(&window));
  std::vector<std::size_t> layers;
  bool computed = false;
  connect(&window.what_if(), &WhatIf::computed, this, [&computed] { computed = true; });
  connect(&window.workspace(), &Workspace::run_changed, this, [&] {
    if (window.workspace().run()) {
      layers.push_back(window.workspace().run()->view().layers.size());
    }
  });
  QElapsedTimer timer;
  timer.start();
  window.open({path});
  const auto* facts = window.findChild<QTableWidget*>("overview.facts");
  QTRY_VERIFY_WITH_TIMEOUT(facts->rowCount() > 0, kPatienceMs);
  QApplication::processEvents();
  const qint64 overview_ms = timer.elapsed();
  QVERIFY(layers.empty());  // the overview did not wait for heads
  // How long the user interface was away at most, while everything is computed.
  qint64 longest_ms = 0;
  QElapsedTimer gap;
  gap.start();
  qint64 first_heads_ms = 0;
  while (!computed && timer.elapsed() < kPatienceMs) {
    QApplication::processEvents(QEventLoop::AllEvents, 5);
    longest_ms = std::max(longest_ms, gap.restart());
    if (first_heads_ms == 0 && !layers.empty()) {
      first_heads_ms = timer.elapsed();
    }
    QThread::msleep(1);
  }
  QVERIFY(computed);
  qInfo(
      "overview after %lld ms, first heads after %lld ms, all %zu layers after %lld ms in %zu "
      "parts; the user interface was away for %lld ms at most",
      overview_ms, first_heads_ms, layers.back(), timer.elapsed(), layers.size(), longest_ms);
  QVERIFY(layers.size() >= 2);
  QVERIFY(layers.front() < layers.back());
  window.workspace().jobs().cancel_all();
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::LargeTraceTest)
#include "large_trace_test.moc"
