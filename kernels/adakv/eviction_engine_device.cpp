#include "adakv/eviction_engine_device.h"

#include <algorithm>
#include <numeric>

#include "adakv/budget_allocation_device.h"
#include "adakv/eviction_loss_device.h"
#include "adakv/projected_loss_device.h"
#include "adakv/token_selection_device.h"
#include "adakv/window_scores_device.h"
#include "attention/value_norms_device.h"
#include "exec/device/operation_range.h"
#include "kvsieve/kernels/stage_range.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr std::int64_t kWordTokens = 32;  // tokens in a word of kept bits

/// A dense fp32 tensor [heads, rows, d] in host memory.
struct HostTensor {
  std::int64_t heads = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<float> data;

  HostTensor() = default;
  HostTensor(std::int64_t head_count, std::int64_t row_count, std::int64_t col_count)
      : heads(head_count),
        rows(row_count),
        cols(col_count),
        data(static_cast<std::size_t>(head_count * row_count * col_count)) {}
  [[nodiscard]] MatrixView<float> head(std::int64_t h) {
    return {data.data() + h * rows * cols, rows, cols};
  }
};

HostTensor load_tensor(const traces::TensorView& tensor) {
  HostTensor loaded(tensor.shape[0], tensor.shape[1], tensor.shape[2]);
  for (std::int64_t h = 0; h < loaded.heads; ++h) {
    load_rows(HeadSlice(tensor, h), 0, loaded.head(h));
  }
  return loaded;
}

/// Bits of kept tokens, [selections, units, ceil(T / 32)].
class KeptBits {
 public:
  KeptBits(std::int64_t selections, std::int64_t units, std::int64_t tokens)
      : m_units(units),
        m_words(kept_words(tokens)),
        m_bits(static_cast<std::size_t>(selections * units * m_words), 0) {}

  void set(std::int64_t selection, std::int64_t unit, std::int64_t token) {
    m_bits[static_cast<std::size_t>((selection * m_units + unit) * m_words +
                                    token / kWordTokens)] |=
        1U << static_cast<unsigned>(token % kWordTokens);
  }
  [[nodiscard]] std::span<const std::uint32_t> words() const { return m_bits; }

 private:
  std::int64_t m_units;
  std::int64_t m_words;
  std::vector<std::uint32_t> m_bits;
};

class DeviceEvictionEngine : public EvictionEngine {
 public:
  explicit DeviceEvictionEngine(std::string_view name) : m_name(name) {}

  [[nodiscard]] std::string_view backend() const override { return m_name; }

  void set_layer(const CapturedLayer& layer) override {
    m_layer = layer;
    ++m_layer_number;
    HostTensor keys(layer.kv_heads(), layer.tokens(), layer.head_dim());
    for (std::int64_t h = 0; h < layer.kv_heads(); ++h) {
      load_rotated_rows(HeadSlice(layer.k, h), *layer.phases, keys.head(h));
    }
    m_keys = upload<float>(keys.data);
    m_values = upload<float>(load_tensor(layer.v).data);
    m_projections = upload<float>(load_tensor(layer.wo).data);
  }

  void score(std::span<const ScoreRequest> requests) override {
    for (const ScoreRequest& request : requests) {
      score(request);
    }
  }

  [[nodiscard]] std::vector<KeptTokens> select(
      std::span<const SelectionRequest> requests) override {
    std::vector<KeptTokens> kept;
    for (const SelectionRequest& request : requests) {
      kept.push_back(select(request));
    }
    return kept;
  }

  [[nodiscard]] KeptTokens select(const SelectionRequest& request) {
    const std::int64_t units = request.scores.rows;
    const std::int64_t candidates = request.prompt_tokens - request.sinks - request.window;
    const auto scores = upload<float>(columns(request.scores, request.sinks, candidates));
    DeviceBuffer<std::int32_t> counts(static_cast<std::size_t>(units));
    if (request.allocation) {
      allocate(request, scores.data(), candidates, counts.data());
    } else {
      const std::vector<std::int32_t> equal(
          static_cast<std::size_t>(units),
          static_cast<std::int32_t>(std::min(request.budget, candidates)));
      counts = upload<std::int32_t>(equal);
    }
    DeviceBuffer<float> norms;
    if (request.two_stage) {
      norms = upload<float>(columns(request.norms, request.sinks, candidates));
    }
    DeviceBuffer<std::int64_t> offsets(static_cast<std::size_t>(units + 1));
    DeviceBuffer<std::int32_t> kept(static_cast<std::size_t>(units * request.prompt_tokens));
    TokenSelectionArgs args;
    args.scores = scores.data();
    args.counts = counts.data();
    args.units = units;
    args.m = candidates;
    args.stride = candidates;
    args.sinks = request.sinks;
    args.window = request.window;
    args.norms = norms.data();
    args.norms_stride = candidates;
    args.offsets = offsets.data();
    args.kept = kept.data();
    const DeviceBuffer<std::byte> workspace(token_selection_workspace_bytes(args));
    args.workspace = workspace.data();
    {
      const OperationRange range(range_text(kSelectionStage).c_str());
      token_selection(args, m_stream);
    }
    // Behind the last unit's tokens nothing was written.
    const std::vector<std::int64_t> ends = offsets.download(m_stream);
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(ends.back()));
    copy_to_host(tokens.data(), kept.data(), tokens.size() * sizeof(std::int32_t), m_stream);
    m_stream.synchronize();
    return split(tokens, ends);
  }

  void value_norms(MatrixView<float> norms) override {
    const DeviceBuffer<float> result(static_cast<std::size_t>(norms.rows * norms.cols));
    ValueNormsArgs args;
    args.kv_heads = m_layer.kv_heads();
    args.group = m_layer.group();
    args.tokens = m_layer.tokens();
    args.head_dim = m_layer.head_dim();
    args.width = m_layer.width();
    args.value_dtype = traces::DType::kF32;
    args.projection_dtype = traces::DType::kF32;
    args.values = m_values.data();
    args.projections = m_projections.data();
    args.norms = result.data();
    KVSIEVE_BACKEND_NS::value_norms(args, m_stream);
    scatter(result.download(m_stream), norms);
  }

  [[nodiscard]] LossTerms losses(const LossRequest& request) override {
    const auto selections = static_cast<std::int64_t>(request.selections.size());
    const std::int64_t heads = m_layer.q_heads();
    const std::int64_t rows = request.queries.count;
    // One unit of kept bits for all selections: query heads if any selection tells them apart.
    const bool by_query_head =
        std::any_of(request.selections.begin(), request.selections.end(), [&](const auto* kept) {
          return static_cast<std::int64_t>(kept->size()) != m_layer.kv_heads();
        });
    const std::int64_t units = by_query_head ? heads : m_layer.kv_heads();
    const auto queries = upload_queries(request.queries);
    const auto query_positions = upload<std::int32_t>(positions(request.queries));
    const auto kept = upload<std::uint32_t>(kept_bits(request.selections, units).words());
    const auto norms = upload<float>(columns(request.norms, 0, request.norms.cols));
    const DeviceBuffer<float> output(count(heads * rows * m_layer.head_dim()));
    const DeviceBuffer<float> difference(count(selections * heads * rows * m_layer.head_dim()));
    const DeviceBuffer<float> mass(count(selections * heads * rows));
    const DeviceBuffer<float> kept_norm(norms.size() > 0 ? mass.size() : 0);
    const DeviceBuffer<float> total_norm(norms.size() > 0 ? count(heads * rows) : 0);
    EvictionLossArgs args;
    args.kv_heads = m_layer.kv_heads();
    args.group = m_layer.group();
    args.queries = rows;
    args.tokens = m_layer.tokens();
    args.head_dim = m_layer.head_dim();
    args.dtype = traces::DType::kF32;
    args.attention = m_layer.attention;
    args.rotated_queries = queries.data();
    args.positions = query_positions.data();
    args.rotated_keys = m_keys.data();
    args.values = m_values.data();
    args.norms = norms.data();
    args.selections = selections;
    args.units = units;
    args.kept = kept.data();
    args.output = output.data();
    args.difference = difference.data();
    args.retained_mass = mass.data();
    args.kept_norm = kept_norm.data();
    args.total_norm = total_norm.data();
    eviction_loss(args, m_stream);

    LossTerms terms;
    if (request.projected) {
      project_losses(request, output, difference, terms);
    }
    terms.retained_mass = tensor(selections, heads, rows, mass);
    terms.kept_norm = tensor(selections, heads, rows, kept_norm);
    terms.total_norm = tensor(1, heads, rows, total_norm);
    return terms;
  }

 private:
  /// A profiler's name of a stage of the layer.
  [[nodiscard]] std::string range_text(std::string_view stage) const {
    return stage_range_text({std::string(stage), -1, m_layer_number, 0});
  }

  static std::size_t count(std::int64_t elements) { return static_cast<std::size_t>(elements); }

  /// Downloads a tensor; zeros if there is none.
  [[nodiscard]] Tensor3 tensor(std::int64_t a, std::int64_t b, std::int64_t c,
                               const DeviceBuffer<float>& source) {
    Tensor3 result;
    result.resize(a, b, c);
    if (source.size() > 0) {
      result.data = source.download(m_stream);
    }
    return result;
  }

  /// Kept prompt tokens of all selections and all decoded tokens, a row of bits a unit.
  [[nodiscard]] KeptBits kept_bits(std::span<const KeptTokens* const> selections,
                                   std::int64_t units) const {
    KeptBits bits(static_cast<std::int64_t>(selections.size()), units, m_layer.tokens());
    for (std::size_t s = 0; s < selections.size(); ++s) {
      const auto lists = static_cast<std::int64_t>(selections[s]->size());
      const auto selection = static_cast<std::int64_t>(s);
      for (std::int64_t unit = 0; unit < units; ++unit) {
        for (const std::int32_t token : (*selections[s])[count(unit * lists / units)]) {
          bits.set(selection, unit, token);
        }
        for (std::int64_t j = m_layer.prompt_tokens; j < m_layer.tokens(); ++j) {
          bits.set(selection, unit, j);
        }
      }
    }
    return bits;
  }

  /// One call for each run of neighbouring selections that have as many units.
  void project_losses(const LossRequest& request, const DeviceBuffer<float>& output,
                      const DeviceBuffer<float>& difference, LossTerms& terms) {
    const auto selections = request.selections;
    for (std::size_t first = 0; first < selections.size();) {
      std::size_t last = first + 1;
      while (last < selections.size() && selections[last]->size() == selections[first]->size()) {
        ++last;
      }
      const auto stride = m_layer.q_heads() * request.queries.count * m_layer.head_dim();
      project_run(request, output.data(),
                  difference.data() + static_cast<std::int64_t>(first) * stride,
                  static_cast<std::int64_t>(last - first),
                  static_cast<std::int64_t>(selections[first]->size()), terms);
      first = last;
    }
  }

  /// Appends the losses of `selections` selections with `units` units.
  void project_run(const LossRequest& request, const float* output, const float* difference,
                   std::int64_t selections, std::int64_t units, LossTerms& terms) {
    const std::int64_t rows = request.queries.count;
    const DeviceBuffer<float> unit_loss(count(selections * units * rows));
    const DeviceBuffer<float> layer_loss(count(selections * rows));
    const DeviceBuffer<float> output_norm(count(rows));
    ProjectedLossArgs args;
    args.q_heads = m_layer.q_heads();
    args.units = units;
    args.selections = selections;
    args.queries = rows;
    args.head_dim = m_layer.head_dim();
    args.width = m_layer.width();
    args.projection_dtype = traces::DType::kF32;
    args.projections = m_projections.data();
    args.output = output;
    args.difference = difference;
    args.unit_loss = unit_loss.data();
    args.layer_loss = layer_loss.data();
    args.output_norm = output_norm.data();
    const DeviceBuffer<std::byte> workspace(projected_loss_workspace_bytes(args));
    args.workspace = workspace.data();
    projected_loss(args, m_stream);
    append(unit_loss.download(m_stream), units * rows, terms.unit_l1);
    append(layer_loss.download(m_stream), rows, terms.layer_l1);
    const std::vector<float> norms = output_norm.download(m_stream);
    terms.output_l1.assign(norms.begin(), norms.end());
  }

  /// Cuts `values` into pieces of `size`, one a selection.
  static void append(const std::vector<float>& values, std::int64_t size,
                     std::vector<std::vector<double>>& pieces) {
    for (auto piece = values.begin(); piece != values.end(); piece += size) {
      pieces.emplace_back(piece, piece + size);
    }
  }

  template <class T>
  [[nodiscard]] DeviceBuffer<T> upload(std::span<const T> elements) {
    return DeviceBuffer<T>(elements, m_stream);
  }

  /// Columns [first, first + count) of a matrix, dense.
  static std::vector<float> columns(MatrixView<const float> matrix, std::int64_t first,
                                    std::int64_t count) {
    std::vector<float> dense;
    dense.reserve(static_cast<std::size_t>(matrix.rows * count));
    for (std::int64_t r = 0; r < matrix.rows; ++r) {
      const float* row = matrix.data + r * matrix.stride + first;
      dense.insert(dense.end(), row, row + count);
    }
    return dense;
  }

  static void scatter(const std::vector<float>& dense, MatrixView<float> matrix) {
    for (std::int64_t r = 0; r < matrix.rows; ++r) {
      std::copy_n(dense.begin() + r * matrix.cols, matrix.cols, matrix.row(r).begin());
    }
  }

  static KeptTokens split(const std::vector<std::int32_t>& kept,
                          const std::vector<std::int64_t>& offsets) {
    KeptTokens units;
    for (std::size_t unit = 0; unit + 1 < offsets.size(); ++unit) {
      units.emplace_back(kept.begin() + offsets[unit], kept.begin() + offsets[unit + 1]);
    }
    return units;
  }

  /// Rotated queries of all heads, [Hq, count, d].
  [[nodiscard]] DeviceBuffer<float> upload_queries(const QueryRange& range) {
    std::vector<float> all;
    std::vector<float> rows;
    for (std::int64_t h = 0; h < m_layer.kv_heads(); ++h) {
      load_group_queries(m_layer.q, h, m_layer.group(), range.first, positions(range),
                         *m_layer.phases, rows);
      all.insert(all.end(), rows.begin(), rows.end());
    }
    return upload<float>(all);
  }

  [[nodiscard]] std::span<const std::int32_t> positions(const QueryRange& range) const {
    return m_layer.query_positions.subspan(static_cast<std::size_t>(range.first),
                                           static_cast<std::size_t>(range.count));
  }

  void score(const ScoreRequest& request) {
    const auto queries = upload_queries(request.queries);
    const auto query_positions = upload<std::int32_t>(positions(request.queries));
    const DeviceBuffer<float> scores(
        static_cast<std::size_t>(request.scores.rows * request.scores.cols));
    WindowScoresArgs args;
    args.queries = queries.data();
    args.positions = query_positions.data();
    args.keys = m_keys.data();
    args.token_stride = m_layer.head_dim();
    args.head_stride = m_layer.tokens() * m_layer.head_dim();
    args.sequence_stride = m_layer.kv_heads() * args.head_stride;
    args.dtype = traces::DType::kF32;
    args.kv_heads = m_layer.kv_heads();
    args.group = m_layer.group();
    args.queries_count = request.queries.count;
    args.head_dim = m_layer.head_dim();
    args.tokens = m_layer.prompt_tokens;
    args.scored_tokens = request.scores.cols;
    args.attention = m_layer.attention;
    args.unit = request.per_query_head ? ScoreUnit::kQueryHead : ScoreUnit::kKvHead;
    args.reduce = request.group_reduce;
    args.pooling = request.pool;
    args.scores = scores.data();
    const DeviceBuffer<std::byte> workspace(window_scores_workspace_bytes(args));
    args.workspace = workspace.data();
    {
      const OperationRange range(range_text(kWindowScoresStage).c_str());
      window_scores(args, m_stream);
    }
    scatter(scores.download(m_stream), request.scores);
  }

  void allocate(const SelectionRequest& request, const float* scores, std::int64_t candidates,
                std::int32_t* budgets) {
    const DeviceBuffer<std::int64_t> first_not_finite(1);
    BudgetAllocationArgs args;
    args.scores = scores;
    args.heads = request.scores.rows;
    args.m = candidates;
    args.stride = candidates;
    args.b = request.budget;
    args.options = *request.allocation;
    args.budgets = budgets;
    args.first_not_finite = first_not_finite.data();
    const DeviceBuffer<std::byte> workspace(budget_allocation_workspace_bytes(args));
    args.workspace = workspace.data();
    {
      const OperationRange range(range_text(kAllocationStage).c_str());
      budget_allocation(args, m_stream);
    }
    require_finite_scores(args, m_stream);
  }

  std::string_view m_name;
  Stream m_stream;
  CapturedLayer m_layer;
  std::int32_t m_layer_number = -1;   // of the layers that were set
  DeviceBuffer<float> m_keys;         // [Hkv, T, d], rotated
  DeviceBuffer<float> m_values;       // [Hkv, T, d]
  DeviceBuffer<float> m_projections;  // [Hq, d, D]
};

}  // namespace

std::unique_ptr<EvictionEngine> make_device_eviction_engine(std::string_view name) {
  return std::make_unique<DeviceEvictionEngine>(name);
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
