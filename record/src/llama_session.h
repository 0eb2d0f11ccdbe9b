#pragma once
// A llama.cpp model with one context on the CPU, freed when it goes out of scope.

#include <llama.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvsieve::record {

/// The version of the llama.cpp library in use.
[[nodiscard]] std::string llama_version_text();

/// From now on llama.cpp keeps its messages to itself; the first error is quoted in exceptions.
void silence_llama_log();

/// A loaded model: its tokenizer, and evaluation of one sequence.
class LlamaSession {
 public:
  /// Throws Error(kBadInput) with llama.cpp's reason if the model does not load, Interrupted if
  /// Ctrl-C comes first.
  explicit LlamaSession(const std::filesystem::path& model);

  /// `prompt` as one user message in the model's chat template, ready for the answer. Throws
  /// Error(kMissingCapability) if the model has no template that llama.cpp knows.
  [[nodiscard]] std::string apply_chat_template(const std::string& prompt) const;

  /// Token ids of `text`, with the tokens that the model wants at its ends. `parse_special` reads
  /// control tokens that the text spells out, as chat templates do.
  [[nodiscard]] std::vector<llama_token> tokenize(const std::string& text,
                                                  bool parse_special) const;

  /// The text of each token; nothing for a begin-of-sequence token in front.
  [[nodiscard]] std::vector<std::string> pieces(std::span<const llama_token> tokens) const;

  /// The longest context the model was trained on.
  [[nodiscard]] std::int64_t trained_context() const;

  /// Makes room for `tokens` positions, micro-batches of `micro_batch` tokens. Flash attention is
  /// off and the KV cache is fp32, so that attention outputs are exact to fp32. Throws
  /// Error(kInternal) if llama.cpp refuses, which means too little memory.
  void open_context(std::int64_t tokens, std::int64_t micro_batch, int threads,
                    ggml_backend_sched_eval_callback callback, void* user_data);

  /// Evaluates `tokens` behind what was evaluated before, as one micro-batch. Throws Interrupted or
  /// Error(kInternal).
  void evaluate(std::span<const llama_token> tokens);

  /// The most likely next token after the last evaluation; the lowest id among equals.
  [[nodiscard]] llama_token next_token() const;

 private:
  struct FreeModel {
    void operator()(llama_model* model) const noexcept { llama_model_free(model); }
  };
  struct FreeContext {
    void operator()(llama_context* context) const noexcept { llama_free(context); }
  };

  std::unique_ptr<llama_model, FreeModel> m_model;
  std::unique_ptr<llama_context, FreeContext> m_context;  // behind the model: freed before it
  const llama_vocab* m_vocab = nullptr;
};

}  // namespace kvsieve::record
