#include "hardware/inheritance.h"

namespace kvsieve::sim {

using nlohmann::ordered_json;

ordered_json merged(ordered_json base, const ordered_json& patch) {
  for (const auto& [key, item] : patch.items()) {
    const auto old = base.find(key);
    if (old != base.end() && old->is_object() && item.is_object() && !item.contains("value")) {
      *old = merged(std::move(*old), item);
    } else {
      base[key] = item;
    }
  }
  return base;
}

ordered_json with_base(const ordered_json& json, DataFolder folder, const std::string& path) {
  const traces::JsonFields fields(json, path);
  if (!json.contains("base")) {
    return json;
  }
  ordered_json base = named_built_in(fields, "base", folder);
  for (const char* key : {"id", "name", "aliases", "source", "verified"}) {
    base.erase(key);
  }
  ordered_json whole = merged(std::move(base), json);
  whole.erase("base");
  return whole;
}

}  // namespace kvsieve::sim
