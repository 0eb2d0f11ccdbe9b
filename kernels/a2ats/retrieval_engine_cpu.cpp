#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "a2ats/bucket_refresh.h"
#include "a2ats/prompt_rows.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/kernels/code_buckets.h"
#include "kvsieve/kernels/key_encoding.h"
#include "kvsieve/kernels/retrieval_engine.h"
#include "kvsieve/kernels/row_memory.h"
#include "kvsieve/kernels/sparse_decode.h"
#include "kvsieve/kernels/token_retrieval.h"
#include "kvsieve/kernels/windowed_rope.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

std::size_t as_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// One layer: the cache, the codes and what the last step left.
struct CpuLayer {
  RetrievalLayer layer;
  std::vector<KeyEncoder> encoders;  ///< [Hkv]
  std::vector<HeadKeys> codewords;   ///< [Hkv]
  std::vector<std::uint16_t> codes;  ///< [Hkv, T]
  std::vector<CodeBuckets> buckets;  ///< [Hkv]
  RowMemory rows;                    ///< [Hkv, T, 2, d]
  std::vector<HotBuffer> hot;        ///< [Hkv]
  RowMemory pool;                    ///< [Hkv, slots + capacity, 2, d]
};

class CpuRetrievalEngine : public RetrievalEngine {
 public:
  [[nodiscard]] std::string_view backend() const override { return "cpu"; }

  void load(std::span<const RetrievalLayer> layers,
            const RetrievalEngineOptions& options) override {
    const RetrievalLayer& first = layers.front();
    m_options = options;
    m_step = 0;
    m_kv_heads = first.kv_heads();
    m_group = first.group();
    m_head_dim = first.head_dim();
    m_tokens = first.tokens();
    m_prompt_tokens = first.prompt_tokens;
    m_dtype = first.k.dtype;
    m_row_bytes = row_bytes(m_head_dim, static_cast<std::int64_t>(traces::size_of(m_dtype)));
    m_capacity = std::max<std::int64_t>(1, std::min(m_group * options.max_top, m_tokens));
    m_layers.clear();
    for (const RetrievalLayer& layer : layers) {
      prefill(layer, m_layers.emplace_back());
    }
    const std::int64_t q_heads = m_kv_heads * m_group;
    m_far_queries.resize(as_size(q_heads * m_head_dim));
    m_near_queries.resize(m_far_queries.size());
    m_other.resize(m_far_queries.size());
    m_log_sums.resize(as_size(q_heads));
    m_other_log_sums.resize(as_size(q_heads));
    m_lists.resize(as_size(m_kv_heads * m_capacity));
    m_counts.resize(as_size(m_kv_heads));
    m_slots.resize(m_lists.size());
    m_resident_counts.resize(as_size(m_kv_heads));
    m_resident.resize(as_size(m_kv_heads * (options.sinks + options.window)));
    if (fetches()) {
      m_staging = RowMemory(as_size(m_kv_heads * m_capacity * m_row_bytes));
    }
  }

  void step(std::int64_t top, DecodeStepRecord& record) override {
    if (m_layers.empty() || m_prompt_tokens + m_step >= m_tokens) {
      throw Error(ErrorKind::kInternal, "decode step: there is no step left");
    }
    m_position = m_prompt_tokens + m_step;
    m_range = eligible_tokens(m_position, m_options.sinks, m_options.window);
    m_top = std::min({top, m_range.size(), m_options.max_top});
    list_resident();
    record.counted.reset();
    record.layers.resize(m_layers.size());
    m_times.assign(kStepStages, 0.0);
    const auto start = Clock::now();
    for (std::size_t l = 0; l < m_layers.size(); ++l) {
      run_layer(m_layers[l], record.layers[l]);
    }
    record.step_us = microseconds(start);
    record.stage_us = m_times;
    ++m_step;
  }

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] static double microseconds(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }

  template <class Body>
  void timed(StepStage stage, const Body& body) {
    const auto start = Clock::now();
    body();
    m_times[static_cast<std::size_t>(stage)] += microseconds(start);
  }

  [[nodiscard]] bool fetches() const {
    return m_options.placement == Placement::kFetchDma ||
           m_options.placement == Placement::kFetchKernel;
  }
  [[nodiscard]] std::byte* row(const CpuLayer& state, std::int64_t head, std::int64_t token) const {
    return state.rows.data() + (head * m_tokens + token) * m_row_bytes;
  }

  void prefill(const RetrievalLayer& layer, CpuLayer& state) const {
    state.layer = layer;
    state.codes.resize(as_size(m_kv_heads * m_tokens));
    state.codewords.resize(as_size(m_kv_heads));
    state.buckets.resize(as_size(m_kv_heads));
    state.rows = RowMemory(as_size(m_kv_heads * m_tokens * m_row_bytes));
    write_prompt_rows(layer, state.rows.data());
    for (std::int64_t h = 0; h < m_kv_heads; ++h) {
      const HeadCodebook& book = layer.codebooks[as_size(h)];
      state.encoders.emplace_back(book.codewords, book.cholesky);
      state.codewords[as_size(h)].load(book.codewords, nullptr);
      state.encoders.back().encode(
          HeadSlice(layer.k, h), 0,
          std::span(state.codes).subspan(as_size(h * m_tokens), as_size(m_prompt_tokens)));
    }
    if (m_options.placement == Placement::kFetchHotBuffer) {
      state.hot.assign(as_size(m_kv_heads),
                       HotBuffer(m_options.hot_buffer, m_tokens, m_options.hot_policy));
      state.pool =
          RowMemory(as_size(m_kv_heads * (m_options.hot_buffer + m_capacity) * m_row_bytes));
    }
  }

  /// K and V of a token, rounded to the cache's dtype.
  void write_row(std::byte* target, std::span<const float> key,
                 std::span<const float> value) const {
    traces::from_float(m_dtype, key.first(as_size(m_head_dim)), target);
    traces::from_float(m_dtype, value.first(as_size(m_head_dim)), target + m_row_bytes / 2);
  }

  /// Sinks and window, the same rows for every head.
  void list_resident() {
    const std::int64_t count = m_range.begin + m_position + 1 - m_range.end;
    const std::int64_t capacity = m_options.sinks + m_options.window;
    for (std::int64_t h = 0; h < m_kv_heads; ++h) {
      const auto list = m_resident.begin() + h * capacity;
      std::iota(list, list + m_range.begin, 0);
      std::iota(list + m_range.begin, list + count, static_cast<std::int32_t>(m_range.end));
      m_resident_counts[as_size(h)] = static_cast<std::int32_t>(count);
    }
  }

  void run_layer(CpuLayer& state, LayerStep& step) {
    timed(StepStage::kRotate, [&] { rotate(state.layer); });
    timed(StepStage::kEncode, [&] { encode(state); });
    timed(StepStage::kAppend, [&] { append(state); });
    // Tables, top K and union run as one operation, a head after the other while it is in cache.
    timed(StepStage::kTopK, [&] { retrieve(state, step); });
    step.output.resize(m_near_queries.size());
    timed(StepStage::kResidentAttention, [&] {
      SparseDecodeArgs args = attention_args(state.layer);
      args.cache = {state.rows.data(), m_dtype, m_head_dim, m_tokens};
      args.rows = m_resident.data();
      args.capacity = m_options.sinks + m_options.window;
      args.counts = m_resident_counts.data();
      args.out = step.output.data();
      args.log_sums = m_log_sums.data();
      sparse_decode(args);
    });
    attend_retrieved(state, step);
    timed(StepStage::kMerge, [&] {
      merge_partial(step.output.data(), m_log_sums.data(), m_other.data(), m_other_log_sums.data(),
                    m_kv_heads * m_group, m_head_dim);
    });
    step.retrieved.resize(as_size(m_kv_heads));
    for (std::int64_t h = 0; h < m_kv_heads; ++h) {
      const std::int32_t* list = m_lists.data() + h * m_capacity;
      step.retrieved[as_size(h)].assign(list, list + m_counts[as_size(h)]);
    }
  }

  void rotate(const RetrievalLayer& layer) {
    for (std::int64_t h = 0; h < m_kv_heads * m_group; ++h) {
      const MatrixView<float> query(m_far_queries.data() + h * m_head_dim, 1, m_head_dim);
      load_rows(HeadSlice(layer.q, h), layer.first_query + m_step, query);
    }
    m_near_queries = m_far_queries;
    const MatrixView<float> far(m_far_queries.data(), m_kv_heads * m_group, m_head_dim);
    const MatrixView<float> near(m_near_queries.data(), m_kv_heads * m_group, m_head_dim);
    rotate_to_distance(layer.phases->table(), m_options.distance, far);
    rotate_to_distance(layer.phases->table(), m_position, near);
  }

  void encode(CpuLayer& state) const {
    for (std::int64_t h = 0; h < m_kv_heads; ++h) {
      state.encoders[as_size(h)].encode(
          HeadSlice(state.layer.k, h), m_position,
          std::span(state.codes).subspan(as_size(h * m_tokens + m_position), 1));
    }
  }

  void append(CpuLayer& state) {
    m_new_key.resize(as_size(m_head_dim));
    m_new_value.resize(as_size(m_head_dim));
    const MatrixView<float> key(m_new_key.data(), 1, m_head_dim);
    for (std::int64_t h = 0; h < m_kv_heads; ++h) {
      load_rows(HeadSlice(state.layer.k, h), m_position, key);
      rotate_to_distance(state.layer.phases->table(), m_position, key);
      load_rows(HeadSlice(state.layer.v, h), m_position, {m_new_value.data(), 1, m_head_dim});
      write_row(row(state, h, m_position), m_new_key, m_new_value);
    }
  }

  void retrieve(CpuLayer& state, LayerStep& step) {
    TokenRetrievalArgs args;
    if (m_options.buckets) {
      refresh_buckets(state);
      args.buckets = state.buckets;
    }
    args.queries = m_far_queries.data();
    args.codewords = state.codewords;
    args.attention = state.layer.attention;
    args.segments = m_kv_heads;
    args.group = m_group;
    args.codes = state.codes.data();
    args.codes_stride = m_tokens;
    args.range = m_range;
    args.k = m_top;
    args.lists = m_lists.data();
    args.capacity = m_capacity;
    args.counts = m_counts.data();
    step.boundary_ties.resize(as_size(m_kv_heads * m_group));
    step.selected.resize(as_size(m_kv_heads * m_group));
    args.boundary_ties = step.boundary_ties.data();
    args.members = step.selected;
    retrieve_tokens(args);
  }

  void refresh_buckets(CpuLayer& state) const {
    if (!buckets_are_stale(state.buckets.front().range, m_range, m_step)) {
      return;
    }
    parallel_for_index(m_kv_heads, [&](std::int64_t h) {
      build_buckets(std::span(state.codes).subspan(as_size(h * m_tokens), as_size(m_tokens)),
                    m_range, state.layer.codewords(), state.buckets[as_size(h)]);
    });
  }

  [[nodiscard]] SparseDecodeArgs attention_args(const RetrievalLayer& layer) const {
    SparseDecodeArgs args;
    args.segments = m_kv_heads;
    args.queries = m_near_queries.data();
    args.group = m_group;
    args.scale = static_cast<float>(layer.attention.scale);
    if (layer.attention.softcap) {
      args.softcap = static_cast<float>(*layer.attention.softcap);
    }
    return args;
  }

  /// Attention over the retrieved tokens, from wherever the placement puts their rows.
  void attend_retrieved(CpuLayer& state, LayerStep& step) {
    SparseDecodeArgs args = attention_args(state.layer);
    args.capacity = m_capacity;
    args.counts = m_counts.data();
    args.out = m_other.data();
    args.log_sums = m_other_log_sums.data();
    step.misses.clear();
    if (m_options.placement == Placement::kCpuAttention) {
      args.cache = {state.rows.data(), m_dtype, m_head_dim, m_tokens};
      args.rows = m_lists.data();
      timed(StepStage::kCpuAttention, [&] { sparse_decode(args); });
      return;
    }
    if (fetches()) {
      timed(StepStage::kFetch, [&] { fetch(state); });
      step.misses.assign(m_counts.begin(), m_counts.end());
      args.cache = {m_staging.data(), m_dtype, m_head_dim, m_capacity};
    } else {
      timed(StepStage::kFetch, [&] { serve_hot(state, step); });
      args.cache = {state.pool.data(), m_dtype, m_head_dim, m_options.hot_buffer + m_capacity};
      args.rows = m_slots.data();
    }
    timed(StepStage::kFetchedAttention, [&] { sparse_decode(args); });
  }

  void fetch(const CpuLayer& state) const {
    const KvRows cache{state.rows.data(), m_dtype, m_head_dim, m_tokens};
    for (std::int64_t h = 0; h < m_kv_heads; ++h) {
      gather_rows(cache, h, {m_lists.data() + h * m_capacity, as_size(m_counts[as_size(h)])},
                  m_staging.data() + h * m_capacity * m_row_bytes);
    }
  }

  void serve_hot(CpuLayer& state, LayerStep& step) {
    const std::int64_t pool_rows = m_options.hot_buffer + m_capacity;
    for (std::int64_t h = 0; h < m_kv_heads; ++h) {
      const std::span<const std::int32_t> wanted(m_lists.data() + h * m_capacity,
                                                 as_size(m_counts[as_size(h)]));
      state.hot[as_size(h)].serve(wanted, m_hot);
      // Bypass rows lie behind the slots.
      const auto pool_row = [&](std::int32_t slot) {
        return slot >= 0 ? std::int64_t{slot} : m_options.hot_buffer - 1 - slot;
      };
      std::byte* pool = state.pool.data() + h * pool_rows * m_row_bytes;
      for (std::size_t i = 0; i < m_hot.missing.size(); ++i) {
        std::memcpy(pool + pool_row(m_hot.targets[i]) * m_row_bytes,
                    row(state, h, m_hot.missing[i]), as_size(m_row_bytes));
      }
      std::transform(m_hot.slots.begin(), m_hot.slots.end(), m_slots.begin() + h * m_capacity,
                     [&](std::int32_t slot) { return static_cast<std::int32_t>(pool_row(slot)); });
      step.misses.push_back(static_cast<std::int32_t>(m_hot.missing.size()));
    }
  }

  RetrievalEngineOptions m_options;
  std::int64_t m_kv_heads = 0;
  std::int64_t m_group = 0;
  std::int64_t m_head_dim = 0;
  std::int64_t m_tokens = 0;
  std::int64_t m_prompt_tokens = 0;
  traces::DType m_dtype = traces::DType::kF32;
  std::int64_t m_row_bytes = 0;
  std::int64_t m_capacity = 0;
  std::vector<CpuLayer> m_layers;
  std::int64_t m_step = 0;
  // Of the running step.
  std::int64_t m_position = 0;
  TokenRange m_range;
  std::int64_t m_top = 0;
  std::vector<double> m_times;
  // Kept from layer to layer.
  std::vector<float> m_far_queries;   ///< [Hq, d]
  std::vector<float> m_near_queries;  ///< [Hq, d]
  std::vector<float> m_new_key;
  std::vector<float> m_new_value;
  std::vector<float> m_other;  ///< [Hq, d]
  std::vector<float> m_log_sums;
  std::vector<float> m_other_log_sums;
  std::vector<std::int32_t> m_lists;  ///< [Hkv, capacity]
  std::vector<std::int32_t> m_counts;
  std::vector<std::int32_t> m_slots;     ///< [Hkv, capacity] rows of the hot buffer's pool
  std::vector<std::int32_t> m_resident;  ///< [Hkv, sinks + window]
  std::vector<std::int32_t> m_resident_counts;
  RowMemory m_staging;  ///< [Hkv, capacity, 2, d]
  HotStep m_hot;
};

}  // namespace

std::unique_ptr<RetrievalEngine> make_cpu_retrieval_engine() {
  return std::make_unique<CpuRetrievalEngine>();
}

}  // namespace kvsieve::kernels
