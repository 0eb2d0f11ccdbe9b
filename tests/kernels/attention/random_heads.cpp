#include "kernels/attention/random_heads.h"

#include <algorithm>
#include <random>

namespace kvsieve::kernels::tests {
namespace {

std::vector<float> normal_numbers(std::int64_t count, std::uint32_t seed, double deviation) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, static_cast<float>(deviation));
  std::vector<float> numbers(static_cast<std::size_t>(count));
  std::generate(numbers.begin(), numbers.end(), [&] { return normal(generator); });
  return numbers;
}

}  // namespace

RandomHeads::RandomHeads(std::int64_t heads, std::int64_t rows, std::int64_t cols,
                         traces::DType dtype, std::uint32_t seed, double deviation)
    : m_dtype(dtype), m_shape{heads, rows, cols} {
  std::vector<float> numbers = normal_numbers(heads * rows * cols, seed, deviation);
  m_bytes.resize(1 + numbers.size() * traces::size_of(dtype));
  traces::from_float(dtype, numbers, m_bytes.data() + 1);
  traces::to_float(dtype, m_bytes.data() + 1, numbers);
  for (std::int64_t head = 0; head < heads; ++head) {
    m_exact.push_back(to_matrix({numbers.data() + head * rows * cols, rows, cols}));
  }
}

traces::TensorView RandomHeads::view() const {
  return {m_bytes.data() + 1, m_dtype, m_shape};
}

RandomRows::RandomRows(std::int64_t rows, std::int64_t cols, std::uint32_t seed, double deviation)
    : data(normal_numbers(rows * cols, seed, deviation)),
      exact(to_matrix({data.data(), rows, cols})) {}

Matrix to_matrix(MatrixView<const float> view) {
  Matrix matrix(view.rows, view.cols);
  for (std::int64_t r = 0; r < view.rows; ++r) {
    std::copy_n(view.row(r).begin(), view.cols, matrix.data.begin() + r * view.cols);
  }
  return matrix;
}

HeadProblem::HeadProblem(const AttentionCase& attention_case, std::uint32_t seed)
    : item(attention_case),
      keys(1, item.all_tokens(), item.head_dim, item.dtype, seed),
      values(1, item.all_tokens(), item.head_dim, item.dtype, seed + 1),
      // Scores of about two nats: neither uniform nor one-hot.
      queries(item.group * item.queries, item.head_dim, seed + 2, 2.0),
      positions(item.positions()) {}

Matrix HeadProblem::rotated_keys() const {
  return reference_rope(keys.exact(0), 0, item.rope);
}

}  // namespace kvsieve::kernels::tests
