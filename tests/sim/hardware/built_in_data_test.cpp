// The data files: all embedded, all readable, every number with a source.

#include "hardware/built_in_data.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/model_dimensions.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::read_bytes;
using nlohmann::ordered_json;

constexpr DataFolder kFolders[] = {kGpuFolder, kArchitectureFolder, kLinkFolder, kCpuFolder,
                                   kModelFolder};

/// Calls `visit` for every number of a document that stands under a key.
void for_each_number(const ordered_json& json, const std::string& path,
                     const std::function<void(const std::string&, const ordered_json&)>& visit) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_number()) {
      visit(path + "." + key, json);
    } else if (value.is_structured()) {
      for_each_number(value, path + "." + key, visit);
    }
  }
}

TEST(BuiltInData, HoldsEveryFileOfTheFolderByteForByte) {
  const std::filesystem::path root(KVSIEVE_HARDWARE_DATA);
  std::set<std::string> on_disk;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      on_disk.insert(std::filesystem::relative(entry.path(), root).string());
    }
  }
  std::set<std::string> embedded;
  for (const BuiltInFile& file : built_in_files()) {
    embedded.emplace(file.path);
    EXPECT_TRUE(file.text == read_bytes(root / file.path)) << file.path;
  }
  EXPECT_EQ(embedded, on_disk);
}

TEST(BuiltInData, EveryFileLoads) {
  for (const std::string& id : hardware_ids()) {
    EXPECT_EQ(load_hardware(id).id, id);
  }
  for (const std::string& id : link_ids()) {
    EXPECT_EQ(load_link(id).id, id);
  }
  for (const std::string& id : cpu_ids()) {
    EXPECT_EQ(load_cpu(id).id, id);
  }
  for (const std::string& id : model_ids()) {
    EXPECT_EQ(load_model(id).id, id);
  }
}

TEST(BuiltInData, IdsEqualTheNamesOfTheirFiles) {
  for (const DataFolder folder : kFolders) {
    EXPECT_FALSE(built_in_ids(folder).empty()) << folder.name;
    for (const std::string& id : built_in_ids(folder)) {
      EXPECT_EQ(find_built_in(folder, id)->at("id"), id);
      EXPECT_EQ(id, lower_case(id));
    }
  }
}

TEST(BuiltInData, EveryHardwareNumberHasAValueASourceAndAVerdict) {
  std::size_t numbers = 0;
  for (const DataFolder folder : {kGpuFolder, kArchitectureFolder, kLinkFolder, kCpuFolder}) {
    for (const std::string& id : built_in_ids(folder)) {
      for_each_number(*find_built_in(folder, id), id,
                      [&](const std::string& path, const ordered_json& holder) {
                        if (path.ends_with(".from_bytes")) {
                          return;
                        }
                        ++numbers;
                        EXPECT_TRUE(path.ends_with(".value")) << path;
                        EXPECT_TRUE(holder.contains("source") && holder["source"] != "") << path;
                        EXPECT_TRUE(holder.contains("verified")) << path;
                      });
    }
  }
  EXPECT_GT(numbers, 250U);
}

TEST(BuiltInData, EfficienciesBelongToArchitecturesAlone) {
  for (const std::string& id : built_in_ids(kGpuFolder)) {
    const ordered_json& json = *find_built_in(kGpuFolder, id);
    EXPECT_TRUE(json.at("architecture").is_string()) << id;
    // Data sheet numbers alone, of which there are seven.
    EXPECT_EQ(json.at("gpu").size(), 7U) << id;
  }
}

TEST(BuiltInData, EveryModelHasASource) {
  for (const std::string& id : built_in_ids(kModelFolder)) {
    EXPECT_NE(load_model(id).source, "");
    EXPECT_TRUE(find_built_in(kModelFolder, id)->contains("verified")) << id;
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
