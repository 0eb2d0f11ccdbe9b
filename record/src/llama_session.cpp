#include "llama_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "interrupt.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::record {
namespace {

std::string g_error;  // llama.cpp logs from the thread that called it

/// The first error says what went wrong, those behind it what failed because of that.
void keep_first_error(ggml_log_level level, const char* text, void* /*user_data*/) {
  if (level == GGML_LOG_LEVEL_ERROR && g_error.empty()) {
    g_error = text;
    g_error.erase(std::find(g_error.begin(), g_error.end(), '\n'), g_error.end());
  }
}

std::string reason() {
  return g_error.empty() ? "no reason given" : g_error;
}

}  // namespace

std::string llama_version_text() {
  return fmt::format("llama.cpp {}", llama_version());
}

void silence_llama_log() {
  llama_log_set(keep_first_error, nullptr);
}

LlamaSession::LlamaSession(const std::filesystem::path& model) {
  llama_backend_init();
  llama_model_params params = llama_model_default_params();
  // An empty device list keeps everything on the CPU, where fp32 attention is the same everywhere.
  ggml_backend_dev_t no_devices[] = {nullptr};
  params.devices = no_devices;
  params.n_gpu_layers = 0;
  params.progress_callback = [](float /*done*/, void* /*data*/) { return !interrupted(); };
  m_model.reset(llama_model_load_from_file(model.c_str(), params));
  check_interrupt();
  if (!m_model) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: llama.cpp cannot load the model ({})", model.string(), reason()));
  }
  m_vocab = llama_model_get_vocab(m_model.get());
  if (llama_vocab_type(m_vocab) == LLAMA_VOCAB_TYPE_NONE) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: the model has no tokenizer", model.string()));
  }
}

std::string LlamaSession::apply_chat_template(const std::string& prompt) const {
  const char* text = llama_model_chat_template(m_model.get(), nullptr);
  if (text == nullptr) {
    throw Error(ErrorKind::kMissingCapability, "--chat: the model has no chat template");
  }
  const llama_chat_message message = {"user", prompt.c_str()};
  const auto apply = [&](std::string& buffer) {
    return llama_chat_apply_template(text, &message, 1, true, buffer.data(),
                                     static_cast<std::int32_t>(buffer.size()));
  };
  std::string formatted(prompt.size() + 1024, '\0');
  std::int32_t size = apply(formatted);
  if (size > static_cast<std::int32_t>(formatted.size())) {
    formatted.resize(static_cast<std::size_t>(size));
    size = apply(formatted);
  }
  if (size < 0) {
    throw Error(ErrorKind::kMissingCapability,
                "--chat: llama.cpp does not know the model's chat template",
                "put the template's text into the prompt file instead");
  }
  formatted.resize(static_cast<std::size_t>(size));
  return formatted;
}

std::vector<llama_token> LlamaSession::tokenize(const std::string& text, bool parse_special) const {
  std::vector<llama_token> tokens(text.size() + 8);
  const auto convert = [&] {
    return llama_tokenize(m_vocab, text.data(), static_cast<std::int32_t>(text.size()),
                          tokens.data(), static_cast<std::int32_t>(tokens.size()), true,
                          parse_special);
  };
  std::int32_t count = 0;
  try {
    count = convert();
    if (count < 0 && count != INT32_MIN) {  // some tokenizers lengthen the text
      tokens.resize(static_cast<std::size_t>(-count));
      count = convert();
    }
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("the prompt cannot be tokenized ({})", error.what()),
                "the prompt must be UTF-8 text");
  }
  if (count <= 0) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("the prompt's {} bytes cannot be tokenized", text.size()));
  }
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::vector<std::string> LlamaSession::pieces(std::span<const llama_token> tokens) const {
  std::vector<std::string> texts;
  texts.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::string text(256, '\0');
    const auto render = [&] {
      return llama_token_to_piece(m_vocab, tokens[i], text.data(),
                                  static_cast<std::int32_t>(text.size()), 0, true);
    };
    std::int32_t size = render();
    if (size < 0) {
      text.resize(static_cast<std::size_t>(-size));
      size = render();
    }
    const bool in_front =
        i == 0 && llama_vocab_get_add_bos(m_vocab) && tokens[i] == llama_vocab_bos(m_vocab);
    text.resize(in_front || size < 0 ? 0 : static_cast<std::size_t>(size));
    texts.push_back(std::move(text));
  }
  return texts;
}

std::int64_t LlamaSession::trained_context() const {
  return llama_model_n_ctx_train(m_model.get());
}

void LlamaSession::open_context(std::int64_t tokens, std::int64_t micro_batch, int threads,
                                ggml_backend_sched_eval_callback callback, void* user_data) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(tokens);
  params.n_batch = static_cast<std::uint32_t>(micro_batch);
  params.n_ubatch = static_cast<std::uint32_t>(micro_batch);
  params.n_threads = threads;
  params.n_threads_batch = threads;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = GGML_TYPE_F32;
  params.type_v = GGML_TYPE_F32;
  params.offload_kqv = false;
  params.op_offload = false;
  params.no_perf = true;
  params.cb_eval = callback;
  params.cb_eval_user_data = user_data;
  params.abort_callback = [](void* /*data*/) { return interrupted(); };
  m_context.reset(llama_init_from_model(m_model.get(), params));
  if (!m_context) {
    throw Error(ErrorKind::kInternal,
                fmt::format("llama.cpp cannot open a context of {} tokens ({})", tokens, reason()),
                "a shorter prompt or --context needs less memory");
  }
}

void LlamaSession::evaluate(std::span<const llama_token> tokens) {
  check_interrupt();
  std::vector<llama_token> copy(tokens.begin(), tokens.end());  // llama.cpp takes it as mutable
  const std::int32_t status = llama_decode(
      m_context.get(), llama_batch_get_one(copy.data(), static_cast<std::int32_t>(copy.size())));
  check_interrupt();
  if (status != 0) {
    throw Error(ErrorKind::kInternal,
                fmt::format("llama.cpp failed to evaluate a batch of {} tokens: status {} ({})",
                            tokens.size(), status, reason()));
  }
}

llama_token LlamaSession::next_token() const {
  const float* logits = llama_get_logits_ith(m_context.get(), -1);
  if (logits == nullptr) {
    throw Error(ErrorKind::kInternal, "llama.cpp gave no logits for the last token");
  }
  const float* end = logits + llama_vocab_n_tokens(m_vocab);
  return static_cast<llama_token>(std::max_element(logits, end) - logits);
}

}  // namespace kvsieve::record
