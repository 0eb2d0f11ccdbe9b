#include "core/retrieval_options.h"

#include <gtest/gtest.h>

#include <QTemporaryDir>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"
#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

using nlohmann::ordered_json;

/// Replaying with what was read gives the run's document again.
void expect_the_run_again(const Run& run) {
  const sim::RetrievalOptions options = retrieval_options(run);
  const ordered_json again = sim::run_document(
      *tests::sample_trace(), sim::replay_retrieval(*tests::sample_trace(), options));
  EXPECT_EQ(again["method"], run.document()["method"]);
  EXPECT_EQ(again["summary"], run.document()["summary"]);
  EXPECT_EQ(again["layers"], run.document()["layers"]);
}

TEST(RetrievalOptions, EveryMethodRunsAgainFromItsDocument) {
  const tests::SampleRun bare{.layers = {4}, .cost = false};
  for (const sim::RetrievalOptions& preset : sim::retrieval_presets()) {
    SCOPED_TRACE(preset.name);
    expect_the_run_again(
        *tests::retrieval_run(preset.name.c_str(), bare, [](sim::RetrievalOptions& options) {
          options.top = sim::TopBudget::parse("1.5%");
          options.sinks = 5;
          options.window = 40;
          options.distance = 1000;
          options.seed = 18446744073709551557ULL;
          options.max_iterations = 3;
          options.codewords = options.scorer == sim::RetrievalScorer::kClusterCentroid ? 50 : 0;
          options.hot_buffer = 100;
          options.hot_policy = sim::HotPolicy::kLfu;
        }));
  }
}

TEST(RetrievalOptions, EveryParameterIsRead) {
  const tests::SampleRun bare{.layers = {4}, .cost = false};
  expect_the_run_again(*tests::retrieval_run("a2ats", bare, [](sim::RetrievalOptions& options) {
    options.codewords = 40;
    options.center_keys = true;
    options.codebook_dtype = traces::DType::kBF16;
    options.budget = sim::RetrievalBudget::kAdaptive;
    options.alpha = kernels::Decimal::parse("0.35");
    options.mass = kernels::Decimal::parse("87.5%");
    options.final_attention = sim::FinalAttention::kWrope;
    options.placement = sim::Placement::kCpuAttention;
  }));
  expect_the_run_again(*tests::retrieval_run("pq", bare, [](sim::RetrievalOptions& options) {
    options.pq_subvectors = 4;
    options.pq_bits = 5;
    options.max_iterations = 2;
  }));
  expect_the_run_again(*tests::retrieval_run(
      "channel-subset", bare, [](sim::RetrievalOptions& options) { options.channels = 7; }));
}

class GivenCodebook : public testing::Test {
 protected:
  void SetUp() override {
    train(m_folder.filePath("book.kvcodebook"), 32);
    m_run = tests::retrieval_run(
        "a2ats", {.layers = {4}, .cost = false}, [&](sim::RetrievalOptions& options) {
          options.codebook =
              std::make_shared<const sim::Codebook>(sim::Codebook::open(path().toStdString()));
        });
  }
  [[nodiscard]] QString path() const { return m_folder.filePath("book.kvcodebook"); }

  static void train(const QString& path, std::int64_t codewords) {
    const traces::Trace* traces[] = {tests::sample_trace().get()};
    sim::CodebookOptions options;
    options.codewords = codewords;
    options.max_iterations = 3;
    options.layers = {4};
    sim::train_codebook(traces, options).save(path.toStdString(), true);
  }
  /// What reading the options of a run ends with.
  static std::string failure_of(const gui::Run& run) {
    try {
      static_cast<void>(retrieval_options(run));
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  QTemporaryDir m_folder;
  std::shared_ptr<const gui::Run> m_run;
};

TEST_F(GivenCodebook, IsOpenedAtItsPath) {
  expect_the_run_again(*m_run);
}

TEST_F(GivenCodebook, IsFoundBesideTheRun) {
  const QTemporaryDir elsewhere;
  QFile::rename(path(), elsewhere.filePath("book.kvcodebook"));
  const gui::Run moved(m_run->document(), "run", elsewhere.filePath("run.kvrun"));
  EXPECT_TRUE(retrieval_options(moved).codebook);
  EXPECT_NE(failure_of(*m_run).find("book.kvcodebook is not there"), std::string::npos);
}

TEST_F(GivenCodebook, ThatChangedOrIsNotNamedIsRefused) {
  train(path(), 16);
  EXPECT_NE(failure_of(*m_run).find("another codebook by now"), std::string::npos);
  ordered_json unnamed = m_run->document();
  unnamed["method"]["codebook"].erase("path");
  EXPECT_NE(failure_of(gui::Run(unnamed, "run")).find("does not name"), std::string::npos);
}

TEST(RetrievalOptions, EvictionHasNone) {
  EXPECT_THROW(static_cast<void>(retrieval_options(*tests::sample_run("ada-snapkv", "20%"))),
               Error);
}

}  // namespace
}  // namespace kvsieve::gui
