#include "kvsieve/sim/run_view.h"

#include <gtest/gtest.h>

#include "../traces/fails_with.h"
#include "kvsieve/sim/report.h"
#include "run_documents.h"

namespace kvsieve::tests {
namespace {

using nlohmann::ordered_json;

testing::AssertionResult report_fails(ErrorKind kind, std::string_view part,
                                      const std::vector<ordered_json>& runs) {
  return fails_with(kind, part, [&] { static_cast<void>(sim::html_report(runs)); });
}

TEST(RunView, NeedsARun) {
  EXPECT_TRUE(report_fails(ErrorKind::kUsage, "at least one run", {}));
}

TEST(RunView, NamesTheRunAndTheField) {
  ordered_json broken = eviction_document();
  broken["layers"][1]["evicted_mass"] = "much";
  EXPECT_TRUE(report_fails(ErrorKind::kBadInput,
                           "run 2.layers[1]: evicted_mass is \"much\", expected a finite number",
                           {eviction_document(), broken}));
}

TEST(RunView, RejectsWhatIsNoRun) {
  EXPECT_TRUE(report_fails(ErrorKind::kBadInput, "run 1 is [], expected an object",
                           {ordered_json::array()}));
  EXPECT_TRUE(report_fails(ErrorKind::kBadInput, "schema is ''", {ordered_json::object()}));
  EXPECT_TRUE(
      report_fails(ErrorKind::kBadInput, "family is 'sorting'", {bare_document("sorting")}));
  ordered_json run = bare_document("eviction");
  run.erase("trace");
  EXPECT_TRUE(report_fails(ErrorKind::kBadInput, "run 1: trace is missing", {run}));
}

/// Whatever stands in place of a value: a report or an error of the one kind, never a crash.
TEST(RunView, EachValueMayHaveAnyType) {
  const std::vector<ordered_json> others = {nullptr,
                                            true,
                                            -1,
                                            1e308,
                                            "text",
                                            ordered_json::array(),
                                            ordered_json::array({1}),
                                            ordered_json::object()};
  for (const ordered_json& document : {eviction_document(), retrieval_document()}) {
    std::vector<std::string> pointers;
    const std::function<void(const ordered_json&, const std::string&)> collect =
        [&](const ordered_json& value, const std::string& pointer) {
          pointers.push_back(pointer);
          if (value.is_object()) {
            for (const auto& [key, inner] : value.items()) {
              collect(inner, pointer + "/" + key);
            }
          } else if (value.is_array() && !value.empty()) {
            collect(value[0], pointer + "/0");
          }
        };
    collect(document, "");
    for (const std::string& pointer : pointers) {
      for (const ordered_json& other : others) {
        ordered_json changed = document;
        changed[ordered_json::json_pointer(pointer)] = other;
        try {
          static_cast<void>(sim::html_report(std::vector{changed}));
          static_cast<void>(sim::screen_report(std::vector{changed}));
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kBadInput) << pointer << " = " << other;
          EXPECT_TRUE(std::string_view(error.what()).starts_with("run 1")) << error.what();
        }
      }
    }
  }
}

TEST(RunView, KeptRunsAscendWithinThePrompt) {
  for (const char* runs : {"[[5, 5]]", "[[5, 4]]", "[[-1, 4]]", "[[0, 101]]", "[[4, 8], [7, 9]]",
                           "[[1]]", "[[1, 2, 3]]", "[1, 2]", "[[0.5, 2]]", "{}"}) {
    ordered_json run = eviction_document({.layers = 1, .heads = 1});
    run["layers"][0]["heads"][0]["kept_runs"] = ordered_json::parse(runs);
    EXPECT_TRUE(report_fails(ErrorKind::kBadInput, "kept_runs", {run})) << runs;
  }
}

TEST(RunView, LooksUpNestedNumbers) {
  const ordered_json json = {{"a", {{"b", 1.5}, {"c", nullptr}}}};
  const sim::Node node(json, "run 1");
  EXPECT_EQ(node.number("a/b"), 1.5);
  EXPECT_EQ(node.number("a/c"), std::nullopt);
  EXPECT_EQ(node.number("a/d"), std::nullopt);
  EXPECT_EQ(node.number("x/y/z"), std::nullopt);
}

TEST(RunView, ShowsFileNamesWithoutTheirFolder) {
  for (const char* path : {"/home/user/tiny.kvtrace", "C:\\data\\tiny.kvtrace", "tiny.kvtrace"}) {
    ordered_json run = eviction_document();
    run["trace"]["path"] = path;
    EXPECT_EQ(sim::RunView(run, 1).trace.file, "tiny.kvtrace") << path;
  }
}

}  // namespace
}  // namespace kvsieve::tests
