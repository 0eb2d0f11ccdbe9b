#include "dynamic_shared.h"

#include "a2ats/codeword_table_device.h"
#include "a2ats/key_encoding_device.h"
#include "a2ats/kmeans_device.h"
#include "a2ats/score_lookup_device.h"
#include "adakv/budget_allocation_device.h"
#include "adakv/eviction_loss_device.h"
#include "adakv/window_scores_device.h"
#include "attention/ragged_decode_device.h"
#include "kvsieve/kernels/device_support.h"

namespace kvsieve::kernels::cuda_ {
namespace {

const char* element_type(traces::DType dtype) {
  switch (dtype) {
    case traces::DType::kF16:
      return "__half";
    case traces::DType::kBF16:
      return "__nv_bfloat16";
    case traces::DType::kF32:
    case traces::DType::kI32:
      break;
  }
  return "float";
}

// Of the shapes that shared memory does not depend on, the numbers only have to be valid.
constexpr std::int64_t kTokens = 4096;
constexpr std::int64_t kQueries = 32;

std::size_t window_scores_bytes(traces::DType dtype, std::int64_t head_dim) {
  WindowScoresArgs args;
  args.dtype = dtype;
  args.head_dim = head_dim;
  args.tokens = kTokens;
  args.scored_tokens = kTokens;
  args.queries_count = kQueries;
  return window_columns_config(args).shared_bytes;
}

/// Of a layer of Llama-3.1-8B.
std::size_t narrow_layer_bytes() {
  BudgetAllocationArgs args;
  args.heads = 8;
  return narrow_layer_config(args).shared_bytes;
}

std::size_t eviction_loss_bytes(traces::DType dtype, std::int64_t head_dim) {
  EvictionLossArgs args;
  args.kv_heads = 1;
  args.group = 1;
  args.dtype = dtype;
  args.head_dim = head_dim;
  args.tokens = kTokens;
  args.queries = kQueries;
  args.selections = 1;
  args.units = 1;
  return eviction_loss_config(args).shared_bytes;
}

/// Of Llama-3.1-8B's groups and the release's codebook.
std::size_t lookup_scores_bytes() {
  LookupScoresArgs args;
  args.segments = 1;
  args.group = 4;
  args.codeword_count = 4096;
  args.range = {0, kTokens};
  return lookup_scores_config(args).shared_bytes;
}

std::size_t key_encoding_bytes(std::int64_t head_dim) {
  KeyEncodingArgs args;
  args.head_dim = head_dim;
  args.tokens = kTokens;
  args.segments = 1;
  return key_encoding_config(args).shared_bytes;
}

/// Of d = 128.
std::size_t codeword_table_bytes() {
  CodewordTableArgs args;
  args.kv_heads = 1;
  args.codeword_count = kTokens;
  args.head_dim = 128;
  return codeword_table_config(args).shared_bytes;
}

}  // namespace

std::vector<std::pair<std::string, std::size_t>> dynamic_shared_of_kernels() {
  std::vector<std::pair<std::string, std::size_t>> kernels;
  for (const traces::DType dtype : kDeviceDTypes) {
    for (const std::int64_t head_dim : kDeviceHeadDims) {
      const std::string arguments =
          "<" + std::string(element_type(dtype)) + ", " + std::to_string(head_dim) + ">";
      kernels.emplace_back("row_statistics_kernel" + arguments,
                           window_scores_bytes(dtype, head_dim));
      kernels.emplace_back("column_scores_kernel" + arguments,
                           window_scores_bytes(dtype, head_dim));
      kernels.emplace_back("eviction_loss_kernel" + arguments,
                           eviction_loss_bytes(dtype, head_dim));
      kernels.emplace_back("key_encoding_kernel" + arguments, key_encoding_bytes(head_dim));
      for (const std::int64_t group : {1, 2, 4, 8}) {
        for (const char* rows : {"RaggedRows", "ListedRows"}) {
          kernels.emplace_back(std::string("decode_shares_kernel<") + rows + ", " +
                                   element_type(dtype) + ", " + std::to_string(head_dim) + ", " +
                                   std::to_string(group) + ">",
                               decode_shares_config(1, head_dim, group).shared_bytes);
        }
      }
    }
  }
  for (const std::int64_t head_dim : kDeviceHeadDims) {
    const DevicePoints points{nullptr, kTokens, head_dim, head_dim};
    kernels.emplace_back("nearest_centroids_kernel<" + std::to_string(head_dim) + ">",
                         nearest_centroids_config(points).shared_bytes);
  }
  const DevicePoints points{nullptr, kTokens, 128, 128};
  kernels.emplace_back("codeword_table_kernel", codeword_table_bytes());
  kernels.emplace_back("move_centroids", move_centroids_config(points, 1).shared_bytes);
  kernels.emplace_back("search_doubtful", search_doubtful_config(points).shared_bytes);
  for (const char* pass : {"<0>", "<1>", "<2>"}) {
    kernels.emplace_back(std::string("narrow_layer") + pass, narrow_layer_bytes());
  }
  kernels.emplace_back("lookup_scores_kernel<true>", lookup_scores_bytes());
  return kernels;
}

}  // namespace kvsieve::kernels::cuda_
