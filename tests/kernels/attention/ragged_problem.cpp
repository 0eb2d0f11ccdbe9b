#include "kernels/attention/ragged_problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>

#include "kernels/attention/case_table.h"

namespace kvsieve::kernels::tests {
namespace {

constexpr std::int64_t kDeviceDims[] = {64, 80, 96, 128, 256};

/// Lengths around what blocks, tiles and shares are cut at, with empty segments in every place.
const std::vector<std::vector<std::int32_t>>& length_sets() {
  static const std::vector<std::vector<std::int32_t>> sets = {
      {1},          {31, 32},         {33, 0, 63},      {64, 65, 0, 0},   {0, 255, 256, 1},
      {257, 0, 31}, {1023, 0, 5, 33}, {1024, 1, 1, 17}, {0, 0, 1025, 64}, {4097, 0, 2},
      {0},          {4095, 600, 0},   {4096, 300, 15},
  };
  return sets;
}

std::vector<RaggedCase> make_cases() {
  constexpr std::int64_t kPageRows[] = {1, 16, 128};
  enum Option { kPlain, kSoftcap, kEqualScores, kOptions };
  const std::size_t levels[] = {length_sets().size(),
                                std::size(kDeviceDims),
                                std::size(kGroups),
                                std::size(kDTypes),
                                kOptions,
                                2,
                                std::size(kPageRows)};
  std::vector<RaggedCase> cases;
  for (const std::vector<std::size_t>& row : pairwise(levels)) {
    RaggedCase& item = cases.emplace_back();
    item.lengths = length_sets()[row[0]];
    item.head_dim = kDeviceDims[row[1]];
    item.group = kGroups[row[2]];
    item.dtype = kDTypes[row[3]];
    if (row[4] == kSoftcap) {
      item.softcap = 3.0F;
    }
    item.equal_scores = row[4] == kEqualScores;
    item.queries_as_cache = row[5] == 1;
    item.page_rows = kPageRows[row[6]];
  }
  return cases;
}

std::vector<std::byte> random_rows(std::int64_t count, traces::DType dtype, std::mt19937& random,
                                   float deviation) {
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> numbers(static_cast<std::size_t>(count));
  if (deviation > 0.0F) {
    std::generate(numbers.begin(), numbers.end(), [&] { return normal(random); });
  }
  std::vector<std::byte> bytes(numbers.size() * traces::size_of(dtype));
  traces::from_float(dtype, numbers, bytes.data());
  return bytes;
}

}  // namespace

std::string RaggedCase::name() const {
  return fmt::format("lengths {} G{} d{} {} queries {}{}{} pages of {}", fmt::join(lengths, ","),
                     group, head_dim, traces::name_of(dtype), queries_as_cache ? "alike" : "F32",
                     softcap ? " softcap" : "", equal_scores ? " equal scores" : "", page_rows);
}

const std::vector<RaggedCase>& ragged_cases() {
  static const std::vector<RaggedCase> cases = make_cases();
  return cases;
}

RaggedProblem::RaggedProblem(const RaggedCase& ragged_case, std::uint32_t seed)
    : item(ragged_case) {
  constexpr std::int64_t kSlack = 3;
  std::mt19937 random(seed);
  const std::int64_t d = item.head_dim;
  const std::size_t row_bytes = static_cast<std::size_t>(d) * traces::size_of(item.dtype);
  const auto segments = static_cast<std::int64_t>(item.lengths.size());
  offsets.push_back(0);
  for (const std::int32_t length : item.lengths) {
    offsets.push_back(offsets.back() + length + kSlack);
    pages_per_segment = std::max(pages_per_segment, length / item.page_rows + 1);
  }
  keys = random_rows(offsets.back() * d, item.dtype, random, item.equal_scores ? 0.0F : 1.0F);
  values = random_rows(offsets.back() * d, item.dtype, random, 1.0F);
  queries = random_rows(segments * item.group * d,
                        item.queries_as_cache ? item.dtype : traces::DType::kF32, random, 1.0F);
  // All bits set are a NaN in every dtype.
  paged_keys.assign(
      static_cast<std::size_t>(segments * pages_per_segment * item.page_rows) * row_bytes,
      std::byte{0xff});
  paged_values = paged_keys;
  pages.resize(static_cast<std::size_t>(segments * pages_per_segment));
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), random);
  RaggedDecodeArgs paged = args(true);
  for (std::int64_t s = 0; s < segments; ++s) {
    const std::int64_t first = offsets[static_cast<std::size_t>(s)];
    const std::int64_t length = item.lengths[static_cast<std::size_t>(s)];
    for (std::int64_t j = 0; j < length + kSlack; ++j) {
      const std::size_t from = static_cast<std::size_t>(first + j) * row_bytes;
      if (j >= length) {
        std::fill_n(keys.begin() + static_cast<std::ptrdiff_t>(from), row_bytes, std::byte{0xff});
        std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(from), row_bytes, std::byte{0xff});
        continue;
      }
      const std::size_t to = static_cast<std::size_t>(row_of(paged.cache, s, j)) * row_bytes;
      std::copy_n(keys.begin() + static_cast<std::ptrdiff_t>(from), row_bytes,
                  paged_keys.begin() + static_cast<std::ptrdiff_t>(to));
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from), row_bytes,
                  paged_values.begin() + static_cast<std::ptrdiff_t>(to));
    }
  }
}

RaggedDecodeArgs RaggedProblem::args(bool paged) {
  const std::size_t rows = item.lengths.size() * static_cast<std::size_t>(item.group);
  out.assign(rows * static_cast<std::size_t>(item.head_dim),
             std::numeric_limits<float>::quiet_NaN());
  log_sums.assign(rows, std::numeric_limits<float>::quiet_NaN());
  RaggedDecodeArgs result;
  RaggedCacheView& cache = result.cache;
  cache.keys = paged ? paged_keys.data() : keys.data();
  cache.values = paged ? paged_values.data() : values.data();
  cache.dtype = item.dtype;
  cache.head_dim = item.head_dim;
  cache.segments = static_cast<std::int64_t>(item.lengths.size());
  cache.offsets = paged ? nullptr : offsets.data();
  cache.lengths = item.lengths.data();
  cache.pages = paged ? pages.data() : nullptr;
  cache.pages_per_segment = paged ? pages_per_segment : 0;
  cache.page_rows = paged ? item.page_rows : 0;
  result.queries = queries.data();
  result.query_dtype = item.queries_as_cache ? item.dtype : traces::DType::kF32;
  result.group = item.group;
  result.scale = 1.0F / std::sqrt(static_cast<float>(item.head_dim));
  result.softcap = item.softcap;
  result.out = out.data();
  result.log_sums = log_sums.data();
  return result;
}

RaggedReference ragged_decode_reference(const RaggedDecodeArgs& args) {
  const RaggedCacheView& cache = args.cache;
  const auto d = static_cast<std::size_t>(cache.head_dim);
  const auto row = [d](const void* base, traces::DType dtype, std::int64_t index) {
    std::vector<float> numbers(d);
    traces::to_float(dtype,
                     static_cast<const std::byte*>(base) +
                         static_cast<std::size_t>(index) * d * traces::size_of(dtype),
                     numbers);
    return numbers;
  };
  RaggedReference result;
  for (std::int64_t s = 0; s < cache.segments; ++s) {
    for (std::int64_t g = 0; g < args.group; ++g) {
      const std::vector<float> q = row(args.queries, args.query_dtype, s * args.group + g);
      std::vector<double> scores;
      for (std::int64_t j = 0; j < cache.lengths[s]; ++j) {
        const std::vector<float> k = row(cache.keys, cache.dtype, row_of(cache, s, j));
        double score = static_cast<double>(args.scale) *
                       std::inner_product(q.begin(), q.end(), k.begin(), 0.0);
        if (args.softcap) {
          score = *args.softcap * std::tanh(score / *args.softcap);
        }
        scores.push_back(score);
      }
      const double largest = scores.empty() ? 0.0 : *std::max_element(scores.begin(), scores.end());
      double sum = 0.0;
      std::vector<double> out(d, 0.0);
      for (std::size_t j = 0; j < scores.size(); ++j) {
        const double weight = std::exp(scores[j] - largest);
        sum += weight;
        const std::vector<float> v =
            row(cache.values, cache.dtype, row_of(cache, s, static_cast<std::int64_t>(j)));
        for (std::size_t i = 0; i < d; ++i) {
          out[i] += weight * static_cast<double>(v[i]);
        }
      }
      for (const double x : out) {
        result.out.push_back(scores.empty() ? 0.0 : x / sum);
      }
      result.log_sums.push_back(scores.empty() ? -std::numeric_limits<double>::infinity()
                                               : largest + std::log(sum));
    }
  }
  return result;
}

}  // namespace kvsieve::kernels::tests
