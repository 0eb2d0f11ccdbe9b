// One decode step over one layer of Llama-3.1-8B: attention where a fifth is kept, and attention
// over and gathering of rows selected at random, 6 % of the tokens, about the union of four query
// heads' 3 %.

#include <fmt/format.h>

#include <memory>

#include "cases/case_groups.h"
#include "cases/decode_layers.h"
#include "cases/sparse_layer.h"
#include "kvsieve/kernels/kv_gather.h"

namespace kvsieve::bench {
namespace {

using traces::DType;

BenchCase ragged_decode_case(int threads, DType dtype, std::int64_t tokens) {
  return {
      fmt::format("ragged_decode/dtype:{}/n:{}/threads:{}", case_name_of(dtype), tokens, threads),
      threads, [dtype, tokens] {
        const auto layers = std::make_shared<DecodeLayers>(tokens, dtype, least_bytes(tokens));
        PreparedCase prepared;
        prepared.iterate = [layers] { kernels::ragged_decode(layers->next()); };
        prepared.work = [layers] { return layers->work(); };
        return prepared;
      }};
}

BenchCase sparse_decode_case(int threads, DType dtype, std::int64_t tokens, std::int64_t head_dim) {
  return {fmt::format("sparse_decode/dtype:{}/d:{}/n:{}/threads:{}", case_name_of(dtype), head_dim,
                      tokens, threads),
          threads, [=] {
            const auto layer = std::make_shared<SparseLayer>(tokens, tokens * 6 / 100, head_dim,
                                                             dtype, least_bytes(tokens));
            PreparedCase prepared;
            prepared.iterate = [layer] { kernels::sparse_decode(layer->next()); };
            prepared.work = [layer] { return layer->work(); };
            prepared.modelled_us = [layer](const sim::HostTimes& host) {
              const kernels::Work work = layer->work();
              return host.attention_us(static_cast<double>(work.bytes_read),
                                       static_cast<double>(work.flops));
            };
            return prepared;
          }};
}

/// The host's half of a transfer: selected rows of every segment, one after another.
BenchCase gather_rows_case(int threads, DType dtype, std::int64_t tokens) {
  return {fmt::format("gather_rows/dtype:{}/n:{}/threads:{}", case_name_of(dtype), tokens, threads),
          threads, [=] {
            constexpr std::int64_t kHeadDim = 128;
            const std::int64_t selected = tokens * 6 / 100;
            const auto element_bytes = static_cast<std::int64_t>(traces::size_of(dtype));
            const std::int64_t bytes = kernels::row_bytes(kHeadDim, element_bytes);
            const auto layer = std::make_shared<SparseLayer>(tokens, selected, kHeadDim, dtype,
                                                             least_bytes(tokens));
            const auto target = std::make_shared<kernels::RowMemory>(
                static_cast<std::size_t>(SparseLayer::kSegments * selected * bytes));
            PreparedCase prepared;
            prepared.iterate = [=] {
              const kernels::SparseDecodeArgs step = layer->next();
              for (std::int64_t s = 0; s < SparseLayer::kSegments; ++s) {
                kernels::gather_rows(step.cache, s,
                                     {step.rows + s * selected, static_cast<std::size_t>(selected)},
                                     target->data() + s * selected * bytes);
              }
            };
            prepared.work = [=] {
              return kernels::kv_gather_work(SparseLayer::kSegments * selected, kHeadDim,
                                             element_bytes);
            };
            prepared.modelled_us = [=](const sim::HostTimes& host) {
              return host.gather_us(static_cast<double>(SparseLayer::kSegments * selected * bytes));
            };
            return prepared;
          }};
}

}  // namespace

std::vector<BenchCase> decode_cases(int threads) {
  std::vector<BenchCase> cases;
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const std::int64_t tokens : kTokenCounts) {
      cases.push_back(ragged_decode_case(threads, dtype, tokens));
    }
    for (const std::int64_t tokens : {kTinyTokens, std::int64_t{131'072}}) {
      cases.push_back(gather_rows_case(threads, dtype, tokens));
    }
    for (const std::int64_t head_dim : {64, 128}) {
      for (const std::int64_t tokens : {kTinyTokens, std::int64_t{131'072}}) {
        cases.push_back(sparse_decode_case(threads, dtype, tokens, head_dim));
      }
    }
  }
  return cases;
}

}  // namespace kvsieve::bench
