// The Head detail page: strip, attention, scores, what was dropped, with and without the trace.

#include "pages/head_detail_page.h"

#include <QSignalSpy>
#include <QtTest>

#include "core/dropped_mass.h"
#include "kvsieve/sim/run_document.h"
#include "pictures.h"
#include "report/run_documents.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

using tests::keep_picture;

const QString kSample = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");
constexpr int kPatienceMs = 20'000;

class HeadDetailPageTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void init();
  void cleanup();
  void c18_the_strip_shows_what_the_run_keeps();
  void c12_the_page_shows_the_selected_head();
  void attention_of_dropped_tokens_is_the_runs_evicted_mass();
  void scores_and_ranks_are_the_methods();
  void the_step_chooser_follows_the_selection_and_leads_it();
  void c29_the_strips_cursor_marks_the_mass_plot();
  void c50_brackets_and_the_chooser_change_the_head();
  void the_heaviest_dropped_tokens_are_listed_and_selected();
  void c52_a_run_alone_offers_its_trace();
  void another_trace_is_not_used();
  void a_trace_alone_shows_attention();
  void c52_nothing_open_says_what_to_do();
  void a_retrieval_run_shows_sinks_and_window();
  void query_heads_have_attention_of_their_own();
  void c53_every_plot_says_captured();

 private:
  template <class T>
  [[nodiscard]] T* child(const char* name) const {
    T* found = m_page->findChild<T*>(name);
    Q_ASSERT(found != nullptr);
    return found;
  }
  [[nodiscard]] TokenStripView* strip() const {
    return child<TokenStripView>("head-detail.tokens");
  }
  [[nodiscard]] QString hint() const { return child<QLabel>("head-detail.hint")->text(); }
  void open(const QStringList& paths) {
    QSignalSpy finished(m_workspace.get(), &Workspace::open_finished);
    m_workspace->open(paths);
    QVERIFY(finished.wait(kPatienceMs));
  }
  /// Writes a run of the sample with its trace elsewhere or here.
  QString write(const std::shared_ptr<const Run>& run, const QString& name) {
    const QString path = m_folder.filePath(name);
    sim::write_run(path.toStdString(), run->document(), true);
    return path;
  }
  void open_both(const std::shared_ptr<const Run>& run) {
    open({kSample, write(run, "a.kvrun")});
    QTRY_COMPARE_WITH_TIMEOUT(strip()->data().curves.size(), std::size_t{2}, kPatienceMs);
  }
  void select(const HeadId& head) {
    m_workspace->view().select(pick({}, head, Pick::kReplace, {}));
    QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  }

  QTemporaryDir m_folder;
  std::unique_ptr<Workspace> m_workspace;
  std::unique_ptr<HeadDetailPage> m_page;
};

void HeadDetailPageTest::init() {
  m_workspace = std::make_unique<Workspace>();
  m_page = std::make_unique<HeadDetailPage>(*m_workspace);
  m_page->resize(1200, 900);
  m_page->show();
  QVERIFY(QTest::qWaitForWindowExposed(m_page.get()));
}

void HeadDetailPageTest::cleanup() {
  m_page.reset();
  m_workspace.reset();
}

void HeadDetailPageTest::c18_the_strip_shows_what_the_run_keeps() {
  const auto run = tests::sample_run("ada-snapkv", "10%");
  open_both(run);
  select({4, 1});
  const TokenStrip& data = strip()->data();
  QCOMPARE(data.tracks.size(), std::size_t{1});
  QCOMPARE(data.tracks.front().name, QString("layer 4, KV head 1"));
  std::int64_t kept = 0;
  for (const sim::TokenRun& range : data.tracks.front().kept) {
    kept += range.end - range.begin;
  }
  QCOMPARE(kept, *tests::head_node(*run, 4, 1).integer("budget"));
  QCOMPARE(data.window, std::int64_t{32});
  QCOMPARE(data.tokens, std::int64_t{2073});
  QVERIFY(data.needle && data.needle->begin == 974);
  QVERIFY(strip()->note().contains("Token ids only"));
  QVERIFY(strip()->note().contains("lighthouse"));
  QCOMPARE(data.token_ids.size(), std::size_t{2073});
  keep_picture(*m_page, "detail-page");
  m_page->setPalette(tests::dark_palette());
  keep_picture(*m_page, "detail-page-dark");
}

void HeadDetailPageTest::c12_the_page_shows_the_selected_head() {
  open_both(tests::sample_run("ada-snapkv", "10%"));
  QCOMPARE(strip()->data().tracks.front().name, QString("layer 0, KV head 0"));
  select({8, 2});
  QCOMPARE(strip()->data().tracks.front().name, QString("layer 8, KV head 2"));
  QVERIFY(child<QLabel>("head-detail.facts")->text().contains("layer 8, KV head 2"));
  QCOMPARE(child<QComboBox>("head-detail.head")->currentText(), QString("layer 8, KV head 2"));
  // Other selected heads have a strip below it.
  m_workspace->view().select(select_heads({}, {{0, 1}, {4, 0}, {8, 2}}, false));
  QCOMPARE(strip()->data().tracks.size(), std::size_t{3});
  QCOMPARE(strip()->data().tracks.front().name, QString("layer 0, KV head 1"));
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  keep_picture(*m_page, "detail-page-three");
}

void HeadDetailPageTest::attention_of_dropped_tokens_is_the_runs_evicted_mass() {
  const auto run = tests::sample_run("ada-snapkv", "10%");
  open_both(run);
  select({4, 0});
  const sim::Node& node = tests::head_node(*run, 4, 0);
  const double mass = mass_of(*strip()->data().curves.front().values,
                              dropped_runs(sim::kept_runs(node, 2009), 2009));
  QVERIFY(std::abs(mass - *node.number("evicted_mass")) < 1e-3);
  const QString note = child<ChartView>("head-detail.mass")->note();
  QVERIFY2(note.contains(QString::fromStdString(sim::number_text(mass, sim::Unit::kShare))),
           qPrintable(note));
}

void HeadDetailPageTest::scores_and_ranks_are_the_methods() {
  open_both(tests::sample_run("snapkv", "10%"));
  const TokenStrip& data = strip()->data();
  QVERIFY(data.curves[1].name.contains("observation window, 32 queries"));
  QCOMPARE(data.curves[1].values->size(), std::size_t{2009 - 32});
  // The token with the largest score is kept.
  const auto& scores = *data.curves[1].values;
  const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
  QCOMPARE((*data.score_ranks)[static_cast<std::size_t>(best)], std::int64_t{1});
  QVERIFY(strip()->data().text_at(best).contains(": kept"));
  QVERIFY(strip()->data().text_at(best).contains("place 1 of"));
}

void HeadDetailPageTest::the_step_chooser_follows_the_selection_and_leads_it() {
  open_both(tests::sample_run("ada-snapkv", "10%"));
  auto* step = child<QSpinBox>("head-detail.step");
  QCOMPARE(step->value(), -1);
  const float mean = strip()->data().curves.front().values->at(0);
  Selection selection = m_workspace->view().selection();
  selection.step = 7;
  m_workspace->view().select(selection);
  QCOMPARE(step->value(), 7);
  QCOMPARE(strip()->data().step_position, std::optional<std::int64_t>(2016));
  QTRY_COMPARE_WITH_TIMEOUT(strip()->data().curves.size(), std::size_t{2}, kPatienceMs);
  QVERIFY(strip()->data().curves.front().name.contains("step 7"));
  QVERIFY(strip()->data().curves.front().values->at(0) != mean);
  // A later token has no attention at that step.
  QCOMPARE(strip()->data().curves.front().values->at(2017), 0.0F);
  step->setFocus();
  QTest::keyClick(step, Qt::Key_Up);
  QCOMPARE(m_workspace->view().selection().step, std::optional<std::int64_t>(8));
  QTRY_VERIFY_WITH_TIMEOUT(m_workspace->jobs().is_idle(), kPatienceMs);
  keep_picture(*m_page, "detail-page-step");
}

void HeadDetailPageTest::c29_the_strips_cursor_marks_the_mass_plot() {
  open_both(tests::sample_run("ada-snapkv", "10%"));
  auto* mass = child<ChartView>("head-detail.mass");
  const QImage before = mass->grab().toImage();
  const TokenAxis axis = strip()->axis(strip()->size());
  QTest::mouseMove(strip(), QPoint(static_cast<int>(axis.x(1000.5)), strip()->height() / 2));
  QTRY_VERIFY(strip()->cursor().has_value());
  QTRY_VERIFY(mass->grab().toImage() != before);
  // A bar selects its tokens.
  Q_EMIT mass->picked(0, Qt::NoModifier);
  QCOMPARE(m_workspace->view().selection().tokens, (TokenRange{0, 86}));
}

void HeadDetailPageTest::c50_brackets_and_the_chooser_change_the_head() {
  open_both(tests::sample_run("ada-snapkv", "10%"));
  m_page->activateWindow();
  QVERIFY(QTest::qWaitForWindowActive(m_page.get()));
  strip()->setFocus();
  QTest::keyClick(strip(), Qt::Key_BracketRight);
  QCOMPARE(m_workspace->view().selection().current, (HeadId{0, 1}));
  QTest::keyClick(strip(), Qt::Key_BracketRight);
  QTest::keyClick(strip(), Qt::Key_BracketRight);
  QCOMPARE(m_workspace->view().selection().current, (HeadId{4, 0}));
  QTest::keyClick(strip(), Qt::Key_BracketLeft);
  QCOMPARE(m_workspace->view().selection().current, (HeadId{0, 2}));
  auto* chooser = child<QComboBox>("head-detail.head");
  chooser->setFocus();
  QTest::keyClick(chooser, Qt::Key_Down);
  QCOMPARE(m_workspace->view().selection().current, (HeadId{4, 0}));
  for (int i = 0; i < 20; ++i) {
    m_page->next_head();
  }
  QCOMPARE(m_workspace->view().selection().current, (HeadId{8, 2}));
}

void HeadDetailPageTest::the_heaviest_dropped_tokens_are_listed_and_selected() {
  open_both(tests::sample_run("ada-snapkv", "10%"));
  select({4, 0});
  auto* table = child<QTableWidget>("head-detail.dropped");
  QVERIFY(!table->isHidden());
  QCOMPARE(table->rowCount(), 50);
  const std::int64_t position = table->item(0, 0)->data(Qt::UserRole).toLongLong();
  QVERIFY(strip()->data().text_at(position).contains("dropped"));
  QCOMPARE(table->item(0, 1)->text(),
           QString::number(tests::sample_trace()->tokens()[static_cast<std::size_t>(position)]));
  table->setFocus();
  table->selectRow(0);
  QCOMPARE(m_workspace->view().selection().tokens, (TokenRange{position, position + 1}));
  QCOMPARE(strip()->cursor(), std::optional(position));
  // The table keeps its row, so that the arrows go on from it.
  QTest::keyClick(table, Qt::Key_Down);
  const std::int64_t second = table->item(1, 0)->data(Qt::UserRole).toLongLong();
  QCOMPARE(m_workspace->view().selection().tokens, (TokenRange{second, second + 1}));
}

void HeadDetailPageTest::c52_a_run_alone_offers_its_trace() {
  open({write(tests::sample_run("ada-snapkv", "10%"), "alone.kvrun")});
  QCOMPARE(strip()->data().tracks.size(), std::size_t{1});
  QVERIFY(strip()->data().curves.empty());
  auto* button = child<QPushButton>("head-detail.open_trace");
  QTRY_VERIFY_WITH_TIMEOUT(!button->isHidden(), kPatienceMs);
  QVERIFY(button->text().contains("smollm2-needle.kvtrace"));
  keep_picture(*m_page, "detail-page-alone");
  button->setFocus();
  QTest::keyClick(button, Qt::Key_Space);
  QTRY_COMPARE_WITH_TIMEOUT(strip()->data().curves.size(), std::size_t{2}, kPatienceMs);
  QVERIFY(button->isHidden());
  QVERIFY(hint().isEmpty());
}

void HeadDetailPageTest::another_trace_is_not_used() {
  nlohmann::ordered_json document = tests::sample_run("ada-snapkv", "10%")->document();
  document["trace"]["hash"] = std::string(32, '0');
  const auto run = std::make_shared<const Run>(std::move(document), "b");
  open({kSample, write(run, "other.kvrun")});
  QTRY_VERIFY_WITH_TIMEOUT(hint().contains("not the one"), kPatienceMs);
  QVERIFY(strip()->data().curves.empty());
  QVERIFY(strip()->data().token_ids.empty());
}

void HeadDetailPageTest::a_trace_alone_shows_attention() {
  open({kSample});
  QTRY_COMPARE_WITH_TIMEOUT(strip()->data().curves.size(), std::size_t{2}, kPatienceMs);
  QVERIFY(strip()->data().tracks.empty());
  QCOMPARE(child<QComboBox>("head-detail.head")->count(), 24);
  keep_picture(*m_page, "detail-page-trace");
}

void HeadDetailPageTest::c52_nothing_open_says_what_to_do() {
  QVERIFY(strip()->is_empty());
  QVERIFY(strip()->empty_text().contains("Open a trace"));
  QVERIFY(!child<QComboBox>("head-detail.head")->isEnabled());
  m_page->next_head();
  QVERIFY(m_workspace->view().selection().is_empty());
}

void HeadDetailPageTest::a_retrieval_run_shows_sinks_and_window() {
  m_workspace->show_run(std::make_shared<const Run>(kvsieve::tests::retrieval_document(), "a"));
  QCOMPARE(strip()->data().tracks.size(), std::size_t{1});
  QVERIFY(!strip()->data().tracks.front().lists_kept);
  QVERIFY(child<QTableWidget>("head-detail.dropped")->isHidden());
  keep_picture(*m_page, "detail-page-retrieval");
}

void HeadDetailPageTest::query_heads_have_attention_of_their_own() {
  const auto run = tests::sample_run("snapkv", "10%", sim::Granularity::kQueryHead);
  open_both(run);
  select({4, 7});
  QTRY_COMPARE_WITH_TIMEOUT(strip()->data().curves.size(), std::size_t{2}, kPatienceMs);
  QCOMPARE(strip()->data().tracks.front().name, QString("layer 4, query head 7"));
  const sim::Node& node = tests::head_node(*run, 4, 7);
  const double mass = mass_of(*strip()->data().curves.front().values,
                              dropped_runs(sim::kept_runs(node, 2009), 2009));
  QVERIFY(std::abs(mass - *node.number("evicted_mass")) < 1e-3);
}

void HeadDetailPageTest::c53_every_plot_says_captured() {
  open_both(tests::sample_run("ada-snapkv", "10%"));
  for (PlotView* plot : m_page->plots()) {
    QCOMPARE(plot->origin(), QString("captured"));
  }
}

}  // namespace
}  // namespace kvsieve::gui

QTEST_MAIN(kvsieve::gui::HeadDetailPageTest)
#include "head_detail_page_test.moc"
