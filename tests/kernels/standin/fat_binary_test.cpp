#include "exec/ptx/fat_binary.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <string_view>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/input_file.h"

namespace kvsieve::ptx {
namespace {

constexpr std::uint64_t kZstd = 0x8000;
constexpr std::uint64_t kLz4 = 0x2000;
constexpr std::size_t kHeaderBytes = 16;
constexpr std::size_t kEntryBytes = 64;

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <class T>
void overwrite(std::string& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

std::string entry(std::uint16_t kind, std::uint32_t architecture, std::string_view payload,
                  std::uint64_t flags = 0, std::uint64_t uncompressed_bytes = 0) {
  std::string bytes;
  append<std::uint16_t>(bytes, kind);
  append<std::uint16_t>(bytes, 0x101);
  append<std::uint32_t>(bytes, kEntryBytes);
  append<std::uint64_t>(bytes, payload.size());
  append<std::uint32_t>(bytes, flags == 0 ? 0 : static_cast<std::uint32_t>(payload.size()));
  append<std::uint32_t>(bytes, 0);
  append<std::uint32_t>(bytes, 9);
  append<std::uint32_t>(bytes, architecture);
  append<std::uint64_t>(bytes, 0);
  append<std::uint64_t>(bytes, flags);
  append<std::uint64_t>(bytes, 0);
  append<std::uint64_t>(bytes, uncompressed_bytes);
  return bytes + std::string(payload);
}

std::string fat_binary(const std::string& entries) {
  std::string bytes;
  append<std::uint32_t>(bytes, 0xBA55ED50);
  append<std::uint16_t>(bytes, 1);
  append<std::uint16_t>(bytes, kHeaderBytes);
  append<std::uint64_t>(bytes, entries.size());
  return bytes + entries;
}

std::string compress(std::string_view text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

std::span<const std::byte> as_span(const std::string& bytes) {
  return std::as_bytes(std::span(bytes));
}

std::string problem_of(const std::string& bytes) {
  try {
    for (const FatBinaryImage& image : read_fat_binary(as_span(bytes))) {
      (void)image_contents(image);
    }
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(FatBinary, ReadsImagesInTheirOrder) {
  const std::string text(".version 9.0\n\0\0\0", 16);
  const std::string bytes = fat_binary(entry(1, 80, compress(text), kZstd, text.size()) +
                                       entry(2, 90, "\177ELF machine code"));
  const auto images = read_fat_binary(as_span(bytes));
  ASSERT_EQ(images.size(), 2U);
  EXPECT_EQ(images[0].kind, ImageKind::kPtx);
  EXPECT_EQ(images[0].architecture, 80);
  EXPECT_EQ(image_contents(images[0]), ".version 9.0\n");
  EXPECT_EQ(images[1].kind, ImageKind::kCubin);
  EXPECT_EQ(images[1].architecture, 90);
  EXPECT_EQ(image_contents(images[1]), "\177ELF machine code");
}

TEST(FatBinary, KnowsItsOwnLength) {
  const std::string bytes = fat_binary(entry(1, 80, "text")) + "what follows it in the program";
  const std::span<const std::byte> found = fat_binary_at(bytes.data());
  EXPECT_EQ(found.data(), as_span(bytes).data());
  EXPECT_EQ(found.size(), kHeaderBytes + kEntryBytes + 4);
}

TEST(FatBinary, ReadsWhatNvccWrites) {
  const std::string path = KVSIEVE_TEST_FAT_BINARY;
  if (path.empty()) {
    GTEST_SKIP() << "built without nvcc";
  }
  const std::string bytes = traces::read_file(path, 1U << 20U);
  int ptx = 0;
  int cubins = 0;
  for (const FatBinaryImage& image : read_fat_binary(as_span(bytes))) {
    const std::string contents = image_contents(image);
    if (image.kind == ImageKind::kPtx) {
      ++ptx;
      EXPECT_NE(contents.find(".target sm_" + std::to_string(image.architecture)),
                std::string::npos);
      EXPECT_NE(contents.find(".entry shared_kernel"), std::string::npos);
      EXPECT_NE(contents.back(), '\0');
    } else {
      ++cubins;
      EXPECT_TRUE(contents.starts_with("\177ELF"));
    }
  }
  EXPECT_EQ(ptx, 1);
  EXPECT_EQ(cubins, 2);
}

TEST(FatBinary, SaysWhatIsDamaged) {
  const std::string good = fat_binary(entry(1, 80, compress("text"), kZstd, 4));
  ASSERT_EQ(problem_of(good), "none");
  EXPECT_EQ(problem_of(""), "fat binary: ends at byte 0, inside the header at byte 0");
  EXPECT_EQ(problem_of("no fat binary at all"),
            "fat binary: begins with 0x66206f6e, expected 0xba55ed50");
  EXPECT_EQ(problem_of(good.substr(0, good.size() - 1)),
            "fat binary: has 76 bytes behind its header, expected 77");

  std::string bytes = good;
  overwrite<std::uint16_t>(bytes, 4, 2);
  EXPECT_EQ(problem_of(bytes),
            "fat binary: has version 2 with a header of 16 bytes; supported: version 1 with 16");
  bytes = good;
  overwrite<std::uint16_t>(bytes, kHeaderBytes, 3);
  EXPECT_EQ(problem_of(bytes),
            "fat binary: the entry at byte 16 is of kind 3; supported: 1 (PTX) and 2 (ELF)");
  bytes = good;
  overwrite<std::uint64_t>(bytes, kHeaderBytes + 8, std::uint64_t{1} << 63U);
  EXPECT_EQ(problem_of(bytes),
            "fat binary: the entry at byte 16 has 64 + 9223372036854775808 bytes, of which only 77 "
            "are there");
  bytes = good;
  overwrite<std::uint32_t>(bytes, kHeaderBytes + 16, 100);
  EXPECT_EQ(problem_of(bytes),
            "fat binary: the entry at byte 16 has 100 compressed bytes in a payload of 13");
  bytes = good;
  overwrite<std::uint64_t>(bytes, kHeaderBytes + 56, 5);
  EXPECT_EQ(problem_of(bytes), "fat binary: the image of sm_80 has 4 bytes, expected 5");
  overwrite<std::uint64_t>(bytes, kHeaderBytes + 56, std::uint64_t{1} << 40U);
  EXPECT_EQ(problem_of(bytes),
            "fat binary: an image of sm_80 would have 1099511627776 bytes; supported: 1073741824");
  bytes = good;
  overwrite<std::uint32_t>(bytes, kHeaderBytes + kEntryBytes, 0);
  EXPECT_EQ(problem_of(bytes),
            "fat binary: the image of sm_80 is damaged (Unknown frame descriptor)");
}

TEST(FatBinary, RefusesLz4ByName) {
  EXPECT_EQ(problem_of(fat_binary(entry(1, 80, "text", kLz4, 8))),
            "fat binary: compressed with LZ4, of which only nvcc before 13 makes use");
}

TEST(FatBinary, SurvivesEveryDamagedByte) {
  const std::string text(300, 'x');
  const std::string good =
      fat_binary(entry(1, 80, compress(text), kZstd, text.size()) + entry(2, 90, "machine code"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char bits : {'\x01', '\x80', '\xff'}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ bits);
      // Either an Error or other contents: never an access beyond the bytes or another exception.
      (void)problem_of(bytes);
    }
    EXPECT_NE(problem_of(good.substr(0, i)), "none");
  }
}

}  // namespace
}  // namespace kvsieve::ptx
