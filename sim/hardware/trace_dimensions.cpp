#include <fmt/format.h>

#include <algorithm>

#include "hardware/built_in_data.h"
#include "kvsieve/sim/model_dimensions.h"

namespace kvsieve::sim {
namespace {

// What models of the Llama family have where nothing says otherwise.
constexpr std::int64_t kUsualVocabulary = 32'000;
constexpr std::int64_t kMlpMultiple = 256;

/// What a trace itself says of its model.
ModelDimensions captured_dimensions(const traces::ModelShape& shape) {
  ModelDimensions model;
  model.id = shape.name;
  model.name = shape.name;
  model.layers = shape.layers;
  model.q_heads = shape.q_heads;
  model.kv_heads = shape.kv_heads;
  model.head_dim = shape.head_dim;
  model.width = shape.width;
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    if (const auto window = shape.layer(layer).attention.sliding_window) {
      model.sliding_layers.push_back(layer);
      model.sliding_window = std::max(*window, model.sliding_window.value_or(0));
    }
  }
  return model;
}

bool same_sizes(const ModelDimensions& a, const ModelDimensions& b) {
  return a.attention == b.attention && a.layers == b.layers && a.q_heads == b.q_heads &&
         a.kv_heads == b.kv_heads && a.head_dim == b.head_dim && a.width == b.width &&
         a.sliding_window == b.sliding_window && a.sliding_layers == b.sliding_layers;
}

/// Letters and digits alone, so that "Llama 3.1 8B" and "llama-3.1-8b" are the same name.
std::string plain(std::string_view name) {
  std::string result;
  for (const char letter : lower_case(name)) {
    if ((letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9')) {
      result += letter;
    }
  }
  return result;
}

/// The built-in model of the same sizes. Of several, one whose id stands in the trace's name, the
/// longest first, then a dense one, then the first id.
std::optional<ModelDimensions> built_in_of(const ModelDimensions& captured) {
  const std::string name = plain(captured.name);
  std::optional<ModelDimensions> best;
  std::size_t best_rank = 0;
  for (const std::string& id : model_ids()) {
    ModelDimensions model = load_model(id);
    if (!same_sizes(model, captured)) {
      continue;
    }
    const std::string word = plain(id);
    const bool named = name.find(word) != std::string::npos;
    const std::size_t rank = named ? 2 + word.size() : model.experts == 1 ? 2 : 1;
    if (rank > best_rank) {
      best_rank = rank;
      best = std::move(model);
    }
  }
  return best;
}

}  // namespace

ModelDimensions dimensions_of(const traces::ModelShape& shape) {
  ModelDimensions model = captured_dimensions(shape);
  if (const std::optional<ModelDimensions> known = built_in_of(model)) {
    model.source = fmt::format("the trace; MLP and vocabulary as {}", known->id);
    model.mlp_width = known->mlp_width;
    model.gated_mlp = known->gated_mlp;
    model.experts = known->experts;
    model.experts_per_token = known->experts_per_token;
    model.vocabulary = known->vocabulary;
    model.tied_embeddings = known->tied_embeddings;
    model.max_context = known->max_context;
    return model;
  }
  model.source = "the trace; MLP and vocabulary assumed as usual in the Llama family";
  model.mlp_width = (8 * shape.width + 3 * kMlpMultiple - 1) / (3 * kMlpMultiple) * kMlpMultiple;
  model.vocabulary = kUsualVocabulary;
  model.max_context = INT32_MAX;  // a trace does not say
  return model;
}

}  // namespace kvsieve::sim
