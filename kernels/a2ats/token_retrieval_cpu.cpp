#include "kvsieve/kernels/token_retrieval.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "a2ats/token_mask.h"
#include "exec/cpu/parallel.h"
#include "exec/cpu/scratch.h"
#include "exec/cpu/simd.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

// Codewords that a thread multiplies at a time: few enough to stay in its second-level cache while
// the sequences of a batch take turns, and enough pieces for many threads.
constexpr std::int64_t kTableBlock = 256;
static_assert(kTableBlock % kPanelWidth == 0);

std::int64_t check(const TokenRetrievalArgs& args) {
  const auto kv_heads = static_cast<std::int64_t>(args.codewords.size());
  if (kv_heads == 0 || args.segments % kv_heads != 0) {
    throw Error(ErrorKind::kUsage, fmt::format("retrieve_tokens: {} segments over {} codebooks, "
                                               "supported: a multiple of them",
                                               args.segments, kv_heads));
  }
  const std::int64_t codewords = args.codewords.front().tokens();
  for (const HeadKeys& book : args.codewords) {
    if (book.tokens() != codewords) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("retrieve_tokens: codebooks of {} and {} codewords, supported: equal "
                              "ones",
                              codewords, book.tokens()));
    }
  }
  return kv_heads;
}

/// One call: its arguments, and the tables and masks of all query heads.
class Retrieval {
 public:
  explicit Retrieval(const TokenRetrievalArgs& args)
      : m_args(args),
        m_kv_heads(check(args)),
        m_codewords(args.codewords.front().tokens()),
        m_head_dim(args.codewords.front().head_dim()),
        m_stride(panel_count(m_codewords) * kPanelWidth),
        m_words(token_mask_words(args.range.size())),
        m_tables(static_cast<std::size_t>(args.segments * args.group * m_stride)),
        m_masks(static_cast<std::size_t>(args.segments * args.group * m_words)) {}

  void run() {
    const std::int64_t blocks = (m_codewords + kTableBlock - 1) / kTableBlock;
    parallel_for_index(m_kv_heads * blocks,
                       [&](std::int64_t i) { fill_tables(i / blocks, i % blocks * kTableBlock); });
    parallel_for_index(m_args.segments * m_args.group, [this](std::int64_t row) { select(row); });
    parallel_for_index(m_args.segments, [this](std::int64_t s) { list(s); });
  }

 private:
  [[nodiscard]] float* table(std::int64_t row) { return m_tables.data() + row * m_stride; }
  [[nodiscard]] std::span<std::uint64_t> mask(std::int64_t row) {
    return {m_masks.data() + row * m_words, static_cast<std::size_t>(m_words)};
  }

  /// Entries [first, first + kTableBlock) of all query heads that read a KV head's codebook.
  void fill_tables(std::int64_t kv_head, std::int64_t first) {
    const std::int64_t count = std::min(kTableBlock, m_codewords - first);
    for (std::int64_t s = kv_head; s < m_args.segments; s += m_kv_heads) {
      const std::int64_t row = s * m_args.group;
      attention_scores({m_args.queries + row * m_head_dim, m_args.group, m_head_dim},
                       m_args.codewords[static_cast<std::size_t>(kv_head)], first, m_args.attention,
                       {table(row) + first, m_args.group, count, m_stride});
    }
  }

  /// One query head's top K as a mask.
  void select(std::int64_t row) {
    const std::int64_t s = row / m_args.group;
    const std::int64_t wanted = m_args.head_k != nullptr ? m_args.head_k[row] : m_args.k;
    const std::int64_t k = std::min(wanted, m_args.range.size());
    const std::span<std::uint64_t> words = mask(row);
    std::int64_t ties = 0;
    if (k > 0) {
      Scratch<std::uint32_t> keys(static_cast<std::size_t>(m_codewords));
      rank_scores({table(row), static_cast<std::size_t>(m_codewords)}, keys.data());
      const std::span<const std::uint16_t> codes(m_args.codes + s * m_args.codes_stride,
                                                 static_cast<std::size_t>(m_args.range.end));
      ties = m_args.buckets.empty()
                 ? mask_by_lookup(keys.data(), codes, k, words.data())
                 : mask_top_buckets({keys.data(), static_cast<std::size_t>(m_codewords)},
                                    m_args.buckets[static_cast<std::size_t>(s)], codes,
                                    m_args.range, k, words.data());
    } else {
      std::fill(words.begin(), words.end(), std::uint64_t{0});
    }
    if (m_args.boundary_ties != nullptr) {
      m_args.boundary_ties[row] = static_cast<std::int32_t>(ties);
    }
    if (!m_args.members.empty()) {
      std::vector<std::int32_t>& member = m_args.members[static_cast<std::size_t>(row)];
      const std::int64_t size = std::max<std::int64_t>(k, 0);
      member.resize(static_cast<std::size_t>(size + kListSlack));
      simd().list_bits(words.data(), m_words, static_cast<std::int32_t>(m_args.range.begin),
                       member.data());
      member.resize(static_cast<std::size_t>(size));
    }
  }

  /// The ranks of entries are looked up rather than the entries, which saves ranking every token.
  std::int64_t mask_by_lookup(const std::uint32_t* entry_keys, std::span<const std::uint16_t> codes,
                              std::int64_t k, std::uint64_t* words) {
    const auto size = static_cast<std::size_t>(m_args.range.size());
    Scratch<std::uint32_t> keys(size);
    simd().look_up(entry_keys, codes.data() + m_args.range.begin, m_args.range.size(), keys.data());
    return mask_top_keys({keys.data(), size}, k, words);
  }

  /// The union over a segment's group, with what is resident if wanted.
  void list(std::int64_t s) {
    const std::span<std::uint64_t> words = mask(s * m_args.group);
    for (std::int64_t g = 1; g < m_args.group; ++g) {
      const std::span<const std::uint64_t> other = mask(s * m_args.group + g);
      for (std::size_t w = 0; w < words.size(); ++w) {
        words[w] |= other[w];
      }
    }
    const TokenRange range = m_args.range;
    const std::int64_t sinks = m_args.with_resident ? range.begin : 0;
    const std::int64_t window = m_args.with_resident ? m_args.tokens - range.end : 0;
    // In a list of this thread's own, since the caller's may be too short.
    Scratch<std::int32_t> scratch(
        static_cast<std::size_t>(sinks + range.size() + window + kListSlack));
    std::int32_t* tokens = scratch.data();
    std::iota(tokens, tokens + sinks, 0);
    std::int64_t count =
        sinks + simd().list_bits(words.data(), m_words, static_cast<std::int32_t>(range.begin),
                                 tokens + sinks);
    std::iota(tokens + count, tokens + count + window, static_cast<std::int32_t>(range.end));
    count += window;
    m_args.counts[s] = static_cast<std::int32_t>(count);
    std::copy_n(tokens, std::min(count, m_args.capacity), m_args.lists + s * m_args.capacity);
  }

  const TokenRetrievalArgs& m_args;
  std::int64_t m_kv_heads;
  std::int64_t m_codewords;  ///< C
  std::int64_t m_head_dim;
  std::int64_t m_stride;           ///< of a table
  std::int64_t m_words;            ///< of a mask
  Scratch<float> m_tables;         ///< [S, G, stride]
  Scratch<std::uint64_t> m_masks;  ///< [S, G, words]
};

}  // namespace

void retrieve_tokens(const TokenRetrievalArgs& args) {
  Retrieval(args).run();
}

}  // namespace kvsieve::kernels
