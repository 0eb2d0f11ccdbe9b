#include "exec/simt/executor.h"

#include <algorithm>

#include "exec/simt/block.h"

namespace kvsieve::simt {

void* dynamic_shared_memory() {
  return this_block().shared_memory();
}

std::string kernel_name_from(std::string_view pretty_function) {
  constexpr std::string_view kMark = "Kernel = ";
  std::string_view name = pretty_function.substr(pretty_function.find(kMark) + kMark.size());
  name = name.substr(0, std::min(name.rfind(']'), name.find("; std::string")));
  if (name.starts_with('&')) {
    name.remove_prefix(1);
  }
  // The namespaces of a kernel say nothing, those of its template arguments may.
  const std::size_t last = name.rfind("::", name.find('<'));
  return std::string(last == std::string_view::npos ? name : name.substr(last + 2));
}

}  // namespace kvsieve::simt
