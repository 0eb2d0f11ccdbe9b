#include "recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include "capture.h"
#include "gguf_file.h"
#include "gguf_model.h"
#include "interrupt.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/layer_list.h"
#include "kvsieve/traces/trace.h"
#include "llama_session.h"
#include "needle_span.h"
#include "progress.h"
#include "sha256.h"

namespace kvsieve::record {
namespace {

using traces::TraceHeader;
using traces::TraceWriter;

/// Without flash attention the scores of a micro-batch, [Hq, micro-batch, T] in fp32, are the
/// largest thing in memory.
constexpr std::int64_t kScoreBytes = std::int64_t{256} << 20;
constexpr std::int64_t kMaxMicroBatch = 512;

std::int64_t micro_batch_size(const traces::ModelShape& model, std::int64_t tokens) {
  const std::int64_t fitting = kScoreBytes / (4 * model.q_heads * tokens);
  return std::clamp<std::int64_t>(fitting, 16, kMaxMicroBatch);
}

std::string read_prompt(const std::filesystem::path& path) {
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  if (std::filesystem::is_directory(path, error) || !file) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: cannot read the prompt", path.string()));
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void refuse_existing_output(const RecordOptions& options) {
  // The writer refuses too, but only after the model has been loaded.
  if (!options.force && std::filesystem::exists(options.output)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: the file exists already", options.output.string()),
                "--force replaces it");
  }
}

/// The needle's tokens; warns when the choice among several occurrences was the recorder's.
traces::Needle locate_needle(const std::string& needle, const std::string& text,
                             std::span<const std::string> pieces) {
  const std::size_t first = text.find(needle);
  if (first == std::string::npos) {
    throw Error(ErrorKind::kUsage, "--needle: the prompt does not contain this text",
                "it must match the prompt byte for byte, line breaks included");
  }
  if (text.find(needle, first + 1) != std::string::npos) {
    fmt::print(stderr, "warning: the needle occurs more than once; the first one is marked\n");
  }
  const std::optional<TokenSpan> found = find_needle(pieces, needle);
  if (!found) {
    throw Error(ErrorKind::kMissingCapability,
                "--needle: the model's tokenizer changes the needle's text, so that it cannot be "
                "found among the tokens",
                "choose a needle of plain letters and single spaces");
  }
  return {found->begin, found->end, needle};
}

void check_context(const RecordOptions& options, const TraceHeader& header, std::int64_t trained) {
  const std::int64_t needed = header.total_tokens();
  if (options.context != 0 && options.context < needed) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--context {}: the prompt's {} tokens and {} decode steps need {}",
                            options.context, header.prompt_tokens, header.decode_tokens, needed));
  }
  if (needed > trained) {
    fmt::print(stderr, "warning: {} tokens, but the model was trained on contexts of {}\n", needed,
               trained);
  }
}

void write_projections(const GgufFile& file, const TraceHeader& header, TraceWriter& writer) {
  const auto slice = static_cast<std::size_t>(header.model.head_dim * header.model.width);
  for (const std::int64_t layer : header.captured_layers) {
    check_interrupt();
    const std::vector<float> wo = read_output_projection(file, header.model, layer);
    for (std::int64_t head = 0; head < header.model.q_heads; ++head) {
      writer.write_wo(layer, head,
                      std::span(wo).subspan(static_cast<std::size_t>(head) * slice, slice));
    }
  }
}

class Recording {
 public:
  Recording(LlamaSession& session, Capture& capture) : m_session(session), m_capture(capture) {}

  void prompt(std::span<const llama_token> tokens, std::int64_t micro_batch) {
    Progress progress("prompt", static_cast<std::int64_t>(tokens.size()));
    for (std::size_t done = 0; done < tokens.size();) {
      const std::size_t size =
          std::min(static_cast<std::size_t>(micro_batch), tokens.size() - done);
      evaluate(tokens.subspan(done, size));
      done += size;
      progress.update(static_cast<std::int64_t>(done));
    }
    m_prompt_seconds = progress.seconds();
  }

  /// Greedy steps, end-of-generation tokens included; returns the tokens fed.
  std::vector<llama_token> decode(std::int64_t steps) {
    Progress progress("decode", steps);
    std::vector<llama_token> fed;
    for (std::int64_t step = 0; step < steps; ++step) {
      fed.push_back(m_session.next_token());
      evaluate(std::span(fed).last(1));
      progress.update(step + 1);
    }
    m_decode_seconds = progress.seconds();
    return fed;
  }

  [[nodiscard]] double prompt_seconds() const noexcept { return m_prompt_seconds; }
  [[nodiscard]] double decode_seconds() const noexcept { return m_decode_seconds; }

 private:
  void evaluate(std::span<const llama_token> tokens) {
    m_capture.begin(m_position, static_cast<std::int64_t>(tokens.size()));
    m_session.evaluate(tokens);
    m_capture.finish();
    m_position += static_cast<std::int64_t>(tokens.size());
  }

  LlamaSession& m_session;
  Capture& m_capture;
  std::int64_t m_position = 0;
  double m_prompt_seconds = 0.0;
  double m_decode_seconds = 0.0;
};

}  // namespace

RecordSummary record(const RecordOptions& options) {
  refuse_existing_output(options);
  const std::string prompt_bytes = read_prompt(options.prompt);
  std::string text = prompt_bytes;
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  if (text.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: the prompt is empty", options.prompt.string()));
  }

  const GgufFile file(options.model);
  TraceHeader header;
  header.model = read_model_shape(file);
  header.captured_layers = traces::parse_layer_list(options.layers, header.model.layers);
  header.dtype = options.dtype;
  header.decode_tokens = options.decode;
  header.source = {"kvsieve-record", fmt::format("{} ({})", KVSIEVE_VERSION, llama_version_text()),
                   sha256_hex(prompt_bytes), options.note};

  LlamaSession session(options.model);
  const std::string wrapped = options.chat ? session.apply_chat_template(text) : text;
  const std::vector<llama_token> tokens = session.tokenize(wrapped, options.chat);
  header.prompt_tokens = static_cast<std::int64_t>(tokens.size());
  if (!options.needle.empty()) {
    header.needle = locate_needle(options.needle, text, session.pieces(tokens));
  }
  check_context(options, header, session.trained_context());

  const std::int64_t prompt_queries =
      std::min(options.prompt_queries.value_or(header.prompt_tokens), header.prompt_tokens);
  const std::int64_t first_query = header.prompt_tokens - prompt_queries;
  std::vector<std::int32_t> positions(
      static_cast<std::size_t>(prompt_queries + header.decode_tokens));
  std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first_query));
  TraceWriter writer(options.output, header, positions,
                     {.with_out = true, .with_tokens = true, .overwrite = options.force});
  write_projections(file, header, writer);

  Capture capture(header, first_query, writer);
  const std::int64_t context = options.context != 0 ? options.context : header.total_tokens();
  const std::int64_t micro_batch = micro_batch_size(header.model, context);
  const auto cores = static_cast<int>(std::max(std::thread::hardware_concurrency(), 1U));
  session.open_context(context, micro_batch, options.threads != 0 ? options.threads : cores,
                       Capture::on_node, &capture);
  Recording recording(session, capture);
  recording.prompt(tokens, micro_batch);
  const std::vector<llama_token> decoded = recording.decode(header.decode_tokens);

  writer.write_tokens(0, tokens);
  writer.write_tokens(header.prompt_tokens, decoded);
  check_interrupt();
  writer.commit();

  RecordSummary summary;
  summary.file_bytes = std::filesystem::file_size(options.output);
  summary.prompt_tokens = header.prompt_tokens;
  summary.decode_tokens = header.decode_tokens;
  summary.prompt_seconds = recording.prompt_seconds();
  summary.decode_seconds = recording.decode_seconds();
  const std::vector<std::string> pieces = session.pieces(decoded);
  summary.decoded_text = std::accumulate(pieces.begin(), pieces.end(), std::string());
  return summary;
}

}  // namespace kvsieve::record
