#include "kernels/device/loss_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens token_range(std::int64_t first, std::int64_t last) {
  Tokens tokens(static_cast<std::size_t>(last - first));
  std::iota(tokens.begin(), tokens.end(), static_cast<std::int32_t>(first));
  return tokens;
}

Tokens random_tokens(std::int64_t tokens, double share, std::mt19937& generator) {
  std::bernoulli_distribution keep(share);
  Tokens kept;
  for (const std::int32_t j : token_range(0, tokens)) {
    if (keep(generator)) {
      kept.push_back(j);
    }
  }
  return kept;
}

Tokens kept_tokens(KeptKind kind, std::int64_t tokens, std::mt19937& generator) {
  switch (kind) {
    case KeptKind::kNothing:
      return {};
    case KeptKind::kAll:
      return token_range(0, tokens);
    case KeptKind::kWindow:
      return token_range(std::max<std::int64_t>(0, tokens - 37), tokens);
    case KeptKind::kSome:
      return random_tokens(tokens, 0.2, generator);
    case KeptKind::kMost:
      return random_tokens(tokens, 0.95, generator);
  }
  return {};
}

Tokens query_positions(const LossCase& item, std::mt19937& generator) {
  if (!item.scattered) {
    return token_range(item.tokens - item.queries, item.tokens);
  }
  std::uniform_int_distribution<std::int32_t> anywhere(0,
                                                       static_cast<std::int32_t>(item.tokens - 1));
  Tokens positions(static_cast<std::size_t>(item.queries));
  std::generate(positions.begin(), positions.end(), [&] { return anywhere(generator); });
  return positions;
}

/// The kept sets as the kernel reads them; bits past the last token are set, nobody may mind.
std::vector<std::uint32_t> kept_bits(const LossLayer& layer) {
  const std::int64_t words = kept_words(layer.item.tokens);
  std::vector<std::uint32_t> bits(layer.kept.size() * static_cast<std::size_t>(words), 0U);
  for (std::size_t slot = 0; slot < layer.kept.size(); ++slot) {
    std::uint32_t* row = bits.data() + slot * static_cast<std::size_t>(words);
    for (const std::int32_t token : layer.kept[slot]) {
      row[token / 32] |= 1U << (token % 32);
    }
    for (std::int64_t token = layer.item.tokens; token < 32 * words; ++token) {
      row[token / 32] |= 1U << (token % 32);
    }
  }
  return bits;
}

/// A tensor's bytes, aligned as device memory is.
DeviceBuffer<std::byte> upload(const tests::RandomHeads& heads, Stream& stream) {
  const traces::TensorView view = heads.view();
  const std::int64_t count =
      std::accumulate(view.shape.begin(), view.shape.end(), std::int64_t{1}, std::multiplies<>());
  const auto bytes = static_cast<std::size_t>(count) * traces::size_of(view.dtype);
  return DeviceBuffer<std::byte>(std::span<const std::byte>(view.data, bytes), stream);
}

}  // namespace

std::string LossCase::name() const {
  std::string text =
      fmt::format("Hkv{} G{} d{} T{} R{} S{} {} kept {}", kv_heads, group, head_dim, tokens,
                  queries, selections, traces::name_of(dtype), static_cast<int>(kept));
  text += unit_a_query_head ? " query units" : " kv units";
  text += norms ? " norms" : "";
  text += scattered ? " scattered" : "";
  text += fmt::format(" D{} {}", width, traces::name_of(projection_dtype));
  if (attention.sliding_window) {
    text += fmt::format(" sliding {}", *attention.sliding_window);
  }
  if (attention.softcap) {
    text += " softcap";
  }
  return text;
}

LossLayer::LossLayer(const LossCase& loss_case, std::uint32_t seed)
    : item(loss_case),
      // Scores of about two nats: neither uniform nor one-hot.
      queries(item.heads() * item.queries, item.head_dim, seed, 2.0),
      keys(item.kv_heads, item.tokens, item.head_dim, item.dtype, seed + 1),
      values(item.kv_heads, item.tokens, item.head_dim, item.dtype, seed + 2),
      projections(item.heads(), item.head_dim, item.width, item.projection_dtype, seed + 3) {
  std::mt19937 generator(seed + 4);
  if (item.attention.scale == 0.0) {
    item.attention.scale = 1.0 / std::sqrt(static_cast<double>(item.head_dim));
  }
  positions = query_positions(item, generator);
  for (std::int64_t s = 0; s < item.selections; ++s) {
    const auto kind = static_cast<KeptKind>(
        (static_cast<std::size_t>(item.kept) + static_cast<std::size_t>(s)) % kKeptKinds);
    for (std::int64_t u = 0; u < item.units(); ++u) {
      kept.push_back(kept_tokens(kind, item.tokens, generator));
    }
  }
  if (item.norms) {
    std::uniform_real_distribution<float> norm(0.1F, 2.0F);
    norms.resize(static_cast<std::size_t>(item.heads() * item.tokens));
    std::generate(norms.begin(), norms.end(), [&] { return norm(generator); });
  }
}

const Tokens& LossLayer::kept_of(std::int64_t selection, std::int64_t head) const {
  const std::int64_t unit = item.unit_a_query_head ? head : head / item.group;
  return kept[static_cast<std::size_t>(selection * item.units() + unit)];
}

DeviceBuffer<float> unwritten(std::int64_t count, Stream& stream) {
  DeviceBuffer<float> buffer(static_cast<std::size_t>(count));
  fill_device(buffer.data(), 0xff, buffer.size_bytes(), stream);
  return buffer;
}

LossResult run_eviction_loss(const LossLayer& layer) {
  const LossCase& item = layer.item;
  Stream stream;
  const DeviceBuffer<float> queries = upload(layer.queries.data, stream);
  const DeviceBuffer<std::int32_t> positions = upload(layer.positions, stream);
  const DeviceBuffer<std::byte> keys = upload(layer.keys, stream);
  const DeviceBuffer<std::byte> values = upload(layer.values, stream);
  const DeviceBuffer<float> norms = upload(layer.norms, stream);
  const DeviceBuffer<std::uint32_t> kept = upload(kept_bits(layer), stream);
  const std::int64_t rows = item.heads() * item.queries;
  const DeviceBuffer<float> output = unwritten(rows * item.head_dim, stream);
  const DeviceBuffer<float> difference = unwritten(item.selections * rows * item.head_dim, stream);
  const DeviceBuffer<float> retained_mass = unwritten(item.selections * rows, stream);
  const DeviceBuffer<float> kept_norm = unwritten(item.norms ? item.selections * rows : 0, stream);
  const DeviceBuffer<float> total_norm = unwritten(item.norms ? rows : 0, stream);

  EvictionLossArgs args;
  args.kv_heads = item.kv_heads;
  args.group = item.group;
  args.queries = item.queries;
  args.tokens = item.tokens;
  args.head_dim = item.head_dim;
  args.dtype = item.dtype;
  args.attention = item.attention;
  args.rotated_queries = queries.data();
  args.positions = positions.data();
  args.rotated_keys = keys.data();
  args.values = values.data();
  args.norms = item.norms ? norms.data() : nullptr;
  args.selections = item.selections;
  args.units = item.units();
  args.kept = kept.data();
  args.output = output.data();
  args.difference = difference.data();
  args.retained_mass = retained_mass.data();
  args.kept_norm = kept_norm.data();
  args.total_norm = total_norm.data();
  eviction_loss(args, stream);
  return {output.download(stream), difference.download(stream), retained_mass.download(stream),
          kept_norm.download(stream), total_norm.download(stream)};
}

std::vector<float> run_value_norms(const LossLayer& layer) {
  const LossCase& item = layer.item;
  Stream stream;
  const DeviceBuffer<std::byte> values = upload(layer.values, stream);
  const DeviceBuffer<std::byte> projections = upload(layer.projections, stream);
  const DeviceBuffer<float> norms = unwritten(item.heads() * item.tokens, stream);
  ValueNormsArgs args;
  args.kv_heads = item.kv_heads;
  args.group = item.group;
  args.tokens = item.tokens;
  args.head_dim = item.head_dim;
  args.width = item.width;
  args.value_dtype = item.dtype;
  args.projection_dtype = item.projection_dtype;
  args.values = values.data();
  args.projections = projections.data();
  args.norms = norms.data();
  value_norms(args, stream);
  return norms.download(stream);
}

ProjectedResult run_projected_loss(const LossLayer& layer, const LossResult& loss) {
  const LossCase& item = layer.item;
  Stream stream;
  const DeviceBuffer<std::byte> projections = upload(layer.projections, stream);
  const DeviceBuffer<float> output = upload(loss.output, stream);
  const DeviceBuffer<float> difference = upload(loss.difference, stream);
  const DeviceBuffer<float> unit_loss =
      unwritten(item.selections * item.units() * item.queries, stream);
  const DeviceBuffer<float> layer_loss = unwritten(item.selections * item.queries, stream);
  const DeviceBuffer<float> output_norm = unwritten(item.queries, stream);
  ProjectedLossArgs args;
  args.q_heads = item.heads();
  args.units = item.units();
  args.selections = item.selections;
  args.queries = item.queries;
  args.head_dim = item.head_dim;
  args.width = item.width;
  args.projection_dtype = item.projection_dtype;
  args.projections = projections.data();
  args.output = output.data();
  args.difference = difference.data();
  const DeviceBuffer<std::byte> workspace(projected_loss_workspace_bytes(args));
  args.workspace = workspace.data();
  args.unit_loss = unit_loss.data();
  args.layer_loss = layer_loss.data();
  args.output_norm = output_norm.data();
  projected_loss(args, stream);
  return {unit_loss.download(stream), layer_loss.download(stream), output_norm.download(stream)};
}

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
