#pragma once
// The fat binary that nvcc 13 embeds into an object: PTX and machine code of every architecture.
//
// A header, then entries of a header and a payload each. The layout is nvcc's own and is not
// published; what this reader does not know it refuses.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kvsieve::ptx {

enum class ImageKind {
  kPtx,
  kCubin,  ///< machine code, an ELF file
};

/// One program in a fat binary, as it is stored there.
struct FatBinaryImage {
  ImageKind kind = ImageKind::kPtx;
  int architecture = 0;                ///< 80 for sm_80
  std::span<const std::byte> payload;  ///< of the fat binary, padding included
  std::uint64_t flags = 0;
  std::uint64_t compressed_bytes = 0;    ///< of the payload, where it is compressed
  std::uint64_t uncompressed_bytes = 0;  ///< 0 where it is not compressed
};

/// The bytes of the fat binary that begins at `data`, by its header.
/// Throws Error(kBadInput) if none begins there.
[[nodiscard]] std::span<const std::byte> fat_binary_at(const void* data);

/// The images in the order of the file; they refer to `bytes`.
/// Throws Error(kBadInput) with the offset of what is damaged or unknown.
[[nodiscard]] std::vector<FatBinaryImage> read_fat_binary(std::span<const std::byte> bytes);

/// The image itself: the text of a PTX module, without the zeros that nvcc ends it with, or an ELF
/// file. Throws Error(kBadInput) for damaged data, Error(kMissingCapability) for a compression
/// other than zstd.
[[nodiscard]] std::string image_contents(const FatBinaryImage& image);

}  // namespace kvsieve::ptx
