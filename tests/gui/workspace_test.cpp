// Opening, adding, reloading and closing files, through worker threads.

#include "core/workspace.h"

#include <QFile>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/synth.h"

namespace kvsieve::gui {
namespace {

const QString kSample = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");
constexpr int kPatienceMs = 20'000;

/// A run of the bundled sample, written to `path`.
void write_sample_run(const QString& path, const char* budget) {
  const traces::Trace trace = traces::Trace::open(kSample.toStdString());
  const sim::EvictionPlan plan{*sim::find_eviction_preset("ada-snapkv"),
                               sim::Budget::parse(budget)};
  const auto results =
      sim::replay_eviction(trace, {&plan, 1}, {.layers = {0, 4}, .losses = sim::Losses::kMass});
  sim::write_run(path.toStdString(), sim::run_document(trace, results.front()), true);
}

std::shared_ptr<const Run> computed_run(const char* name, Run::Extent extent) {
  const traces::Trace trace = traces::Trace::open(kSample.toStdString());
  const sim::EvictionPlan plan{*sim::find_eviction_preset("ada-snapkv"), sim::Budget::parse("20%")};
  const auto results =
      sim::replay_eviction(trace, {&plan, 1}, {.layers = {0}, .losses = sim::Losses::kMass});
  return std::make_shared<const Run>(sim::run_document(trace, results.front()), name, QString(),
                                     extent);
}

class WorkspaceTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void opens_a_trace();
  void the_last_of_two_runs_is_shown_and_the_first_is_its_baseline();
  void a_second_file_leaves_nothing_of_the_first();
  void a_broken_file_leaves_what_is_open();
  void files_opened_beside_while_others_are_being_opened_are_all_shown();
  void what_was_computed_here_stays_when_a_file_is_opened_beside();
  void a_part_of_a_run_is_never_compared_with();
  void c10_a_file_that_changes_is_read_again_and_the_view_stays();
  void a_job_started_again_delivers_once();
  void a_cancelled_job_delivers_nothing();
};

void WorkspaceTest::opens_a_trace() {
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({kSample});
  QVERIFY(finished.wait(kPatienceMs));
  QVERIFY(workspace.trace());
  QCOMPARE(workspace.trace()->header().prompt_tokens, std::int64_t{2009});
  QCOMPARE(workspace.files().size(), std::size_t{1});
  QVERIFY(!workspace.files().front().facts.empty());
}

void WorkspaceTest::the_last_of_two_runs_is_shown_and_the_first_is_its_baseline() {
  const QTemporaryDir folder;
  write_sample_run(folder.filePath("old.kvrun"), "20%");
  write_sample_run(folder.filePath("new.kvrun"), "10%");
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({folder.filePath("old.kvrun"), folder.filePath("new.kvrun")});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.run()->name(), QString("new.kvrun"));
  QCOMPARE(workspace.baseline()->name(), QString("old.kvrun"));
  workspace.add({folder.filePath("old.kvrun")});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.run()->name(), QString("old.kvrun"));
  QCOMPARE(workspace.baseline()->name(), QString("new.kvrun"));
}

void WorkspaceTest::a_second_file_leaves_nothing_of_the_first() {
  const QTemporaryDir folder;
  write_sample_run(folder.filePath("a.kvrun"), "20%");
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({kSample});
  QVERIFY(finished.wait(kPatienceMs));
  workspace.view().select(pick({}, {4, 1}, Pick::kReplace, {}));
  workspace.view().set_zoom("timeline", Zoom{0, 1, 0, 0});
  workspace.open({folder.filePath("a.kvrun")});
  QVERIFY(finished.wait(kPatienceMs));
  QVERIFY(!workspace.trace());
  QVERIFY(workspace.run());
  QCOMPARE(workspace.view().state(), ViewState{});
  QVERIFY(!workspace.view().can_go_back());
  workspace.close_all();
  QVERIFY(!workspace.run());
  QVERIFY(workspace.files().empty());
}

void WorkspaceTest::a_broken_file_leaves_what_is_open() {
  const QTemporaryDir folder;
  QFile broken(folder.filePath("broken.kvrun"));
  QVERIFY(broken.open(QIODevice::WriteOnly));
  broken.write("{\"schema\": \"kvsieve.run/1\", ");
  broken.close();
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  QSignalSpy failed(&workspace, &Workspace::open_failed);
  workspace.open({kSample});
  QVERIFY(finished.wait(kPatienceMs));
  workspace.open({broken.fileName()});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(failed.size(), qsizetype{1});
  const auto failure = failed.front().at(1).value<Failure>();
  QVERIFY2(failure.what.contains("broken.kvrun"), qPrintable(failure.what));
  QVERIFY(workspace.trace());
}

void WorkspaceTest::files_opened_beside_while_others_are_being_opened_are_all_shown() {
  const QTemporaryDir folder;
  write_sample_run(folder.filePath("a.kvrun"), "20%");
  write_sample_run(folder.filePath("b.kvrun"), "10%");
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({kSample});
  workspace.add({folder.filePath("a.kvrun")});
  workspace.add({folder.filePath("b.kvrun")});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.files().size(), std::size_t{3});
  QVERIFY(workspace.trace());
  QCOMPARE(workspace.run()->name(), QString("b.kvrun"));
  QCOMPARE(workspace.baseline()->name(), QString("a.kvrun"));
}

void WorkspaceTest::what_was_computed_here_stays_when_a_file_is_opened_beside() {
  const QTemporaryDir folder;
  write_sample_run(folder.filePath("file.kvrun"), "20%");
  traces::synthesize(folder.filePath("other.kvtrace").toStdString(),
                     {.layers = 1, .prompt_tokens = 256, .decode_tokens = 2});
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({kSample});
  QVERIFY(finished.wait(kPatienceMs));
  const auto own = computed_run("own", Run::Extent::kWhole);
  const auto before = computed_run("before", Run::Extent::kWhole);
  workspace.show_run(own);
  workspace.set_baseline(before);
  // A file that is no run takes neither away ...
  QFile timeline(folder.filePath("timeline.json"));
  QVERIFY(timeline.open(QIODevice::WriteOnly));
  timeline.write(R"({"traceEvents": [{"ph": "X", "name": "a", "ts": 0, "dur": 1}]})");
  timeline.close();
  workspace.add({timeline.fileName()});
  QVERIFY(finished.wait(kPatienceMs));
  QVERIFY(workspace.timeline());
  QCOMPARE(workspace.run(), own);
  QCOMPARE(workspace.baseline(), before);
  // ... a run is compared with what was shown ...
  workspace.add({folder.filePath("file.kvrun")});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.run()->name(), QString("file.kvrun"));
  QCOMPARE(workspace.baseline(), own);
  // ... and another trace ends what was computed on the one before.
  workspace.show_run(own);
  workspace.add({folder.filePath("other.kvtrace")});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.run()->name(), QString("file.kvrun"));
  QVERIFY(!workspace.baseline());
}

void WorkspaceTest::a_part_of_a_run_is_never_compared_with() {
  const QTemporaryDir folder;
  write_sample_run(folder.filePath("file.kvrun"), "20%");
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({kSample});
  QVERIFY(finished.wait(kPatienceMs));
  const auto whole = computed_run("whole", Run::Extent::kWhole);
  const auto part = computed_run("part", Run::Extent::kPart);
  workspace.set_baseline(whole);
  workspace.show_run(part);
  workspace.swap_compared();
  QCOMPARE(workspace.run(), part);
  QCOMPARE(workspace.baseline(), whole);
  workspace.add({folder.filePath("file.kvrun")});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.run()->name(), QString("file.kvrun"));
  QVERIFY(!workspace.baseline());
}

void WorkspaceTest::c10_a_file_that_changes_is_read_again_and_the_view_stays() {
  const QTemporaryDir folder;
  const QString path = folder.filePath("a.kvrun");
  write_sample_run(path, "20%");
  Workspace workspace;
  QSignalSpy finished(&workspace, &Workspace::open_finished);
  workspace.open({path});
  QVERIFY(finished.wait(kPatienceMs));
  const Selection selection = pick({}, {4, 1}, Pick::kReplace, {});
  workspace.view().select(selection);
  write_sample_run(path, "10%");
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.run()->view().budget, std::string("10%"));
  QCOMPARE(workspace.view().selection(), selection);
  // One that cannot be read when it changes stays as it was, and comes back when it can.
  QFile half(path);
  QVERIFY(half.open(QIODevice::WriteOnly));
  half.write("{");
  half.close();
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.files().size(), std::size_t{1});
  QCOMPARE(workspace.run()->view().budget, std::string("10%"));
  write_sample_run(path, "30%");
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(workspace.run()->view().budget, std::string("30%"));
}

void WorkspaceTest::a_job_started_again_delivers_once() {
  Jobs jobs;
  std::vector<int> delivered;
  for (int i = 0; i < 5; ++i) {
    jobs.start("job", [&delivered, i](const JobControl& control) {
      control.progress(0.5);
      return [&delivered, i] { delivered.push_back(i); };
    });
  }
  QTRY_VERIFY(jobs.is_idle());
  QCOMPARE(delivered, std::vector<int>{4});
}

void WorkspaceTest::a_cancelled_job_delivers_nothing() {
  Jobs jobs;
  std::atomic<bool> started = false;
  std::atomic<bool> ended = false;
  bool delivered = false;
  jobs.start("endless", [&](const JobControl& control) -> Jobs::Delivery {
    started = true;
    struct End {
      std::atomic<bool>& ended;
      ~End() { ended = true; }
    } end{ended};
    while (true) {
      control.check();
      QThread::msleep(1);
    }
    return [&delivered] { delivered = true; };
  });
  QTRY_VERIFY(started);
  QCOMPARE(jobs.running().size(), std::size_t{1});
  jobs.cancel("endless");
  QVERIFY(jobs.is_idle());
  QTRY_VERIFY(ended);
  QCoreApplication::processEvents();
  QVERIFY(!delivered);
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_GUILESS_MAIN(kvsieve::gui::WorkspaceTest)
#include "workspace_test.moc"
