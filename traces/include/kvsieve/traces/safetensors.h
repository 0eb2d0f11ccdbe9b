#pragma once
// Reading and writing Hugging Face's safetensors format: 8 bytes of header length, a JSON header,
// then the tensors' bytes. The reader maps the file and copies nothing.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/traces/dtype.h"

namespace kvsieve::traces {

/// A tensor inside a mapped file, row-major.
struct TensorView {
  const std::byte* data = nullptr;  ///< element-aligned only when the file's header is padded to it
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;

  [[nodiscard]] std::int64_t elements() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(elements()) * size_of(dtype);
  }
};

/// One entry of a safetensors header.
struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< byte offset from the start of the data section
  std::uint64_t end = 0;
};

/// The parsed header of a safetensors file.
struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorEntry> tensors;  ///< in the order of their data
  std::uint64_t data_offset = 0;     ///< where the data section begins in the file
};

/// Parses and checks a header. `bytes` holds at least the file's first min(file_size, 8 + header
/// length) bytes. Checks what the format demands: header length within the file and 100 MB, UTF-8
/// JSON without duplicate keys, known dtypes, shapes whose product matches the byte range, ranges
/// that cover the data section without holes or overlap. Throws Error(kBadInput) saying what was
/// found, what was expected and, for JSON errors, the byte offset.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                                         std::uint64_t file_size);

/// A safetensors file, memory-mapped read-only. Movable, not copyable; safe to read from several
/// threads.
class SafetensorsFile {
 public:
  /// Maps `path`. Throws Error(kBadInput), its text beginning with the path.
  static SafetensorsFile open(const std::filesystem::path& path);

  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  [[nodiscard]] const std::filesystem::path& path() const noexcept;
  [[nodiscard]] std::uint64_t file_size() const noexcept;
  [[nodiscard]] const SafetensorsHeader& header() const noexcept;
  [[nodiscard]] bool contains(std::string_view name) const;

  /// The tensor called `name`. Throws Error(kBadInput) if the file has none.
  [[nodiscard]] TensorView tensor(std::string_view name) const;

  /// Tells the kernel that the pages of this tensor are not needed any more.
  void release(const TensorView& tensor) const noexcept;

  /// xxh128 of the whole file as 32 hexadecimal digits.
  [[nodiscard]] std::string hash() const;

 private:
  struct Mapping;
  explicit SafetensorsFile(std::unique_ptr<Mapping> mapping);
  std::unique_ptr<Mapping> m_mapping;
};

/// Writes a safetensors file whose shapes are known up front, in any order and in pieces, so that
/// memory stays bounded. The file appears under its name at commit() or not at all.
class SafetensorsWriter {
 public:
  struct Tensor {
    std::string name;
    DType dtype;
    std::vector<std::int64_t> shape;
  };

  /// Creates a temporary file beside `path`. Throws Error(kUsage) if `path` exists and `overwrite`
  /// is false, Error(kBadInput) if the folder cannot be written.
  SafetensorsWriter(std::filesystem::path path, std::map<std::string, std::string> metadata,
                    const std::vector<Tensor>& tensors, bool overwrite);
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
  ~SafetensorsWriter();

  /// Converts `values` to the tensor's dtype and writes them from element `first` on.
  void write(std::string_view name, std::int64_t first, std::span<const float> values);

  /// Writes I32 values from element `first` on.
  void write(std::string_view name, std::int64_t first, std::span<const std::int32_t> values);

  /// Syncs and renames into place. Throws Error(kInternal) if an element was never written.
  void commit();

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace kvsieve::traces
