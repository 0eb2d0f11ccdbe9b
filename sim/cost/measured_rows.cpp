#include "kvsieve/sim/measured_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "csv_table.h"
#include "kvsieve/sim/model_dimensions.h"
#include "kvsieve/traces/content_hash.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/json_fields.h"

namespace kvsieve::sim {
namespace {

using traces::printable;

/// Public files that leave the type of 16-bit values out measured one of the two.
constexpr std::string_view kUnsaidDtype = "bfloat16";
/// The engine that LLMServingSim profiles, and the version of its published profiles.
constexpr std::string_view kServingSimEngine = "VLLM";
constexpr std::string_view kServingSimVersion = "0.19";
constexpr std::int64_t kLargest = std::int64_t{1} << 40;
constexpr double kUsOfMs = 1e3;
constexpr double kUsOfSeconds = 1e6;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

/// The one name of a type's spellings; empty for an unknown one.
std::string_view canonical_dtype(std::string_view name) {
  static const std::map<std::string, std::string_view, std::less<>> names{
      {"bfloat16", "bfloat16"}, {"bf16", "bfloat16"}, {"float16", "float16"},
      {"fp16", "float16"},      {"half", "float16"},  {"float32", "float32"},
      {"fp32", "float32"},      {"float", "float32"}, {"fp8", "fp8"},
      {"fp8_e4m3", "fp8"},      {"fp8_e5m2", "fp8"},  {"int8", "int8"}};
  const auto found = names.find(lower(name));
  return found == names.end() ? std::string_view() : found->second;
}

/// One record with its columns by name; errors say where.
class Cells {
 public:
  Cells(const CsvTable& table, const CsvRecord& record, const std::string& path)
      : m_table(table), m_record(record), m_path(path) {}

  [[nodiscard]] std::int64_t line() const { return m_record.line; }

  /// Empty where the file has no such column.
  [[nodiscard]] const std::string& text(std::string_view column) const {
    static const std::string none;
    const auto index = m_table.column(column);
    return index ? m_record.cells[*index] : none;
  }

  [[nodiscard]] std::string name(std::string_view column) const {
    if (text(column).empty()) {
      fail(column, "a name");
    }
    return text(column);
  }

  [[nodiscard]] std::int64_t whole(std::string_view column, std::int64_t least = 1) const {
    const double value = number(column);
    if (value != std::floor(value) || value < static_cast<double>(least) ||
        value > static_cast<double>(kLargest)) {
      fail(column, fmt::format("a whole number from {} to 2^40", least));
    }
    return static_cast<std::int64_t>(value);
  }

  [[nodiscard]] double time_us(std::string_view column, double us_of_unit) const {
    const double value = number(column);
    if (!(value > 0.0)) {
      fail(column, "a time above 0");
    }
    return value * us_of_unit;
  }

  [[nodiscard]] std::string dtype(std::string_view column) const {
    const std::string_view name = canonical_dtype(text(column));
    if (name.empty()) {
      fail(column, "bfloat16, float16, float32, fp8 or int8");
    }
    return std::string(name);
  }

  [[noreturn]] void fail(std::string_view column, std::string_view expected) const {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}:{}: {} is '{}', expected {}", m_path, m_record.line, column,
                            printable(text(column)), expected));
  }

 private:
  [[nodiscard]] double number(std::string_view column) const {
    const std::string& cell = text(column);
    double value = 0.0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value)) {
      fail(column, "a number");
    }
    return value;
  }

  const CsvTable& m_table;
  const CsvRecord& m_record;
  const std::string& m_path;
};

/// What became of a record.
enum class Reading { kRow, kSkipped, kUnknownModel };

/// Model shapes by the names in the file, looked up once.
class Models {
 public:
  /// Null for a name that no built-in model has.
  [[nodiscard]] const ModelDimensions* find(const std::string& name) {
    const auto found = m_models.find(name);
    if (found != m_models.end()) {
      return found->second ? &*found->second : nullptr;
    }
    std::optional<ModelDimensions> model;
    // A path in somebody's file is no reason to open it.
    if (!name.ends_with(".json")) {
      try {
        model = load_model(name);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kUsage) {
          throw;
        }
      }
    }
    const auto added = m_models.emplace(name, std::move(model)).first;
    return added->second ? &*added->second : nullptr;
  }

 private:
  std::map<std::string, std::optional<ModelDimensions>, std::less<>> m_models;
};

/// "vllm-0.14.0" -> engine and version.
void split_engine(const std::string& text, MeasuredRow& row) {
  static const std::map<std::string, std::string, std::less<>> spellings{
      {"vllm", "VLLM"}, {"sglang", "SGLang"}, {"trtllm", "TRTLLM"}};
  const std::size_t dash = text.find('-');
  const auto known = spellings.find(lower(text.substr(0, dash)));
  row.engine = known == spellings.end() ? text.substr(0, dash) : known->second;
  row.engine_version = dash == std::string::npos ? "" : text.substr(dash + 1);
}

/// "tp2" -> 2.
std::int64_t tensor_parallel(const Cells& cells) {
  const std::string& text = cells.text("tp");
  std::int64_t value = 0;
  const char* begin = text.data() + (text.starts_with("tp") ? 2 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    cells.fail("tp", "tp1, tp2, ...");
  }
  return value;
}

void read_attention_shape(const Cells& cells, std::string_view batch, std::string_view q_heads,
                          std::string_view kv_heads, std::string_view context, MeasuredRow& row) {
  row.op = MeasuredOp::kDecodeAttention;
  row.batch = cells.whole(batch);
  row.q_heads = cells.whole(q_heads);
  row.kv_heads = cells.whole(kv_heads);
  row.head_dim = cells.whole("head_dim");
  row.context = cells.whole(context);
  if (row.q_heads % row.kv_heads != 0) {
    cells.fail(q_heads, fmt::format("a multiple of the {} KV heads", row.kv_heads));
  }
}

void read_gemm_shape(const Cells& cells, MeasuredRow& row) {
  row.op = MeasuredOp::kGemm;
  row.m = cells.whole("m", 0);
  row.n = cells.whole("n");
  row.k = cells.whole("k");
}

Reading read_kvsieve(const Cells& cells, Models& models, MeasuredRow& row) {
  row.gpu = cells.name("gpu");
  row.engine = cells.text("engine");
  row.engine_version = cells.text("engine_version");
  row.latency_us = cells.time_us("latency_us", 1.0);
  const std::string& op = cells.text("op");
  if (op == name_of(MeasuredOp::kDecodeAttention)) {
    read_attention_shape(cells, "batch", "q_heads", "kv_heads", "context", row);
    row.kv_dtype = cells.dtype("kv_dtype");
    return Reading::kRow;
  }
  if (op == name_of(MeasuredOp::kGemm)) {
    read_gemm_shape(cells, row);
    return row.m > 0 ? Reading::kRow : Reading::kSkipped;
  }
  if (op != name_of(MeasuredOp::kEndToEnd)) {
    cells.fail("op", "decode_attention, gemm or end_to_end");
  }
  row.op = MeasuredOp::kEndToEnd;
  row.batch = cells.whole("batch");
  row.context = cells.whole("context");
  row.output_tokens = cells.whole("output_tokens");
  row.model = cells.name("model");
  return models.find(row.model) != nullptr ? Reading::kRow : Reading::kUnknownModel;
}

Reading read_aiconfigurator_attention(const Cells& cells, Models&, MeasuredRow& row) {
  row.gpu = cells.name("system");
  row.engine = cells.name("framework");
  row.engine_version = cells.text("version");
  read_attention_shape(cells, "batch_size", "n_q_heads", "n_kv_heads", "ctx", row);
  row.kv_dtype = cells.dtype("kv_dtype");
  row.latency_us = cells.time_us("latency_ms", kUsOfMs);
  return Reading::kRow;
}

Reading read_aiconfigurator_gemm(const Cells& cells, Models&, MeasuredRow& row) {
  row.gpu = cells.name("system");
  split_engine(cells.name("fw"), row);
  read_gemm_shape(cells, row);
  row.latency_us = cells.time_us("latency_ms", kUsOfMs);
  const std::string_view dtype = canonical_dtype(cells.text("dtype"));
  return row.m > 0 && (dtype == "bfloat16" || dtype == "float16") ? Reading::kRow
                                                                  : Reading::kSkipped;
}

Reading read_frontier_attention(const Cells& cells, Models&, MeasuredRow& row) {
  row.gpu = cells.name("gpu");
  const std::string& backend = cells.text("attention_backend");
  row.engine = backend.substr(backend.find_last_of('.') + 1);
  read_attention_shape(cells, "batch_size", "n_q_heads", "n_kv_heads", "ctx", row);
  row.kv_dtype = kUnsaidDtype;
  row.latency_us = cells.time_us("decode_ms", kUsOfMs);
  return Reading::kRow;
}

Reading read_serving_sim_attention(const Cells& cells, Models& models, MeasuredRow& row) {
  row.gpu = cells.name("gpu");
  row.engine = kServingSimEngine;
  row.engine_version = kServingSimVersion;
  row.model = cells.name("model");
  const std::int64_t tp = tensor_parallel(cells);
  row.batch = cells.whole("n_decode", 0);
  row.context = cells.whole("kv_decode", 0);
  row.latency_us = cells.time_us("time_us", 1.0);
  const std::string& prefill = cells.text("prefill_chunk");
  if (row.batch == 0 || row.context == 0 || (!prefill.empty() && prefill != "0")) {
    return Reading::kSkipped;
  }
  const ModelDimensions* model = models.find(row.model);
  if (model == nullptr) {
    return Reading::kUnknownModel;
  }
  row.q_heads = model->q_heads / tp;
  row.kv_heads = std::max<std::int64_t>(1, model->kv_heads / tp);
  row.head_dim = model->head_dim;
  row.kv_dtype = kUnsaidDtype;
  return row.q_heads > 0 ? Reading::kRow : Reading::kSkipped;
}

Reading read_serving_sim_layers(const Cells& cells, Models& models, MeasuredRow& row) {
  row.op = MeasuredOp::kGemm;
  row.gpu = cells.name("gpu");
  row.engine = kServingSimEngine;
  row.engine_version = kServingSimVersion;
  row.model = cells.name("model");
  const std::int64_t tp = tensor_parallel(cells);
  const std::string layer = cells.name("layer");
  row.m = cells.whole("tokens", 0);
  row.latency_us = cells.time_us("time_us", 1.0);
  const ModelDimensions* model = models.find(row.model);
  if (model == nullptr) {
    return Reading::kUnknownModel;
  }
  const std::int64_t q_heads = model->q_heads / tp;
  const std::int64_t kv_heads = std::max<std::int64_t>(1, model->kv_heads / tp);
  const bool dense_mlp = model->experts == 1;
  if (layer == "qkv_proj") {
    row.n = (q_heads + 2 * kv_heads) * model->head_dim;
    row.k = model->width;
  } else if (layer == "o_proj") {
    row.n = model->width;
    row.k = q_heads * model->head_dim;
  } else if (layer == "gate_up_proj" && dense_mlp) {
    row.n = (model->gated_mlp ? 2 : 1) * model->mlp_width / tp;
    row.k = model->width;
  } else if (layer == "down_proj" && dense_mlp) {
    row.n = model->width;
    row.k = model->mlp_width / tp;
  } else if (layer == "lm_head") {
    row.n = model->vocabulary / tp;
    row.k = model->width;
  }
  return row.m > 0 && row.n > 0 && row.k > 0 ? Reading::kRow : Reading::kSkipped;
}

Reading read_inference_bench(const Cells& cells, Models& models, MeasuredRow& row) {
  row.op = MeasuredOp::kEndToEnd;
  row.gpu = cells.name("Hardware");
  row.engine = cells.name("Framework");
  row.model = cells.name("Model");
  row.batch = cells.whole("batch_size");
  row.context = cells.whole("in_len_and_out_len");
  row.output_tokens = row.context;
  row.latency_us = cells.time_us("latency_s", kUsOfSeconds);
  return models.find(row.model) != nullptr ? Reading::kRow : Reading::kUnknownModel;
}

struct Form {
  std::string_view name;
  std::vector<std::string_view> columns;  ///< required
  Reading (*read)(const Cells& cells, Models& models, MeasuredRow& row);
};

const std::vector<Form>& forms() {
  static const std::vector<Form> all{
      {"kvsieve",
       {"gpu", "engine", "op", "batch", "q_heads", "kv_heads", "head_dim", "kv_dtype", "context",
        "m", "n", "k", "latency_us"},
       read_kvsieve},
      {"aiconfigurator-attention",
       {"system", "framework", "version", "batch_size", "n_q_heads", "n_kv_heads", "head_dim",
        "kv_dtype", "ctx", "latency_ms"},
       read_aiconfigurator_attention},
      {"aiconfigurator-gemm",
       {"system", "fw", "m", "n", "k", "dtype", "latency_ms"},
       read_aiconfigurator_gemm},
      {"frontier-attention",
       {"gpu", "attention_backend", "batch_size", "ctx", "n_q_heads", "n_kv_heads", "head_dim",
        "decode_ms"},
       read_frontier_attention},
      {"llmservingsim-attention",
       {"gpu", "model", "tp", "n_decode", "kv_decode", "time_us"},
       read_serving_sim_attention},
      {"llmservingsim-layers",
       {"gpu", "model", "tp", "layer", "tokens", "time_us"},
       read_serving_sim_layers},
      {"llm-inference-bench",
       {"Hardware", "Framework", "Model", "in_len_and_out_len", "batch_size", "latency_s"},
       read_inference_bench},
  };
  return all;
}

const Form& form_of(const CsvTable& table, const std::string& path) {
  for (const Form& form : forms()) {
    if (std::all_of(form.columns.begin(), form.columns.end(),
                    [&](std::string_view name) { return table.column(name).has_value(); })) {
      return form;
    }
  }
  std::vector<std::string_view> names;
  for (const Form& form : forms()) {
    names.push_back(form.name);
  }
  throw Error(ErrorKind::kBadInput,
              fmt::format("{}:1: columns '{}' are those of no known form", path,
                          printable(fmt::format("{}", fmt::join(table.header, ",")))),
              fmt::format("known: {}; kvsieve has {}", fmt::join(names, ", "),
                          fmt::join(forms().front().columns, ",")));
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || std::filesystem::is_directory(path) || !(text << file.rdbuf())) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: cannot be read, expected a CSV file", path.string()));
  }
  return text.str();
}

}  // namespace

std::string_view name_of(MeasuredOp op) noexcept {
  switch (op) {
    case MeasuredOp::kGemm:
      return "gemm";
    case MeasuredOp::kEndToEnd:
      return "end_to_end";
    case MeasuredOp::kDecodeAttention:
      break;
  }
  return "decode_attention";
}

MeasuredFile read_measured(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  const std::string shown = path.string();
  const CsvTable table = parse_csv(text, shown);
  const Form& form = form_of(table, shown);
  MeasuredFile file;
  file.form = form.name;
  file.name = path.filename().string();
  file.hash = traces::content_hash(text);
  file.total_rows = static_cast<std::int64_t>(table.records.size());
  Models models;
  std::map<std::string, std::int64_t> unknown;
  for (std::size_t i = 0; i < table.records.size(); ++i) {
    const Cells cells(table, table.records[i], shown);
    MeasuredRow row;
    row.line = cells.line();
    row.number = static_cast<std::int64_t>(i);
    switch (form.read(cells, models, row)) {
      case Reading::kRow:
        file.rows.push_back(std::move(row));
        break;
      case Reading::kSkipped:
        ++file.skipped_rows;
        break;
      case Reading::kUnknownModel:
        ++unknown[row.model];
        break;
    }
  }
  for (const auto& [name, rows] : unknown) {
    file.unknown_models.push_back({name, rows});
  }
  return file;
}

std::int64_t element_bytes_of(std::string_view kv_dtype) {
  const std::string_view name = canonical_dtype(kv_dtype);
  if (name.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cache type '{}' is unknown, expected bfloat16, float16, float32, fp8 "
                            "or int8",
                            printable(kv_dtype)));
  }
  return name == "float32" ? 4 : name == "fp8" || name == "int8" ? 1 : 2;
}

std::string engine_of(const MeasuredRow& row) {
  const std::string engine = row.engine.empty() ? "unknown" : row.engine;
  return row.engine_version.empty() ? engine : engine + " " + row.engine_version;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto folded = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return folded(x) == folded(y);
  });
}

}  // namespace kvsieve::sim
