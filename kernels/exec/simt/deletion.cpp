#include "exec/simt/deletion.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "exec/simt/place.h"

namespace kvsieve::simt {
namespace {

std::string_view wanted() {
  const char* text = std::getenv("KVSIEVE_SIMT_DELETE");
  return text == nullptr ? "" : text;
}

}  // namespace

const bool g_deletes = !wanted().empty();

bool is_named_for_deletion(const std::source_location& where) {
  static const std::string named(wanted());
  return place(where) == named;
}

}  // namespace kvsieve::simt
