#include "kernels/attention/sparse_problem.h"

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
constexpr std::int64_t kRowsAStride = 3;  ///< rows there are for each selected one
constexpr std::int64_t kSlack = 5;        ///< entries of a list behind its count

/// Counts around what blocks and tiles are cut at, with empty segments in every place.
const std::vector<std::vector<std::int32_t>>& count_sets() {
  static const std::vector<std::vector<std::int32_t>> sets = {
      {0},      {1},           {0, 1, 0},     {15, 16, 17}, {31, 0, 32},
      {33, 63}, {64, 65, 0},   {0, 127, 128}, {129, 1},     {255, 0, 256},
      {257, 2}, {1023, 0, 17}, {1024, 1025},  {3000, 0, 5},
  };
  return sets;
}

std::vector<SparseCase> make_cases() {
  constexpr ListOrder kOrders[] = {ListOrder::kAscending, ListOrder::kShuffled, ListOrder::kNone};
  enum Option { kPlain, kSoftcap, kEqualScores, kOptions };
  const std::size_t levels[] = {count_sets().size(), std::size(kDeviceDims), std::size(kGroups),
                                std::size(kDTypes),  std::size(kOrders),     kOptions};
  std::vector<SparseCase> cases;
  for (const std::vector<std::size_t>& row : pairwise(levels)) {
    SparseCase& item = cases.emplace_back();
    item.counts = count_sets()[row[0]];
    item.head_dim = kDeviceDims[row[1]];
    item.group = kGroups[row[2]];
    item.dtype = kDTypes[row[3]];
    item.order = kOrders[row[4]];
    if (row[5] == kSoftcap) {
      item.softcap = 3.0F;
    }
    item.equal_scores = row[5] == kEqualScores;
  }
  return cases;
}

}  // namespace

std::string SparseCase::name() const {
  constexpr const char* kOrderNames[] = {"ascending", "shuffled", "unlisted"};
  return fmt::format("counts {} G{} d{} {} {}{}{}", fmt::join(counts, ","), group, head_dim,
                     traces::name_of(dtype), kOrderNames[static_cast<int>(order)],
                     softcap ? " softcap" : "", equal_scores ? " equal scores" : "");
}

const std::vector<SparseCase>& sparse_cases() {
  static const std::vector<SparseCase> cases = make_cases();
  return cases;
}

SparseProblem::SparseProblem(const SparseCase& sparse_case, std::uint32_t seed)
    : item(sparse_case) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const std::int64_t most = *std::max_element(item.counts.begin(), item.counts.end());
  const auto segments = static_cast<std::int64_t>(item.counts.size());
  const std::int64_t d = item.head_dim;
  segment_rows = kRowsAStride * most + 1;
  capacity = most + kSlack;
  lists.assign(static_cast<std::size_t>(segments * capacity), -1);
  // All bits set are a NaN in every dtype.
  const std::size_t bytes = static_cast<std::size_t>(
      row_bytes(d, static_cast<std::int64_t>(traces::size_of(item.dtype))));
  rows.assign(static_cast<std::size_t>(segments * segment_rows) * bytes, std::byte{0xff});
  queries.resize(static_cast<std::size_t>(segments * item.group * d));
  std::generate(queries.begin(), queries.end(), [&] { return normal(random); });
  std::vector<std::int32_t> order(static_cast<std::size_t>(segment_rows));
  std::vector<float> numbers(static_cast<std::size_t>(2 * d));
  for (std::int64_t s = 0; s < segments; ++s) {
    const std::int64_t count = item.counts[static_cast<std::size_t>(s)];
    std::int32_t* list = lists.data() + s * capacity;
    std::iota(order.begin(), order.end(), 0);
    if (item.order != ListOrder::kNone) {
      std::shuffle(order.begin(), order.end(), random);
    }
    std::copy_n(order.begin(), count, list);
    if (item.order == ListOrder::kAscending) {
      std::sort(list, list + count);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      std::generate(numbers.begin(), numbers.end(), [&] { return normal(random); });
      if (item.equal_scores) {
        std::fill_n(numbers.begin(), d, 0.0F);
      }
      traces::from_float(
          item.dtype, numbers,
          rows.data() + static_cast<std::size_t>(s * segment_rows + list[i]) * bytes);
    }
  }
}

SparseDecodeArgs SparseProblem::args() {
  const std::size_t members = item.counts.size() * static_cast<std::size_t>(item.group);
  out.assign(members * static_cast<std::size_t>(item.head_dim),
             std::numeric_limits<float>::quiet_NaN());
  log_sums.assign(members, std::numeric_limits<float>::quiet_NaN());
  SparseDecodeArgs result;
  result.cache = {rows.data(), item.dtype, item.head_dim, segment_rows};
  result.segments = static_cast<std::int64_t>(item.counts.size());
  result.queries = queries.data();
  result.group = item.group;
  result.rows = item.order == ListOrder::kNone ? nullptr : lists.data();
  result.capacity = capacity;
  result.counts = item.counts.data();
  result.scale = 1.0F / std::sqrt(static_cast<float>(item.head_dim));
  result.softcap = item.softcap;
  result.out = out.data();
  result.log_sums = log_sums.data();
  return result;
}

SparseDecodeArgs SparseProblem::part(std::int32_t first, std::int32_t last) {
  SparseDecodeArgs result = args();
  part_rows.assign(lists.size(), -1);
  part_counts.clear();
  for (std::size_t s = 0; s < item.counts.size(); ++s) {
    const std::int32_t begin = std::min(first, item.counts[s]);
    const std::int32_t end = std::min(last, item.counts[s]);
    const auto from = static_cast<std::ptrdiff_t>(s) * static_cast<std::ptrdiff_t>(capacity);
    std::copy_n(lists.begin() + from + begin, end - begin, part_rows.begin() + from);
    part_counts.push_back(end - begin);
  }
  result.rows = part_rows.data();
  result.counts = part_counts.data();
  return result;
}

SparseReference sparse_decode_reference(const SparseDecodeArgs& args) {
  const auto d = static_cast<std::size_t>(args.cache.head_dim);
  const std::size_t element = traces::size_of(args.cache.dtype);
  SparseReference result;
  std::vector<float> row(2 * d);
  for (std::int64_t s = 0; s < args.segments; ++s) {
    for (std::int64_t g = 0; g < args.group; ++g) {
      const float* q = args.queries + static_cast<std::size_t>(s * args.group + g) * d;
      // Scores first, then weights of their largest, each row converted anew.
      const auto read = [&](std::int64_t i) {
        const std::int64_t index = args.rows == nullptr ? i : args.rows[s * args.capacity + i];
        traces::to_float(
            args.cache.dtype,
            static_cast<const std::byte*>(args.cache.rows) +
                static_cast<std::size_t>(s * args.cache.segment_rows + index) * 2 * d * element,
            row);
      };
      std::vector<double> scores;
      for (std::int64_t i = 0; i < args.counts[s]; ++i) {
        read(i);
        double score =
            static_cast<double>(args.scale) * std::inner_product(q, q + d, row.begin(), 0.0);
        if (args.softcap) {
          score = *args.softcap * std::tanh(score / *args.softcap);
        }
        scores.push_back(score);
      }
      const double largest = scores.empty() ? 0.0 : *std::max_element(scores.begin(), scores.end());
      double sum = 0.0;
      std::vector<double> out(d, 0.0);
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const double weight = std::exp(scores[i] - largest);
        sum += weight;
        read(static_cast<std::int64_t>(i));
        for (std::size_t t = 0; t < d; ++t) {
          out[t] += weight * static_cast<double>(row[d + t]);
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
