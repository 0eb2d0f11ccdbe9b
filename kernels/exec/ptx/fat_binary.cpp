#include "exec/ptx/fat_binary.h"

#include <fmt/format.h>
#include <zstd.h>

#include <cstring>

#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

constexpr std::uint32_t kMagic = 0xBA55ED50;
constexpr std::uint16_t kVersion = 1;
constexpr std::uint64_t kFlagZstd = 0x8000;
constexpr std::uint64_t kFlagLz4 = 0x2000;
/// What a module unpacks to; the largest of this project has a few MiB.
constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 30U;

struct Header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t header_bytes;
  std::uint64_t payload_bytes;
};
static_assert(sizeof(Header) == 16);

struct Entry {
  std::uint16_t kind;
  std::uint16_t unknown;
  std::uint32_t header_bytes;
  std::uint64_t payload_bytes;
  std::uint32_t compressed_bytes;
  std::uint32_t options_offset;
  std::uint16_t minor;
  std::uint16_t major;
  std::uint32_t architecture;
  std::uint32_t name_offset;
  std::uint32_t name_bytes;
  std::uint64_t flags;
  std::uint64_t zero;
  std::uint64_t uncompressed_bytes;
};
static_assert(sizeof(Entry) == 64);

constexpr std::uint16_t kKindPtx = 1;
constexpr std::uint16_t kKindElf = 2;

[[noreturn]] void fail(const std::string& problem) {
  throw Error(ErrorKind::kBadInput, "fat binary: " + problem);
}

template <class T>
T read_at(std::span<const std::byte> bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
    fail(fmt::format("ends at byte {}, inside the header at byte {}", bytes.size(), offset));
  }
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

Header read_header(std::span<const std::byte> bytes) {
  const auto header = read_at<Header>(bytes, 0);
  if (header.magic != kMagic) {
    fail(fmt::format("begins with {:#010x}, expected {:#010x}", header.magic, kMagic));
  }
  if (header.version != kVersion || header.header_bytes != sizeof(Header)) {
    fail(fmt::format("has version {} with a header of {} bytes; supported: version {} with {}",
                     header.version, header.header_bytes, kVersion, sizeof(Header)));
  }
  return header;
}

FatBinaryImage read_entry(std::span<const std::byte> bytes, std::size_t offset) {
  const auto entry = read_at<Entry>(bytes, offset);
  const std::size_t left = bytes.size() - offset;
  if (entry.header_bytes < sizeof(Entry) || entry.header_bytes > left ||
      entry.payload_bytes > left - entry.header_bytes) {
    fail(fmt::format("the entry at byte {} has {} + {} bytes, of which only {} are there", offset,
                     entry.header_bytes, entry.payload_bytes, left));
  }
  if (entry.kind != kKindPtx && entry.kind != kKindElf) {
    fail(fmt::format("the entry at byte {} is of kind {}; supported: {} (PTX) and {} (ELF)", offset,
                     entry.kind, kKindPtx, kKindElf));
  }
  if (entry.compressed_bytes > entry.payload_bytes) {
    fail(fmt::format("the entry at byte {} has {} compressed bytes in a payload of {}", offset,
                     entry.compressed_bytes, entry.payload_bytes));
  }
  return {entry.kind == kKindPtx ? ImageKind::kPtx : ImageKind::kCubin,
          static_cast<int>(entry.architecture),
          bytes.subspan(offset + entry.header_bytes, entry.payload_bytes),
          entry.flags,
          entry.compressed_bytes,
          entry.uncompressed_bytes};
}

std::string decompress(const FatBinaryImage& image) {
  if (image.uncompressed_bytes > kMaxImageBytes) {
    fail(fmt::format("an image of sm_{} would have {} bytes; supported: {}", image.architecture,
                     image.uncompressed_bytes, kMaxImageBytes));
  }
  std::string contents(image.uncompressed_bytes, '\0');
  const std::size_t size = ZSTD_decompress(contents.data(), contents.size(), image.payload.data(),
                                           image.compressed_bytes);
  if (ZSTD_isError(size) != 0) {
    fail(fmt::format("the image of sm_{} is damaged ({})", image.architecture,
                     ZSTD_getErrorName(size)));
  }
  if (size != image.uncompressed_bytes) {
    fail(fmt::format("the image of sm_{} has {} bytes, expected {}", image.architecture, size,
                     image.uncompressed_bytes));
  }
  return contents;
}

}  // namespace

std::span<const std::byte> fat_binary_at(const void* data) {
  const auto* begin = static_cast<const std::byte*>(data);
  const Header header = read_header({begin, sizeof(Header)});
  return {begin, sizeof(Header) + header.payload_bytes};
}

std::vector<FatBinaryImage> read_fat_binary(std::span<const std::byte> bytes) {
  const Header header = read_header(bytes);
  if (header.payload_bytes > bytes.size() - sizeof(Header)) {
    fail(fmt::format("has {} bytes behind its header, expected {}", bytes.size() - sizeof(Header),
                     header.payload_bytes));
  }
  bytes = bytes.first(sizeof(Header) + header.payload_bytes);
  std::vector<FatBinaryImage> images;
  for (std::size_t offset = sizeof(Header); offset < bytes.size();) {
    images.push_back(read_entry(bytes, offset));
    const auto* end = images.back().payload.data() + images.back().payload.size();
    offset = static_cast<std::size_t>(end - bytes.data());
  }
  return images;
}

std::string image_contents(const FatBinaryImage& image) {
  if ((image.flags & kFlagLz4) != 0) {
    throw Error(ErrorKind::kMissingCapability,
                "fat binary: compressed with LZ4, of which only nvcc before 13 makes use",
                "compile with nvcc 13, or with -no-compress");
  }
  std::string contents;
  if ((image.flags & kFlagZstd) != 0) {
    contents = decompress(image);
  } else {
    contents.assign(reinterpret_cast<const char*>(image.payload.data()), image.payload.size());
  }
  if (image.kind == ImageKind::kPtx) {
    contents.resize(contents.find_last_not_of('\0') + 1);
  }
  return contents;
}

}  // namespace kvsieve::ptx
