#pragma once
// Metadata and tensors of a GGUF file, read with llama.cpp's own gguf.h.

#include <gguf.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvsieve::record {

/// A GGUF file opened for reading. Tensor data stays on disk until asked for.
class GgufFile {
 public:
  /// Throws Error(kBadInput), its text beginning with the path.
  explicit GgufFile(std::filesystem::path path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return m_path; }

  /// The value of a key that holds a number, a truth value or a one-valued array of them; empty if
  /// the key is missing. Throws Error(kBadInput) if it holds anything else.
  [[nodiscard]] std::optional<double> number(const std::string& key) const;

  /// As number(), for counts. Throws Error(kBadInput) if the key is missing or holds no integer.
  [[nodiscard]] std::int64_t count(const std::string& key) const;

  /// The elements of an array of numbers or truth values, or the one element of a scalar; empty if
  /// the key is missing.
  [[nodiscard]] std::vector<double> numbers(const std::string& key) const;

  /// The value of a string key, or `fallback` if the key is missing.
  [[nodiscard]] std::string text(const std::string& key, std::string fallback) const;

  [[nodiscard]] bool has_tensor(const std::string& name) const;

  /// A tensor's values as fp32, dequantised by ggml. Throws Error(kBadInput) if the file has no
  /// such tensor or ends before its data, Error(kMissingCapability) if ggml cannot dequantise its
  /// type.
  [[nodiscard]] std::vector<float> tensor(const std::string& name) const;

 private:
  struct Free {
    void operator()(gguf_context* context) const noexcept { gguf_free(context); }
  };

  std::filesystem::path m_path;
  std::unique_ptr<gguf_context, Free> m_context;
};

}  // namespace kvsieve::record
