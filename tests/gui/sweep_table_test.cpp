#include "core/sweep_table.h"

#include <gtest/gtest.h>

#include <QTemporaryDir>
#include <cmath>

#include "kvsieve/traces/error.h"
#include "sweep_fixture.h"

namespace kvsieve::gui {
namespace {

using tests::sweep_row;
using tests::write_store;

std::shared_ptr<const SweepTable> load(const QString& path) {
  return SweepTable::load(path, JobControl::detached());
}

std::shared_ptr<const SweepTable> refreshed(const std::shared_ptr<const SweepTable>& table) {
  return SweepTable::refreshed(table, JobControl::detached());
}

TEST(SweepTable, HoldsRowsColumnByColumn) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  write_store(path, 0, 60, 100);
  const auto table = load(path);
  ASSERT_EQ(table->rows(), 60U);
  EXPECT_EQ(table->failed(), 2U);
  EXPECT_EQ(table->name(), "s.db");
  EXPECT_EQ(table->identity().points, 100);
  ASSERT_EQ(table->options().size(), 5U);
  EXPECT_EQ(table->options()[1].name, "method");
  EXPECT_EQ(table->option("method")->text(1), "ada-snapkv");
  EXPECT_EQ(table->option("method")->distinct.size(), 4U);  // with the absent one
  EXPECT_DOUBLE_EQ(table->option("budget")->number(3), 0.1);
  EXPECT_TRUE(std::isnan(table->option("method")->number(3)));
  EXPECT_EQ(table->metric("gpu_bytes")->number(5), 1'005'000.0);
  EXPECT_TRUE(std::isnan(table->metric("gpu_bytes")->number(7)));
  EXPECT_EQ(table->metric("nothing"), nullptr);
  EXPECT_TRUE(table->is_failed(7));
  EXPECT_EQ(table->error(7), "out of memory, point 7");
  EXPECT_EQ(table->key(4), sweep_row(4).key);
  EXPECT_TRUE(table->option("budget")->varies);
  EXPECT_FALSE(table->option("trace")->varies);
  EXPECT_FALSE(table->metric("loss_context")->varies);  // absent in failed rows alone
  EXPECT_EQ(table->label(1), "#1 ada-snapkv, budget 5%, batch 1");
}

TEST(SweepTable, ReadsOnlyWhatIsNew) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  write_store(path, 0, 40, 100);
  const auto first = load(path);
  EXPECT_EQ(refreshed(first), first);
  write_store(path, 40, 70, 100);
  const auto second = refreshed(first);
  EXPECT_EQ(first->rows(), 40U);
  ASSERT_EQ(second->rows(), 70U);
  EXPECT_EQ(second->failed(), 2U);
  EXPECT_EQ(second->option("method")->text(69), "snapkv");
  EXPECT_EQ(second->option("method")->distinct.size(), 4U);
  for (std::size_t row = 0; row < 70; ++row) {
    EXPECT_EQ(second->key(row), sweep_row(static_cast<std::int64_t>(row)).key);
  }
}

TEST(SweepTable, SeesFailedPointsThatWereTriedAgain) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  write_store(path, 0, 10, 10);
  const auto before = load(path);
  ASSERT_TRUE(before->is_failed(7));
  sim::SweepRow row = sweep_row(8);
  row.number = 7;
  row.key = sweep_row(7).key;
  sim::SweepStore(path.toStdString(), sim::SweepStore::Mode::kResume, tests::sweep_identity(10))
      .add({&row, 1});
  const auto after = refreshed(before);
  EXPECT_EQ(after->rows(), 10U);
  EXPECT_EQ(after->failed(), 0U);
  EXPECT_EQ(after->metric("gpu_bytes")->number(7), 1'008'000.0);
  EXPECT_TRUE(before->is_failed(7));
}

TEST(SweepTable, AnotherStoreInItsPlaceIsReadAnew) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  write_store(path, 0, 40, 100);
  const auto before = load(path);
  ASSERT_TRUE(QFile::remove(path));
  write_store(path, 20, 30, 100);
  const auto after = refreshed(before);
  ASSERT_EQ(after->rows(), 10U);
  EXPECT_EQ(after->number(0), 20);
}

TEST(SweepTable, NamesTheFileThatIsNoStore) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  QFile file(path);
  ASSERT_TRUE(file.open(QIODevice::WriteOnly));
  file.write("no SQLite file at all, but long enough to be taken for one by its size");
  file.close();
  try {
    static_cast<void>(load(path));
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(QString(error.what()).startsWith(path)) << error.what();
  }
  QFile::remove(path);
  write_store(path, 0, 3, 3);
  sim::SweepRow row = sweep_row(3);
  row.metrics = "[1]";
  sim::SweepStore(path.toStdString(), sim::SweepStore::Mode::kResume, tests::sweep_identity(3))
      .add({&row, 1});
  try {
    static_cast<void>(load(path));
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(QString(error.what()).startsWith(path)) << error.what();
    EXPECT_TRUE(QString(error.what()).contains("point 3")) << error.what();
  }
}

TEST(SweepTable, C59GivesTheWordsOfAPointsCommand) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  write_store(path, 0, 3, 3);
  const auto table = load(path);
  EXPECT_EQ(table->command_words(1), (QStringList{"run", "a b.kvtrace", "--method", "ada-snapkv",
                                                  "--budget", "5%", "--batch", "1"}));
  EXPECT_EQ(table->command(1),
            "kvsieve run 'a b.kvtrace' --method ada-snapkv --budget 5% --batch 1");
  const QString costs = folder.filePath("c.db");
  sim::SweepRow row{0, "k", R"({"method":"quest","overlap":"true"})", "{}", ""};
  sim::SweepStore(costs.toStdString(), sim::SweepStore::Mode::kCreate, tests::sweep_identity(1))
      .add({&row, 1});
  EXPECT_EQ(load(costs)->command(0), "kvsieve cost --method quest --overlap");
}

}  // namespace
}  // namespace kvsieve::gui
