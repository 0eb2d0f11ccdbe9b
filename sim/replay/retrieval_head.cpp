#include "replay/retrieval_head.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/partial_attention.h"
#include "kvsieve/kernels/windowed_rope.h"

namespace kvsieve::sim {
namespace {

using kernels::HeadSlice;
using kernels::MatrixView;
using kernels::TokenRange;

constexpr std::int64_t kStepsPerBlock = 8;    // one register tile of query rows
constexpr std::int64_t kStepsPerChunk = 256;  // bounds the unions that wait for the next stage

std::size_t padded(std::int64_t columns) {
  return static_cast<std::size_t>((columns + 15) / 16 * 16);
}

double norm(std::span<const float> x) {
  double sum = 0.0;
  for (const float value : x) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(sum);
}

/// Tokens of an ascending set within [begin, end).
std::int64_t count_within(std::span<const std::int32_t> tokens, std::int64_t begin,
                          std::int64_t end) {
  return std::lower_bound(tokens.begin(), tokens.end(), end) -
         std::lower_bound(tokens.begin(), tokens.end(), begin);
}

}  // namespace

/// What one thread needs besides the head.
struct RetrievalHead::Scratch {
  std::vector<float> near;        // [G, steps, T] true scores
  std::vector<float> far;         // [G, steps, T], or [steps, T] where members can take turns
  std::vector<float> work;        // [steps, T]
  ScoreScratch source;            // of the scorer
  std::vector<float> outputs;     // [2, G, d]
  std::vector<double> log_sums;   // [G, steps] of the attention over all tokens
  std::vector<double> part_sums;  // [2, G]
  std::vector<std::vector<std::int32_t>> sets;  // [steps, G] each head's top K
  std::vector<std::int32_t> oracle;
  std::vector<std::int32_t> wrope_oracle;
  std::vector<std::int32_t> resident;  // sinks and window
};

/// Consecutive decode steps, replayed by one thread.
class RetrievalHead::Block {
 public:
  Block(RetrievalHead& head, Scratch& scratch, std::int64_t first, std::int64_t count)
      : m_head(head),
        m_scratch(scratch),
        m_first(first),
        m_count(count),
        m_tokens(head.position(first + count - 1) + 1),
        m_stride(static_cast<std::int64_t>(padded(head.m_values.tokens()))),
        m_positions(head.m_trace.query_positions().subspan(
            static_cast<std::size_t>(head.m_trace.prompt_queries() + first),
            static_cast<std::size_t>(count))) {
    const auto rows = static_cast<std::size_t>(kStepsPerBlock * m_stride);
    const auto group = static_cast<std::size_t>(head.m_group);
    m_scratch.near.resize(group * rows);
    m_scratch.far.resize((keeps_far() ? group : 1) * rows);
    m_scratch.work.resize(rows);
    m_scratch.outputs.resize(2 * group * padded(head.m_values.head_dim()));
    m_scratch.log_sums.resize(group * kStepsPerBlock);
    m_scratch.part_sums.resize(2 * group);
    m_scratch.sets.resize(kStepsPerBlock * group);
    for (std::int64_t s = 0; s < count; ++s) {
      m_eligible[static_cast<std::size_t>(s)] = kernels::eligible_tokens(
          m_positions[static_cast<std::size_t>(s)], head.m_options.sinks, head.m_options.window);
    }
  }

  void rank(AdaptiveTops& tops) {
    for (std::int64_t member = 0; member < m_head.m_group; ++member) {
      const Rows scores = score(member);
      for (std::int64_t s = 0; s < m_count; ++s) {
        tops.set(m_first + s, q_head(member), scores.row(s), exact(member, s));
      }
    }
  }

  void run() {
    for (std::int64_t member = 0; member < m_head.m_group; ++member) {
      measure(member);
    }
    for (std::int64_t s = 0; s < m_count; ++s) {
      attend(s);
    }
  }

 private:
  using Rows = MatrixView<const float>;

  [[nodiscard]] bool keeps_far() const {
    return m_head.m_options.final_attention == FinalAttention::kWrope;
  }
  [[nodiscard]] MatrixView<float> scores_of(std::vector<float>& buffer, std::int64_t member) const {
    return {buffer.data() + member * kStepsPerBlock * m_stride, m_count, m_tokens, m_stride};
  }
  [[nodiscard]] Rows queries_of(const Rows& queries, std::int64_t member) const {
    return queries.rows_from(member * m_head.m_step_count + m_first, m_count);
  }
  [[nodiscard]] MatrixView<float> rows_of(std::vector<float>& outputs, std::int64_t member) const {
    const auto stride = static_cast<std::int64_t>(padded(m_head.m_values.head_dim()));
    return {outputs.data() + (member * m_head.m_step_count + m_first) * stride, m_count,
            m_head.m_values.head_dim(), stride};
  }
  [[nodiscard]] std::span<const TokenRange> eligible() const {
    return std::span(m_eligible).first(static_cast<std::size_t>(m_count));
  }
  [[nodiscard]] QueryStep& query_step(std::int64_t member, std::int64_t s) const {
    return m_head
        .m_query_steps[static_cast<std::size_t>(member * m_head.m_step_count + m_first + s)];
  }
  [[nodiscard]] std::vector<std::int32_t>& set(std::int64_t s, std::int64_t member) const {
    return m_scratch.sets[static_cast<std::size_t>(s * m_head.m_group + member)];
  }

  [[nodiscard]] std::int64_t q_head(std::int64_t member) const {
    return m_head.m_kv_head * m_head.m_group + member;
  }
  /// True scores of the tokens that exist at step s.
  [[nodiscard]] std::span<const float> exact(std::int64_t member, std::int64_t s) const {
    return scores_of(m_scratch.near, member)
        .row(s)
        .first(static_cast<std::size_t>(m_positions[static_cast<std::size_t>(s)]) + 1);
  }

  /// True scores, windowed-RoPE scores and the scorer's of one query head.
  Rows score(std::int64_t member) {
    const HeadIndex& index = *m_head.m_index;
    const MatrixView<float> near = scores_of(m_scratch.near, member);
    const MatrixView<float> far = scores_of(m_scratch.far, keeps_far() ? member : 0);
    const QueryBlock block{.q_head = q_head(member),
                           .first_step = m_first,
                           .near_queries = queries_of(index.near_queries(), member),
                           .far_queries = queries_of(index.far_queries(), member),
                           .near = near,
                           .far = far};
    kernels::attention_scores(block.near_queries, m_head.m_near_keys, 0, m_head.m_attention, near);
    kernels::attention_scores(block.far_queries, m_head.m_far_keys, 0, m_head.m_attention, far);
    return index.source().scores(block, eligible(), m_scratch.source);
  }

  /// Scores, selection and dense attention of one query head.
  void measure(std::int64_t member) {
    const Rows scores = score(member);
    const MatrixView<float> near = scores_of(m_scratch.near, member);
    const MatrixView<float> far = scores_of(m_scratch.far, keeps_far() ? member : 0);
    for (std::int64_t s = 0; s < m_count; ++s) {
      select(member, s, scores.row(s), near.row(s), far.row(s));
    }
    if (keeps_far()) {
      kernels::windowed_scores(near, far, m_positions, m_head.m_options.window, far);
    }
    const MatrixView<float> work = scores_of(m_scratch.work, 0);
    for (std::int64_t s = 0; s < m_count; ++s) {
      std::copy(near.row(s).begin(), near.row(s).end(), work.row(s).begin());
    }
    kernels::attend_all(work, m_positions, m_head.m_values, rows_of(m_head.m_dense, member),
                        std::span(m_scratch.log_sums)
                            .subspan(static_cast<std::size_t>(member * kStepsPerBlock),
                                     static_cast<std::size_t>(m_count)));
  }

  void select(std::int64_t member, std::int64_t s, std::span<const float> scores,
              std::span<const float> near, std::span<const float> far) {
    const TokenRange& range = eligible()[static_cast<std::size_t>(s)];
    const auto within = [&](std::span<const float> of) {
      return of.subspan(static_cast<std::size_t>(range.begin),
                        static_cast<std::size_t>(range.size()));
    };
    QueryStep& record = query_step(member, s);
    record.wrope_error = kernels::score_error(within(near), within(far));
    const HeadIndex& index = *m_head.m_index;
    if (index.codes() != nullptr) {
      const bool rotated = m_head.m_options.scorer == RetrievalScorer::kVqPostRope;
      record.vq_error = kernels::score_error(within(rotated ? near : far), within(scores));
    }
    if (index.source().estimates()) {
      record.score_error = kernels::score_error(within(near), within(scores));
    }
    std::vector<std::int32_t>& chosen = set(s, member);
    m_head.m_selector->select(
        {.q_head = q_head(member),
         .step = m_first + s,
         .eligible = range,
         .top = m_head.m_tops[static_cast<std::size_t>(
             (m_first + s) * m_head.m_trace.header().model.q_heads + q_head(member))],
         .scores = scores,
         .exact = exact(member, s)},
        chosen);
    record.selected = static_cast<std::int64_t>(chosen.size());
    if (chosen.empty()) {
      return;
    }
    record.boundary_ties = static_cast<double>(ties(within(scores), scores, chosen));
    kernels::select_top(near, range, record.selected, m_scratch.oracle);
    kernels::select_top(far, range, record.selected, m_scratch.wrope_oracle);
    const auto share = [&](std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
      return static_cast<double>(kernels::common_tokens(a, b)) /
             static_cast<double>(record.selected);
    };
    record.recall = share(chosen, m_scratch.oracle);
    record.recall_vs_wrope = share(chosen, m_scratch.wrope_oracle);
    record.wrope_recall = share(m_scratch.wrope_oracle, m_scratch.oracle);
  }

  /// Eligible tokens whose score equals the lowest that was chosen.
  static std::int64_t ties(std::span<const float> eligible, std::span<const float> scores,
                           std::span<const std::int32_t> chosen) {
    float least = scores[static_cast<std::size_t>(chosen.front())];
    for (const std::int32_t token : chosen) {
      least = std::min(least, scores[static_cast<std::size_t>(token)]);
    }
    return std::count(eligible.begin(), eligible.end(), least);
  }

  /// The group's common set at one step, and the attention over it.
  void attend(std::int64_t s) {
    const std::int64_t group = m_head.m_group;
    const std::int64_t i = m_positions[static_cast<std::size_t>(s)];
    const RetrievalOptions& options = m_head.m_options;
    std::vector<std::int32_t>& retrieved =
        m_head.m_retrieved[static_cast<std::size_t>((m_first + s) % kStepsPerChunk)];
    kernels::unite(
        std::span(m_scratch.sets)
            .subspan(static_cast<std::size_t>(s * group), static_cast<std::size_t>(group)),
        retrieved);
    kernels::attended_tokens(i, options.sinks, options.window, {}, m_scratch.resident);
    for (std::int64_t member = 0; member < group; ++member) {
      const auto scores = scores_of(m_scratch.near, member).row(s);
      const double log_sum =
          m_scratch.log_sums[static_cast<std::size_t>(member * kStepsPerBlock + s)];
      QueryStep& record = query_step(member, s);
      record.retrieved_mass = kernels::attention_mass(scores, log_sum, retrieved);
      record.captured_mass =
          std::min(1.0, record.retrieved_mass +
                            kernels::attention_mass(scores, log_sum, m_scratch.resident));
    }
    const MatrixView<float> output = sparse_attention(s, i, retrieved);
    for (std::int64_t member = 0; member < group; ++member) {
      const std::span<const float> dense = rows_of(m_head.m_dense, member).row(s);
      const std::span<float> difference = rows_of(m_head.m_difference, member).row(s);
      std::transform(dense.begin(), dense.end(), output.row(member).begin(), difference.begin(),
                     std::minus<>());
      const double size = norm(dense);
      query_step(member, s).output_error = size > 0.0 ? norm(difference) / size : 0.0;
    }
    record_step(s, retrieved);
  }

  /// Attention of all members over sinks, window and the retrieved tokens, [G, d]: the GPU's and
  /// the host's part, merged as either placement would.
  MatrixView<float> sparse_attention(std::int64_t s, std::int64_t i,
                                     std::span<const std::int32_t> retrieved) {
    const std::int64_t group = m_head.m_group;
    const auto stride = static_cast<std::int64_t>(padded(m_head.m_values.head_dim()));
    std::vector<float>& buffer = keeps_far() ? m_scratch.far : m_scratch.near;
    const MatrixView<float> scores(buffer.data() + s * m_stride, group, i + 1,
                                   kStepsPerBlock * m_stride);
    const MatrixView<float> resident(m_scratch.outputs.data(), group, m_head.m_values.head_dim(),
                                     stride);
    const MatrixView<float> fetched(m_scratch.outputs.data() + group * stride, group, resident.cols,
                                    stride);
    const std::span<double> sums = m_scratch.part_sums;
    const auto members = static_cast<std::size_t>(group);
    kernels::attend_tokens(scores, m_scratch.resident, m_head.m_values, resident,
                           sums.first(members));
    kernels::attend_tokens(scores, retrieved, m_head.m_values, fetched, sums.last(members));
    kernels::merge_attention(resident, sums.first(members), fetched, sums.last(members));
    return resident;
  }

  void record_step(std::int64_t s, std::span<const std::int32_t> retrieved) {
    const TokenRange& range = eligible()[static_cast<std::size_t>(s)];
    HeadStep& step = m_head.m_steps[static_cast<std::size_t>(m_first + s)];
    step = {};
    step.eligible = range.size();
    step.union_tokens = static_cast<std::int64_t>(retrieved.size());
    step.attended = static_cast<std::int64_t>(m_scratch.resident.size()) + step.union_tokens;
    if (const auto& needle = m_head.m_trace.header().needle) {
      const TokenRange marked{std::max(needle->begin, range.begin),
                              std::min(needle->end, range.end)};
      step.needle_eligible = std::max<std::int64_t>(0, marked.size());
      step.needle_retrieved = count_within(retrieved, needle->begin, needle->end);
    }
    const auto group = static_cast<double>(m_head.m_group);
    double selecting = 0.0;
    for (std::int64_t member = 0; member < m_head.m_group; ++member) {
      const QueryStep& query = query_step(member, s);
      step.selected += static_cast<double>(query.selected) / group;
      selecting += query.selected > 0 ? 1.0 : 0.0;
      step.captured_mass += query.captured_mass / group;
      step.retrieved_mass += query.retrieved_mass / group;
      step.output_error += query.output_error / group;
    }
    for (std::int64_t member = 0; member < m_head.m_group; ++member) {
      if (const QueryStep& query = query_step(member, s); query.selected > 0) {
        step.recall += query.recall / selecting;
        step.recall_vs_wrope += query.recall_vs_wrope / selecting;
        step.wrope_recall += query.wrope_recall / selecting;
        step.boundary_ties += query.boundary_ties / selecting;
      }
    }
  }

  RetrievalHead& m_head;
  Scratch& m_scratch;
  std::int64_t m_first;
  std::int64_t m_count;
  std::int64_t m_tokens;  // that exist at the last step
  std::int64_t m_stride;
  std::span<const std::int32_t> m_positions;
  std::array<TokenRange, kStepsPerBlock> m_eligible;
};

void RetrievalHead::load(const traces::TraceLayer& layer, std::int64_t kv_head,
                         const kernels::RopePhases& phases, const HeadIndex& index) {
  m_attention = layer.spec.attention;
  m_index = &index;
  m_kv_head = kv_head;
  m_group = m_trace.header().model.group();
  m_step_count = m_trace.header().decode_tokens;
  const HeadSlice keys(layer.k, kv_head);
  m_near_keys.load(keys, &phases);
  m_far_keys.load(keys, nullptr);
  m_values.load(HeadSlice(layer.v, kv_head));
}

template <class Use>
void RetrievalHead::for_blocks(std::int64_t first, std::int64_t last, Use use) {
  const std::int64_t blocks = (last - first + kStepsPerBlock - 1) / kStepsPerBlock;
  tbb::enumerable_thread_specific<Scratch> scratch;
  tbb::parallel_for(std::int64_t{0}, blocks, [&](std::int64_t block) {
    const std::int64_t begin = first + block * kStepsPerBlock;
    Block steps(*this, scratch.local(), begin, std::min(kStepsPerBlock, last - begin));
    use(steps);
  });
}

void RetrievalHead::rank(AdaptiveTops& tops) {
  for_blocks(0, m_step_count, [&](Block& block) { block.rank(tops); });
}

void RetrievalHead::run(const StepSelector& selector, std::span<const std::int64_t> tops) {
  m_selector = &selector;
  m_tops = tops;
  const auto rows = static_cast<std::size_t>(m_group * m_step_count);
  m_dense.resize(rows * padded(m_values.head_dim()));
  m_difference.resize(m_dense.size());
  m_query_steps.assign(rows, {});
  m_steps.assign(static_cast<std::size_t>(m_step_count), {});
  m_retrieved.resize(static_cast<std::size_t>(std::min(kStepsPerChunk, m_step_count)));
  kernels::HotBuffer hot(m_options.hot_buffer, m_values.tokens(), m_options.hot_policy);
  kernels::HotStep served;
  std::vector<kernels::TokenRun> runs;
  std::vector<std::int32_t> before;
  for (std::int64_t chunk = 0; chunk < m_step_count; chunk += kStepsPerChunk) {
    const std::int64_t end = std::min(chunk + kStepsPerChunk, m_step_count);
    for_blocks(chunk, end, [](Block& block) { block.run(); });
    // What depends on the step before: overlap and the hot buffer.
    for (std::int64_t step = chunk; step < end; ++step) {
      std::vector<std::int32_t>& retrieved =
          m_retrieved[static_cast<std::size_t>(step % kStepsPerChunk)];
      HeadStep& record = m_steps[static_cast<std::size_t>(step)];
      if (step > 0 && !retrieved.empty()) {
        record.overlap = static_cast<double>(kernels::common_tokens(retrieved, before)) /
                         static_cast<double>(retrieved.size());
      }
      hot.serve(retrieved, served);
      record.hot_hits = served.hits;
      kernels::find_runs(retrieved, runs);
      record.fetch_pieces = static_cast<std::int64_t>(runs.size());
      before.swap(retrieved);
    }
  }
}

MatrixView<const float> RetrievalHead::output_rows(const std::vector<float>& rows,
                                                   std::int64_t member) const {
  const auto stride = static_cast<std::int64_t>(padded(m_values.head_dim()));
  return {rows.data() + member * m_step_count * stride, m_step_count, m_values.head_dim(), stride};
}

}  // namespace kvsieve::sim
