#include "a2ats/key_encoding.cuh"

#include "exec/device/dtype.cuh"
#include "exec/device/operation_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr const char* kOperation = "key_encoding";
constexpr std::int64_t kMaxSegments = 65535;

void require_segments(const char* operation, std::int64_t segments) {
  require_supported(segments >= 0 && segments <= kMaxSegments, operation, "number of segments",
                    segments, "0 to 65535");
}

void check(const KeyEncodingArgs& args, const char* operation) {
  const CodewordTable& table = args.table;
  require_supported(table.codewords >= 1 && table.codewords <= kMaxCodewords, operation,
                    "number of codewords", table.codewords, "1 to 65536");
  require_supported(
      args.store.format == CodeFormat::kUint16 || table.codewords <= kMaxPackedCodewords, operation,
      "packed number of codewords", table.codewords, "1 to 4096");
  require_segments(operation, args.segments);
  require_contract(
      table.head_dim == args.head_dim && table.kv_heads >= 1 && args.segments % table.kv_heads == 0,
      operation, "the table does not fit the keys");
  require_contract(args.tokens >= 0 && args.first >= 0, operation, "a negative number of tokens");
  const auto size = static_cast<std::int64_t>(traces::size_of(args.dtype));
  const bool aligned = reinterpret_cast<std::uintptr_t>(args.keys) % 16 == 0 &&
                       args.segment_stride * size % 16 == 0 && args.token_stride * size % 16 == 0;
  if (!aligned) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: keys and strides must be multiples of 16 bytes", operation));
  }
}

template <class X>
KeyEncodingTask<X> make_task(const KeyEncodingArgs& args) {
  return {static_cast<const X*>(args.keys),
          args.segment_stride,
          args.token_stride,
          args.tokens,
          args.first,
          args.table,
          args.store};
}

}  // namespace

LaunchConfig key_encoding_config(const KeyEncodingArgs& args) {
  LaunchConfig config;
  dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {
    constexpr int kRows = kSearchRows<kHeadDim>;
    const std::int64_t covered = args.tokens == 0 ? 0 : args.first % kRows + args.tokens;
    config.grid = {blocks_for(covered, kRows), static_cast<unsigned>(args.segments)};
    config.block = {static_cast<unsigned>(kSearchThreads<kHeadDim>)};
    config.shared_bytes = sizeof(SearchShared<kHeadDim>);
  });
  return config;
}

void key_encoding(const KeyEncodingArgs& args, Stream& stream) {
  const OperationRange range(kOperation);
  const LaunchConfig config = key_encoding_config(args);
  dispatch_dtype(kOperation, args.dtype, [&]<class X> {
    check(args, kOperation);
    dispatch_head_dim(kOperation, args.head_dim, [&]<int kHeadDim> {
      launch<key_encoding_kernel<X, kHeadDim>>(config, stream, make_task<X>(args));
    });
  });
}

std::size_t append_code_workspace_bytes(std::int64_t segments) {
  return static_cast<std::size_t>(segments) * sizeof(AppendState);
}

LaunchConfig append_code_config(const KeyEncodingArgs& args) {
  return {
      {blocks_for(args.table.codewords, kSearchCodewords), static_cast<unsigned>(args.segments)},
      {kAppendThreads}};
}

void append_code(const KeyEncodingArgs& args, void* workspace, Stream& stream) {
  constexpr const char* kAppend = "append_code";
  const OperationRange range(kAppend);
  dispatch_dtype(kAppend, args.dtype, [&]<class X> {
    check(args, kAppend);
    require_contract(args.tokens == 1, kAppend, "takes one token");
    dispatch_head_dim(kAppend, args.head_dim, [&]<int kHeadDim> {
      launch<append_code_kernel<X, kHeadDim>>(append_code_config(args), stream, make_task<X>(args),
                                              static_cast<AppendState*>(workspace));
    });
  });
}

LaunchConfig unpack_codes_config(const UnpackCodesArgs& args) {
  return {{blocks_for(args.tokens, kUnpackThreads), static_cast<unsigned>(args.segments)},
          {kUnpackThreads}};
}

void unpack_codes(const UnpackCodesArgs& args, Stream& stream) {
  constexpr const char* kUnpack = "unpack_codes";
  require_segments(kUnpack, args.segments);
  require_contract(args.tokens >= 0 && args.first >= 0, kUnpack, "a negative number of tokens");
  const OperationRange range(kUnpack);
  launch<unpack_codes_kernel>(unpack_codes_config(args), stream, args);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
