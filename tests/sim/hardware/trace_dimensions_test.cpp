// What a trace's model weighs.

#include <gtest/gtest.h>

#include "kvsieve/sim/model_dimensions.h"

namespace kvsieve::sim::tests {
namespace {

traces::ModelShape shape(const std::string& name, std::int64_t layers, std::int64_t q_heads,
                         std::int64_t kv_heads, std::int64_t head_dim, std::int64_t width) {
  traces::ModelShape model;
  model.name = name;
  model.layers = layers;
  model.q_heads = q_heads;
  model.kv_heads = kv_heads;
  model.head_dim = head_dim;
  model.width = width;
  return model;
}

TEST(TraceDimensions, TakeTheRestFromTheBuiltInModelOfTheSameSizes) {
  const ModelDimensions model = dimensions_of(shape("SmolLM2 135M Instruct", 30, 9, 3, 64, 576));
  EXPECT_EQ(model.id, "SmolLM2 135M Instruct");
  EXPECT_EQ(model.mlp_width, 1536);
  EXPECT_EQ(model.vocabulary, 49152);
  EXPECT_TRUE(model.tied_embeddings);
  EXPECT_FALSE(model.verified);
  EXPECT_NE(model.source.find("smollm2-135m"), std::string::npos);
}

TEST(TraceDimensions, NamesDecideBetweenModelsOfTheSameSizes) {
  EXPECT_EQ(dimensions_of(shape("Llama-3.1-8B", 32, 32, 8, 128, 4096)).max_context, 131072);
  EXPECT_EQ(dimensions_of(shape("meta llama 3 8b", 32, 32, 8, 128, 4096)).max_context, 8192);
  EXPECT_EQ(dimensions_of(shape("Mistral-7B-v0.3", 32, 32, 8, 128, 4096)).vocabulary, 32768);
  EXPECT_EQ(dimensions_of(shape("Mixtral-8x7B-Instruct", 32, 32, 8, 128, 4096)).experts, 8);
  EXPECT_EQ(dimensions_of(shape("something else", 32, 32, 8, 128, 4096)).experts, 1);
}

TEST(TraceDimensions, WindowsAreTheTracesOwn) {
  traces::ModelShape mistral = shape("fine-tuned", 32, 32, 8, 128, 4096);
  mistral.defaults.attention.sliding_window = 4096;
  const ModelDimensions model = dimensions_of(mistral);
  EXPECT_EQ(model.global_layers(), 0);
  EXPECT_NE(model.source.find("mistral-7b-v0.1"), std::string::npos);

  mistral.layer_overrides[3] = mistral.defaults;
  mistral.layer_overrides[3].attention.sliding_window.reset();
  const ModelDimensions mixed = dimensions_of(mistral);
  EXPECT_EQ(mixed.global_layers(), 1);
  EXPECT_EQ(mixed.sliding_window, 4096);
  EXPECT_EQ(mixed.vocabulary, 32000);
}

TEST(TraceDimensions, OtherwiseTheUsualRatio) {
  const ModelDimensions model = dimensions_of(shape("tiny", 2, 4, 2, 16, 100));
  EXPECT_EQ(model.mlp_width, 512);  // 8/3 x 100 = 266.7, up to a multiple of 256
  EXPECT_EQ(model.vocabulary, 32000);
  EXPECT_EQ(dimensions_of(shape("other", 2, 4, 2, 16, 768)).mlp_width, 2048);
  EXPECT_FALSE(model.verified);
  EXPECT_NE(model.source.find("assumed"), std::string::npos);
}

}  // namespace
}  // namespace kvsieve::sim::tests
