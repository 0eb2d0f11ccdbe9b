#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvsieve/sim/sweep_store.h"
#include "store_fixture.h"
#include "traces/temporary_folder.h"

namespace kvsieve::tests {
namespace {

using sim::SweepIdentity;
using sim::SweepRow;
using sim::SweepStore;

SweepRow row_of(std::int64_t number, std::string options, std::string metrics,
                std::string error = "") {
  return {number, key_of(number), std::move(options), std::move(metrics), std::move(error)};
}

std::string csv_of(const std::vector<SweepRow>& rows) {
  const TemporaryFolder folder;
  make_store(folder / "s", rows);
  return export_csv(SweepStore(folder / "s"));
}

std::string json_rows_of(const std::vector<SweepRow>& rows) {
  const TemporaryFolder folder;
  make_store(folder / "s", rows);
  const std::string text = export_json(SweepStore(folder / "s"));
  return text.substr(text.find("\"rows\":"));
}

TEST(SweepExport, HasTheUnionOfColumnsInOrderOfFirstAppearance) {
  const std::vector<SweepRow> rows{
      row_of(2, R"({"method":"full"})", R"({"tpot_ms":3,"l1_loss":0})"),
      row_of(0, R"({"method":"adakv","budget":"5%"})", R"({"l1_loss":0.125})"),
      row_of(1, R"({"method":"a2ats","top":"3%"})", "", "no codebook")};
  EXPECT_EQ(csv_of(rows),
            "number,method,budget,top,l1_loss,tpot_ms,error\r\n"
            "0,adakv,5%,,0.125,,\r\n"
            "1,a2ats,,3%,,,no codebook\r\n"
            "2,full,,,0,3,\r\n");
  EXPECT_EQ(
      json_rows_of(rows),
      "\"rows\":[\n"
      R"({"number":0,"options":{"method":"adakv","budget":"5%"},"metrics":{"l1_loss":0.125}},)"
      "\n"
      R"({"number":1,"options":{"method":"a2ats","top":"3%"},"error":"no codebook"},)"
      "\n"
      R"({"number":2,"options":{"method":"full"},"metrics":{"tpot_ms":3,"l1_loss":0}})"
      "\n]}\n");
}

TEST(SweepExport, OfNoRows) {
  EXPECT_EQ(csv_of({}), "number,error\r\n");
  EXPECT_EQ(json_rows_of({}), "\"rows\":[\n]}\n");
}

TEST(SweepExport, SaysWhatTheStoreIsOf) {
  const TemporaryFolder folder;
  make_store(folder / "s", finished_rows(0, 20));
  const auto document = nlohmann::ordered_json::parse(export_json(SweepStore(folder / "s")));
  EXPECT_EQ(document["schema"], "kvsieve.sweep/1");
  EXPECT_EQ(document["tool_version"], "0.7.0");
  EXPECT_EQ(document["isa"], "avx2");
  EXPECT_EQ(document["definition"].dump(), an_identity().definition);
  EXPECT_EQ(document["inputs"].dump(), an_identity().inputs);
  EXPECT_EQ(document["points"], 1000);
  EXPECT_FALSE(document.contains("mixed"));
  ASSERT_EQ(document["rows"].size(), 20U);
  EXPECT_EQ(document["rows"][19]["metrics"].dump(),
            nlohmann::ordered_json::parse(finished_row(19).metrics).dump());
  SweepIdentity other = an_identity();
  other.isa = "avx512";
  EXPECT_NE(export_json(SweepStore(folder / "s", SweepStore::Mode::kResume, other, true))
                .find("\"mixed\":true"),
            std::string::npos);
}

TEST(SweepExport, WritesNumbersInTheirShortestExactForm) {
  const std::vector<SweepRow> rows{
      row_of(0, R"({})",
             R"({"a":0.1,"b":0.30000000000000004,"c":5.0,"d":1e3,"e":1E-7,"f":5e-324,)"
             R"("g":1.7976931348623157e308,"h":9007199254740993,"i":-12,)"
             R"("j":18446744073709551615,"k":0.1000000000000000055511151231257827,"l":-0.0,)"
             R"("m":100000000000000000000000})")};
  EXPECT_EQ(csv_of(rows),
            "number,a,b,c,d,e,f,g,h,i,j,k,l,m,error\r\n"
            "0,0.1,0.30000000000000004,5,1000,1e-07,5e-324,1.7976931348623157e+308,"
            "9007199254740993,-12,18446744073709551615,0.1,-0,1e+23,\r\n");
  const std::string text = json_rows_of(rows);
  const auto document = nlohmann::json::parse("{" + text);
  EXPECT_EQ(document["rows"][0]["metrics"]["b"], 0.30000000000000004);
  EXPECT_EQ(document["rows"][0]["metrics"]["g"], 1.7976931348623157e308);
  EXPECT_NE(text.find(R"("j":18446744073709551615,"k":0.1,"l":-0,"m":1e+23)"), std::string::npos);
}

TEST(SweepExport, QuotesTexts) {
  const std::vector<SweepRow> rows{
      row_of(0, R"({"where \"x\"":"a,b","path":"c:\\d"})",
             R"({"note":"two\nlines","ok":true,"none":null,"empty":""})"),
      row_of(1, "{}", "", "bad \xff byte, \"quoted\"")};
  EXPECT_EQ(csv_of(rows),
            "number,\"where \"\"x\"\"\",path,note,ok,none,empty,error\r\n"
            "0,\"a,b\",c:\\d,\"two\nlines\",true,,,\r\n"
            "1,,,,,,,\"bad \xff byte, \"\"quoted\"\"\"\r\n");
  const auto document = nlohmann::json::parse("{" + json_rows_of(rows));
  EXPECT_EQ(document["rows"][0]["options"]["where \"x\""], "a,b");
  EXPECT_EQ(document["rows"][0]["metrics"]["note"], "two\nlines");
  EXPECT_EQ(document["rows"][0]["metrics"]["ok"], true);
  EXPECT_TRUE(document["rows"][0]["metrics"]["none"].is_null());
  EXPECT_EQ(document["rows"][0]["metrics"]["empty"], "");
  EXPECT_EQ(document["rows"][1]["error"], "bad \xef\xbf\xbd byte, \"quoted\"");
}

// batch=max goes in, the batch that fits comes out.
TEST(SweepExport, GivesEveryColumnANameOfItsOwn) {
  EXPECT_EQ(csv_of({row_of(0, R"({"batch":"max","number":"1"})", R"({"batch":212,"error":0.5})")}),
            "number,batch,options.number,metrics.batch,metrics.error,error\r\n"
            "0,max,1,212,0.5,\r\n");
}

TEST(SweepExport, DoesNotDependOnTheOrderOfInsertion) {
  std::vector<SweepRow> rows = finished_rows(0, 3000);
  rows[17] = failed_row(17);
  rows[5].options = R"({"budget":"1%","sinks":"4"})";
  const std::string csv = csv_of(rows);
  const std::string json = json_rows_of(rows);
  std::reverse(rows.begin(), rows.end());
  EXPECT_EQ(csv_of(rows), csv);
  EXPECT_EQ(json_rows_of(rows), json);
  // In shards' order, batch by batch, with a failure on the way.
  const TemporaryFolder folder;
  SweepStore store(folder / "s", SweepStore::Mode::kCreate, an_identity());
  for (std::int64_t shard = 0; shard < 7; ++shard) {
    std::vector<SweepRow> batch;
    std::vector<SweepRow> failures;
    for (std::int64_t i = shard; i < 3000; i += 7) {
      const SweepRow& row = rows[static_cast<std::size_t>(i)];
      failures.push_back(failed_row(row.number, "lost"));
      batch.push_back(row);
    }
    store.add(failures);
    store.add(batch);
  }
  EXPECT_EQ(export_csv(store), csv);
}

TEST(SweepExport, SaysWhichRowIsDamaged) {
  const TemporaryFolder folder;
  for (const char* garbled : {"{", "[1]", "7", R"({"a":[1]})", R"({"a":{"b":1}})", "{} {}",
                              R"({"a":1e999})", "{\"a\":\"\xff\"}"}) {
    std::filesystem::remove(folder / "s");
    make_store(folder / "s", {finished_row(0), row_of(1, garbled, "{}"), finished_row(2)});
    for (const auto& exported : {sim::export_csv, sim::export_json}) {
      const Error error = error_of([&] { (void)exported(SweepStore(folder / "s")); });
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      EXPECT_NE(std::string(error.what()).find("the options of point 1 are"), std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace kvsieve::tests
