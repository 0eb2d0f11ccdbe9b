// Retrieval and sparse attention as a C library, for a comparison with PyTorch and numpy in one
// process on the same memory.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>

#include "bench/peers/peer_call.h"
#include "kvsieve/bench/retrieval_layer.h"
#include "kvsieve/bench/roofline.h"
#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/kernels/row_memory.h"
#include "kvsieve/kernels/sparse_decode.h"

namespace kvsieve::bench {
namespace {

/// Runs `action` with so many threads; 1, with the reason on stderr, if it throws.
template <class Action>
int run(int threads, const Action& action) {
  return succeeds([&] { with_threads(threads, action); }) ? 0 : 1;
}

}  // namespace
}  // namespace kvsieve::bench

using kvsieve::bench::RetrievalLayer;
using kvsieve::kernels::RowMemory;

extern "C" {

const char* kvsieve_isa() {
  return kvsieve::kernels::instruction_set().data();
}

/// Bytes a second that `threads` threads read from memory here and now.
double kvsieve_read_bandwidth(int threads) {
  return kvsieve::bench::measure_roofline(threads).read_bytes_per_second;
}

/// Bytes a second of rows at random places, likewise.
double kvsieve_row_reads(int threads, std::int64_t row_bytes) {
  return kvsieve::bench::measure_row_reads(threads, row_bytes);
}

/// Memory for rows as KVSieve allocates it.
RowMemory* kvsieve_allocate_rows(std::int64_t bytes, void** data) {
  auto* memory = new RowMemory(static_cast<std::size_t>(bytes));
  *data = memory->data();
  return memory;
}
void kvsieve_free_rows(RowMemory* memory) {
  delete memory;
}

/// @param codewords [8, 4096, 128] @param codes [8, tokens], which must outlive the layer
RetrievalLayer* kvsieve_open_layer(const float* codewords, const std::uint16_t* codes,
                                   std::int64_t tokens) {
  return new RetrievalLayer(codewords, codes, tokens);
}
void kvsieve_close_layer(RetrievalLayer* layer) {
  delete layer;
}

/// The first and one past the last token that may be retrieved.
void kvsieve_eligible(const RetrievalLayer* layer, std::int64_t* range) {
  range[0] = layer->range().begin;
  range[1] = layer->range().end;
}

/// Retrieves k tokens a query head; 0 if it worked. @param queries [8, 4, 128]
int kvsieve_retrieve(RetrievalLayer* layer, const float* queries, std::int64_t k, int with_buckets,
                     int threads) {
  return kvsieve::bench::run(threads, [&] { layer->retrieve(queries, k, with_buckets != 0); });
}

/// What was retrieved last: counts [8], lists [8, tokens].
const std::int32_t* kvsieve_lists(const RetrievalLayer* layer, const std::int32_t** counts) {
  *counts = layer->counts();
  return layer->lists();
}

/// Attention over listed rows; 0 if it worked.
/// @param dtype 0 F16, 1 BF16, 2 F32 @param rows [S, segment_rows, 2, d] @param queries [S, G, d]
/// @param lists [S, capacity] @param counts [S] @param out [S, G, d] @param log_sums [S, G]
int kvsieve_attend(int dtype, const void* rows, std::int64_t segment_rows, std::int64_t segments,
                   std::int64_t group, std::int64_t head_dim, const float* queries,
                   const std::int32_t* lists, std::int64_t capacity, const std::int32_t* counts,
                   float scale, float* out, float* log_sums, int threads) {
  using kvsieve::traces::DType;
  constexpr DType kTypes[] = {DType::kF16, DType::kBF16, DType::kF32};
  kvsieve::kernels::SparseDecodeArgs args;
  args.cache = {rows, kTypes[dtype], head_dim, segment_rows};
  args.segments = segments;
  args.queries = queries;
  args.group = group;
  args.rows = lists;
  args.capacity = capacity;
  args.counts = counts;
  args.scale = scale;
  args.out = out;
  args.log_sums = log_sums;
  return kvsieve::bench::run(threads, [&] { kvsieve::kernels::sparse_decode(args); });
}

}  // extern "C"
