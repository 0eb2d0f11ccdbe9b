#include "kvsieve/profile/recording.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "kvsieve/traces/safetensors.h"

namespace kvsieve::profile {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormat = "kvsieve.activity";
constexpr const char* kVersion = "1";
constexpr std::int64_t kMost32 = std::numeric_limits<std::uint32_t>::max();

ordered_json names_to_json(const std::map<std::uint32_t, std::string>& names) {
  ordered_json json = ordered_json::array();
  for (const auto& [number, name] : names) {
    json.push_back({{"number", number}, {"name", name}});
  }
  return json;
}

std::map<std::uint32_t, std::string> names_from_json(const traces::JsonFields& fields,
                                                     std::string_view key) {
  std::map<std::uint32_t, std::string> names;
  for (const traces::JsonFields& entry : fields.objects(key)) {
    names[static_cast<std::uint32_t>(entry.integer("number", 0, kMost32))] = entry.string("name");
  }
  return names;
}

std::vector<std::string> texts_from_json(const traces::JsonFields& fields, std::string_view key) {
  const ordered_json& json = fields.raw(key);
  std::vector<std::string> texts;
  if (!json.is_array()) {
    fields.fail(key, "an array of texts");
  }
  for (const ordered_json& text : json) {
    if (!text.is_string()) {
      fields.fail(key, "an array of texts");
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

std::vector<std::int32_t> whole_tensor(const traces::SafetensorsFile& file, const char* name) {
  const traces::TensorView view = file.tensor(name);
  if (view.dtype != traces::DType::kI32 || view.shape.size() != 1) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: the tensor {} is {} in {} dimensions, "
                                                  "expected I32 in 1",
                                                  file.path().string(), name,
                                                  traces::name_of(view.dtype), view.shape.size()));
  }
  std::vector<std::int32_t> values(static_cast<std::size_t>(view.elements()));
  if (!values.empty()) {
    std::memcpy(values.data(), view.data, view.bytes());
  }
  return values;
}

/// Texts of a program may hold any bytes; JSON is UTF-8.
std::string dumped(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void check_sizes(const ActivityRecording& recording, const std::string& path) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < recording.sizes.size(); ++i) {
    const std::int32_t size = recording.sizes[i];
    if (size < 8 || size % 8 != 0) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("{}: record {} has {} bytes, expected a multiple of 8", path, i, size));
    }
    total += static_cast<std::size_t>(size);
  }
  if (total != recording.records.size()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: the records have {} bytes, their sizes add up to {}", path,
                            recording.records.size(), total));
  }
}

}  // namespace

void write_recording(const std::filesystem::path& path, const ActivityRecording& recording,
                     bool overwrite) {
  const ordered_json document = {{"cupti_version", recording.cupti_version},
                                 {"dropped", recording.dropped},
                                 {"run",
                                  {{"tool_version", recording.run.tool_version},
                                   {"words", recording.run.words},
                                   {"trace", recording.run.trace_name},
                                   {"trace_hash", recording.run.trace_hash},
                                   {"layers", recording.run.layers}}},
                                 {"runtime_calls", names_to_json(recording.runtime_calls)},
                                 {"driver_calls", names_to_json(recording.driver_calls)},
                                 {"texts", recording.texts}};
  constexpr std::size_t kWord = sizeof(std::int32_t);
  std::vector<std::int32_t> words(recording.records.size() / kWord);
  if (!words.empty()) {
    std::memcpy(words.data(), recording.records.data(), recording.records.size());
  }
  traces::SafetensorsWriter writer(
      path, {{"format", kFormat}, {"version", kVersion}, {"kvsieve", dumped(document)}},
      {{"records", traces::DType::kI32, {static_cast<std::int64_t>(words.size())}},
       {"sizes", traces::DType::kI32, {static_cast<std::int64_t>(recording.sizes.size())}}},
      overwrite);
  writer.write("records", 0, words);
  writer.write("sizes", 0, recording.sizes);
  writer.commit();
}

ActivityRecording read_recording(const std::filesystem::path& path) {
  const traces::SafetensorsFile file = traces::SafetensorsFile::open(path);
  const std::map<std::string, std::string>& metadata = file.header().metadata;
  const auto value = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  const std::string shown = path.string();
  if (value("format") != kFormat || value("version") != kVersion) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: format '{}' version '{}', expected {} version {}", shown,
                            traces::printable(value("format")), traces::printable(value("version")),
                            kFormat, kVersion),
                "`kvsieve profile --record FILE` writes one");
  }
  ActivityRecording recording;
  try {
    const ordered_json json = traces::parse_json(value("kvsieve"), "the description");
    const traces::JsonFields fields(json, "the description");
    fields.allow_only(
        {"cupti_version", "dropped", "run", "runtime_calls", "driver_calls", "texts"});
    recording.cupti_version =
        static_cast<std::uint32_t>(fields.integer("cupti_version", 0, kMost32));
    recording.dropped = fields.integer("dropped", 0, INT64_MAX);
    recording.runtime_calls = names_from_json(fields, "runtime_calls");
    recording.driver_calls = names_from_json(fields, "driver_calls");
    recording.texts = texts_from_json(fields, "texts");
    const traces::JsonFields run = fields.object("run");
    run.allow_only({"tool_version", "words", "trace", "trace_hash", "layers"});
    recording.run.tool_version = run.string("tool_version");
    recording.run.words = texts_from_json(run, "words");
    recording.run.trace_name = run.string("trace");
    recording.run.trace_hash = run.string("trace_hash");
    recording.run.layers = run.integers("layers", 0, INT32_MAX);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", shown, error.what()), error.hint());
  }
  const std::vector<std::int32_t> words = whole_tensor(file, "records");
  recording.records.resize(words.size() * sizeof(std::int32_t));
  if (!words.empty()) {
    std::memcpy(recording.records.data(), words.data(), recording.records.size());
  }
  recording.sizes = whole_tensor(file, "sizes");
  check_sizes(recording, shown);
  return recording;
}

}  // namespace kvsieve::profile
