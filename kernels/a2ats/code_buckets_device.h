#pragma once
// The kernels of code_buckets.h: sorting tokens by code, and the top K of each query head from a
// table of scores by code.

#include <cstddef>
#include <cstdint>

#include "a2ats/topk_retrieval_device.h"
#include "exec/device/launch_config.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/code_buckets.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// CodeBuckets of every segment, in device memory.
struct DeviceCodeBuckets {
  TokenRange range;                 ///< the tokens in the buckets, the same for all segments
  std::int32_t* offsets = nullptr;  ///< [S, C + 1]
  std::int32_t* tokens = nullptr;   ///< [S, stride]
  std::int64_t stride = 0;          ///< >= range.size()
};

struct BuildBucketsArgs {
  const std::uint16_t* codes = nullptr;  ///< [S, codes_stride] by token, each < C
  std::int64_t codes_stride = 0;
  std::int64_t segments = 0;
  std::int64_t codeword_count = 0;  ///< C, 1 to 65536
  DeviceCodeBuckets buckets;        ///< range is read, the arrays are written
  void* workspace = nullptr;        ///< build_buckets_workspace_bytes(), aligned to 16 bytes
};
[[nodiscard]] std::size_t build_buckets_workspace_bytes(const BuildBucketsArgs& args);
/// build_buckets for every segment, exactly: a stable sort without order-dependent atomics.
/// Throws Error(kUsage) for shapes outside the limits.
void build_buckets(const BuildBucketsArgs& args, Stream& stream);

struct BucketRetrievalArgs {
  const float* table = nullptr;          ///< [S, G, C]
  const std::uint16_t* codes = nullptr;  ///< [S, codes_stride] by token
  std::int64_t codes_stride = 0;
  std::int64_t segments = 0;
  std::int64_t group = 1;
  std::int64_t codeword_count = 0;
  DeviceCodeBuckets buckets;
  TokenRange range;    ///< eligible tokens; begins with the buckets, ends at or behind their end
  std::int64_t k = 0;  ///< K a query head
  const std::int32_t* head_k = nullptr;  ///< as in TopKRetrievalArgs
  RetrievedMask mask;
  void* workspace = nullptr;  ///< bucket_retrieval_workspace_bytes(), aligned to 16 bytes
};
[[nodiscard]] std::size_t bucket_retrieval_workspace_bytes(const BucketRetrievalArgs& args);
/// The same masks as lookup_scores and topk_retrieval, from C table entries a query head: only the
/// boundary's codes are expanded to choose among them.
/// Throws Error(kUsage) for shapes outside the limits.
void bucket_retrieval(const BucketRetrievalArgs& args, Stream& stream);

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
