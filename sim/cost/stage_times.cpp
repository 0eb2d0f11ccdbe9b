#include "cost/stage_times.h"

#include <algorithm>
#include <cmath>

#include "kvsieve/kernels/code_buckets.h"
#include "kvsieve/kernels/key_encoding.h"
#include "kvsieve/kernels/retrieval_ledger.h"
#include "kvsieve/kernels/score_lookup.h"
#include "kvsieve/kernels/sparse_decode.h"
#include "kvsieve/kernels/topk_retrieval.h"
#include "kvsieve/kernels/windowed_rope.h"

namespace kvsieve::sim {
namespace {

using kernels::Work;

constexpr double kActivationBytes = 2.0;
/// SMs that copy kernels and zero-copy reads take from computing.
constexpr double kCopyKernelSms = 0.1;
/// Entries that the hash tables of MagicPIG have a bucket: K = 10 bits.
constexpr double kHashBuckets = 1024.0;

std::int64_t whole(double count) {
  return std::llround(count);
}

double bytes_of(const Work& work) {
  return static_cast<double>(work.bytes_read + work.bytes_written);
}

constexpr std::array<TransferPath, 4> kTransferPathOf{
    TransferPath::kDma, TransferPath::kBatchedDma, TransferPath::kKernel, TransferPath::kZeroCopy};

constexpr std::string_view kGemmMemory = "gemm-memory";

std::size_t at(SharedResource resource) {
  return static_cast<std::size_t>(resource);
}

}  // namespace

StageTime StageTimes::gpu(double us, std::string_view regime) const {
  StageTime time{us, 0.0, 0.0, {}, regime};
  time.uses[at(SharedResource::kSms)] = 1.0;
  return time;
}

StageTime StageTimes::message(Direction direction, double bytes, CostTerms* terms) const {
  StageTime time;
  time.us = m_step.m_link.message_us(direction, bytes, terms);
  time.bytes = bytes;
  time.pieces = 1.0;
  const double gbps = time.us > 0.0 ? bytes / time.us * 1e-3 : 0.0;
  time.uses[at(SharedResource::kLink)] = m_step.m_link.link_use(gbps);
  time.uses[at(SharedResource::kHostMemory)] = m_step.m_host.memory_use(gbps);
  return time;
}

StageTime StageTimes::host(double us, double bytes) const {
  StageTime time;
  time.us = us;
  time.uses[at(SharedResource::kHostMemory)] =
      m_step.m_host.memory_use(us > 0.0 ? bytes / us * 1e-3 : 0.0);
  return time;
}

StageTime StageTimes::attention(double context, double longest, CostTerms* terms) const {
  DecodeAttentionShape shape;
  shape.batch = m_batch;
  shape.q_heads = m_model.q_heads;
  shape.kv_heads = m_model.kv_heads;
  shape.head_dim = m_model.head_dim;
  shape.context = context;
  shape.element_bytes = m_element_bytes;
  shape.longest_over_mean = longest;
  return gpu(m_step.m_gpu.decode_attention_us(shape, terms),
             regime_name(m_step.m_gpu.regime(shape)));
}

StageTime StageTimes::qkv(CostTerms* terms) const {
  const double width = static_cast<double>(m_model.width);
  const double rows = static_cast<double>(m_model.q_heads + 2 * m_model.kv_heads) * head_dim();
  double us =
      m_step.m_gpu.gemm_us(m_batch, rows, width, static_cast<double>(m_model.weight_bytes), terms);
  us += m_step.m_gpu.kernel_us(2.0 * m_batch * width * kActivationBytes, 0.0, 1.0, false, terms);
  if (m_method.family != CostFamily::kRetrieval) {
    us += m_step.m_gpu.kernel_us(2.0 * m_batch * rows * kActivationBytes, 0.0, 1.0, false, terms);
  }
  return gpu(us, kGemmMemory);
}

StageTime StageTimes::encode(CostTerms* terms) const {
  if (!m_method.index.codes) {
    return gpu(
        m_step.m_gpu.kernel_us(m_batch * kv_heads() * index_bytes(), 0.0, 1.0, false, terms));
  }
  const Work work = kernels::key_encoding_work(
      whole(m_batch), m_method.index.codewords, m_model.head_dim, m_element_bytes,
      m_method.index.packed ? kernels::CodeFormat::kPacked12 : kernels::CodeFormat::kUint16);
  return gpu(m_step.m_gpu.kernel_us(kv_heads() * bytes_of(work),
                                    kv_heads() * static_cast<double>(work.flops), 1.0, false,
                                    terms));
}

StageTime StageTimes::score(CostTerms* terms) const {
  const IndexCost& index = m_method.index;
  const double group = static_cast<double>(m_model.group());
  if (index.codes) {
    // The codebook is read once for all sequences, the codes of each for itself.
    const Work table = kernels::score_lookup_work(whole(m_batch * group), index.codewords, 0,
                                                  m_model.head_dim, m_element_bytes);
    double bytes = bytes_of(table) + m_batch * group * static_cast<double>(index.codewords) * 4.0;
    if (!index.buckets) {
      bytes += m_batch * m_context * ((index.packed ? 1.5 : 2.0) + group * 4.0);
    }
    return gpu(m_step.m_gpu.kernel_us(kv_heads() * bytes,
                                      kv_heads() * static_cast<double>(table.flops),
                                      index.buckets ? 1.0 : 2.0, false, terms));
  }
  const double units = m_context / static_cast<double>(index.unit_tokens);
  const double bytes = m_batch * kv_heads() * m_context * index_bytes();
  return gpu(m_step.m_gpu.kernel_us(bytes + m_batch * kv_heads() * group * units * 4.0,
                                    2.0 * m_batch * kv_heads() * group * units * head_dim(), 1.0,
                                    true, terms));
}

double StageTimes::top() const {
  const double eligible = std::max(
      0.0, m_context - static_cast<double>(m_method.sinks) - static_cast<double>(m_method.window));
  return std::min(static_cast<double>(m_method.top.at(whole(m_context))), eligible);
}

StageTime StageTimes::top_k(CostTerms* terms) const {
  const IndexCost& index = m_method.index;
  const std::int64_t segments = whole(m_batch * kv_heads());
  const std::int64_t units = whole(m_context / static_cast<double>(index.unit_tokens));
  const Work work = index.codes && index.buckets
                        ? kernels::code_buckets_work(segments, m_model.group(), index.codewords,
                                                     units, whole(top()), 0)
                        : kernels::topk_retrieval_work(segments, m_model.group(), units);
  return gpu(m_step.m_gpu.kernel_us(work, 1.0, false, terms));
}

kernels::LedgerShape StageTimes::layer_shape() const {
  return {1, m_model.q_heads, m_model.kv_heads, m_model.head_dim, m_element_bytes};
}

double StageTimes::index_bytes() const {
  return m_method.index.rows_per_token * head_dim() * kActivationBytes +
         m_method.index.bytes_per_token;
}

double StageTimes::moved_row_bytes() const {
  const double row = static_cast<double>(kernels::row_bytes(m_model.head_dim, m_element_bytes));
  return m_method.index.key_rank > 0 ? row / 2.0 : row;
}

FetchPath StageTimes::fetch_path() const {
  if (m_method.fetch_path) {
    return *m_method.fetch_path;
  }
  const TransferTimes& link = m_step.m_link;
  if (m_method.placement == Placement::kFetchDma) {
    return link.has(TransferPath::kBatchedDma, Direction::kToGpu) ? FetchPath::kBatchedDma
                                                                  : FetchPath::kDma;
  }
  return link.has(TransferPath::kZeroCopy, Direction::kToGpu) ? FetchPath::kZeroCopy
                                                              : FetchPath::kKernel;
}

StageTime StageTimes::fetch(CostTerms* terms) const {
  const double wanted = m_batch * kv_heads() * union_tokens();
  const bool buffered = m_method.placement == Placement::kFetchHotBuffer;
  const double rows = buffered ? wanted * m_load.miss_share : wanted;
  const double bytes = rows * moved_row_bytes();
  const double unit = static_cast<double>(m_method.index.unit_tokens);
  const TransferTimes& link = m_step.m_link;
  const FetchPath path = fetch_path();
  const bool copies = path == FetchPath::kDma || path == FetchPath::kBatchedDma;
  StageTime time;
  time.bytes = bytes;
  time.pieces = copies ? rows * std::min(m_load.run_share, 1.0 / unit) : rows / unit;
  if (path == FetchPath::kCpuGather) {
    time.pieces = rows > 0.0 ? 1.0 : 0.0;
    time.us = rows > 0.0 ? m_step.m_host.gather_us(bytes, terms) +
                               link.message_us(Direction::kToGpu, bytes, terms)
                         : 0.0;
  } else {
    time.us = link.transfer_us(kTransferPathOf[static_cast<std::size_t>(path)], Direction::kToGpu,
                               bytes, time.pieces, terms);
  }
  const double gbps = time.us > 0.0 ? bytes / time.us * 1e-3 : 0.0;
  if (path == FetchPath::kKernel || path == FetchPath::kZeroCopy) {
    time.us += m_step.m_gpu.kernel_us(0.0, 0.0, 1.0, false, terms);
    time.uses[at(SharedResource::kSms)] = kCopyKernelSms;
  }
  time.uses[at(SharedResource::kLink)] = link.link_use(gbps);
  time.uses[at(SharedResource::kHostMemory)] = m_step.m_host.memory_use(gbps);
  return time;
}

StageTime StageTimes::fetched_attention(CostTerms* terms) const {
  StageTime time = attention(union_tokens(), 1.0, terms);
  if (m_method.index.key_rank > 0) {
    const double rank = static_cast<double>(m_method.index.key_rank);
    const double rows = m_batch * union_tokens() * m_load.miss_share;
    time.us +=
        m_step.m_gpu.kernel_us(rows * (rank + kv_heads() * head_dim()) * kActivationBytes,
                               2.0 * rows * rank * kv_heads() * head_dim(), 1.0, true, terms);
  }
  return time;
}

StageTime StageTimes::mlp(CostTerms* terms) const {
  const OperationTimes& gpu_times = m_step.m_gpu;
  const double width = static_cast<double>(m_model.width);
  const double inner = static_cast<double>(m_model.mlp_width);
  const double weight = static_cast<double>(m_model.weight_bytes);
  const double experts = static_cast<double>(m_model.experts);
  const double chosen = static_cast<double>(m_model.experts_per_token);
  // Experts that some token of the micro-batch chooses, if choices are even and independent.
  const double touched =
      experts <= 1.0 ? 1.0 : experts * (1.0 - std::pow(1.0 - chosen / experts, m_batch));
  const double rows = m_batch * chosen / touched;
  const double matrices = m_model.gated_mlp ? 2.0 : 1.0;
  double us = touched * (gpu_times.gemm_us(rows, matrices * inner, width, weight, terms) +
                         gpu_times.gemm_us(rows, width, inner, weight, terms));
  us += gpu_times.kernel_us(2.0 * m_batch * width * kActivationBytes, 0.0, 1.0, false, terms);
  us += gpu_times.kernel_us((matrices + 1.0) * m_batch * chosen * inner * kActivationBytes, 0.0,
                            1.0, false, terms);
  return gpu(us, kGemmMemory);
}

StageTime StageTimes::stage(CostStage stage, bool sliding, CostTerms* terms) const {
  const OperationTimes& gpu_times = m_step.m_gpu;
  const double width = static_cast<double>(m_model.width);
  const double weight = static_cast<double>(m_model.weight_bytes);
  const double q_rows = static_cast<double>(m_model.q_heads) * head_dim();
  const kernels::LedgerShape shape = layer_shape();
  const bool on_host = m_method.placement == Placement::kCpuAttention;
  switch (stage) {
    case CostStage::kQkv:
      return qkv(terms);
    case CostStage::kAttention: {
      if (sliding) {
        return attention(std::min(m_context + 1.0, static_cast<double>(*m_model.sliding_window)),
                         1.0, terms);
      }
      return m_method.family == CostFamily::kEviction
                 ? attention(m_load.kept_share * m_context + 1.0, m_load.longest_over_mean, terms)
                 : attention(m_context + 1.0, 1.0, terms);
    }
    case CostStage::kRotate: {
      const Work work = kernels::windowed_rope_work(
          whole(m_batch * static_cast<double>(2 * m_model.q_heads + m_model.kv_heads)),
          m_model.head_dim, m_model.head_dim);
      return gpu(gpu_times.kernel_us(work, 2.0, false, terms));
    }
    case CostStage::kEncode:
      return encode(terms);
    case CostStage::kScore:
      return m_method.index.on_host ? gpu(0.0) : score(terms);
    case CostStage::kTopK:
      return m_method.index.on_host ? gpu(0.0) : top_k(terms);
    case CostStage::kUnion:
      return m_method.index.on_host
                 ? gpu(0.0)
                 : gpu(gpu_times.kernel_us(
                       kernels::list_tokens_work(whole(m_batch * kv_heads()), whole(m_context),
                                                 whole(m_batch * kv_heads() * union_tokens())),
                       1.0, false, terms));
    case CostStage::kDown: {
      double bytes = m_batch * static_cast<double>(kernels::down_bytes(shape, on_host));
      if (!m_method.index.on_host && (on_host || m_method.placement == Placement::kFetchDma)) {
        bytes += m_batch * static_cast<double>(
                               kernels::list_bytes(shape, whole(kv_heads() * union_tokens())));
      }
      return message(Direction::kToHost, bytes, terms);
    }
    case CostStage::kAppend: {
      const double bytes =
          m_batch * kv_heads() *
          static_cast<double>(kernels::row_bytes(m_model.head_dim, m_element_bytes));
      return host(m_step.m_host.stream_us(bytes, terms), bytes);
    }
    case CostStage::kCpuScore: {
      // Each query head reads one bucket of every table.
      const double bytes = m_batch * static_cast<double>(m_model.q_heads) * m_context *
                           static_cast<double>(m_method.index.table_bytes_per_token) / kHashBuckets;
      return host(m_step.m_host.attention_us(bytes, 0.0, terms), bytes);
    }
    case CostStage::kCpuAttention: {
      const Work work = kernels::sparse_decode_work(whole(m_batch * kv_heads() * union_tokens()),
                                                    whole(m_batch * kv_heads()), m_model.group(),
                                                    m_model.head_dim, m_element_bytes);
      return host(
          m_step.m_host.attention_us(bytes_of(work), static_cast<double>(work.flops), terms),
          bytes_of(work));
    }
    case CostStage::kUp:
      return message(Direction::kToGpu, m_batch * static_cast<double>(kernels::up_bytes(shape)),
                     terms);
    case CostStage::kFetch:
      return fetch(terms);
    case CostStage::kFetchedAttention:
      return fetched_attention(terms);
    case CostStage::kResidentAttention:
      return attention(
          std::min(static_cast<double>(m_method.sinks + m_method.window), m_context + 1.0), 1.0,
          terms);
    case CostStage::kMerge:
      return gpu(gpu_times.kernel_us(
          kernels::merge_partial_work(whole(m_batch * static_cast<double>(m_model.q_heads)),
                                      m_model.head_dim),
          1.0, false, terms));
    case CostStage::kOutput:
      return gpu(gpu_times.gemm_us(m_batch, width, q_rows, weight, terms), kGemmMemory);
    case CostStage::kMlp:
      return mlp(terms);
    case CostStage::kLogits:
      return gpu(
          gpu_times.gemm_us(m_batch, static_cast<double>(m_model.vocabulary), width, weight,
                            terms) +
              gpu_times.kernel_us(2.0 * m_batch * width * kActivationBytes, 0.0, 1.0, false, terms),
          kGemmMemory);
    case CostStage::kSampling:
      // Softmax and a draw: the logits in fp32 are read three times.
      return gpu(gpu_times.kernel_us(3.0 * m_batch * static_cast<double>(m_model.vocabulary) * 4.0,
                                     0.0, 3.0, false, terms));
    case CostStage::kEngine: {
      StageTime time;
      time.us = m_step.m_engine_us;
      return time;
    }
  }
  return {};
}

}  // namespace kvsieve::sim
