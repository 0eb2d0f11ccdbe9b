#include "core/sweep_categories.h"

#include <gtest/gtest.h>

#include <QTemporaryDir>

#include "sweep_fixture.h"

namespace kvsieve::gui {
namespace {

TEST(SweepCategories, StandByValueOverAllRows) {
  const QTemporaryDir folder;
  const QString path = folder.filePath("s.db");
  {
    sim::SweepStore store(path.toStdString(), sim::SweepStore::Mode::kCreate,
                          tests::sweep_identity(5));
    const std::vector<sim::SweepRow> rows{
        {0, "a", R"({"method":"quest","budget":"20%","batch":"max"})", "{}", ""},
        {1, "b", R"({"method":"ada-snapkv","budget":"5%","batch":"8"})", "{}", ""},
        {2, "c", R"({"method":"quest","budget":"100%","batch":"16"})", "{}", ""},
        {3, "d", R"({"method":"full"})", "{}", ""}};
    store.add(rows);
  }
  const auto table = SweepTable::load(path, JobControl::detached());
  const SweepCategories budgets = categories_of(*table, "budget");
  EXPECT_EQ(budgets.names, (QStringList{"5%", "20%", "100%", "none"}));
  EXPECT_TRUE(budgets.numeric);
  EXPECT_EQ(budgets.of, (std::vector<std::size_t>{1, 0, 2, 3}));
  const SweepCategories batches = categories_of(*table, "batch");
  EXPECT_EQ(batches.names, (QStringList{"8", "16", "max", "none"}));
  EXPECT_FALSE(batches.numeric);
  EXPECT_EQ(categories_of(*table, "method").names, (QStringList{"ada-snapkv", "full", "quest"}));
  EXPECT_EQ(categories_of(*table, "nothing").of, (std::vector<std::size_t>(4, 0)));
}

}  // namespace
}  // namespace kvsieve::gui
