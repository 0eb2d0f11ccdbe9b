#include "kvsieve/traces/trace.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::traces {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kFormat = "kvsieve.trace";
constexpr std::string_view kVersion = "1";
constexpr std::int64_t kMaxTokens = INT32_MAX;

ordered_json to_json(const TraceHeader& header) {
  ordered_json json = {{"model", to_json(header.model)},
                       {"captured_layers", header.captured_layers},
                       {"prompt_tokens", header.prompt_tokens},
                       {"decode_tokens", header.decode_tokens},
                       {"dtype", name_of(header.dtype)},
                       {"source",
                        {{"tool", header.source.tool},
                         {"version", header.source.version},
                         {"prompt_sha256", header.source.prompt_sha256},
                         {"note", header.source.note}}},
                       {"needle", nullptr}};
  if (header.needle) {
    json["needle"] = {{"begin", header.needle->begin},
                      {"end", header.needle->end},
                      {"text", header.needle->text}};
  }
  return json;
}

void check_layers(const JsonFields& fields, const TraceHeader& header) {
  const auto& layers = header.captured_layers;
  if (layers.empty() ||
      std::adjacent_find(layers.begin(), layers.end(), std::greater_equal<>()) != layers.end()) {
    fields.fail("captured_layers", "ascending layer numbers, at least one");
  }
}

TraceHeader header_from_json(const ordered_json& json) {
  const JsonFields fields(json, "kvsieve");
  TraceHeader header;
  header.model = model_shape_from_json(fields.raw("model"));
  header.captured_layers = fields.integers("captured_layers", 0, header.model.layers - 1);
  check_layers(fields, header);
  header.prompt_tokens = fields.integer("prompt_tokens", 1, kMaxTokens);
  header.decode_tokens = fields.integer("decode_tokens", 0, kMaxTokens - header.prompt_tokens);
  const std::string dtype = fields.string("dtype");
  if (dtype != "F16" && dtype != "BF16" && dtype != "F32") {
    fields.fail("dtype", "F16, BF16 or F32");
  }
  header.dtype = dtype_from_name(dtype);
  if (fields.has("source")) {
    const JsonFields source = fields.object("source");
    header.source = {source.string_or("tool", ""), source.string_or("version", ""),
                     source.string_or("prompt_sha256", ""), source.string_or("note", "")};
  }
  if (fields.has("needle")) {
    const JsonFields needle = fields.object("needle");
    const std::int64_t begin = needle.integer("begin", 0, header.prompt_tokens - 1);
    header.needle = Needle{begin, needle.integer("end", begin + 1, header.prompt_tokens),
                           needle.string_or("text", "")};
  }
  return header;
}

/// Runs `action`; its errors are given the path in front.
template <class Action>
void with_path(const std::filesystem::path& path, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", path.string(), error.what()), error.hint());
  }
}

/// A tensor of exactly this shape and dtype.
TensorView checked_tensor(const SafetensorsFile& file, const std::string& name, DType dtype,
                          const std::vector<std::int64_t>& shape) {
  const TensorView tensor = file.tensor(name);
  if (tensor.dtype != dtype) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: tensor {} is {}, expected {} as the metadata says",
                            file.path().string(), name, name_of(tensor.dtype), name_of(dtype)));
  }
  if (tensor.shape != shape) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: tensor {} has shape {}, expected {}", file.path().string(), name,
                            printable(fmt::format("{}", tensor.shape)), shape));
  }
  return tensor;
}

std::vector<std::int32_t> copy_integers(const TensorView& tensor) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(tensor.elements()));
  std::copy_n(tensor.data, tensor.bytes(), std::as_writable_bytes(std::span(values)).data());
  return values;
}

/// Captured queries are the last prompt positions without a gap, then every decode step.
std::int64_t count_prompt_queries(std::span<const std::int32_t> positions,
                                  const TraceHeader& header) {
  const auto queries = static_cast<std::int64_t>(positions.size());
  const std::int64_t fewest = std::max<std::int64_t>(header.decode_tokens, 1);
  if (queries < fewest || queries > header.total_tokens()) {
    throw Error(ErrorKind::kBadInput, fmt::format("query_positions holds {} positions, expected {} "
                                                  "to {}: every decode step has one",
                                                  queries, fewest, header.total_tokens()));
  }
  for (std::int64_t i = 0; i < queries; ++i) {
    const std::int64_t expected = header.total_tokens() - queries + i;
    if (positions[static_cast<std::size_t>(i)] != expected) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("query_positions[{}] is {}, expected {}: the last prompt positions, "
                              "then every decode step",
                              i, positions[static_cast<std::size_t>(i)], expected));
    }
  }
  return queries - header.decode_tokens;
}

std::vector<SafetensorsWriter::Tensor> declare_tensors(const TraceHeader& header,
                                                       std::int64_t queries,
                                                       const TraceWriter::Options& options) {
  const ModelShape& model = header.model;
  const std::int64_t tokens = header.total_tokens();
  std::vector<SafetensorsWriter::Tensor> tensors;
  tensors.push_back({"query_positions", DType::kI32, {queries}});
  if (options.with_tokens) {
    tensors.push_back({"tokens", DType::kI32, {tokens}});
  }
  for (const std::int64_t layer : header.captured_layers) {
    const auto add = [&](std::string_view part, std::vector<std::int64_t> shape) {
      tensors.push_back({tensor_name(layer, part), header.dtype, std::move(shape)});
    };
    add("k", {model.kv_heads, tokens, model.head_dim});
    add("v", {model.kv_heads, tokens, model.head_dim});
    add("q", {model.q_heads, queries, model.head_dim});
    add("wo", {model.q_heads, model.head_dim, model.width});
    if (options.with_out) {
      add("out", {model.q_heads, queries, model.head_dim});
    }
  }
  return tensors;
}

/// Applies every check of the reader before anything is written.
std::map<std::string, std::string> checked_metadata(const TraceHeader& header,
                                                    std::span<const std::int32_t> query_positions) {
  const ordered_json json = to_json(header);
  try {
    static_cast<void>(header_from_json(json));
    static_cast<void>(count_prompt_queries(query_positions, header));
  } catch (const Error& error) {
    throw Error(ErrorKind::kUsage, error.what(), error.hint());
  }
  return {{"format", std::string(kFormat)},
          {"version", std::string(kVersion)},
          {"kvsieve", json.dump(-1, ' ', false, ordered_json::error_handler_t::replace)}};
}

}  // namespace

std::string tensor_name(std::int64_t layer, std::string_view part) {
  return fmt::format("layers.{}.{}", layer, part);
}

Trace Trace::open(const std::filesystem::path& path) {
  Trace trace(SafetensorsFile::open(path));
  const SafetensorsFile& file = trace.m_file;
  const auto& metadata = file.header().metadata;
  const auto entry = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (entry("format") != kFormat) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: __metadata__.format is '{}', expected '{}'", path.string(),
                            printable(entry("format")), kFormat),
                "`kvsieve info` says what a file holds");
  }
  if (entry("version") != kVersion) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: trace version is '{}', expected '{}'", path.string(),
                            printable(entry("version")), kVersion));
  }
  if (metadata.find("kvsieve") == metadata.end()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: __metadata__.kvsieve is missing, expected a JSON document",
                            path.string()));
  }
  with_path(path, [&] {
    trace.m_header = header_from_json(parse_json(entry("kvsieve"), "__metadata__.kvsieve"));
  });
  const auto queries = file.tensor("query_positions").elements();
  trace.m_query_positions =
      copy_integers(checked_tensor(file, "query_positions", DType::kI32, {queries}));
  with_path(path, [&] {
    trace.m_prompt_queries = count_prompt_queries(trace.m_query_positions, trace.m_header);
  });
  if (file.contains("tokens")) {
    trace.m_tokens =
        copy_integers(checked_tensor(file, "tokens", DType::kI32, {trace.m_header.total_tokens()}));
  }
  for (std::size_t i = 0; i < trace.m_header.captured_layers.size(); ++i) {
    static_cast<void>(trace.layer(i));
  }
  return trace;
}

TraceLayer Trace::layer(std::size_t i) const {
  const ModelShape& model = m_header.model;
  const std::int64_t tokens = m_header.total_tokens();
  const auto queries = static_cast<std::int64_t>(m_query_positions.size());
  TraceLayer layer;
  layer.layer = m_header.captured_layers.at(i);
  layer.spec = model.layer(layer.layer);
  const auto tensor = [&](std::string_view part, const std::vector<std::int64_t>& shape) {
    return checked_tensor(m_file, tensor_name(layer.layer, part), m_header.dtype, shape);
  };
  layer.k = tensor("k", {model.kv_heads, tokens, model.head_dim});
  layer.v = tensor("v", {model.kv_heads, tokens, model.head_dim});
  layer.q = tensor("q", {model.q_heads, queries, model.head_dim});
  layer.wo = tensor("wo", {model.q_heads, model.head_dim, model.width});
  if (m_file.contains(tensor_name(layer.layer, "out"))) {
    layer.out = tensor("out", {model.q_heads, queries, model.head_dim});
  }
  return layer;
}

std::optional<std::size_t> Trace::find_layer(std::int64_t layer) const noexcept {
  const auto& layers = m_header.captured_layers;
  const auto found = std::lower_bound(layers.begin(), layers.end(), layer);
  if (found == layers.end() || *found != layer) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - layers.begin());
}

void Trace::release(const TraceLayer& layer) const noexcept {
  for (const TensorView* tensor : {&layer.k, &layer.v, &layer.q, &layer.wo}) {
    m_file.release(*tensor);
  }
  if (layer.out) {
    m_file.release(*layer.out);
  }
}

TraceWriter::TraceWriter(const std::filesystem::path& path, const TraceHeader& header,
                         std::span<const std::int32_t> query_positions, const Options& options)
    : m_header(header),
      m_queries(static_cast<std::int64_t>(query_positions.size())),
      m_writer(path, checked_metadata(header, query_positions),
               declare_tensors(header, m_queries, options), options.overwrite) {
  m_writer.write("query_positions", 0, query_positions);
}

void TraceWriter::write_rows(std::int64_t layer, std::string_view part, const HeadShape& shape,
                             std::int64_t head, std::int64_t first_row,
                             std::span<const float> rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  // Beyond the last head the tensor ends, but a row too many elsewhere would land in another head.
  if (count % shape.columns != 0 || first_row < 0 || first_row > shape.rows ||
      count / shape.columns > shape.rows - first_row) {
    throw Error(ErrorKind::kInternal,
                fmt::format("write of {} elements to {} from row {} on leaves the head's [{}, {}]",
                            count, tensor_name(layer, part), first_row, shape.rows, shape.columns));
  }
  m_writer.write(tensor_name(layer, part), (head * shape.rows + first_row) * shape.columns, rows);
}

void TraceWriter::write_k(std::int64_t layer, std::int64_t kv_head, std::int64_t first_token,
                          std::span<const float> rows) {
  write_rows(layer, "k", {m_header.total_tokens(), m_header.model.head_dim}, kv_head, first_token,
             rows);
}

void TraceWriter::write_v(std::int64_t layer, std::int64_t kv_head, std::int64_t first_token,
                          std::span<const float> rows) {
  write_rows(layer, "v", {m_header.total_tokens(), m_header.model.head_dim}, kv_head, first_token,
             rows);
}

void TraceWriter::write_q(std::int64_t layer, std::int64_t q_head, std::int64_t first_query,
                          std::span<const float> rows) {
  write_rows(layer, "q", {m_queries, m_header.model.head_dim}, q_head, first_query, rows);
}

void TraceWriter::write_out(std::int64_t layer, std::int64_t q_head, std::int64_t first_query,
                            std::span<const float> rows) {
  write_rows(layer, "out", {m_queries, m_header.model.head_dim}, q_head, first_query, rows);
}

void TraceWriter::write_wo(std::int64_t layer, std::int64_t q_head, std::span<const float> rows) {
  write_rows(layer, "wo", {m_header.model.head_dim, m_header.model.width}, q_head, 0, rows);
}

void TraceWriter::write_tokens(std::int64_t first_token, std::span<const std::int32_t> ids) {
  m_writer.write("tokens", first_token, ids);
}

void TraceWriter::commit() {
  m_writer.commit();
}

}  // namespace kvsieve::traces
