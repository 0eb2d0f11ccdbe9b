// The live run of the bundled trace.

#include "core/what_if.h"

#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>
#include <set>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/synth.h"

namespace kvsieve::gui {
namespace {

const QString kSample = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");
constexpr int kPatienceMs = 120'000;

class WhatIfTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void an_open_trace_shows_its_live_run();
  void the_live_run_is_the_command_lines();
  void c20_a_move_of_a_slider_shows_what_was_computed_ahead();
  void c20_the_latest_of_many_moves_wins();
  void another_method_drops_options_that_it_has_not();
  void an_impossible_option_is_refused_and_the_shown_run_stays();
  void a_long_replay_is_shown_bit_by_bit();
  void a_cancelled_replay_leaves_a_part_that_says_so();
  void a_file_opened_beside_keeps_what_was_computed_ahead();
  void c59_the_command_line_computes_the_same();
  void a_second_trace_starts_afresh();

 private:
  void open(const QString& trace);
  void open_sample() { open(kSample); }

  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<WhatIf> m_what_if;
  std::unique_ptr<QSignalSpy> m_computed;
};

void WhatIfTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_what_if = std::make_unique<WhatIf>(*m_workspace);
  m_computed = std::make_unique<QSignalSpy>(m_what_if.get(), &WhatIf::computed);
}

void WhatIfTest::cleanup() {
  m_computed.reset();
  m_workspace->jobs().cancel_all();
  m_what_if.reset();
  m_workspace.reset();
}

void WhatIfTest::open(const QString& trace) {
  m_workspace->open({trace});
  QTRY_VERIFY_WITH_TIMEOUT(m_computed->size() > 0, kPatienceMs);
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  m_computed->clear();
}

void WhatIfTest::an_open_trace_shows_its_live_run() {
  QVERIFY(!m_what_if->is_live());
  open_sample();
  QVERIFY(m_what_if->is_live());
  QVERIFY(m_workspace->run());
  QCOMPARE(m_workspace->run()->view().method_name, std::string("ada-snapkv"));
  QVERIFY(m_workspace->run()->path().isEmpty());
}

void WhatIfTest::the_live_run_is_the_command_lines() {
  open_sample();
  const traces::Trace trace = traces::Trace::open(kSample.toStdString());
  const sim::EvictionPlan plan{*sim::find_eviction_preset("ada-snapkv"), sim::Budget::parse("20%")};
  const auto results = sim::replay_eviction(trace, {&plan, 1}, {});
  const nlohmann::ordered_json expected = sim::run_document(trace, results.front());
  const nlohmann::ordered_json& shown = m_workspace->run()->document();
  QCOMPARE(shown["summary"].dump(), expected["summary"].dump());
  QCOMPARE(shown["layers"].dump(), expected["layers"].dump());
  QVERIFY(shown["cost"]["step_us"].get<double>() > 0.0);
}

void WhatIfTest::c20_a_move_of_a_slider_shows_what_was_computed_ahead() {
  open_sample();
  if (*m_what_if->last_latency_ms() > WhatIf::kLookAheadLimitMs) {
    QSKIP("a replay takes too long here for looking ahead, as under a sanitizer");
  }
  QCOMPARE(m_what_if->budget_curve().size(), budget_stops().size());
  std::vector<double> latencies;
  for (const char* budget : {"10%", "30%", "50%", "5%"}) {
    m_what_if->set("budget", budget);
    QTRY_VERIFY_WITH_TIMEOUT(m_computed->size() > 0, kPatienceMs);
    m_computed->clear();
    QCOMPARE(m_workspace->run()->view().budget, std::string(budget));
    latencies.push_back(*m_what_if->last_latency_ms());
    qInfo("budget %s: %.1f ms from the move to the shown run", budget, latencies.back());
  }
  QCOMPARE(m_workspace->run()->view().summary("kept_tokens_per_head_mean"), std::optional(100.0));
}

void WhatIfTest::c20_the_latest_of_many_moves_wins() {
  open_sample();
  std::set<std::string> shown;
  connect(m_workspace.get(), &Workspace::run_changed, this,
          [&] { shown.insert(m_workspace->run()->view().budget); });
  for (const std::string& stop : budget_stops()) {
    m_what_if->set("budget", stop);
  }
  m_what_if->set("budget", "7%");
  QTRY_VERIFY_WITH_TIMEOUT(m_computed->size() > 0, kPatienceMs);
  QCOMPARE(m_workspace->run()->view().budget, std::string("7%"));
  QCOMPARE(shown, std::set<std::string>{"7%"});  // parts of the last alone, then all of it
}

void WhatIfTest::another_method_drops_options_that_it_has_not() {
  open_sample();
  m_what_if->set("alpha", "0.5");
  m_what_if->set_method("snapkv");
  QVERIFY(!m_what_if->options().contains("alpha"));
  QVERIFY(m_what_if->options().contains("budget"));
  QVERIFY(m_what_if->applies("window"));
  QVERIFY(!m_what_if->applies("alpha"));
  QVERIFY(!m_what_if->applies("top"));
  m_what_if->set_method("a2ats");
  QVERIFY(!m_what_if->options().contains("budget"));
  QCOMPARE(m_what_if->options().at("top"), std::string("3%"));
  QVERIFY(m_what_if->applies("placement"));
  m_computed->clear();
  QTRY_VERIFY_WITH_TIMEOUT(m_computed->size() > 0, kPatienceMs);
  QVERIFY(m_workspace->run()->view().family == sim::Family::kRetrieval);
}

void WhatIfTest::an_impossible_option_is_refused_and_the_shown_run_stays() {
  open_sample();
  QSignalSpy refused(m_what_if.get(), &WhatIf::changed_in_vain);
  const auto shown = m_workspace->run();
  m_what_if->set("budget", "minus two");
  QTRY_COMPARE(refused.size(), qsizetype{1});
  const auto failure = refused.front().front().value<Failure>();
  QVERIFY2(failure.what.contains("budget"), qPrintable(failure.what));
  QCOMPARE(m_workspace->run(), shown);
  // Refused while another replay runs: that one is not shown in its place.
  m_what_if->set("budget", "33%");
  m_what_if->set("budget", "abc");
  QCOMPARE(refused.size(), qsizetype{2});
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  QCOMPARE(m_workspace->run(), shown);
  m_what_if->set("budget", "10%");
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->run() != shown, kPatienceMs);
}

void WhatIfTest::a_long_replay_is_shown_bit_by_bit() {
  const traces::Trace trace = traces::Trace::open(kSample.toStdString());
  const sim::EvictionPlan plan{*sim::find_eviction_preset("ada-snapkv"), sim::Budget::parse("20%")};
  std::vector<std::size_t> layers;
  sim::EvictionOptions options;
  options.losses = sim::Losses::kMass;
  options.partial = [&](std::span<const sim::EvictionResult> parts) {
    layers.push_back(parts.front().layers.size());
    const Run part(sim::run_document(trace, parts.front()), "part");
    QCOMPARE(part.view().layers.size(), parts.front().layers.size());
    QVERIFY(parts.front().summary.ratio.layers == static_cast<std::int64_t>(layers.back()));
  };
  static_cast<void>(sim::replay_eviction(trace, {&plan, 1}, options));
  QCOMPARE(layers, (std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7}));
}

void WhatIfTest::a_cancelled_replay_leaves_a_part_that_says_so() {
  const QTemporaryDir folder;
  const QString path = folder.filePath("long.kvtrace");
  traces::synthesize(path.toStdString(), {.layers = 24, .prompt_tokens = 4096, .with_out = false});
  m_workspace->open({path});
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->run(), kPatienceMs);
  QVERIFY(!m_workspace->run()->is_whole());
  m_workspace->jobs().cancel_all();
  QVERIFY(m_workspace->run()->view().layers.size() < 24);
  QVERIFY(m_workspace->run()->name().endsWith("(part)"));
  QCOMPARE(m_computed->size(), qsizetype{0});
  // Asked again for the same, it is computed to its end.
  m_what_if->set_looks_ahead(false);
  m_what_if->set_all(m_what_if->options());
  QTRY_VERIFY_WITH_TIMEOUT(m_computed->size() > 0, kPatienceMs);
  QVERIFY(m_workspace->run()->is_whole());
  QCOMPARE(m_workspace->run()->view().layers.size(), std::size_t{24});
}

void WhatIfTest::a_file_opened_beside_keeps_what_was_computed_ahead() {
  const QTemporaryDir folder;
  const QString trace = folder.filePath("small.kvtrace");
  traces::synthesize(trace.toStdString(), {.layers = 2, .prompt_tokens = 512, .decode_tokens = 4});
  open(trace);
  const std::size_t stops = m_what_if->budget_curve().size();
  QVERIFY(stops > 1);
  const std::shared_ptr<const Run> own = m_workspace->run();
  const QString path = folder.filePath("a.kvrun");
  sim::write_run(path.toStdString(), own->document(), false);
  QSignalSpy finished(m_workspace.get(), &Workspace::open_finished);
  m_workspace->add({path});
  QVERIFY(finished.wait(kPatienceMs));
  QCOMPARE(m_workspace->run()->name(), QString("a.kvrun"));
  QCOMPARE(m_workspace->baseline(), own);
  QCOMPARE(m_what_if->budget_curve().size(), stops);
}

void WhatIfTest::c59_the_command_line_computes_the_same() {
  const RunOptions options{{"method", "ada-snapkv"}, {"budget", "5%"}, {"no-bound", ""}};
  QCOMPARE(command_line("/tmp/my trace.kvtrace", options),
           QString("kvsieve run '/tmp/my trace.kvtrace' --method ada-snapkv --budget 5% "
                   "--no-bound"));
}

void WhatIfTest::a_second_trace_starts_afresh() {
  open_sample();
  QVERIFY(!m_what_if->budget_curve().empty());
  m_workspace->close_all();
  QVERIFY(!m_what_if->is_live());
  QVERIFY(m_what_if->budget_curve().empty());
  QVERIFY(!m_workspace->run());
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_GUILESS_MAIN(kvsieve::gui::WhatIfTest)
#include "what_if_test.moc"
