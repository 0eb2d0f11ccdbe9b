#include "exec/ptx/cubin_resources.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "exec/ptx/fat_binary.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/input_file.h"

namespace kvsieve::ptx {
namespace {

template <class T>
std::string bytes_of(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

/// An attribute of .nv.info with a value of 32-bit numbers.
std::string attribute(std::uint8_t number, const std::vector<std::uint32_t>& values) {
  std::string bytes = {'\x04', static_cast<char>(number)};
  bytes += bytes_of(static_cast<std::uint16_t>(values.size() * sizeof(std::uint32_t)));
  for (const std::uint32_t value : values) {
    bytes += bytes_of(value);
  }
  return bytes;
}

/// An ELF file with the sections that the reader looks at.
class ElfFile {
 public:
  ElfFile() {
    add(SHT_NULL, "", "");
    add(SHT_STRTAB, ".strtab", std::string("\0kernel\0", 8));
    Elf64_Sym none{};
    Elf64_Sym kernel{};
    kernel.st_name = 1;
    add(SHT_SYMTAB, ".symtab", bytes_of(none) + bytes_of(kernel));
    m_sections.back().sh_link = 1;
  }

  void add(std::uint32_t type, const std::string& name, const std::string& contents,
           std::uint64_t size = 0) {
    Elf64_Shdr section{};
    section.sh_type = type;
    section.sh_name = static_cast<std::uint32_t>(m_names.size());
    section.sh_offset = sizeof(Elf64_Ehdr) + m_contents.size();
    section.sh_size = size == 0 ? contents.size() : size;
    m_sections.push_back(section);
    m_names += name + '\0';
    m_contents += contents;
  }

  [[nodiscard]] std::string bytes() {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shstrndx = static_cast<std::uint16_t>(m_sections.size());
    const std::string names = m_names + ".shstrtab" + '\0';
    add(SHT_STRTAB, ".shstrtab", names);
    header.e_shnum = static_cast<std::uint16_t>(m_sections.size());
    header.e_shoff = sizeof(Elf64_Ehdr) + m_contents.size();
    std::string bytes = bytes_of(header) + m_contents;
    for (const Elf64_Shdr& section : m_sections) {
      bytes += bytes_of(section);
    }
    return bytes;
  }

 private:
  std::vector<Elf64_Shdr> m_sections;
  std::string m_names;
  std::string m_contents;
};

constexpr std::uint8_t kMaxThreads = 0x05;
constexpr std::uint8_t kFrameSize = 0x11;
constexpr std::uint8_t kRegisterCount = 0x2f;

std::string small_file() {
  ElfFile file;
  file.add(SHT_PROGBITS, ".nv.info",
           attribute(kRegisterCount, {1, 40}) + attribute(kFrameSize, {1, 24}) +
               attribute(kFrameSize, {0, 512}));
  file.add(SHT_PROGBITS, ".nv.info.kernel", attribute(kMaxThreads, {16, 4, 2}));
  file.add(SHT_NOBITS, ".nv.shared.kernel", "", 1300);
  file.add(SHT_NOBITS, ".nv.local.kernel", "", 8);
  file.add(SHT_PROGBITS, ".nv.constant0.kernel", std::string(360, '\0'));
  return file.bytes();
}

std::string problem_of(std::string_view bytes) {
  try {
    (void)read_cubin_resources(bytes, 80);
    return "none";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(CubinResources, ReadsSectionsAndAttributes) {
  KernelResources expected{40, 24 + 8, 1300, 360, 128};
  EXPECT_EQ(read_cubin_resources(small_file(), 80),
            (std::map<std::string, KernelResources>{{"kernel", expected}}));
  expected.static_shared_bytes = 1300 - 1024;
  EXPECT_EQ(read_cubin_resources(small_file(), 90),
            (std::map<std::string, KernelResources>{{"kernel", expected}}));
}

// What `cuobjdump -res-usage` says of nvcc 13.0's output; registers are the compiler's affair.
TEST(CubinResources, ReadsWhatNvccWrites) {
  const std::string path = KVSIEVE_TEST_FAT_BINARY;
  if (path.empty()) {
    GTEST_SKIP() << "built without nvcc";
  }
  const std::string bytes = traces::read_file(path, 1U << 20U);
  int cubins = 0;
  for (const FatBinaryImage& image : read_fat_binary(std::as_bytes(std::span(bytes)))) {
    if (image.kind == ImageKind::kCubin) {
      SCOPED_TRACE(image.architecture);
      ++cubins;
      auto kernels = read_cubin_resources(image_contents(image), image.architecture);
      ASSERT_EQ(kernels.size(), 2U);
      const KernelResources& shared = kernels.at("shared_kernel");
      EXPECT_EQ(shared.static_shared_bytes, 200 * sizeof(float));
      EXPECT_EQ(shared.stack_bytes, 0U);
      EXPECT_EQ(shared.max_threads, 96);
      EXPECT_GT(shared.registers, 0);
      const KernelResources& local = kernels.at("local_array_kernel");
      EXPECT_EQ(local.static_shared_bytes, 0U);
      EXPECT_EQ(local.stack_bytes, 64 * sizeof(int));
      EXPECT_EQ(local.max_threads, 1024);
      EXPECT_EQ(local.constant_bytes, shared.constant_bytes);
    }
  }
  EXPECT_EQ(cubins, 2);
}

TEST(CubinResources, SaysWhatIsDamaged) {
  ASSERT_EQ(problem_of(small_file()), "none");
  EXPECT_EQ(problem_of("short"), "machine code: ends at byte 5, inside a field at byte 0");
  EXPECT_EQ(problem_of(std::string(100, 'x')), "machine code: is not a 64-bit ELF file");
  ElfFile unknown_symbol;
  unknown_symbol.add(SHT_PROGBITS, ".nv.info", attribute(kRegisterCount, {7, 40}));
  EXPECT_EQ(problem_of(unknown_symbol.bytes()), "machine code: an attribute names symbol 7 of 2");
  ElfFile cut_attribute;
  cut_attribute.add(SHT_PROGBITS, ".nv.info", attribute(kRegisterCount, {1, 40}).substr(0, 9));
  EXPECT_EQ(problem_of(cut_attribute.bytes()),
            "machine code: attribute 0x2f has 8 bytes, of which 5 are there");
}

TEST(CubinResources, SurvivesEveryDamagedByte) {
  const std::string good = small_file();
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char bits : {'\x01', '\x80', '\xff'}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ bits);
      // Either an Error or other numbers: never an access beyond the bytes or another exception.
      (void)problem_of(bytes);
    }
    EXPECT_NE(problem_of(std::string_view(good).substr(0, i)), "none");
  }
}

}  // namespace
}  // namespace kvsieve::ptx
