#include "kvsieve/sim/hardware_profile.h"

#include <map>
#include <nlohmann/json.hpp>

#include "hardware/built_in_data.h"
#include "hardware/inheritance.h"
#include "hardware/profile_parts.h"
#include "hardware/sourced_fields.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

/// A part of a profile that may be named by id or given in full.
struct Part {
  const char* key;
  DataFolder folder;
};
constexpr Part kParts[] = {
    {"architecture", kArchitectureFolder}, {"link", kLinkFolder}, {"cpu", kCpuFolder}};

/// `json` with the parts that it names by id, or bases on one, written out.
ordered_json with_parts(ordered_json json, const std::string& path) {
  for (const Part& part : kParts) {
    if (!json.contains(part.key)) {
      continue;
    }
    ordered_json& item = json[part.key];
    if (item.is_string()) {
      item = ordered_json(named_built_in(traces::JsonFields(json, path), part.key, part.folder));
    } else if (item.is_object() && item.contains("base")) {
      // here.
      item = with_base(item, part.folder, path + "." + part.key);
    }
  }
  return json;
}

/// `json` over its base, all parts written out.
ordered_json whole_document(const ordered_json& json, const std::string& path) {
  const traces::JsonFields fields(json, path);
  if (!json.contains("base")) {
    return with_parts(json, path);
  }
  const std::optional<HardwareProfile> base = find_hardware(fields.string("base"));
  if (!base) {
    static_cast<void>(named_built_in(fields, "base", kGpuFolder));
  }
  ordered_json whole = to_json(*base);
  for (const char* key : {"id", "name", "aliases"}) {
    whole.erase(key);
  }
  // A part that names another replaces the base's; one that only says what differs goes over it.
  for (const Part& part : kParts) {
    if (json.contains(part.key) &&
        (!json[part.key].is_object() || json[part.key].contains("base"))) {
      whole.erase(part.key);
    }
  }
  whole = merged(std::move(whole), with_parts(json, path));
  whole.erase("base");
  return whole;
}

std::vector<std::string> aliases_from_json(const traces::JsonFields& fields) {
  std::vector<std::string> aliases;
  if (!fields.has("aliases")) {
    return aliases;
  }
  const ordered_json& json = fields.raw("aliases");
  if (!json.is_array()) {
    fields.fail("aliases", "an array of texts");
  }
  for (const ordered_json& alias : json) {
    if (!alias.is_string() || alias.get<std::string>().empty()) {
      fields.fail("aliases", "an array of texts");
    }
    aliases.push_back(alias.get<std::string>());
  }
  return aliases;
}

/// The built-in profiles by id.
const std::map<std::string, HardwareProfile>& profiles() {
  static const std::map<std::string, HardwareProfile> all = [] {
    std::map<std::string, HardwareProfile> read;
    for (std::string& id : built_in_ids(kGpuFolder)) {
      HardwareProfile profile = hardware_from_json(*find_built_in(kGpuFolder, id));
      read.emplace(std::move(id), std::move(profile));
    }
    return read;
  }();
  return all;
}

/// What a user may call the built-in profiles, in lower case -> the profile.
const std::map<std::string, const HardwareProfile*, std::less<>>& profiles_by_name() {
  static const auto all = [] {
    std::map<std::string, const HardwareProfile*, std::less<>> names;
    for (const auto& [id, profile] : profiles()) {
      names.emplace(lower_case(id), &profile);
      for (const std::string& alias : profile.aliases) {
        names.emplace(lower_case(alias), &profile);
      }
    }
    return names;
  }();
  return all;
}

bool is_path(std::string_view name) noexcept {
  return name.find('/') != std::string_view::npos || ends_in_json(name);
}

}  // namespace

std::vector<std::string> hardware_ids() {
  return built_in_ids(kGpuFolder);
}

std::vector<std::string> link_ids() {
  return built_in_ids(kLinkFolder);
}

std::vector<std::string> cpu_ids() {
  return built_in_ids(kCpuFolder);
}

std::optional<HardwareProfile> find_hardware(std::string_view id_or_alias) {
  const auto found = profiles_by_name().find(lower_case(id_or_alias));
  if (found == profiles_by_name().end()) {
    return std::nullopt;
  }
  return *found->second;
}

HardwareProfile load_hardware(const std::string& name) {
  if (is_path(name)) {
    return read_data_file(name, kGpuFolder, hardware_from_json);
  }
  std::optional<HardwareProfile> profile = find_hardware(name);
  if (!profile) {
    fail_unknown(kGpuFolder, name, hardware_ids());
  }
  return *std::move(profile);
}

LinkSpec load_link(const std::string& name) {
  const auto read = [](const ordered_json& json) {
    return link_from_json(with_base(json, kLinkFolder, "link"), "link");
  };
  if (is_path(name)) {
    return read_data_file(name, kLinkFolder, read);
  }
  const ordered_json* document = find_built_in(kLinkFolder, name);
  if (document == nullptr) {
    fail_unknown(kLinkFolder, name, link_ids());
  }
  return read(*document);
}

CpuSpec load_cpu(const std::string& name) {
  const auto read = [](const ordered_json& json) {
    return cpu_from_json(with_base(json, kCpuFolder, "cpu"), "cpu");
  };
  if (is_path(name)) {
    return read_data_file(name, kCpuFolder, read);
  }
  const ordered_json* document = find_built_in(kCpuFolder, name);
  if (document == nullptr) {
    fail_unknown(kCpuFolder, name, cpu_ids());
  }
  return read(*document);
}

ordered_json to_json(const HardwareProfile& profile) {
  ordered_json json = {{"id", profile.id},
                       {"name", profile.name},
                       {"aliases", profile.aliases},
                       {"gpu", to_json(profile.gpu)},
                       {"architecture", to_json(profile.architecture)},
                       {"link", to_json(profile.link)},
                       {"cpu", to_json(profile.cpu)}};
  if (profile.calibration) {
    json["calibration"] = to_json(*profile.calibration);
  }
  return json;
}

HardwareProfile hardware_from_json(const ordered_json& json) {
  const ordered_json whole = whole_document(json, "hardware");
  const traces::JsonFields fields(whole, "hardware");
  fields.allow_only(
      {"base", "id", "name", "aliases", "gpu", "architecture", "link", "cpu", "calibration"});
  HardwareProfile profile;
  profile.id = text_from_json(fields, "id");
  profile.name = fields.string_or("name", profile.id);
  profile.aliases = aliases_from_json(fields);
  profile.gpu = gpu_from_json(fields.raw("gpu"), "hardware.gpu");
  profile.architecture =
      architecture_from_json(fields.raw("architecture"), "hardware.architecture");
  profile.link = link_from_json(fields.raw("link"), "hardware.link");
  profile.cpu = cpu_from_json(fields.raw("cpu"), "hardware.cpu");
  if (fields.has("calibration")) {
    profile.calibration = calibration_from_json(fields.raw("calibration"));
  }
  return profile;
}

}  // namespace kvsieve::sim
