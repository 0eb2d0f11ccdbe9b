#include "kvsieve/kernels/row_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>

#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20U;

}  // namespace

RowMemory::RowMemory(std::size_t size) : m_size(size) {
  // aligned_alloc takes multiples of the alignment.
  const std::size_t alignment = size < kHugePage ? kCacheLine : kHugePage;
  const std::size_t bytes = (size + alignment - 1) / alignment * alignment;
  m_data = static_cast<std::byte*>(std::aligned_alloc(alignment, bytes));
  if (m_data == nullptr && bytes > 0) {
    throw Error(ErrorKind::kMissingCapability,
                fmt::format("no {} bytes of host memory for cached rows", size));
  }
  if (alignment == kHugePage) {
    madvise(m_data, bytes, MADV_HUGEPAGE);  // a wish: small pages work as well
  }
}

RowMemory::~RowMemory() {
  std::free(m_data);
}

}  // namespace kvsieve::kernels
