#include "exec/simt/static_shared.h"

#include <link.h>
#include <sys/auxv.h>

#include <cstdint>

namespace kvsieve::simt {
namespace {

struct Search {
  std::uintptr_t address;  ///< of something in the module
  std::span<std::byte> found;
};

int visit_module(dl_phdr_info* info, std::size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  bool holds_address = false;
  std::size_t bytes = 0;
  for (const auto& segment : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && search.address >= begin &&
        search.address < begin + segment.p_memsz) {
      holds_address = true;
    } else if (segment.p_type == PT_TLS) {
      bytes = segment.p_memsz;
    }
  }
  if (holds_address && info->dlpi_tls_data != nullptr) {
    search.found = {static_cast<std::byte*>(info->dlpi_tls_data), bytes};
  }
  return holds_address ? 1 : 0;
}

}  // namespace

std::span<std::byte> thread_locals_of_this_module() {
  // A statically linked program has the C library's variables in the same place.
  if (getauxval(AT_BASE) == 0) {
    return {};
  }
  Search search{reinterpret_cast<std::uintptr_t>(&visit_module), {}};
  dl_iterate_phdr(&visit_module, &search);
  return search.found;
}

}  // namespace kvsieve::simt
