#include "core/trace_lookup.h"

#include <gtest/gtest.h>

#include <QFile>
#include <QTemporaryDir>

#include "sample_runs.h"

namespace kvsieve::gui {
namespace {

/// A run of the sample whose document and path are these.
Run run_at(const QString& run_path, const std::string& trace_path, bool right_hash = true) {
  nlohmann::ordered_json document = tests::sample_run("snapkv", "10%")->document();
  document["trace"]["path"] = trace_path;
  if (!right_hash) {
    document["trace"]["hash"] = std::string(32, '0');
  }
  return {std::move(document), "run", run_path};
}

const QString kSample = QStringLiteral(KVSIEVE_SOURCE "/traces/samples/smollm2-needle.kvtrace");

TEST(TraceLookup, FindsTheTraceAtTheDocumentsPath) {
  const gui::Run run = run_at("/nowhere/a.kvrun", kSample.toStdString());
  EXPECT_EQ(find_trace(run, JobControl::detached()), kSample);
}

TEST(TraceLookup, FindsTheTraceBesideTheRunUnderAnyName) {
  const QTemporaryDir folder;
  ASSERT_TRUE(QFile::copy(kSample, folder.filePath("moved.kvtrace")));
  QFile other(folder.filePath("broken.kvtrace"));
  ASSERT_TRUE(other.open(QIODevice::WriteOnly));
  other.write("not a trace");
  other.close();
  const gui::Run run = run_at(folder.filePath("a.kvrun"), "/nowhere/smollm2.kvtrace");
  EXPECT_EQ(find_trace(run, JobControl::detached()), folder.filePath("moved.kvtrace"));
}

TEST(TraceLookup, AnotherTraceOfThatNameIsNotTaken) {
  const gui::Run run = run_at("", kSample.toStdString(), false);
  EXPECT_EQ(trace_candidates(run), QStringList{kSample});
  EXPECT_EQ(find_trace(run, JobControl::detached()), std::nullopt);
}

}  // namespace
}  // namespace kvsieve::gui
