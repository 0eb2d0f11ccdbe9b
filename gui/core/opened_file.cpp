#include "core/opened_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/headline.h"
#include "core/sweep_table.h"
#include "core/timeline_events.h"
#include "kvsieve/sim/codebook.h"
#include "kvsieve/sim/number_text.h"
#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

QString number(std::int64_t value) {
  return QString::fromStdString(sim::grouped(value));
}

/// The first bytes of a file, which tell formats apart.
std::string first_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4096> bytes{};
  file.read(bytes.data(), bytes.size());
  return {bytes.data(), static_cast<std::size_t>(file.gcount())};
}

/// The size of a safetensors header, in binary, is what other formats do not begin with.
constexpr std::size_t kTellingBytes = 8;

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) {
    constexpr unsigned char kFirstPrintable = 0x20;
    return static_cast<unsigned char>(byte) >= kFirstPrintable || byte == '\t' || byte == '\n' ||
           byte == '\r';
  });
}

/// What a file looks like; whether it is sound, its reader finds out.
OpenedFile::Kind kind_of(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: cannot open it ({})", path.string(), error.message()));
  }
  if (!std::filesystem::is_regular_file(status)) {  // reading a pipe would wait for its writer
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("{}: not a regular file, expected a trace, run, sweep store or timeline",
                    path.string()));
  }
  using Kind = OpenedFile::Kind;
  const std::string head = first_bytes(path);
  const std::string_view text = head;
  constexpr std::string_view kZstd = "\x28\xb5\x2f\xfd";
  if (text.starts_with("SQLite format 3")) {
    return Kind::kSweep;
  }
  if (text.starts_with(kZstd)) {
    return Kind::kRun;
  }
  const std::size_t visible = text.find_first_not_of(" \t\r\n");
  if (visible != std::string_view::npos && is_text(text.substr(0, kTellingBytes)) &&
      (text[visible] == '{' || text[visible] == '[')) {
    const bool events =
        text.find("\"traceEvents\"") != std::string_view::npos || text[visible] == '[';
    return events ? Kind::kTimeline : Kind::kRun;
  }
  const std::string extension = path.extension().string();
  if (extension == ".db" || extension == ".kvsweep") {
    return Kind::kSweep;
  }
  if (extension == ".json" || extension == ".kvrun") {
    return Kind::kRun;
  }
  return text.find("kvsieve.codebook") != std::string_view::npos ? Kind::kCodebook : Kind::kTrace;
}

std::shared_ptr<const Run> read_run_file(const std::filesystem::path& native, const QString& name,
                                         const QString& path) {
  nlohmann::ordered_json document = sim::read_run(native);
  try {
    auto run = std::make_shared<const Run>(std::move(document), name, path);
    static_cast<void>(headline(*run));  // figures of another type are found here, not on a page
    return run;
  } catch (const Error& error) {  // names the run's number, here the file is known
    const std::string_view what = error.what();
    constexpr std::string_view kNumber = "run 1";
    throw Error(error.kind(),
                fmt::format("{}: run{}", native.string(),
                            what.starts_with(kNumber) ? what.substr(kNumber.size()) : what),
                error.hint());
  }
}

std::vector<FileFact> trace_facts(const traces::Trace& trace) {
  const traces::TraceHeader& header = trace.header();
  const traces::ModelShape& model = header.model;
  std::vector<FileFact> facts{
      {"model", QString::fromStdString(model.name)},
      {"architecture", QString::fromStdString(model.architecture)},
      {"layers",
       QStringLiteral("%1 of %2 captured").arg(header.captured_layers.size()).arg(model.layers)},
      {"query heads (Hq)", number(model.q_heads)},
      {"KV heads (Hkv)", number(model.kv_heads)},
      {"head dimension (d)", number(model.head_dim)},
      {"width (D)", number(model.width)},
      {"prompt tokens", number(header.prompt_tokens)},
      {"decode steps", number(header.decode_tokens)},
      {"captured prompt queries", number(trace.prompt_queries())},
      {"dtype", QString::fromStdString(std::string(traces::name_of(header.dtype)))},
      {"captured by", QString::fromStdString(header.source.tool + " " + header.source.version)},
      {"note", QString::fromStdString(header.source.note)}};
  if (header.needle) {
    facts.push_back({"needle", QStringLiteral("tokens %1–%2: %3")
                                   .arg(header.needle->begin)
                                   .arg(header.needle->end - 1)
                                   .arg(QString::fromStdString(header.needle->text))});
  }
  return facts;
}

std::vector<FileFact> run_facts(const Run& run) {
  const sim::RunView& view = run.view();
  return {{"method", QString::fromStdString(view.label())},
          {"model", QString::fromStdString(view.trace.model)},
          {"trace", QString::fromStdString(view.trace.file)},
          {"trace hash", QString::fromStdString(view.trace.hash)},
          {"prompt tokens", number(view.trace.prompt_tokens)},
          {"decode steps", number(view.trace.decode_steps)},
          {"backend", QString::fromStdString(view.document.text("backend"))},
          {"instruction set", QString::fromStdString(view.document.text("isa"))},
          {"tool version", QString::fromStdString(view.document.text("tool_version"))}};
}

std::vector<FileFact> codebook_facts(const sim::Codebook& codebook) {
  const sim::CodebookInfo& info = codebook.info();
  return {{"kind", QString::fromStdString(std::string(sim::name_of(info.kind)))},
          {"codewords", number(info.codewords)},
          {"model", QString::fromStdString(info.model.name)},
          {"layers", number(static_cast<std::int64_t>(codebook.layers().size()))},
          {"calibration traces", number(static_cast<std::int64_t>(info.traces.size()))},
          {"tool version", QString::fromStdString(info.tool_version)}};
}

}  // namespace

std::vector<FileFact> sweep_facts(const SweepTable& sweep) {
  const sim::SweepIdentity& identity = sweep.identity();
  const auto count = [](std::size_t value) { return number(static_cast<std::int64_t>(value)); };
  std::vector<FileFact> facts{
      {"points", QStringLiteral("%1 of %2").arg(count(sweep.rows()), number(identity.points))},
      {"failed", count(sweep.failed())}};
  using Json = nlohmann::ordered_json;
  const auto shown = [](const Json& value) {
    return QString::fromStdString(value.is_string() ? value.get<std::string>() : value.dump());
  };
  const Json definition = Json::parse(identity.definition, nullptr, false);
  if (definition.is_object() && definition.contains("axes") && definition["axes"].is_array()) {
    for (const Json& axis : definition["axes"]) {
      if (axis.is_object() && axis.contains("name") && axis.contains("values")) {
        const std::size_t values = axis["values"].size();
        facts.push_back(
            {"axis " + shown(axis["name"]), values == 1 ? shown(axis["values"].front())
                                                        : QStringLiteral("%1 values").arg(values)});
      }
    }
    for (const char* name : {"where", "sample"}) {
      if (definition.contains(name)) {
        facts.push_back({QString::fromUtf8(name), shown(definition[name])});
      }
    }
  }
  const Json inputs = Json::parse(identity.inputs, nullptr, false);
  if (inputs.is_object()) {
    for (const auto& [kind, files] : inputs.items()) {
      for (const auto& [path, hash] : files.items()) {
        facts.push_back(
            {QString::fromStdString(kind + " " + path), QStringLiteral("hash ") + shown(hash)});
      }
    }
  }
  facts.push_back({"instruction set", QString::fromStdString(identity.isa)});
  facts.push_back({"tool version", QString::fromStdString(identity.tool_version)});
  if (sweep.mixed()) {
    facts.push_back({"mixed", "rows of more than one sweep, let in by --force"});
  }
  return facts;
}

QString name_of(OpenedFile::Kind kind) {
  switch (kind) {
    case OpenedFile::Kind::kTrace:
      return QStringLiteral("trace");
    case OpenedFile::Kind::kRun:
      return QStringLiteral("run");
    case OpenedFile::Kind::kSweep:
      return QStringLiteral("sweep store");
    case OpenedFile::Kind::kTimeline:
      return QStringLiteral("timeline");
    case OpenedFile::Kind::kCodebook:
      return QStringLiteral("codebook");
  }
  return {};
}

OpenedFile open_file(const QString& path, const JobControl& control) {
  const std::filesystem::path native(path.toStdString());
  OpenedFile file;
  file.path = path;
  file.kind = kind_of(native);
  file.bytes = static_cast<std::int64_t>(std::filesystem::file_size(native));
  const QString name = QString::fromStdString(native.filename().string());
  switch (file.kind) {
    case OpenedFile::Kind::kTrace: {
      file.trace = std::make_shared<const traces::Trace>(traces::Trace::open(native));
      file.facts = trace_facts(*file.trace);
      break;
    }
    case OpenedFile::Kind::kRun:
      file.run = read_run_file(native, name, path);
      file.facts = run_facts(*file.run);
      break;
    case OpenedFile::Kind::kSweep:
      file.sweep = SweepTable::load(path, control);
      file.facts = sweep_facts(*file.sweep);
      break;
    case OpenedFile::Kind::kTimeline:
      file.timeline = TimelineEvents::load(path, control);
      break;
    case OpenedFile::Kind::kCodebook:
      file.facts = codebook_facts(sim::Codebook::open(native));
      break;
  }
  control.check();
  return file;
}

}  // namespace kvsieve::gui
