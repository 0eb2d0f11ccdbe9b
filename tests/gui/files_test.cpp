// What the viewer makes of files that are broken, and of files opened and closed many times.

#include <malloc.h>

#include <QApplication>
#include <QFile>
#include <QLabel>
#include <QSettings>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>
#include <cstdio>
#include <fstream>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/sim/sweep_store.h"
#include "kvsieve/traces/synth.h"
#include "malformed_files.h"
#include "widgets/main_window.h"

namespace kvsieve::gui {
namespace {

constexpr int kPatienceMs = 60'000;

void write_bytes(const QString& path, const QByteArray& bytes) {
  QFile file(path);
  QVERIFY(file.open(QIODevice::WriteOnly));
  QCOMPARE(file.write(bytes), bytes.size());
}

QByteArray bytes_of(const QString& path) {
  QFile file(path);
  return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

/// Memory that is not backed by files, KiB.
std::int64_t anonymous_kib() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("RssAnon:")) {
      return std::stoll(line.substr(8));
    }
  }
  return 0;
}

class FilesTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void initTestCase();
  void init();
  void cleanup();
  void c07_every_malformed_trace_gives_one_clear_line();
  void c07_broken_runs_stores_and_timelines_give_one_clear_line_data();
  void c07_broken_runs_stores_and_timelines_give_one_clear_line();
  void opening_and_closing_leaves_no_memory_behind();

 private:
  /// Opens one file; the message that the window shows, empty if it opened.
  QString message_of(const QString& path);

  std::unique_ptr<QTemporaryDir> m_folder;
  std::unique_ptr<MainWindow> m_window;
};

void FilesTest::initTestCase() {
  QCoreApplication::setOrganizationName("kvsieve-test");
  QCoreApplication::setApplicationName("viewer");
  QSettings::setDefaultFormat(QSettings::IniFormat);
}

void FilesTest::init() {
  m_folder = std::make_unique<QTemporaryDir>();
  QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, m_folder->filePath("settings"));
  m_window = std::make_unique<MainWindow>();
  m_window->what_if().set_looks_ahead(false);
  m_window->show();
}

void FilesTest::cleanup() {
  m_window.reset();
  m_folder.reset();
}

QString FilesTest::message_of(const QString& path) {
  auto* message = m_window->findChild<QLabel*>("message");
  message->clear();
  QSignalSpy finished(&m_window->workspace(), &Workspace::open_finished);
  m_window->open({path});
  if (!finished.wait(kPatienceMs)) {
    return "the file was never done with";
  }
  QElapsedTimer waited;
  waited.start();
  while (!m_window->workspace().jobs().is_idle() && waited.elapsed() < kPatienceMs) {
    QApplication::processEvents(QEventLoop::WaitForMoreEvents, 50);
  }
  return message->isVisible() ? message->text() : QString();
}

void FilesTest::c07_every_malformed_trace_gives_one_clear_line() {
  int refused = 0;
  for (const tests::MalformedFile& file : tests::malformed_files()) {
    const QString path = m_folder->filePath(QString::fromStdString(file.name) + ".kvtrace");
    file.write(path.toStdString());
    const QString message = message_of(path);
    if (message.isEmpty()) {
      QVERIFY2(false, file.name.c_str());
    }
    const QString line = message.split('\n').front();
    QVERIFY2(line.contains(QString::fromStdString(file.name)), qPrintable(message));
    if (file.name != "format_codebook") {  // taken for the codebook that it claims to be
      QVERIFY2(message.contains(QString::fromStdString(file.expected)),
               qPrintable(QString::fromStdString(file.expected) + " is not in: " + message));
    }
    QVERIFY2(line.size() < 600, qPrintable(line));
    QVERIFY(m_window->workspace().files().empty());
    ++refused;
  }
  qInfo("%d malformed traces refused", refused);
  QVERIFY(refused >= 70);
}

void FilesTest::c07_broken_runs_stores_and_timelines_give_one_clear_line_data() {
  QTest::addColumn<QString>("name");
  QTest::addColumn<int>("kept_percent");
  QTest::addColumn<QByteArray>("instead");
  for (const char* name : {"run.kvrun", "run.json", "store.db"}) {
    for (const int percent : {0, 10, 50, 97}) {
      QTest::addRow("%s cut to %d %%", name, percent) << name << percent << QByteArray();
    }
  }
  QTest::newRow("no run") << "other.json" << 0 << QByteArray("{\"schema\": \"x/1\"}");
  QTest::newRow("half an object") << "half.json" << 0
                                  << QByteArray("{\"schema\": \"kvsieve.run/1\"");
  QTest::newRow("wrong types") << "types.json" << 0
                               << QByteArray("{\"schema\": \"kvsieve.run/1\", \"layers\": 3}");
  QTest::newRow("a figure that is text")
      << "figure.json" << 0
      << QByteArray(R"({"schema":"kvsieve.run/1","tool_version":"1","family":"eviction",)"
                    R"("origin":"captured","trace":{"model":"m","L":1,"Hq":1,"Hkv":1,"d":64,)"
                    R"("prompt_tokens":10,"prompt_queries":4,"decode_steps":1,)"
                    R"("captured_layers":[0]},"method":{"name":"snapkv"},)"
                    R"("summary":{"evicted_mass":"x"},"layers":[],"steps":[],"cost":{}})");
  QTest::newRow("text") << "text.kvrun" << 0 << QByteArray("not a run at all");
  QTest::newRow("half a timeline")
      << "cut.trace.json" << 0 << QByteArray("{\"traceEvents\": [{\"ph\": \"X\", ");
  QTest::newRow("no timeline") << "no.trace.json" << 0 << QByteArray("{\"traceEvents\": 7}");
}

void FilesTest::c07_broken_runs_stores_and_timelines_give_one_clear_line() {
  QFETCH(const QString, name);
  QFETCH(const int, kept_percent);
  QFETCH(const QByteArray, instead);
  const QString path = m_folder->filePath(name);
  if (!instead.isEmpty()) {
    write_bytes(path, instead);
  } else {
    if (name == "store.db") {
      sim::SweepStore store(path.toStdString(), sim::SweepStore::Mode::kCreate,
                            {.tool_version = "1", .definition = "{}", .inputs = "{}", .points = 9});
      std::vector<sim::SweepRow> rows;
      for (int i = 0; i < 2000; ++i) {
        rows.push_back({i, std::to_string(i), "{\"budget\":\"1%\"}", "{\"step_us\":1}", ""});
      }
      store.add(rows);
    } else {
      const QString trace_path = m_folder->filePath("t.kvtrace");
      traces::synthesize(trace_path.toStdString(),
                         {.layers = 2, .prompt_tokens = 128, .decode_tokens = 4});
      const traces::Trace trace = traces::Trace::open(trace_path.toStdString());
      const sim::EvictionPlan plan{*sim::find_eviction_preset("snapkv"), sim::Budget::parse("50%")};
      const auto results = sim::replay_eviction(trace, {&plan, 1}, {});
      sim::write_run(path.toStdString(), sim::run_document(trace, results.front()), true);
    }
    const QByteArray whole = bytes_of(path);
    write_bytes(path, whole.left(whole.size() * kept_percent / 100));
  }
  const QString message = message_of(path);
  QVERIFY2(message.startsWith(path), qPrintable(message));
  QVERIFY2(message.split('\n').size() <= 2, qPrintable(message));
  QVERIFY2(message.size() > path.size() + 15, qPrintable(message));
  QVERIFY(m_window->workspace().files().empty());
}

void FilesTest::opening_and_closing_leaves_no_memory_behind() {
  const QString path = m_folder->filePath("small.kvtrace");
  traces::synthesize(path.toStdString(), {.layers = 2, .prompt_tokens = 256, .decode_tokens = 8});
  std::vector<std::int64_t> kib;
  constexpr int kCycles = 200;
  constexpr int kWarm = 60;
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    QCOMPARE(message_of(path), QString());
    QVERIFY(m_window->workspace().run());
    m_window->workspace().close_all();
    QApplication::processEvents();
    ::malloc_trim(0);
    kib.push_back(anonymous_kib());
  }
  const auto mean = [&kib](int first, int last) {
    std::int64_t sum = 0;
    for (int i = first; i < last; ++i) {
      sum += kib[static_cast<std::size_t>(i)];
    }
    return sum / (last - first);
  };
  const std::int64_t before = mean(kWarm, kWarm + 20);
  const std::int64_t after = mean(kCycles - 20, kCycles);
  qInfo("anonymous memory: %lld KiB after %d cycles, %lld KiB after %d",
        static_cast<long long>(before), kWarm, static_cast<long long>(after), kCycles);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // A leaked run alone would be some 40 KiB a cycle.
  constexpr std::int64_t kSlackKib = 2048;
  QVERIFY(after - before < kSlackKib);
#endif
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::FilesTest)
#include "files_test.moc"
