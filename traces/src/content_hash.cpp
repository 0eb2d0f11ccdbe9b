#include "kvsieve/traces/content_hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <fstream>
#include <memory>
#include <vector>

#include "kvsieve/traces/error.h"

namespace kvsieve::traces {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

std::string text_of(const XXH128_hash_t& hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

std::string content_hash(std::span<const std::byte> bytes) {
  return text_of(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string content_hash(std::string_view text) {
  return content_hash(std::as_bytes(std::span(text)));
}

std::string file_hash(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  std::vector<char> block(kBlockBytes);
  XXH3_128bits_reset(state.get());
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0) {
    XXH3_128bits_update(state.get(), block.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof() || file.bad()) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: cannot be read", path.string()));
  }
  return text_of(XXH3_128bits_digest(state.get()));
}

}  // namespace kvsieve::traces
