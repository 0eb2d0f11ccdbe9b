#include "exec/ptx/cubin_resources.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

// Attributes of .nv.info: one byte of format, one of the attribute, two of a value or of the bytes
// that follow. The numbers are those of `cuobjdump -elf`.
constexpr std::uint8_t kFormatSized = 4;
constexpr std::uint8_t kMaxThreads = 0x05;
constexpr std::uint8_t kFrameSize = 0x11;
constexpr std::uint8_t kRegisterCount = 0x2f;

/// What the system keeps of every block's shared memory from sm_90 on, counted with a kernel's own
/// where the kernel has some.
constexpr std::size_t kReservedSharedBytes = 1024;
constexpr int kFirstReservingArchitecture = 90;

[[noreturn]] void fail(const std::string& problem) {
  throw Error(ErrorKind::kBadInput, "machine code: " + problem);
}

/// An ELF file whose every access is checked.
class Elf {
 public:
  explicit Elf(std::string_view bytes) : m_bytes(bytes) {
    const auto header = read<Elf64_Ehdr>(m_bytes, 0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr)) {
      fail("is not a 64-bit ELF file");
    }
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
      m_sections.push_back(read<Elf64_Shdr>(m_bytes, header.e_shoff + i * sizeof(Elf64_Shdr)));
    }
    m_names = contents(section(header.e_shstrndx));
  }

  [[nodiscard]] const std::vector<Elf64_Shdr>& sections() const { return m_sections; }
  [[nodiscard]] const Elf64_Shdr& section(std::size_t index) const {
    if (index >= m_sections.size()) {
      fail(fmt::format("has {} sections, section {} is needed", m_sections.size(), index));
    }
    return m_sections[index];
  }
  [[nodiscard]] std::string name(const Elf64_Shdr& section) const {
    return text(m_names, section.sh_name);
  }
  [[nodiscard]] std::string_view contents(const Elf64_Shdr& section) const {
    if (section.sh_offset > m_bytes.size() ||
        section.sh_size > m_bytes.size() - section.sh_offset) {
      fail(fmt::format("a section ends behind the {} bytes of the file", m_bytes.size()));
    }
    return m_bytes.substr(section.sh_offset, section.sh_size);
  }

  template <class T>
  static T read(std::string_view bytes, std::size_t offset) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
      fail(fmt::format("ends at byte {}, inside a field at byte {}", bytes.size(), offset));
    }
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
  static std::string text(std::string_view strings, std::size_t offset) {
    if (offset >= strings.size()) {
      fail(fmt::format("a name begins at byte {} of {} bytes", offset, strings.size()));
    }
    strings.remove_prefix(offset);
    return std::string(strings.substr(0, strings.find('\0')));
  }

 private:
  std::string_view m_bytes;
  std::vector<Elf64_Shdr> m_sections;
  std::string_view m_names;
};

/// visit(attribute, value) for every attribute that has more than two bytes.
template <class Visit>
void for_each_attribute(std::string_view info, const Visit& visit) {
  while (!info.empty()) {
    const auto format = Elf::read<std::uint8_t>(info, 0);
    const auto attribute = Elf::read<std::uint8_t>(info, 1);
    const auto bytes = Elf::read<std::uint16_t>(info, 2);
    info.remove_prefix(4);
    if (format == kFormatSized) {
      if (bytes > info.size()) {
        fail(fmt::format("attribute {:#x} has {} bytes, of which {} are there", attribute, bytes,
                         info.size()));
      }
      visit(attribute, info.substr(0, bytes));
      info.remove_prefix(bytes);
    }
  }
}

/// Names of the symbols that attributes refer to, by index.
std::vector<std::string> symbol_names(const Elf& elf) {
  std::vector<std::string> names;
  for (const Elf64_Shdr& section : elf.sections()) {
    if (section.sh_type == SHT_SYMTAB) {
      const std::string_view symbols = elf.contents(section);
      const std::string_view strings = elf.contents(elf.section(section.sh_link));
      for (std::size_t at = 0; at < symbols.size(); at += sizeof(Elf64_Sym)) {
        names.push_back(Elf::text(strings, Elf::read<Elf64_Sym>(symbols, at).st_name));
      }
    }
  }
  return names;
}

/// What follows `prefix` in a section's name: the kernel that the section is about.
std::string kernel_of(const std::string& section, std::string_view prefix) {
  return section.starts_with(prefix) ? section.substr(prefix.size()) : std::string();
}

}  // namespace

std::map<std::string, KernelResources> read_cubin_resources(std::string_view bytes,
                                                            int architecture) {
  const Elf elf(bytes);
  std::map<std::string, KernelResources> kernels;
  for (const Elf64_Shdr& section : elf.sections()) {
    // The sections of attributes are of kernels alone; those of code are of functions, too.
    if (const std::string kernel = kernel_of(elf.name(section), ".nv.info."); !kernel.empty()) {
      kernels[kernel];
    }
  }
  const std::vector<std::string> symbols = symbol_names(elf);
  const auto find = [&](std::string_view attribute) {
    const auto symbol = Elf::read<std::uint32_t>(attribute, 0);
    if (symbol >= symbols.size()) {
      fail(fmt::format("an attribute names symbol {} of {}", symbol, symbols.size()));
    }
    return kernels.find(symbols[symbol]);
  };
  const auto read_common = [&](std::uint8_t attribute, std::string_view value) {
    if (attribute != kRegisterCount && attribute != kFrameSize) {
      return;
    }
    const auto kernel = find(value);
    if (kernel == kernels.end()) {
      return;
    }
    const auto number = Elf::read<std::uint32_t>(value, sizeof(std::uint32_t));
    if (attribute == kRegisterCount) {
      kernel->second.registers = static_cast<int>(number);
    } else {
      kernel->second.stack_bytes += number;
    }
  };
  for (const Elf64_Shdr& section : elf.sections()) {
    const std::string name = elf.name(section);
    if (name == ".nv.info") {
      for_each_attribute(elf.contents(section), read_common);
    } else if (const auto info = kernels.find(kernel_of(name, ".nv.info."));
               info != kernels.end()) {
      for_each_attribute(
          elf.contents(section), [&](std::uint8_t attribute, std::string_view value) {
            if (attribute == kMaxThreads) {
              info->second.max_threads = static_cast<int>(Elf::read<std::uint32_t>(value, 0) *
                                                          Elf::read<std::uint32_t>(value, 4) *
                                                          Elf::read<std::uint32_t>(value, 8));
            }
          });
    } else if (const auto shared = kernels.find(kernel_of(name, ".nv.shared."));
               shared != kernels.end()) {
      const std::size_t reserved =
          architecture >= kFirstReservingArchitecture ? kReservedSharedBytes : 0;
      shared->second.static_shared_bytes = section.sh_size - std::min(section.sh_size, reserved);
    } else if (const auto local = kernels.find(kernel_of(name, ".nv.local."));
               local != kernels.end()) {
      local->second.stack_bytes += section.sh_size;
    } else if (const auto constant = kernels.find(kernel_of(name, ".nv.constant0."));
               constant != kernels.end()) {
      constant->second.constant_bytes = section.sh_size;
    }
  }
  return kernels;
}

}  // namespace kvsieve::ptx
