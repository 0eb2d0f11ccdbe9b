// k-means and the keys that it is trained on as a C library, for a comparison with Python packages
// in one process.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bench/peers/peer_call.h"
#include "kvsieve/bench/roofline.h"
#include "kvsieve/kernels/codebook_training.h"
#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/kernels/windowed_rope.h"
#include "kvsieve/traces/trace.h"

namespace kvsieve::bench {
namespace {

using kernels::HeadSlice;
using kernels::MatrixView;

constexpr std::int64_t kDistance = 2048;  // b

/// Whitened keys z = k L of consecutive KV heads side by side, L from the captured prompt queries
/// of their groups. A query sees its own head's channels: L has a block for each head.
struct Keys {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::vector<float> z;  ///< [rows, width]
};

void load(const std::vector<traces::Trace>& traces, std::int64_t layer_number,
          std::int64_t first_head, std::int64_t heads, Keys& result) {
  const traces::ModelShape& model = traces.front().header().model;
  const std::int64_t d = model.head_dim;
  result.width = heads * d;
  std::vector<float> keys;
  kernels::QueryMoment moment(result.width);
  for (const traces::Trace& trace : traces) {
    const traces::TraceLayer layer = trace.layer(trace.find_layer(layer_number).value());
    const std::int64_t tokens = HeadSlice(layer.k, 0).rows;
    const traces::RopeTable rope(layer.spec.rope, d);
    keys.resize(static_cast<std::size_t>((result.rows + tokens) * result.width));
    for (std::int64_t h = 0; h < heads; ++h) {
      const std::int64_t head = first_head + h;
      load_rows(HeadSlice(layer.k, head), 0,
                {keys.data() + result.rows * result.width + h * d, tokens, d, result.width});
      for (std::int64_t member = 0; member < model.group(); ++member) {
        const std::int64_t queries = trace.prompt_queries();
        std::vector<float> rows(static_cast<std::size_t>(queries * result.width), 0.0F);
        const MatrixView<float> view(rows.data() + h * d, queries, d, result.width);
        load_rows(HeadSlice(layer.q, head * model.group() + member), 0, view);
        kernels::rotate_to_distance(rope, kDistance, view);
        moment.add({rows.data(), queries, result.width});
      }
    }
    result.rows += tokens;
  }
  result.z.resize(keys.size());
  kernels::whiten(MatrixView<const float>(keys.data(), result.rows, result.width),
                  kernels::factorise(moment).matrix(),
                  {result.z.data(), result.rows, result.width});
}

}  // namespace
}  // namespace kvsieve::bench

using kvsieve::bench::Keys;

extern "C" {

const char* kvsieve_isa() {
  return kvsieve::kernels::instruction_set().data();
}

/// Keys of all tokens of `count` traces of one model: KV heads [first_head, first_head + heads) of
/// model layer `layer`. Null if that fails.
Keys* kvsieve_load(const char* const* paths, int count, std::int64_t layer, std::int64_t first_head,
                   std::int64_t heads) {
  auto* keys = new Keys;
  const bool done = kvsieve::bench::succeeds([&] {
    std::vector<kvsieve::traces::Trace> traces;
    for (int i = 0; i < count; ++i) {
      traces.push_back(kvsieve::traces::Trace::open(paths[i]));
    }
    kvsieve::bench::load(traces, layer, first_head, heads, *keys);
  });
  if (!done) {
    delete keys;
    return nullptr;
  }
  return keys;
}

/// [rows, width] whitened.
const float* kvsieve_keys(const Keys* keys, std::int64_t* rows, std::int64_t* width) {
  *rows = keys->rows;
  *width = keys->width;
  return keys->z.data();
}

void kvsieve_close(Keys* keys) {
  delete keys;
}

/// `iterations` of k-means on points [n, d] from centroids [clusters, d], which are replaced by the
/// last ones. @param objective [iterations + 1] 0 if it worked.
int kvsieve_kmeans(const float* points, std::int64_t n, std::int64_t d, float* centroids,
                   std::int64_t clusters, std::int64_t iterations, double* objective, int threads) {
  const bool done = kvsieve::bench::succeeds([&] {
    kvsieve::bench::with_threads(threads, [&] {
      kvsieve::kernels::KMeansOptions options{
          .clusters = clusters, .max_iterations = iterations, .tolerance = 0.0};
      options.initial = {centroids, clusters, d};
      const kvsieve::kernels::KMeansResult result =
          kvsieve::kernels::kmeans({points, n, d}, options);
      std::fill_n(objective, iterations + 1, result.objective.back());
      std::copy(result.objective.begin(), result.objective.end(), objective);
      std::copy(result.centroids.begin(), result.centroids.end(), centroids);
    });
  });
  return done ? 0 : 1;
}

}  // extern "C"
