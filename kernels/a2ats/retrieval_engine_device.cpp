#include "a2ats/retrieval_engine_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "a2ats/bucket_refresh.h"
#include "a2ats/code_buckets_device.h"
#include "a2ats/key_encoding_device.h"
#include "a2ats/kv_gather_device.h"
#include "a2ats/retrieval_state_device.h"
#include "a2ats/score_lookup_device.h"
#include "a2ats/step_messages_device.h"
#include "a2ats/topk_retrieval_device.h"
#include "a2ats/windowed_rope_device.h"
#include "attention/sparse_decode_device.h"
#include "exec/device/dispatch.h"
#include "exec/device/operation_range.h"
#include "kvsieve/kernels/stage_range.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr std::string_view kName = "decode step";

std::size_t as_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// What crossed the bus on every path, if the backend sees all of them.
std::optional<StepTraffic> bus_totals() {
  const auto down = bus_traffic(BusPath::kCopyToDevice);
  const auto up = bus_traffic(BusPath::kCopyToHost);
  const auto read = bus_traffic(BusPath::kReadByKernel);
  const auto written = bus_traffic(BusPath::kWrittenByKernel);
  if (!down || !up || !read || !written) {
    return std::nullopt;
  }
  return StepTraffic{down->bytes + read->bytes, up->bytes + written->bytes,
                     down->pieces + up->pieces};
}

/// The set bits of a mask, ascending.
std::vector<std::int32_t> tokens_of(std::span<const std::uint32_t> words) {
  std::vector<std::int32_t> tokens;
  for (std::size_t w = 0; w < words.size(); ++w) {
    for (std::uint32_t rest = words[w]; rest != 0; rest &= rest - 1) {
      tokens.push_back(static_cast<std::int32_t>(w * 32) + std::countr_zero(rest));
    }
  }
  return tokens;
}

class DeviceRetrievalEngine : public RetrievalEngine {
 public:
  DeviceRetrievalEngine(std::string_view name, DecodeGraphBuilder build_graph)
      : m_name(name), m_build_graph(std::move(build_graph)) {}

  [[nodiscard]] std::string_view backend() const override { return m_name; }

  void load(std::span<const RetrievalLayer> layers,
            const RetrievalEngineOptions& options) override {
    require_contract(!layers.empty(), kName, "there are no layers");
    m_options = options;
    m_shape.emplace(layers.front(), options);
    check(layers);
    m_graph = m_build_graph(
        {static_cast<std::int64_t>(layers.size()), options.placement, options.schedule});
    m_events = std::vector<Event>(m_graph.size());
    m_starts = std::vector<Event>(m_graph.size());
    m_inputs.clear();
    m_sequences.clear();
    m_step = 0;
    Stream stream;
    for (const RetrievalLayer& layer : layers) {
      m_inputs.emplace_back(layer, *m_shape, options.distance, stream);
    }
    std::vector<std::int32_t> counts;
    for (std::int64_t s = 0; s < m_shape->steps; ++s) {
      counts.insert(
          counts.end(), as_size(m_shape->kv_heads),
          static_cast<std::int32_t>(m_shape->resident_tokens(m_shape->prompt_tokens + s)));
    }
    m_resident_counts = DeviceBuffer<std::int32_t>(std::span<const std::int32_t>(counts), stream);
    const DecodeGraphShape graph{1, options.placement, options.schedule};
    for (std::int64_t b = 0; b < graph.micro_batches(); ++b) {
      m_sequences.push_back(std::make_unique<SequenceState>(layers, *m_shape, options));
      prefill(layers, *m_sequences.back(), stream);
    }
  }

  void step(std::int64_t top, DecodeStepRecord& record) override {
    require_contract(m_shape && m_step < m_shape->steps, kName, "there is no step left");
    m_position = m_shape->prompt_tokens + m_step;
    m_range = m_shape->eligible(m_position);
    m_top = std::min({top, m_range.size(), m_options.max_top});
    const std::optional<StepTraffic> before = bus_totals();
    for (std::size_t t = 0; t < m_graph.size(); ++t) {
      issue(t);
    }
    synchronize();
    count_traffic(before, record);
    measure(record);
    download(record);
    ++m_step;
  }

 private:
  void check(std::span<const RetrievalLayer> layers) const {
    for (const RetrievalLayer& layer : layers) {
      require_contract(layer.k.shape == layers.front().k.shape &&
                           layer.q.shape == layers.front().q.shape &&
                           layer.codewords() == layers.front().codewords() &&
                           layer.k.dtype == layers.front().k.dtype,
                       kName, "layers differ in shape or dtype");
    }
    require_group(kName, m_shape->group);
    require_supported(std::find(kDeviceHeadDims.begin(), kDeviceHeadDims.end(),
                                m_shape->head_dim) != kDeviceHeadDims.end(),
                      kName, "a head size of", m_shape->head_dim,
                      fmt::format("{}", fmt::join(kDeviceHeadDims, ", ")));
  }

  /// Codes of the prompt, and the rows that are resident when it ends.
  void prefill(std::span<const RetrievalLayer> layers, SequenceState& sequence, Stream& stream) {
    const RetrievalShape& shape = *m_shape;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      LayerCache& cache = sequence.layers[l];
      const traces::TensorView& keys = layers[l].k;
      const DeviceBuffer<std::byte> uploaded(std::span<const std::byte>(keys.data, keys.bytes()),
                                             stream);
      KeyEncodingArgs args;
      args.keys = uploaded.data();
      args.dtype = keys.dtype;
      args.segments = shape.kv_heads;
      args.tokens = shape.prompt_tokens;
      args.head_dim = shape.head_dim;
      args.segment_stride = shape.tokens * shape.head_dim;
      args.token_stride = shape.head_dim;
      args.table = m_inputs[l].table();
      args.store.codes = cache.codes.data();
      args.store.stride = shape.tokens;
      {
        const OperationRange range(
            stage_range_text({std::string(kKeyEncodingStage), -1, static_cast<std::int32_t>(l),
                              static_cast<std::int32_t>(m_sequences.size()) - 1})
                .c_str());
        key_encoding(args, stream);
      }
      if (m_options.placement == Placement::kFetchHotBuffer) {
        cache.hot_state = DeviceBuffer<std::byte>(hot_buffer_state_bytes(hot_args(cache)));
        reset_hot_buffers(hot_args(cache), stream);
      }
      for (std::int64_t h = 0; h < shape.kv_heads; ++h) {
        const auto put = [&](std::int64_t row, std::int64_t token) {
          copy_to_device(cache.resident.data() + (h * shape.resident_rows + row) * shape.row_bytes,
                         cache.rows.data() + (h * shape.tokens + token) * shape.row_bytes,
                         as_size(shape.row_bytes), stream);
        };
        const std::int64_t newest = shape.prompt_tokens - 1;
        const std::int64_t oldest = std::max<std::int64_t>(0, newest + 1 - m_options.window);
        for (std::int64_t j = oldest; j <= newest; ++j) {
          put(shape.ring_row(j), j);
        }
        for (std::int64_t j = 0; j < shape.eligible(newest).begin; ++j) {
          put(m_options.window + j, j);
        }
      }
      stream.synchronize();
    }
    const std::size_t bytes = append_code_workspace_bytes(shape.kv_heads);
    sequence.append_workspace = DeviceBuffer<std::byte>(bytes);
    fill_device(sequence.append_workspace.data(), 0, bytes, stream);
    stream.synchronize();
  }

  /// Enqueues a task behind what it waits for.
  void issue(std::size_t index) {
    const StepTask& task = m_graph[index];
    SequenceState& sequence = *m_sequences[static_cast<std::size_t>(task.micro_batch)];
    Stream& lane = sequence.lanes[static_cast<std::size_t>(lane_of(task.stage))];
    for (const std::int32_t earlier : task.after) {
      m_events[static_cast<std::size_t>(earlier)].block(lane);
    }
    m_starts[index].record(lane);
    const OperationRange range(range_text(task).c_str());
    const auto layer = static_cast<std::size_t>(task.layer);
    run(task, m_inputs[layer], sequence.layers[layer], sequence, lane);
    m_events[index].record(lane);
  }

  void run(const StepTask& task, const LayerInputs& inputs, LayerCache& cache,
           SequenceState& sequence, Stream& lane) {
    switch (task.stage) {
      case StepStage::kRotate:
        return rotate(inputs, cache, sequence, lane);
      case StepStage::kEncode:
        return encode(inputs, cache, sequence, lane);
      case StepStage::kScore:
        return score(inputs, cache, sequence, lane);
      case StepStage::kTopK:
        return choose(cache, sequence, lane);
      case StepStage::kUnion:
        return list(cache, lane);
      case StepStage::kDown:
        return copy_to_host(cache.host_message.data(), cache.message.data(), message_bytes(), lane);
      case StepStage::kAppend:
        return run_on_host(
            [this, &cache, i = m_position, text = range_text(task)] {
              const OperationRange range(text.c_str());
              append(cache, i);
            },
            lane);
      case StepStage::kCpuAttention:
        return run_on_host(
            [this, &inputs, &cache, &sequence, text = range_text(task)] {
              const OperationRange range(text.c_str());
              attend(inputs, cache, sequence);
            },
            lane);
      case StepStage::kUp:
        return copy_to_device(sequence.partial.data(), sequence.host_partial.data(),
                              sequence.partial.size(), lane);
      case StepStage::kFetch:
        return fetch(task, cache, sequence, lane);
      case StepStage::kFetchedAttention:
        return attend_fetched(inputs, cache, sequence, lane);
      case StepStage::kResidentAttention:
        return attend_resident(inputs, cache, sequence, lane);
      case StepStage::kMerge:
        return merge(cache, sequence, lane);
    }
  }

  /// A profiler's name of a task in the running step.
  [[nodiscard]] std::string range_text(const StepTask& task) const {
    return stage_range_text({std::string(name_of(task.stage)), static_cast<std::int32_t>(m_step),
                             task.layer, task.micro_batch});
  }

  [[nodiscard]] bool on_host() const { return m_options.placement == Placement::kCpuAttention; }
  [[nodiscard]] std::size_t message_bytes() const {
    return as_size(down_bytes(ledger_shape(), on_host()));
  }
  [[nodiscard]] LedgerShape ledger_shape() const {
    return {1, m_shape->q_heads, m_shape->kv_heads, m_shape->head_dim, m_shape->element_bytes};
  }

  // ---- The stages.

  void rotate(const LayerInputs& inputs, LayerCache& cache, SequenceState& sequence,
              Stream& lane) const {
    const RetrievalShape& shape = *m_shape;
    const std::int64_t pairs = inputs.rope.dim / 2;
    RotateRowsArgs args;
    args.head_dim = shape.head_dim;
    args.rope_dim = inputs.rope.dim;
    args.pairing = inputs.rope.pairing;
    args.rows = inputs.queries.data() + m_step * shape.q_heads * shape.head_dim;
    args.row_count = shape.q_heads;
    args.cos = inputs.far_cos.data();
    args.sin = inputs.far_sin.data();
    args.out = sequence.far_queries.data();
    rotate_rows(args, lane);
    args.cos = inputs.step_cos.data() + m_step * pairs;
    args.sin = inputs.step_sin.data() + m_step * pairs;
    args.out = sequence.near_queries.data();
    rotate_rows(args, lane);
    args.rows = inputs.keys.data() + m_step * shape.kv_heads * shape.head_dim;
    args.row_count = shape.kv_heads;
    args.out = sequence.near_keys.data();
    rotate_rows(args, lane);
    PackStepMessageArgs pack;
    pack.queries = on_host() ? sequence.near_queries.data() : nullptr;
    pack.keys = sequence.near_keys.data();
    pack.values = inputs.values.data() + m_step * shape.kv_heads * shape.head_dim;
    pack.q_heads = shape.q_heads;
    pack.kv_heads = shape.kv_heads;
    pack.head_dim = shape.head_dim;
    pack.dtype = shape.dtype;
    pack.message = cache.message.data();
    pack.resident = cache.resident.data();
    pack.resident_rows = shape.resident_rows;
    pack.new_row = shape.ring_row(m_position);
    pack.moved_row = shape.sink_row(m_position);
    pack_step_message(pack, lane);
  }

  void encode(const LayerInputs& inputs, LayerCache& cache, SequenceState& sequence,
              Stream& lane) const {
    const RetrievalShape& shape = *m_shape;
    KeyEncodingArgs args;
    args.keys = inputs.keys.data() + m_step * shape.kv_heads * shape.head_dim;
    args.dtype = traces::DType::kF32;
    args.segments = shape.kv_heads;
    args.tokens = 1;
    args.head_dim = shape.head_dim;
    args.segment_stride = shape.head_dim;
    args.token_stride = shape.head_dim;
    args.table = inputs.table();
    args.first = m_position;
    args.store.codes = cache.codes.data();
    args.store.stride = shape.tokens;
    append_code(args, sequence.append_workspace.data(), lane);
  }

  void score(const LayerInputs& inputs, LayerCache& cache, SequenceState& sequence,
             Stream& lane) const {
    const RetrievalShape& shape = *m_shape;
    ScoreTableArgs table;
    table.queries = sequence.far_queries.data();
    table.codewords = inputs.codewords();
    table.dtype = traces::DType::kF32;
    table.segments = shape.kv_heads;
    table.kv_heads = shape.kv_heads;
    table.group = shape.group;
    table.codeword_count = shape.codewords;
    table.head_dim = shape.head_dim;
    table.scale = inputs.scale;
    table.softcap = inputs.softcap;
    table.table = sequence.table.data();
    score_table(table, lane);
    if (!m_options.buckets) {
      LookupScoresArgs lookup;
      lookup.table = sequence.table.data();
      lookup.codes = cache.codes.data();
      lookup.codes_stride = shape.tokens;
      lookup.segments = shape.kv_heads;
      lookup.group = shape.group;
      lookup.codeword_count = shape.codewords;
      lookup.range = m_range;
      lookup.scores = sequence.scores.data();
      lookup.stride = shape.tokens;
      lookup_scores(lookup, lane);
    }
  }

  /// The workspace of the GPU lane, at least `bytes` long. What runs may still use the old one:
  /// freeing it waits.
  [[nodiscard]] static void* workspace(SequenceState& sequence, std::size_t bytes) {
    if (sequence.workspace.size() < bytes) {
      sequence.workspace = DeviceBuffer<std::byte>(bytes);
    }
    return sequence.workspace.data();
  }

  [[nodiscard]] RetrievedMask mask_of(LayerCache& cache) const {
    return {cache.union_words.data(), m_shape->words, cache.ties.data(), cache.member_words.data()};
  }

  void choose(LayerCache& cache, SequenceState& sequence, Stream& lane) const {
    if (m_options.buckets) {
      choose_by_buckets(cache, sequence, lane);
      return;
    }
    TopKRetrievalArgs args;
    args.scores = sequence.scores.data();
    args.stride = m_shape->tokens;
    args.segments = m_shape->kv_heads;
    args.group = m_shape->group;
    args.range = m_range;
    args.k = m_top;
    args.mask = mask_of(cache);
    args.workspace = workspace(sequence, topk_retrieval_workspace_bytes(args));
    topk_retrieval(args, lane);
  }

  void choose_by_buckets(LayerCache& cache, SequenceState& sequence, Stream& lane) const {
    const RetrievalShape& shape = *m_shape;
    if (buckets_are_stale(cache.bucketed, m_range, m_step)) {
      cache.bucketed = m_range;
      BuildBucketsArgs build;
      build.codes = cache.codes.data();
      build.codes_stride = shape.tokens;
      build.segments = shape.kv_heads;
      build.codeword_count = shape.codewords;
      build.buckets = buckets_of(cache);
      build.workspace = workspace(sequence, build_buckets_workspace_bytes(build));
      build_buckets(build, lane);
    }
    BucketRetrievalArgs args;
    args.table = sequence.table.data();
    args.codes = cache.codes.data();
    args.codes_stride = shape.tokens;
    args.segments = shape.kv_heads;
    args.group = shape.group;
    args.codeword_count = shape.codewords;
    args.buckets = buckets_of(cache);
    args.range = m_range;
    args.k = m_top;
    args.mask = mask_of(cache);
    args.workspace = workspace(sequence, bucket_retrieval_workspace_bytes(args));
    bucket_retrieval(args, lane);
  }

  [[nodiscard]] DeviceCodeBuckets buckets_of(LayerCache& cache) const {
    return {cache.bucketed, cache.bucket_offsets.data(), cache.bucket_tokens.data(),
            m_shape->tokens};
  }

  void list(LayerCache& cache, Stream& lane) const {
    ListTokensArgs args;
    args.words = cache.union_words.data();
    args.stride = m_shape->words;
    args.segments = m_shape->kv_heads;
    args.range = m_range;
    if (!on_host()) {
      args.lists = device_lists(cache);
      list_tokens(args, lane);
    }
    if (on_host() || m_options.placement == Placement::kFetchDma) {
      args.lists = {cache.host_tokens.data(), cache.host_counts.data(), m_shape->capacity};
      args.lists_on_host = true;
      list_tokens(args, lane);
    }
  }

  [[nodiscard]] TokenLists device_lists(LayerCache& cache) const {
    return {cache.list_tokens.data(), cache.list_counts.data(), m_shape->capacity};
  }
  [[nodiscard]] KvRows host_rows(const LayerCache& cache) const {
    return {cache.rows.data(), m_shape->dtype, m_shape->head_dim, m_shape->tokens};
  }

  /// Lists that are not there yet, or longer than their slots, would lead the host astray.
  void check_lists(const LayerCache& cache) const {
    require_contract(
        std::all_of(cache.host_counts.data(), cache.host_counts.data() + m_shape->kv_heads,
                    [&](std::int32_t count) { return count >= 0 && count <= m_shape->capacity; }),
        kName, "a list of retrieved tokens is longer than its slots");
  }

  /// On the host: the new token's rows into the cache.
  void append(LayerCache& cache, std::int64_t position) const {
    const RetrievalShape& shape = *m_shape;
    const std::byte* rows =
        cache.host_message.data() + message_bytes() - as_size(shape.kv_heads * shape.row_bytes);
    for (std::int64_t h = 0; h < shape.kv_heads; ++h) {
      std::memcpy(cache.rows.data() + (h * shape.tokens + position) * shape.row_bytes,
                  rows + h * shape.row_bytes, as_size(shape.row_bytes));
    }
  }

  /// On the host: attention over the retrieved tokens, and its result as a message.
  void attend(const LayerInputs& inputs, const LayerCache& cache, SequenceState& sequence) const {
    const RetrievalShape& shape = *m_shape;
    check_lists(cache);
    traces::to_float(shape.dtype, cache.host_message.data(), sequence.host_queries);
    SparseDecodeArgs args;
    args.cache = host_rows(cache);
    args.segments = shape.kv_heads;
    args.queries = sequence.host_queries.data();
    args.group = shape.group;
    args.rows = cache.host_tokens.data();
    args.capacity = shape.capacity;
    args.counts = cache.host_counts.data();
    args.scale = inputs.scale;
    args.softcap = inputs.softcap;
    args.out = sequence.host_output.data();
    std::byte* message = sequence.host_partial.data();
    args.log_sums = reinterpret_cast<float*>(message + output_bytes());
    kernels::sparse_decode(args);
    traces::from_float(shape.dtype, sequence.host_output, message);
  }
  /// Bytes of the partial outputs in the host's message; the log-sum-exps follow.
  [[nodiscard]] std::size_t output_bytes() const {
    return as_size(m_shape->q_heads * m_shape->head_dim * m_shape->element_bytes);
  }

  void fetch(const StepTask& task, LayerCache& cache, SequenceState& sequence, Stream& lane) {
    switch (m_options.placement) {
      case Placement::kFetchDma:
        return fetch_runs(task, cache, sequence, lane);
      case Placement::kFetchKernel: {
        GatherRowsArgs args;
        args.source = host_rows(cache);
        args.segments = m_shape->kv_heads;
        args.lists = device_lists(cache);
        args.target = sequence.staging.data();
        return gather_rows(args, lane);
      }
      case Placement::kFetchHotBuffer:
        return serve_hot_buffers(hot_args(cache), lane);
      case Placement::kCpuAttention:
        break;
    }
  }

  /// Copies of a run each: the host has to know the lists before it can enqueue them.
  void fetch_runs(const StepTask& task, LayerCache& cache, SequenceState& sequence, Stream& lane) {
    for (const std::int32_t earlier : task.after) {
      m_events[static_cast<std::size_t>(earlier)].synchronize();
    }
    check_lists(cache);
    const RetrievalShape& shape = *m_shape;
    m_pieces.clear();
    for (std::int64_t h = 0; h < shape.kv_heads; ++h) {
      const std::int32_t* tokens = cache.host_tokens.data() + h * shape.capacity;
      find_runs({tokens, as_size(cache.host_counts.data()[h])}, m_runs);
      std::byte* target = sequence.staging.data() + h * shape.capacity * shape.row_bytes;
      for (const TokenRun& run : m_runs) {
        const std::size_t bytes = as_size(run.count * shape.row_bytes);
        m_pieces.push_back(
            {target, cache.rows.data() + (h * shape.tokens + run.first) * shape.row_bytes, bytes});
        target += bytes;
      }
    }
    copy_pieces_to_device(m_pieces, lane);
  }

  [[nodiscard]] HotBuffersArgs hot_args(LayerCache& cache) const {
    HotBuffersArgs args;
    args.source = host_rows(cache);
    args.segments = m_shape->kv_heads;
    args.slots = m_options.hot_buffer;
    args.tokens = m_shape->tokens;
    args.policy = m_options.hot_policy;
    args.state = cache.hot_state.data();
    args.pool = cache.hot_pool.data();
    args.bypass_rows = m_shape->capacity;
    args.wanted = device_lists(cache);
    args.rows = cache.hot_rows.data();
    args.misses = cache.hot_misses.data();
    args.bypassed = cache.hot_bypassed.data();
    return args;
  }

  [[nodiscard]] SparseDecodeArgs attention_args(const LayerInputs& inputs,
                                                const SequenceState& sequence) const {
    SparseDecodeArgs args;
    args.cache.dtype = m_shape->dtype;
    args.cache.head_dim = m_shape->head_dim;
    args.segments = m_shape->kv_heads;
    args.queries = sequence.near_queries.data();
    args.group = m_shape->group;
    args.scale = inputs.scale;
    args.softcap = inputs.softcap;
    return args;
  }

  void attend_fetched(const LayerInputs& inputs, LayerCache& cache, SequenceState& sequence,
                      Stream& lane) const {
    SparseDecodeArgs args = attention_args(inputs, sequence);
    const bool hot = m_options.placement == Placement::kFetchHotBuffer;
    args.cache.rows = hot ? cache.hot_pool.data() : sequence.staging.data();
    args.cache.segment_rows = (hot ? m_options.hot_buffer : 0) + m_shape->capacity;
    args.rows = hot ? cache.hot_rows.data() : nullptr;
    args.capacity = m_shape->capacity;
    args.counts = cache.list_counts.data();
    args.out = sequence.other.data();
    args.log_sums = sequence.other_log_sums.data();
    sparse_decode(args, workspace(sequence, sparse_decode_workspace_bytes(args)), lane);
  }

  void attend_resident(const LayerInputs& inputs, LayerCache& cache, SequenceState& sequence,
                       Stream& lane) const {
    SparseDecodeArgs args = attention_args(inputs, sequence);
    args.cache.rows = cache.resident.data();
    args.cache.segment_rows = m_shape->resident_rows;
    args.capacity = m_shape->resident_rows;
    args.counts = m_resident_counts.data() + m_step * m_shape->kv_heads;
    args.out = cache.output.data();
    args.log_sums = cache.log_sums.data();
    sparse_decode(args, workspace(sequence, sparse_decode_workspace_bytes(args)), lane);
  }

  void merge(LayerCache& cache, SequenceState& sequence, Stream& lane) const {
    MergePartialArgs args;
    args.out = cache.output.data();
    args.log_sums = cache.log_sums.data();
    args.other = sequence.other.data();
    args.other_log_sums = sequence.other_log_sums.data();
    args.n = m_shape->q_heads;
    args.head_dim = m_shape->head_dim;
    if (on_host()) {
      UnpackRowsArgs unpack;
      unpack.rows = sequence.partial.data();
      unpack.dtype = m_shape->dtype;
      unpack.n = m_shape->q_heads * m_shape->head_dim;
      unpack.out = sequence.other.data();
      unpack_rows(unpack, lane);
      args.other_log_sums =
          reinterpret_cast<const float*>(sequence.partial.data() + output_bytes());
    }
    merge_partial(args, lane);
  }

  // ---- After the step.

  void synchronize() {
    for (const auto& sequence : m_sequences) {
      for (Stream& lane : sequence->lanes) {
        lane.synchronize();
      }
    }
  }

  void count_traffic(const std::optional<StepTraffic>& before, DecodeStepRecord& record) const {
    record.counted.reset();
    if (const std::optional<StepTraffic> after = bus_totals(); before && after) {
      const auto batches = static_cast<std::int64_t>(m_sequences.size());
      record.counted = StepTraffic{(after->to_gpu_bytes - before->to_gpu_bytes) / batches,
                                   (after->to_host_bytes - before->to_host_bytes) / batches,
                                   (after->copies - before->copies) / batches};
    }
  }

  void measure(DecodeStepRecord& record) const {
    record.stage_us.reset();
    record.step_us.reset();
    std::vector<double> stages(kStepStages, 0.0);
    for (std::size_t t = 0; t < m_graph.size(); ++t) {
      const std::optional<double> us = m_events[t].microseconds_since(m_starts[t]);
      if (!us) {
        return;
      }
      stages[static_cast<std::size_t>(m_graph[t].stage)] +=
          *us / static_cast<double>(m_sequences.size());
      const double end = m_events[t].microseconds_since(m_starts.front()).value_or(0.0);
      record.step_us = std::max(record.step_us.value_or(0.0), end);
    }
    record.stage_us = std::move(stages);
  }

  void download(DecodeStepRecord& record) {
    record.layers.resize(m_inputs.size());
    for (std::size_t l = 0; l < m_inputs.size(); ++l) {
      download(m_sequences.front()->layers[l], record.layers[l]);
      if (m_sequences.size() > 1) {
        download(m_sequences.back()->layers[l], m_other);
        require_contract(m_other.retrieved == record.layers[l].retrieved &&
                             m_other.output == record.layers[l].output,
                         kName, "two micro-batches of one sequence differ");
      }
    }
  }

  void download(LayerCache& cache, LayerStep& step) {
    const RetrievalShape& shape = *m_shape;
    const auto lists = [&](const DeviceBuffer<std::uint32_t>& buffer, std::int64_t count,
                           std::vector<std::vector<std::int32_t>>& tokens) {
      const std::vector<std::uint32_t> words = buffer.download(m_downloads);
      tokens.resize(as_size(count));
      for (std::int64_t h = 0; h < count; ++h) {
        tokens[as_size(h)] =
            tokens_of(std::span(words).subspan(as_size(h * shape.words), as_size(shape.words)));
      }
    };
    lists(cache.union_words, shape.kv_heads, step.retrieved);
    lists(cache.member_words, shape.q_heads, step.selected);
    step.boundary_ties = cache.ties.download(m_downloads);
    step.output = cache.output.download(m_downloads);
    step.misses.clear();
    if (m_options.placement == Placement::kFetchHotBuffer) {
      step.misses = cache.hot_misses.download(m_downloads);
    } else if (!on_host()) {
      for (const std::vector<std::int32_t>& tokens : step.retrieved) {
        step.misses.push_back(static_cast<std::int32_t>(tokens.size()));
      }
    }
  }

  std::string_view m_name;
  DecodeGraphBuilder m_build_graph;
  RetrievalEngineOptions m_options;
  std::optional<RetrievalShape> m_shape;
  std::vector<StepTask> m_graph;
  std::vector<Event> m_events;  ///< the end of each task
  std::vector<Event> m_starts;
  std::vector<LayerInputs> m_inputs;
  DeviceBuffer<std::int32_t> m_resident_counts;  ///< [steps, Hkv]
  std::vector<std::unique_ptr<SequenceState>> m_sequences;
  Stream m_downloads;
  std::int64_t m_step = 0;
  // Of the running step.
  std::int64_t m_position = 0;
  TokenRange m_range;
  std::int64_t m_top = 0;
  // Kept from step to step.
  std::vector<TokenRun> m_runs;
  std::vector<CopyPiece> m_pieces;
  LayerStep m_other;
};

}  // namespace

std::unique_ptr<RetrievalEngine> make_device_retrieval_engine(std::string_view name,
                                                              DecodeGraphBuilder build_graph) {
  return std::make_unique<DeviceRetrievalEngine>(name, std::move(build_graph));
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
