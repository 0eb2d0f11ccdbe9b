// The same random layers through the host's operations and the device's: odd shapes that no table
// lists, and the whole way from values to losses.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <random>

#include "kernels/device/loss_layer.h"
#include "kernels/device/orders.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/eviction_loss.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

constexpr int kCases = 24;

LossCase random_case(std::mt19937& generator) {
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(generator);
  };
  constexpr std::int64_t kHeadDims[] = {64, 80, 96, 128, 256};
  LossCase item;
  item.kv_heads = draw(1, 3);
  item.group = draw(1, 4);
  item.head_dim = kHeadDims[draw(0, 4)];
  item.tokens = draw(1, 400);
  item.scattered = draw(0, 1) == 1;
  item.queries = std::min(draw(1, 40), item.scattered ? 40 : item.tokens);
  item.selections = draw(0, 4);
  item.unit_a_query_head = draw(0, 1) == 1;
  item.kept = static_cast<KeptKind>(draw(0, kKeptKinds - 1));
  item.dtype = tests::kDTypes[draw(0, 2)];
  item.projection_dtype = tests::kDTypes[draw(0, 2)];
  item.width = draw(1, 300);
  if (draw(0, 2) == 0) {
    item.attention.sliding_window = draw(1, item.tokens + 10);
  }
  if (draw(0, 2) == 0) {
    item.attention.softcap = 5.0;
  }
  return item;
}

/// The host's losses of a layer, in the device's shapes.
struct HostLosses {
  std::vector<float> norms;
  LossResult loss;
  ProjectedResult projected;

  explicit HostLosses(const LossLayer& layer) : m_layer(layer), m_item(layer.item) {
    const auto rows = static_cast<std::size_t>(m_item.heads() * m_item.queries);
    const auto selections = static_cast<std::size_t>(m_item.selections);
    const auto d = static_cast<std::size_t>(m_item.head_dim);
    loss.output.resize(rows * d);
    loss.difference.resize(selections * rows * d);
    loss.retained_mass.resize(selections * rows);
    loss.kept_norm.resize(selections * rows);
    loss.total_norm.resize(rows);
    measure_norms();
    for (std::int64_t kv_head = 0; kv_head < m_item.kv_heads; ++kv_head) {
      measure_head(kv_head);
    }
    measure_projections();
  }

 private:
  void measure_norms() {
    norms.resize(static_cast<std::size_t>(m_item.heads() * m_item.tokens));
    for (std::int64_t head = 0; head < m_item.heads(); ++head) {
      PackedMatrix projection;
      projection.pack(HeadSlice(m_layer.projections.view(), head));
      kernels::value_norms(
          HeadSlice(m_layer.values.view(), head / m_item.group), projection,
          {norms.data() + head * m_item.tokens, static_cast<std::size_t>(m_item.tokens)});
    }
  }

  void measure_head(std::int64_t kv_head) {
    const std::int64_t first = kv_head * m_item.group;
    HeadKeys keys;
    keys.load(HeadSlice(m_layer.keys.view(), kv_head), nullptr);
    HeadValues values;
    values.load(HeadSlice(m_layer.values.view(), kv_head));
    std::vector<std::span<const std::int32_t>> kept;
    for (std::int64_t s = 0; s < m_item.selections; ++s) {
      for (std::int64_t g = 0; g < m_item.group; ++g) {
        kept.emplace_back(m_layer.kept_of(s, first + g));
      }
    }
    HeadLossProblem problem;
    problem.queries =
        m_layer.queries.view().rows_from(first * m_item.queries, m_item.group * m_item.queries);
    problem.positions = m_layer.positions;
    problem.keys = &keys;
    problem.values = &values;
    problem.attention = m_item.attention;
    problem.kept = kept;
    problem.selections = m_item.selections;
    problem.norms = {norms.data() + first * m_item.tokens, m_item.group, m_item.tokens};
    HeadLoss head_loss;
    kernels::eviction_loss(problem, head_loss);

    const std::int64_t rows = m_item.group * m_item.queries;
    std::copy(head_loss.output.data.begin(), head_loss.output.data.end(),
              loss.output.begin() + kv_head * rows * m_item.head_dim);
    std::copy(head_loss.total_norm.data.begin(), head_loss.total_norm.data.end(),
              loss.total_norm.begin() + kv_head * rows);
    for (std::int64_t s = 0; s < m_item.selections; ++s) {
      const std::int64_t target = (s * m_item.kv_heads + kv_head) * rows;
      const auto copy = [&](const Tensor3& source, std::vector<float>& all, std::int64_t width) {
        std::copy_n(source.data.begin() + s * rows * width, rows * width,
                    all.begin() + target * width);
      };
      copy(head_loss.difference, loss.difference, m_item.head_dim);
      copy(head_loss.retained_mass, loss.retained_mass, 1);
      copy(head_loss.kept_norm, loss.kept_norm, 1);
    }
  }

  /// L1 norms of the rows [.., R, d] of heads [first, last) behind their projections.
  [[nodiscard]] std::vector<float> projected_norms(const float* rows, std::int64_t first,
                                                   std::int64_t last) const {
    const std::int64_t stride = (m_item.width + 15) / 16 * 16;
    std::vector<float> y(static_cast<std::size_t>(m_item.queries * stride), 0.0F);
    for (std::int64_t head = first; head < last; ++head) {
      PackedMatrix projection;
      projection.pack(HeadSlice(m_layer.projections.view(), head));
      project({rows + head * m_item.queries * m_item.head_dim, m_item.queries, m_item.head_dim},
              projection, {y.data(), m_item.queries, m_item.width, stride});
    }
    std::vector<float> result;
    for (std::int64_t r = 0; r < m_item.queries; ++r) {
      double sum = 0.0;
      for (std::int64_t c = 0; c < m_item.width; ++c) {
        sum += std::abs(y[static_cast<std::size_t>(r * stride + c)]);
      }
      result.push_back(static_cast<float>(sum));
    }
    return result;
  }

  void measure_projections() {
    const std::int64_t heads = m_item.heads();
    const std::int64_t members = heads / m_item.units();
    projected.output_norm = projected_norms(loss.output.data(), 0, heads);
    const auto append = [](std::vector<float>& all, const std::vector<float>& more) {
      all.insert(all.end(), more.begin(), more.end());
    };
    for (std::int64_t s = 0; s < m_item.selections; ++s) {
      const float* rows = loss.difference.data() + s * heads * m_item.queries * m_item.head_dim;
      for (std::int64_t u = 0; u < m_item.units(); ++u) {
        append(projected.unit_loss, projected_norms(rows, u * members, (u + 1) * members));
      }
      append(projected.layer_loss, projected_norms(rows, 0, heads));
    }
  }

  const LossLayer& m_layer;
  const LossCase& m_item;
};

void expect_near(const std::vector<float>& device, const std::vector<float>& host, double absolute,
                 double relative) {
  ASSERT_EQ(device.size(), host.size());
  for (std::size_t i = 0; i < host.size(); ++i) {
    ASSERT_NEAR(device[i], host[i], absolute + relative * std::abs(host[i])) << "element " << i;
  }
}

TEST(HostAgreementDevice, RandomLayersLoseTheSame) {
  std::mt19937 generator(2024);
  for (int i = 0; i < kCases; ++i) {
    const LossCase item = random_case(generator);
    SCOPED_TRACE(item.name());
    LossLayer layer(item, static_cast<std::uint32_t>(i));
    const HostLosses host(layer);
    for_each_order([&] {
      // Both sides sum in fp32, in different orders.
      const std::vector<float> norms = run_value_norms(layer);
      ASSERT_NO_FATAL_FAILURE(expect_near(norms, host.norms, 1e-4, 4e-6));
      layer.norms = norms;
      const LossResult loss = run_eviction_loss(layer);
      ASSERT_NO_FATAL_FAILURE(expect_near(loss.output, host.loss.output, 2e-5, 0.0));
      ASSERT_NO_FATAL_FAILURE(expect_near(loss.difference, host.loss.difference, 5e-5, 0.0));
      ASSERT_NO_FATAL_FAILURE(expect_near(loss.retained_mass, host.loss.retained_mass, 1e-5, 0.0));
      ASSERT_NO_FATAL_FAILURE(expect_near(loss.total_norm, host.loss.total_norm, 1e-4, 2e-5));
      ASSERT_NO_FATAL_FAILURE(expect_near(loss.kept_norm, host.loss.kept_norm, 1e-4, 2e-5));
      const ProjectedResult projected = run_projected_loss(layer, loss);
      // A hundred channels or more a column, each wrong by up to some 1e-6.
      const double slack = 2e-4 * static_cast<double>(item.width);
      ASSERT_NO_FATAL_FAILURE(
          expect_near(projected.output_norm, host.projected.output_norm, slack, 1e-5));
      ASSERT_NO_FATAL_FAILURE(
          expect_near(projected.unit_loss, host.projected.unit_loss, slack, 1e-5));
      ASSERT_NO_FATAL_FAILURE(
          expect_near(projected.layer_loss, host.projected.layer_loss, slack, 1e-5));
    });
  }
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
