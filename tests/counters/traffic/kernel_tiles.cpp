#include "traffic/kernel_tiles.h"

#include "a2ats/code_buckets.cuh"
#include "a2ats/kmeans.cuh"
#include "a2ats/nearest_codeword.cuh"
#include "a2ats/point_distance.cuh"
#include "a2ats/query_moment.cuh"
#include "a2ats/score_lookup.cuh"
#include "adakv/cache_compaction.cuh"
#include "adakv/eviction_loss.cuh"
#include "adakv/window_scores.cuh"
#include "attention/decode_shares.cuh"
#include "attention/projection_tile.cuh"
#include "exec/device/dtype.cuh"

namespace kvsieve::bench {
namespace {

namespace device = kernels::KVSIEVE_BACKEND_NS;

constexpr const char* kName = "kernel_tiles";

}  // namespace

DecodeTile decode_tile(traces::DType dtype, std::int64_t head_dim, std::int64_t group) {
  DecodeTile tile;
  device::dispatch_dtype(kName, dtype, [&]<class T> {
    kernels::dispatch_head_dim(kName, head_dim, [&]<int kHeadDim> {
      device::dispatch_decode_group(kName, group, [&]<int kGroup>() {
        tile = {device::DecodeTeam<T, kHeadDim>::kTeams, device::kDecodeBatch<kGroup>};
      });
    });
  });
  return tile;
}

const std::int64_t kProjectionRows = device::kTileRows;
const std::int64_t kProjectionColumns = device::kTileColumns;
const std::int64_t kProjectionDepth = device::kTileDepth;
const std::int64_t kProjectionLaneChannels =
    device::kTileRows * device::kTileDepth / device::kTileThreads;

std::int64_t copied_rows(std::int64_t row_bytes) {
  return device::tile_rows(static_cast<int>(row_bytes) / device::kVectorBytes);
}

const std::int64_t kStageQueries = device::kMmaM;
const std::int64_t kFragmentKeys = device::kMmaN;

bool keeps_keys_in_registers(traces::DType dtype) {
  bool result = false;
  device::dispatch_dtype(kName, dtype, [&]<class T> {
    constexpr int kAnyHeadDim = static_cast<int>(kernels::kDeviceHeadDims.front());
    result = device::WindowTile<T, kAnyHeadDim>::kTensorCores;
  });
  return result;
}

const std::int64_t kLossQueries = device::kLossRows;
const std::int64_t kLossTokens = device::kLossTile;

SearchTile search_tile(std::int64_t head_dim) {
  SearchTile tile;
  kernels::dispatch_head_dim(kName, head_dim, [&]<int kHeadDim> {
    constexpr int kWarps = device::kSearchThreads<kHeadDim> / device::kWarpSize;
    constexpr int kGroupRows = device::kSearchThreadRows / 2;
    tile = {device::kSearchRows<kHeadDim>, kWarps,
            device::kWarpSize / device::kSearchColumnGroups * kGroupRows};
  });
  return tile;
}

const std::int64_t kWorstPoints = device::kChunkThreads;

const std::int64_t kDistanceLanes = device::kPointLanes;

const std::int64_t kMomentColumns = device::kMomentTile;
const std::int64_t kMomentPartColumns = device::kMomentPart;

const std::int64_t kScoredCodewords = device::kTableCodewords;
const std::int64_t kMostScoredRows = device::kMaxTableRows;

std::int64_t codeword_slice_vectors(traces::DType dtype) {
  std::int64_t vectors = 0;
  device::dispatch_dtype(kName, dtype,
                         [&]<class T> { vectors = device::TableStages<T>::kVectors; });
  return vectors;
}

const std::int64_t kSortedTokens = device::kSortTokens;
const std::int64_t kSortDigits = device::kSortBins;
const std::int64_t kThresholdBytes = sizeof(device::BucketThreshold);

}  // namespace kvsieve::bench
