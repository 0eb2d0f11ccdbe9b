// Feeds a whole file's bytes to the header parser.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/safetensors.h"
#include "require.h"

using kvsieve::tests::require;
using kvsieve::tests::require_bad_input;
using kvsieve::traces::SafetensorsHeader;
using kvsieve::traces::TensorEntry;

namespace {

/// What the rest of the program relies on once a header was accepted.
void require_sound(const SafetensorsHeader& header, std::uint64_t file_size) {
  require(header.data_offset <= file_size, "the data section lies inside the file");
  std::uint64_t covered = 0;
  for (const TensorEntry& entry : header.tensors) {
    require(entry.begin == covered && entry.end >= entry.begin, "tensors follow one another");
    covered = entry.end;
    bool empty = false;
    for (const std::int64_t extent : entry.shape) {
      require(extent >= 0, "extents are not negative");
      empty = empty || extent == 0;
    }
    std::uint64_t bytes = empty ? 0 : kvsieve::traces::size_of(entry.dtype);
    for (const std::int64_t extent : entry.shape) {
      if (!empty) {
        require(
            bytes <= std::numeric_limits<std::uint64_t>::max() / static_cast<std::uint64_t>(extent),
            "the shape's product fits");
        bytes *= static_cast<std::uint64_t>(extent);
      }
    }
    require(bytes == entry.end - entry.begin, "dtype and shape agree with the range");
  }
  require(covered == file_size - header.data_offset, "tensors cover the data section");
}

void parse(std::span<const std::byte> bytes, std::uint64_t file_size) {
  try {
    require_sound(kvsieve::traces::parse_safetensors_header(bytes, file_size), file_size);
  } catch (const kvsieve::Error& error) {
    require_bad_input(error);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  parse(bytes, size);
  // The length field rarely survives mutation, so the same bytes are tried as a header alone,
  // before as much data as the last two bytes say.
  if (size >= 10) {
    std::vector<std::byte> file(bytes.begin(), bytes.end() - 2);
    const std::uint64_t length = file.size() - 8;
    for (unsigned i = 0; i < 8; ++i) {
      file[i] = static_cast<std::byte>(length >> (8U * i));
    }
    parse(file, file.size() + data[size - 1] + 256U * data[size - 2]);
  }
  return 0;
}
