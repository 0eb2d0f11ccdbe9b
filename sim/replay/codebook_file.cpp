#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/codebook.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"
#include "replay/codebook_builder.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;
using traces::JsonFields;

constexpr std::string_view kFormat = "kvsieve.codebook";
constexpr std::string_view kVersion = "1";
constexpr std::int64_t kMaxCodewords = 65536;
constexpr std::int64_t kMaxCount = INT64_MAX;

ordered_json to_json(const TrainingRecord& record) {
  return {{"rows", record.rows},
          {"query_rows", record.query_rows},
          {"iterations", record.iterations},
          {"converged", record.converged},
          {"reseeded", record.reseeded},
          {"dead_codes", record.dead_codes},
          {"condition_number", record.condition_number},
          {"objective", record.objective}};
}

ordered_json to_json(const CodebookInfo& info, std::span<const CodebookLayer> layers) {
  ordered_json json = {{"model", to_json(info.model)},      {"kind", name_of(info.kind)},
                       {"moment", name_of(info.moment)},    {"codewords", info.codewords},
                       {"distance", info.distance},         {"max_iterations", info.max_iterations},
                       {"tolerance", info.tolerance},       {"seed", info.seed},
                       {"seeding", name_of(info.seeding)},  {"center_keys", info.center_keys},
                       {"tool_version", info.tool_version}, {"traces", ordered_json::array()},
                       {"warnings", info.warnings},         {"layers", ordered_json::array()}};
  for (const CalibrationTrace& trace : info.traces) {
    json["traces"].push_back({{"name", trace.name},
                              {"hash", trace.hash},
                              {"prompt_tokens", trace.prompt_tokens},
                              {"prompt_queries", trace.prompt_queries}});
  }
  for (const CodebookLayer& layer : layers) {
    ordered_json heads = ordered_json::array();
    for (const TrainingRecord& record : layer.heads) {
      heads.push_back(to_json(record));
    }
    json["layers"].push_back({{"layer", layer.layer}, {"heads", std::move(heads)}});
  }
  return json;
}

/// The elements of an array of objects, each with its own path for errors.
template <class Read>
void for_objects(const JsonFields& fields, std::string_view key, std::string_view path, Read read) {
  const ordered_json& array = fields.raw(key);
  if (!array.is_array()) {
    fields.fail(key, "an array");
  }
  for (std::size_t i = 0; i < array.size(); ++i) {
    read(JsonFields(array[i], fmt::format("{}.{}[{}]", path, key, i)));
  }
}

TrainingRecord record_from_json(const JsonFields& fields) {
  TrainingRecord record;
  record.rows = fields.integer("rows", 1, kMaxCount);
  record.query_rows = fields.integer("query_rows", 0, kMaxCount);
  record.iterations = fields.integer("iterations", 0, kMaxCount);
  record.converged = fields.boolean_or("converged", false);
  record.reseeded = fields.integer("reseeded", 0, kMaxCount);
  record.dead_codes = fields.integer("dead_codes", 0, kMaxCodewords);
  record.condition_number = fields.positive("condition_number");
  const ordered_json& objective = fields.raw("objective");
  const auto is_number = [](const ordered_json& value) { return value.is_number(); };
  if (!objective.is_array() || !std::all_of(objective.begin(), objective.end(), is_number)) {
    fields.fail("objective", "an array of numbers");
  }
  objective.get_to(record.objective);
  return record;
}

CodebookInfo info_from_json(const JsonFields& fields) {
  CodebookInfo info;
  info.model = traces::model_shape_from_json(fields.raw("model"));
  const std::string kind = fields.string("kind");
  if (kind != name_of(CodebookKind::kPlain) && kind != name_of(CodebookKind::kQueryAware) &&
      kind != name_of(CodebookKind::kPostRope)) {
    fields.fail("kind", "plain, query-aware or post-rope");
  }
  info.kind = codebook_kind_from_name(kind);
  const std::string moment = fields.string("moment");
  if (moment != name_of(MomentQueries::kWrope) && moment != name_of(MomentQueries::kRope)) {
    fields.fail("moment", "wrope or rope");
  }
  info.moment = moment_queries_from_name(moment);
  info.center_keys = fields.boolean_or("center_keys", false);
  info.codewords = fields.integer("codewords", 1, kMaxCodewords);
  info.distance = fields.integer("distance", 0, INT32_MAX);
  info.max_iterations = fields.integer("max_iterations", 1, kMaxCount);
  info.tolerance = fields.number("tolerance");
  if (!fields.raw("seed").is_number_unsigned()) {
    fields.fail("seed", "an integer of 0 or more");
  }
  fields.raw("seed").get_to(info.seed);
  const std::string seeding =
      fields.string_or("seeding", std::string(name_of(CodebookSeeding::kPlusPlus)));
  if (seeding != name_of(CodebookSeeding::kPlusPlus) &&
      seeding != name_of(CodebookSeeding::kSampled)) {
    fields.fail("seeding", "plus-plus or sampled");
  }
  info.seeding = codebook_seeding_from_name(seeding);
  info.tool_version = fields.string("tool_version");
  for_objects(fields, "traces", "kvsieve", [&](const JsonFields& trace) {
    info.traces.push_back({trace.string("name"), trace.string("hash"),
                           trace.integer("prompt_tokens", 1, kMaxCount),
                           trace.integer("prompt_queries", 0, kMaxCount)});
  });
  const ordered_json& warnings = fields.raw("warnings");
  const auto is_text = [](const ordered_json& value) { return value.is_string(); };
  if (!warnings.is_array() || !std::all_of(warnings.begin(), warnings.end(), is_text)) {
    fields.fail("warnings", "an array of strings");
  }
  warnings.get_to(info.warnings);
  return info;
}

/// A tensor of numbers of exactly this shape.
traces::TensorView checked_tensor(const traces::SafetensorsFile& file, const std::string& name,
                                  const std::vector<std::int64_t>& shape) {
  traces::TensorView tensor = file.tensor(name);
  if (tensor.dtype == traces::DType::kI32) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("tensor {} is I32, expected F32, F16 or BF16", name));
  }
  if (tensor.shape != shape) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("tensor {} has shape {}, expected {}", name,
                            traces::printable(fmt::format("{}", tensor.shape)), shape));
  }
  return tensor;
}

std::string metadata_entry(const traces::SafetensorsFile& file, const char* key) {
  const auto found = file.header().metadata.find(key);
  return found == file.header().metadata.end() ? std::string() : found->second;
}

void check_format(const traces::SafetensorsFile& file) {
  const std::string format = metadata_entry(file, "format");
  if (format != kFormat) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("__metadata__.format is '{}', expected '{}'", traces::printable(format),
                            kFormat),
                "`kvsieve info` says what a file holds, `kvsieve train` makes codebooks");
  }
  const std::string version = metadata_entry(file, "version");
  if (version != kVersion) {
    throw Error(ErrorKind::kBadInput, fmt::format("codebook version is '{}', expected '{}'",
                                                  traces::printable(version), kVersion));
  }
}

}  // namespace

Codebook Codebook::open(const std::filesystem::path& path) {
  auto storage = std::make_unique<Storage>();
  storage->file = traces::SafetensorsFile::open(path);
  const traces::SafetensorsFile& file = *storage->file;
  try {
    check_format(file);
    const ordered_json json =
        traces::parse_json(metadata_entry(file, "kvsieve"), "__metadata__.kvsieve");
    const JsonFields fields(json, "kvsieve");
    storage->info = info_from_json(fields);
    const CodebookInfo& info = storage->info;
    const std::int64_t heads = info.model.kv_heads;
    const std::int64_t d = info.model.head_dim;
    for_objects(fields, "layers", "kvsieve", [&](const JsonFields& entry) {
      CodebookLayer layer;
      const std::int64_t first = storage->layers.empty() ? 0 : storage->layers.back().layer + 1;
      layer.layer = entry.integer("layer", first, info.model.layers - 1);
      for_objects(entry, "heads", "layer",
                  [&](const JsonFields& head) { layer.heads.push_back(record_from_json(head)); });
      if (static_cast<std::int64_t>(layer.heads.size()) != heads) {
        entry.fail("heads", fmt::format("{} records, one a KV head", heads));
      }
      layer.codewords = checked_tensor(file, traces::tensor_name(layer.layer, "codewords"),
                                       {heads, info.codewords, d});
      layer.cholesky =
          checked_tensor(file, traces::tensor_name(layer.layer, "cholesky"), {heads, d, d});
      if (info.center_keys) {
        layer.mean = checked_tensor(file, traces::tensor_name(layer.layer, "mean"), {heads, 1, d});
      }
      storage->layers.push_back(std::move(layer));
    });
    if (storage->layers.empty()) {
      fields.fail("layers", "at least one layer");
    }
  } catch (const Error& error) {
    const std::string text = error.what();
    const bool named = text.starts_with(path.string());
    throw Error(error.kind(), named ? text : fmt::format("{}: {}", path.string(), text),
                error.hint());
  }
  return Codebook(std::move(storage));
}

void Codebook::save(const std::filesystem::path& path, bool overwrite) const {
  std::vector<std::pair<std::string, const traces::TensorView*>> views;
  for (const CodebookLayer& layer : layers()) {
    views.emplace_back(traces::tensor_name(layer.layer, "codewords"), &layer.codewords);
    views.emplace_back(traces::tensor_name(layer.layer, "cholesky"), &layer.cholesky);
    if (info().center_keys) {
      views.emplace_back(traces::tensor_name(layer.layer, "mean"), &layer.mean);
    }
  }
  std::vector<traces::SafetensorsWriter::Tensor> tensors;
  for (const auto& [name, view] : views) {
    tensors.push_back({name, traces::DType::kF32, view->shape});
  }
  const ordered_json json = to_json(info(), layers());
  traces::SafetensorsWriter writer(
      path,
      {{"format", std::string(kFormat)},
       {"version", std::string(kVersion)},
       {"kvsieve", json.dump(-1, ' ', false, ordered_json::error_handler_t::replace)}},
      tensors, overwrite);
  std::vector<float> values;
  for (const auto& [name, view] : views) {
    values.resize(static_cast<std::size_t>(view->elements()));
    traces::to_float(view->dtype, view->data, values);
    writer.write(name, 0, std::span<const float>(values));
  }
  writer.commit();
}

}  // namespace kvsieve::sim
