#include "core/sweep_choices.h"

#include <gtest/gtest.h>

#include <QTemporaryDir>

#include "sweep_fixture.h"

namespace kvsieve::gui {
namespace {

std::shared_ptr<const SweepTable> table_of(const QTemporaryDir& folder,
                                           const std::vector<sim::SweepRow>& rows) {
  const QString path = folder.filePath("s.db");
  {
    sim::SweepStore store(path.toStdString(), sim::SweepStore::Mode::kCreate,
                          tests::sweep_identity(5));
    store.add(rows);
  }
  return SweepTable::load(path, JobControl::detached());
}

TEST(SweepChoices, WhatVariesComesFirst) {
  const QTemporaryDir folder;
  tests::write_store(folder.filePath("s.db"), 0, 120, 120);
  const auto table = SweepTable::load(folder.filePath("s.db"), JobControl::detached());
  const SweepChoices choices = sweep_choices(*table);
  EXPECT_EQ(choices.options, (QStringList{"method", "budget", "batch", "trace", "no-cost"}))
      << choices.options.join(' ').toStdString();
  EXPECT_EQ(choices.metrics.size(), 6);
  EXPECT_EQ(choices.metrics.back(), "loss_context");
  EXPECT_EQ(choices.x, "tokens_per_second");
  EXPECT_EQ(choices.y, "l1_loss_relative");
  EXPECT_EQ(choices.colour, "method");
}

TEST(SweepChoices, AxesAreTwoMetricsThatVary) {
  const QTemporaryDir folder;
  const auto table =
      table_of(folder, {{0, "a", R"({"method":"quest","budget":"20%"})",
                         R"({"recall":0.5,"tokens_per_second":10,"gpu_bytes":4})", ""},
                        {1, "b", R"({"method":"quest","budget":"5%"})",
                         R"({"recall":0.6,"tokens_per_second":10,"gpu_bytes":8})", ""}});
  const SweepChoices choices = sweep_choices(*table);
  EXPECT_EQ(choices.x, "gpu_bytes");
  EXPECT_EQ(choices.y, "recall");
  EXPECT_EQ(choices.colour, "budget");
}

TEST(SweepChoices, WithoutOneThatVariesTheFirstTwo) {
  const QTemporaryDir folder;
  const auto table =
      table_of(folder, {{0, "a", R"({"method":"quest"})", R"({"batch":1,"fits":1})", ""}});
  const SweepChoices choices = sweep_choices(*table);
  EXPECT_EQ(choices.x, "batch");
  EXPECT_EQ(choices.y, "fits");
  const QTemporaryDir other;
  const SweepChoices none =
      sweep_choices(*table_of(other, {{0, "a", R"({"method":"quest"})", "{}", "no memory"}}));
  EXPECT_EQ(none.x, QString());
  EXPECT_EQ(none.y, QString());
}

}  // namespace
}  // namespace kvsieve::gui
