#include "sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "kvsieve/traces/error.h"

namespace kvsieve::record {

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1 ||
      size != digest.size()) {
    throw Error(ErrorKind::kInternal, "SHA-256 is not available in OpenSSL");
  }
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += fmt::format("{:02x}", byte);
  }
  return hex;
}

}  // namespace kvsieve::record
