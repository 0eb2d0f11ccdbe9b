#include "exec/simt/sync_deletion.h"

#include <cstdlib>
#include <string>
#include <string_view>

namespace kvsieve::simt {

const bool deletes_synchronisation = std::getenv("KVSIEVE_SIMT_DELETE") != nullptr;

bool is_named_for_deletion(const std::source_location& where) {
  static const std::string wanted = std::getenv("KVSIEVE_SIMT_DELETE");
  std::string_view file = where.file_name();
  file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
  const std::size_t colon = wanted.rfind(':');
  return colon != std::string::npos && std::string_view(wanted).substr(0, colon) == file &&
         std::string_view(wanted).substr(colon + 1) == std::to_string(where.line());
}

}  // namespace kvsieve::simt
