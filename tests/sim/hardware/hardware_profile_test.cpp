// Profiles: names, files of users, inheritance, errors.

#include "kvsieve/sim/hardware_profile.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>

#include "hardware/built_in_data.h"
#include "kvsieve/sim/model_dimensions.h"
#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::read_bytes;
using kvsieve::tests::TemporaryFolder;
using kvsieve::tests::write_bytes;
using nlohmann::ordered_json;

ordered_json number(double value) {
  return {{"value", value}, {"source", "a test"}, {"verified", true}};
}

/// Loads a profile from a file with this text.
HardwareProfile from_file(const std::string& text) {
  const TemporaryFolder folder;
  write_bytes(folder / "mine.json", text);
  return load_hardware((folder / "mine.json").string());
}

/// Whether loading the file fails with one line that begins with its path and has `part`.
testing::AssertionResult file_fails(const std::string& text, const std::string& part) {
  const TemporaryFolder folder;
  const std::string path = (folder / "mine.json").string();
  write_bytes(path, text);
  try {
    static_cast<void>(load_hardware(path));
  } catch (const Error& error) {
    const std::string what = error.what();
    if (error.kind() != ErrorKind::kBadInput || !what.starts_with(path + ": ") ||
        what.find('\n') != std::string::npos || what.find(part) == std::string::npos) {
      return testing::AssertionFailure() << what;
    }
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "no error";
}

/// A built-in document with one value replaced.
std::string changed(const char* pointer, const ordered_json& value) {
  ordered_json json = to_json(load_hardware("h100-sxm"));
  json["id"] = "mine";
  json[ordered_json::json_pointer(pointer)] = value;
  return json.dump();
}

TEST(HardwareProfile, IdsAndAliasesOfTheCommandLine) {
  const std::multimap<std::string, std::string> names = {{"a100-sxm-40", ""},
                                                         {"a100-sxm-80", "a100_sxm"},
                                                         {"a100-pcie-40", ""},
                                                         {"a100-pcie-80", ""},
                                                         {"a800-sxm-80", "a800"},
                                                         {"h100-pcie", ""},
                                                         {"h100-sxm", "h100_sxm"},
                                                         {"h200-sxm", "h200_sxm"},
                                                         {"h20", "H20"},
                                                         {"h800-sxm", "H800"},
                                                         {"gh200", ""},
                                                         {"b200-sxm", "b200_sxm"},
                                                         {"gb200", ""},
                                                         {"l4", ""},
                                                         {"l40s", ""},
                                                         {"a10", ""},
                                                         {"rtx-3090", ""},
                                                         {"rtx-4090", "RTX4090"},
                                                         {"rtx-5090", ""},
                                                         {"rtx-pro-6000", "rtx_pro_6000_server"},
                                                         {"rtx-pro-6000", "RTXPRO6000"},
                                                         {"t4", ""}};
  std::set<std::string> ids;
  for (const auto& [id, alias] : names) {
    ids.insert(id);
    ASSERT_TRUE(find_hardware(id)) << id;
    EXPECT_EQ(find_hardware(id)->id, id);
    if (!alias.empty()) {
      ASSERT_TRUE(find_hardware(alias)) << alias;
      EXPECT_EQ(find_hardware(alias)->id, id);
    }
  }
  const std::vector<std::string> all = hardware_ids();
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()), ids);
}

TEST(HardwareProfile, LetterCaseDoesNotMatter) {
  EXPECT_EQ(find_hardware("nvidia a100-sxm4-80gb")->id, "a100-sxm-80");
  EXPECT_EQ(find_hardware("NVIDIA H100 80GB HBM3")->id, "h100-sxm");
  EXPECT_EQ(find_hardware("RTX-4090")->id, "rtx-4090");
  EXPECT_FALSE(find_hardware(""));
  EXPECT_FALSE(find_hardware("h100"));
}

TEST(HardwareProfile, NoNameMeansTwoProfiles) {
  std::map<std::string, std::string> owner;
  for (const std::string& id : hardware_ids()) {
    std::set<std::string> names = {id};
    for (const std::string& alias : load_hardware(id).aliases) {
      names.insert(lower_case(alias));
    }
    for (const std::string& name : names) {
      const auto [entry, added] = owner.emplace(name, id);
      EXPECT_TRUE(added) << name << " is " << entry->second << " and " << id;
    }
  }
}

TEST(HardwareProfile, KnowsItsArchitectureLinkAndHost) {
  EXPECT_EQ(load_hardware("a100-sxm-80").architecture.id, "ampere");
  EXPECT_EQ(load_hardware("rtx-4090").architecture.id, "ada");
  EXPECT_EQ(load_hardware("h200-sxm").link.id, "pcie5-x16");
  EXPECT_EQ(load_hardware("l4").link.id, "pcie4-x16");
  EXPECT_EQ(load_hardware("t4").link.id, "pcie3-x16");
  for (const char* id : {"gh200", "gb200"}) {
    EXPECT_EQ(load_hardware(id).link.id, "c2c-grace");
    EXPECT_EQ(load_hardware(id).cpu.id, "grace");
  }
}

TEST(HardwareProfile, DataSheets) {
  const GpuSpec a100 = load_hardware("a100-sxm-80").gpu;
  EXPECT_EQ(a100.sms.value, 108.0);
  EXPECT_EQ(a100.memory_bytes.value, 80.0 * 1024 * 1024 * 1024);
  EXPECT_EQ(a100.memory_gbps.value, 2039.0);
  EXPECT_EQ(a100.bf16_tflops.value, 312.0);
  EXPECT_EQ(a100.fp32_tflops.value, 19.5);
  EXPECT_EQ(a100.l2_bytes.value, 40.0 * 1024 * 1024);
  EXPECT_EQ(load_hardware("a100-sxm-40").gpu.memory_gbps.value, 1555.0);
  EXPECT_EQ(load_hardware("h100-sxm").gpu.memory_gbps.value, 3350.0);
  EXPECT_FALSE(load_hardware("t4").gpu.memory_gbps.verified);
}

TEST(HardwareProfile, ComesBackAsItWas) {
  for (const std::string& id : hardware_ids()) {
    HardwareProfile profile = load_hardware(id);
    EXPECT_EQ(to_json(hardware_from_json(to_json(profile))).dump(), to_json(profile).dump());
    profile.calibration.emplace().engine = "vLLM";
    const HardwareProfile back = hardware_from_json(to_json(profile));
    ASSERT_TRUE(back.calibration);
    EXPECT_EQ(back.calibration->engine, "vLLM");
  }
}

TEST(HardwareProfile, AFileMayNameItsParts) {
  ordered_json json = to_json(load_hardware("a100-pcie-80"));
  json["id"] = "mine";
  json["link"] = "pcie3-x16";
  json["cpu"] = "ryzen-7950x";
  json["architecture"] = "hopper";
  const HardwareProfile profile = from_file(json.dump());
  EXPECT_EQ(profile.link.id, "pcie3-x16");
  EXPECT_EQ(profile.cpu.id, "ryzen-7950x");
  EXPECT_EQ(profile.architecture.id, "hopper");
  EXPECT_EQ(profile.gpu.sms.value, 108.0);
}

TEST(HardwareProfile, AFileMaySayOnlyWhatDiffers) {
  const ordered_json json = {
      {"base", "H100_SXM"},
      {"id", "my-h100"},
      {"gpu", {{"memory_gbps", {{"value", 3072}, {"source", "older data sheet"}}}}},
      {"link", {{"base", "pcie4-x16"}, {"id", "my-link"}, {"latency_us", number(9)}}},
      {"cpu", "epyc-9654"},
      {"architecture", {{"gemm_flops", number(0.7)}}}};
  const HardwareProfile profile = from_file(json.dump());
  const HardwareProfile base = load_hardware("h100-sxm");
  EXPECT_EQ(profile.id, "my-h100");
  EXPECT_EQ(profile.name, "my-h100");
  EXPECT_TRUE(profile.aliases.empty());
  EXPECT_EQ(profile.gpu.memory_gbps.value, 3072.0);
  EXPECT_EQ(profile.gpu.memory_gbps.source, "older data sheet");
  EXPECT_FALSE(profile.gpu.memory_gbps.verified) << "not that of another number";
  EXPECT_EQ(profile.gpu.sms.value, base.gpu.sms.value);
  EXPECT_EQ(profile.link.id, "my-link");
  EXPECT_EQ(profile.link.latency_us.value, 9.0);
  EXPECT_EQ(profile.link.to_gpu.path(TransferPath::kDma)[0].gbps.value, 25.0);
  EXPECT_EQ(profile.cpu.id, "epyc-9654");
  EXPECT_EQ(profile.architecture.gemm_flops.value, 0.7);
  EXPECT_EQ(profile.architecture.gemm_bandwidth.value, base.architecture.gemm_bandwidth.value);
}

TEST(HardwareProfile, APartWithoutBaseGoesOverThatOfTheBase) {
  const ordered_json json = {{"base", "gh200"},
                             {"id", "mine"},
                             {"link", {{"to_host", {{"spec_gbps", number(300)}}}}},
                             {"cpu", {{"cores", number(64)}}}};
  const HardwareProfile profile = from_file(json.dump());
  EXPECT_EQ(profile.link.id, "c2c-grace");
  EXPECT_EQ(profile.link.to_host.spec_gbps.value, 300.0);
  EXPECT_EQ(profile.link.to_gpu.spec_gbps.value, 450.0);
  EXPECT_EQ(profile.cpu.cores.value, 64.0);
  EXPECT_EQ(profile.cpu.isa, "neon");
}

TEST(HardwareProfile, LinksAndCpusOfUsers) {
  const TemporaryFolder folder;
  const ordered_json link = {{"base", "pcie5-x16"}, {"id", "riser"}, {"both_gbps", number(70)}};
  const ordered_json cpu = {{"base", "grace"}, {"id", "mine"}, {"dram_gbps", number(384)}};
  write_bytes(folder / "link.json", link.dump());
  write_bytes(folder / "cpu.json", cpu.dump());
  EXPECT_EQ(load_link((folder / "link.json").string()).both_gbps.value, 70.0);
  EXPECT_EQ(load_cpu((folder / "cpu.json").string()).dram_gbps.value, 384.0);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput,
                         (folder / "cpu.json").string() + ": link.base is \"grace\"",
                         [&] { static_cast<void>(load_link((folder / "cpu.json").string())); }));
}

TEST(HardwareProfile, ExamplesOfTheDocumentationLoad) {
  const std::string text = read_bytes(KVSIEVE_HARDWARE_DOC);
  const std::string fence = "```json\n";
  const TemporaryFolder folder;
  std::vector<std::string> files;
  for (std::size_t at = text.find(fence); at != std::string::npos; at = text.find(fence, at)) {
    at += fence.size();
    files.push_back((folder / ("example" + std::to_string(files.size()) + ".json")).string());
    write_bytes(files.back(), text.substr(at, text.find("```", at) - at));
  }
  ASSERT_EQ(files.size(), 4U);
  EXPECT_EQ(load_hardware(files[0]).id, "our-h100");
  EXPECT_EQ(load_link(files[1]).id, "slow-link");
  EXPECT_EQ(load_cpu(files[2]).id, "our-host");
  EXPECT_EQ(load_model(files[3]).global_layers(), 28);
}

TEST(HardwareProfile, UnknownNamesGetTheNearestOnes) {
  const auto hint = [](auto&& load, const std::string& name) -> std::string {
    try {
      static_cast<void>(load(name));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find("'" + name + "' is unknown"), std::string::npos);
      return error.hint();
    }
    return "no error";
  };
  EXPECT_EQ(hint(load_hardware, "H100"), "did you mean h100-pcie or h100-sxm?");
  EXPECT_EQ(hint(load_hardware, "rtx-4080"), "did you mean rtx-4090?");
  EXPECT_TRUE(hint(load_hardware, "mi300x-oam-192").starts_with("there are a10, a100-pcie-40"));
  EXPECT_EQ(hint(load_link, "pcie5-16"), "did you mean pcie5-x16?");
  EXPECT_EQ(hint(load_cpu, "grce"), "did you mean grace?");
}

TEST(HardwareProfile, BadFilesGetOneLineWithPathAndField) {
  EXPECT_TRUE(file_fails("", "the hardware is not valid UTF-8 JSON"));
  EXPECT_TRUE(file_fails("{", "the hardware is not valid UTF-8 JSON"));
  EXPECT_TRUE(file_fails("[]", "hardware is [], expected an object"));
  EXPECT_TRUE(file_fails(R"({"id": "a", "id": "b"})", "has the key \"id\" twice"));
  EXPECT_TRUE(file_fails("{}", "hardware.id is missing, expected a string"));
  EXPECT_TRUE(file_fails(R"({"id": ""})", "hardware.id is \"\", expected text"));
  EXPECT_TRUE(file_fails(R"({"id": "a"})", "hardware.gpu is missing"));
  EXPECT_TRUE(file_fails(R"({"base": 4, "id": "a"})", "hardware.base is 4, expected a string"));
  EXPECT_TRUE(file_fails(R"({"base": "h101", "id": "a"})",
                         "hardware.base is \"h101\", expected the id of a built-in hardware"));
  EXPECT_TRUE(file_fails(R"({"base": "h100-sxm"})", "hardware.id is missing"));
  EXPECT_TRUE(file_fails(R"({"base": "t4", "id": "a", "link": {"base": "pcie9"}})",
                         "hardware.link.base is \"pcie9\", expected the id of a built-in link"));
  EXPECT_TRUE(file_fails(changed("/cpu", "z80"), "hardware.cpu is \"z80\", expected the id of"));
  EXPECT_TRUE(file_fails(changed("/cpu", 4), "hardware.cpu is 4, expected an object"));
  EXPECT_TRUE(file_fails(changed("/aliases", {1}), "hardware.aliases is [1], expected an array"));
  EXPECT_TRUE(file_fails(changed("/gpu/sms", 132), "hardware.gpu.sms is 132, expected an object"));
  EXPECT_TRUE(file_fails(changed("/gpu/sms", nullptr), "hardware.gpu.sms is null"));
  EXPECT_TRUE(file_fails(changed("/gpu/sms/value", 0), "hardware.gpu.sms.value is 0, expected"));
  EXPECT_TRUE(file_fails(changed("/gpu/sms/value", "132"), "hardware.gpu.sms.value is \"132\""));
  EXPECT_TRUE(file_fails(changed("/gpu/sms/source", ""), "hardware.gpu.sms.source is \"\""));
  EXPECT_TRUE(file_fails(changed("/gpu/sms/verified", 1), "hardware.gpu.sms.verified is 1"));
  EXPECT_TRUE(file_fails(changed("/gpu/sms/unit", "SM"), "hardware.gpu.sms.unit is unknown"));
  EXPECT_TRUE(
      file_fails(changed("/gpu/memory_gb", number(80)), "hardware.gpu.memory_gb is unknown"));
  EXPECT_TRUE(file_fails(changed("/architecture/gemm_flops/value", 1.01),
                         "hardware.architecture.gemm_flops.value is 1.01, expected a share"));
  EXPECT_TRUE(file_fails(changed("/link/to_gpu/paths/dma", ordered_json::array()),
                         "hardware.link.to_gpu.paths.dma is [], expected segments"));
  EXPECT_TRUE(file_fails(changed("/link/to_gpu/paths/nvlink", ordered_json::array()),
                         "hardware.link.to_gpu.paths.nvlink is unknown"));
  EXPECT_TRUE(file_fails(changed("/link/to_gpu/paths/dma/0/from_bytes", 1),
                         "hardware.link.to_gpu.paths.dma[0].from_bytes is 1, expected 0"));
  EXPECT_TRUE(file_fails(changed("/link/to_host/paths/dma/2/from_bytes", 8192),
                         "hardware.link.to_host.paths.dma[2].from_bytes is 8192, expected more"));
  EXPECT_TRUE(file_fails(changed("/link/to_gpu/paths/dma/0/gbps/value", 0),
                         "hardware.link.to_gpu.paths.dma[0].gbps.value is 0"));
  EXPECT_TRUE(file_fails(changed("/cpu/fork_us/value", -1), "hardware.cpu.fork_us.value is -1"));
  EXPECT_TRUE(file_fails(changed("/calibration", 1), "calibration is 1, expected an object"));
}

TEST(HardwareProfile, UnknownKeysGetTheNearestOne) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.json", changed("/gpu/memory_gpbs", number(80)));
  try {
    static_cast<void>(load_hardware((folder / "a.json").string()));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.hint(), "did you mean memory_gbps?");
  }
}

TEST(HardwareProfile, MissingFiles) {
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "/nowhere/x.json: no such file",
                         [] { static_cast<void>(load_hardware("/nowhere/x.json")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "x.json: no such file",
                         [] { static_cast<void>(load_cpu("x.json")); }));
}

TEST(HardwareProfile, ThreadsMayLoadAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (const std::string& id : hardware_ids()) {
        EXPECT_EQ(load_hardware(id).id, id);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace kvsieve::sim::tests
