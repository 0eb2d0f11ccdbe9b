#include "a2ats/retrieval_state_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "a2ats/prompt_rows.h"
#include "kvsieve/traces/dtype.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

std::size_t as_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// Rows [first, first + count) of all heads as fp32, row by row: [count, heads, d].
std::vector<float> step_rows(const traces::TensorView& tensor, std::int64_t first,
                             std::int64_t count) {
  const std::int64_t heads = tensor.shape[0];
  const std::int64_t d = tensor.shape[2];
  std::vector<float> rows(as_size(count * heads * d));
  for (std::int64_t h = 0; h < heads; ++h) {
    load_rows(HeadSlice(tensor, h), first, {rows.data() + h * d, count, d, heads * d});
  }
  return rows;
}

/// All heads' matrices, one after the other.
template <class Slice>
std::vector<float> stack(std::span<const HeadCodebook> books, const Slice& slice) {
  std::vector<float> values;
  for (const HeadCodebook& book : books) {
    const HeadSlice& matrix = slice(book);
    const std::size_t before = values.size();
    values.resize(before + as_size(matrix.rows * matrix.cols));
    load_rows(matrix, 0, {values.data() + before, matrix.rows, matrix.cols});
  }
  return values;
}

DeviceBuffer<float> upload(const std::vector<float>& values, Stream& stream) {
  return {std::span<const float>(values), stream};
}

}  // namespace

RetrievalShape::RetrievalShape(const RetrievalLayer& layer, const RetrievalEngineOptions& options)
    : q_heads(layer.q_heads()),
      kv_heads(layer.kv_heads()),
      group(layer.group()),
      head_dim(layer.head_dim()),
      codewords(layer.codewords()),
      prompt_tokens(layer.prompt_tokens),
      tokens(layer.tokens()),
      steps(layer.tokens() - layer.prompt_tokens),
      dtype(layer.k.dtype),
      element_bytes(static_cast<std::int64_t>(traces::size_of(layer.k.dtype))),
      row_bytes(kernels::row_bytes(layer.head_dim(), element_bytes)),
      resident_rows(options.window + options.sinks),
      words(mask_words(layer.tokens())),
      capacity(
          std::max<std::int64_t>(1, std::min(layer.group() * options.max_top, layer.tokens()))),
      m_sinks(options.sinks),
      m_window(options.window) {}

std::int64_t RetrievalShape::resident_tokens(std::int64_t i) const {
  return std::min(i + 1, m_window) + eligible(i).begin;
}

std::int64_t RetrievalShape::sink_row(std::int64_t i) const {
  const std::int64_t leaving = i - m_window;
  return leaving >= 0 && leaving < m_sinks ? m_window + leaving : -1;
}

LayerInputs::LayerInputs(const RetrievalLayer& layer, const RetrievalShape& shape,
                         std::int64_t distance, Stream& stream)
    : queries(upload(step_rows(layer.q, layer.first_query, shape.steps), stream)),
      keys(upload(step_rows(layer.k, shape.prompt_tokens, shape.steps), stream)),
      values(upload(step_rows(layer.v, shape.prompt_tokens, shape.steps), stream)),
      rope(layer.phases->table().spec()),
      scale(static_cast<float>(layer.attention.scale)) {
  if (layer.attention.softcap) {
    softcap = static_cast<float>(*layer.attention.softcap);
  }
  const traces::RopePhase far = layer.phases->table().phase(distance);
  far_cos = upload(far.cos, stream);
  far_sin = upload(far.sin, stream);
  std::vector<float> cos;
  std::vector<float> sin;
  for (std::int64_t s = 0; s < shape.steps; ++s) {
    const auto append = [](std::vector<float>& all, std::span<const float> values_of_step) {
      all.insert(all.end(), values_of_step.begin(), values_of_step.end());
    };
    append(cos, layer.phases->cos(shape.prompt_tokens + s));
    append(sin, layer.phases->sin(shape.prompt_tokens + s));
  }
  step_cos = upload(cos, stream);
  step_sin = upload(sin, stream);

  m_codewords = upload(
      stack(layer.codebooks, [](const HeadCodebook& book) { return book.codewords; }), stream);
  const DeviceBuffer<float> cholesky = upload(
      stack(layer.codebooks, [](const HeadCodebook& book) { return book.cholesky; }), stream);
  const std::int64_t padded = padded_codewords(shape.codewords);
  m_weights = DeviceBuffer<float>(as_size(shape.kv_heads * shape.head_dim * padded));
  m_biases = DeviceBuffer<float>(as_size(shape.kv_heads * padded));
  m_centers = DeviceBuffer<float>(as_size(shape.kv_heads * shape.head_dim));
  m_table_args.codewords = m_codewords.data();
  m_table_args.cholesky = cholesky.data();
  m_table_args.kv_heads = shape.kv_heads;
  m_table_args.codeword_count = shape.codewords;
  m_table_args.head_dim = shape.head_dim;
  m_table_args.weights = m_weights.data();
  m_table_args.biases = m_biases.data();
  m_table_args.centers = m_centers.data();
  codeword_table(m_table_args, stream);
  stream.synchronize();
}

LayerCache::LayerCache(const RetrievalLayer& layer, const RetrievalShape& shape,
                       const RetrievalEngineOptions& options)
    : codes(as_size(shape.kv_heads * shape.tokens)),
      bucket_offsets(as_size(shape.kv_heads * (shape.codewords + 1))),
      bucket_tokens(as_size(shape.kv_heads * shape.tokens)),
      resident(as_size(shape.kv_heads * shape.resident_rows * shape.row_bytes)),
      rows(as_size(shape.kv_heads * shape.tokens * shape.row_bytes)),
      message(as_size((shape.q_heads + 2 * shape.kv_heads) * shape.head_dim * shape.element_bytes)),
      host_message(message.size()),
      union_words(as_size(shape.kv_heads * shape.words)),
      member_words(as_size(shape.q_heads * shape.words)),
      ties(as_size(shape.q_heads)),
      list_tokens(as_size(shape.kv_heads * shape.capacity)),
      list_counts(as_size(shape.kv_heads)),
      host_tokens(list_tokens.size()),
      host_counts(list_counts.size()),
      output(as_size(shape.q_heads * shape.head_dim)),
      log_sums(as_size(shape.q_heads)) {
  write_prompt_rows(layer, rows.data());
  if (options.placement == Placement::kFetchHotBuffer) {
    hot_rows = DeviceBuffer<std::int32_t>(list_tokens.size());
    hot_misses = DeviceBuffer<std::int32_t>(list_counts.size());
    hot_bypassed = DeviceBuffer<std::int32_t>(list_counts.size());
    hot_pool = DeviceBuffer<std::byte>(
        as_size(shape.kv_heads * (options.hot_buffer + shape.capacity) * shape.row_bytes));
  }
}

SequenceState::SequenceState(std::span<const RetrievalLayer> retrieval_layers,
                             const RetrievalShape& shape, const RetrievalEngineOptions& options)
    : far_queries(as_size(shape.q_heads * shape.head_dim)),
      near_queries(far_queries.size()),
      near_keys(as_size(shape.kv_heads * shape.head_dim)),
      table(as_size(shape.q_heads * shape.codewords)),
      scores(options.buckets ? 0 : as_size(shape.q_heads * shape.tokens)),
      staging(options.placement == Placement::kCpuAttention
                  ? 0
                  : as_size(shape.kv_heads * shape.capacity * shape.row_bytes)),
      partial(as_size(shape.q_heads * (shape.head_dim * shape.element_bytes + 4))),
      host_partial(partial.size()),
      other(far_queries.size()),
      other_log_sums(as_size(shape.q_heads)),
      host_queries(far_queries.size()),
      host_output(far_queries.size()) {
  for (const RetrievalLayer& layer : retrieval_layers) {
    layers.emplace_back(layer, shape, options);
  }
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
