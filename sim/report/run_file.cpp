#include <fmt/format.h>
#include <zstd.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/run_document.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/input_file.h"
#include "kvsieve/traces/json_fields.h"
#include "kvsieve/traces/output_file.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxDocumentBytes = std::size_t{1} << 30U;
constexpr int kCompressionLevel = 3;
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

std::string compress(std::string_view text) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kCompressionLevel);
  // Without it, a flipped bit may unpack to other numbers instead of an error.
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size =
      ZSTD_compress2(context.get(), packed.data(), packed.size(), text.data(), text.size());
  if (ZSTD_isError(size) != 0) {
    throw Error(ErrorKind::kInternal, fmt::format("compressing: {}", ZSTD_getErrorName(size)));
  }
  packed.resize(size);
  return packed;
}

/// Unpacks piece by piece, so that a forged size can't make us allocate more than the data needs.
std::string decompress(std::string_view packed) {
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(),
                                                                          ZSTD_freeDStream);
  std::string text;
  std::string piece(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t left = 1;
  while (in.pos < in.size && left != 0) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    left = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(left) != 0) {
      throw Error(ErrorKind::kBadInput, fmt::format("damaged at compressed byte {} ({})", in.pos,
                                                    ZSTD_getErrorName(left)));
    }
    text.append(piece.data(), out.pos);
    if (text.size() > kMaxDocumentBytes) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("holds more than {} bytes when unpacked", kMaxDocumentBytes));
    }
  }
  if (left != 0) {
    throw Error(ErrorKind::kBadInput, "ends in the middle of the compressed data (truncated?)");
  }
  if (in.pos < in.size) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("goes on for {} bytes behind its compressed data", in.size - in.pos));
  }
  return text;
}

}  // namespace

void write_run(const std::filesystem::path& path, const ordered_json& document, bool overwrite) {
  const std::string text = document.dump(1, ' ', false, ordered_json::error_handler_t::replace);
  traces::write_file(path, path.extension() == ".kvrun" ? compress(text) : text + "\n", overwrite);
}

ordered_json read_run(const std::filesystem::path& path) {
  try {
    std::string bytes = traces::read_file(path, kMaxDocumentBytes);
    if (bytes.starts_with(kZstdMagic)) {
      bytes = decompress(bytes);
    }
    ordered_json document = traces::parse_json(bytes, "the run");
    const traces::JsonFields fields(document, "run");
    if (fields.string("schema") != "kvsieve.run/1") {
      fields.fail("schema", "kvsieve.run/1");
    }
    return document;
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", path.string(), error.what()), error.hint());
  }
}

}  // namespace kvsieve::sim
