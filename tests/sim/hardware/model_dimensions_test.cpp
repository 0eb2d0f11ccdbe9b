// Built-in models against published totals, cache bytes, files of users.

#include "kvsieve/sim/model_dimensions.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "kvsieve/traces/error.h"
#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::TemporaryFolder;
using kvsieve::tests::write_bytes;
using nlohmann::ordered_json;

struct Total {
  const char* id;
  double parameters;
};

TEST(ModelDimensions, ParametersArePublishedTotals) {
  for (const Total& total : {Total{"llama-2-7b", 6.74e9},      Total{"llama-2-13b", 13.02e9},
                             Total{"llama-2-70b", 68.98e9},    Total{"llama-3-8b", 8.03e9},
                             Total{"llama-3.1-8b", 8.03e9},    Total{"llama-3.1-70b", 70.6e9},
                             Total{"llama-3.3-70b", 70.6e9},   Total{"mistral-7b-v0.1", 7.24e9},
                             Total{"mistral-7b-v0.3", 7.25e9}, Total{"mixtral-8x7b", 46.7e9},
                             Total{"qwen2.5-7b", 7.6e9},       Total{"qwen2.5-14b", 14.8e9},
                             Total{"qwen3-8b", 8.19e9},        Total{"qwen3-32b", 32.8e9},
                             Total{"gemma-2-9b", 9.24e9},      Total{"gemma-3-1b", 1.0e9},
                             Total{"phi-3-mini", 3.82e9},      Total{"phi-4", 14.7e9},
                             Total{"smollm2-135m", 134.5e6},   Total{"smollm2-1.7b", 1.71e9},
                             Total{"yi-6b-200k", 6.06e9},      Total{"yi-34b", 34.39e9},
                             Total{"glm-4-9b", 9.4e9}}) {
    EXPECT_NEAR(static_cast<double>(load_model(total.id).parameters()), total.parameters,
                0.01 * total.parameters)
        << total.id;
  }
}

struct CacheCase {
  const char* id;
  std::int64_t context;
  double element_bytes;
  double bytes;
};

TEST(ModelDimensions, CacheBytes) {
  constexpr double kMib = 1024.0 * 1024.0;
  for (const CacheCase& c :
       {CacheCase{"llama-2-7b", 1, 2.0, 512.0 * 1024},         // MHA: 2 x 32 x 32 x 128 x 2
        CacheCase{"llama-3.1-8b", 1, 2.0, 128.0 * 1024},       // GQA: an eighth of the heads
        CacheCase{"llama-3.1-8b", 1, 0.5, 32.0 * 1024},        // four bits an element
        CacheCase{"llama-3.1-8b", 131072, 2.0, 16384 * kMib},  //
        CacheCase{"llama-3.1-8b", 0, 2.0, 0.0},                //
        CacheCase{"yi-6b-200k", 1, 2.0, 64.0 * 1024},          // 4 KV heads
        CacheCase{"mistral-7b-v0.1", 4095, 2.0, 4095 * 0.125 * kMib},  // windows not full
        CacheCase{"mistral-7b-v0.1", 4096, 2.0, 512 * kMib},           // exactly full
        CacheCase{"mistral-7b-v0.1", 32768, 2.0, 512 * kMib},          // no longer grows
        CacheCase{"gemma-2-9b", 4096, 2.0, 4096 * 42 * 8192.0},        // 21 of 42 layers slide
        CacheCase{"gemma-2-9b", 8192, 2.0, (4096 + 8192) * 21 * 8192.0},
        CacheCase{"gemma-3-1b", 32768, 2.0, (22 * 512 + 4 * 32768) * 1024.0},
        CacheCase{"deepseek-v2-lite", 10, 2.0, 10 * 27 * 576 * 2.0}}) {
    EXPECT_DOUBLE_EQ(load_model(c.id).kv_bytes(c.context, c.element_bytes), c.bytes)
        << c.id << " at " << c.context;
  }
}

TEST(ModelDimensions, SlidingLayers) {
  EXPECT_EQ(load_model("mistral-7b-v0.1").global_layers(), 0);
  EXPECT_EQ(load_model("mistral-7b-v0.3").global_layers(), 32);
  const ModelDimensions gemma = load_model("gemma-3-12b");
  EXPECT_EQ(gemma.global_layers(), 8);  // one in six
  EXPECT_EQ(gemma.sliding_window, 1024);
  EXPECT_EQ(gemma.sliding_layers[4], 4);
  EXPECT_EQ(gemma.sliding_layers[5], 6);
}

TEST(ModelDimensions, LatentAttentionLoads) {
  const ModelDimensions model = load_model("deepseek-v2-lite");
  EXPECT_EQ(model.attention, AttentionKind::kLatent);
  EXPECT_EQ(model.parameters(), 0);
}

TEST(ModelDimensions, ByIdNameOrPath) {
  EXPECT_EQ(load_model("LLAMA-3.1-8B").id, "llama-3.1-8b");
  EXPECT_EQ(load_model("meta-llama/llama-3.1-8b").id, "llama-3.1-8b");
  const TemporaryFolder folder;
  const ordered_json json = {{"base", "llama-3.1-8b"}, {"id", "mine"},
                             {"source", "a test"},     {"layers", 16},
                             {"sliding_window", 512},  {"sliding_layers", {0, 15}}};
  write_bytes(folder / "mine.json", json.dump());
  const ModelDimensions model = load_model((folder / "mine.json").string());
  EXPECT_EQ(model.id, "mine");
  EXPECT_EQ(model.name, "mine");
  EXPECT_FALSE(model.verified);
  EXPECT_EQ(model.layers, 16);
  EXPECT_EQ(model.mlp_width, 14336);
  EXPECT_EQ(model.global_layers(), 14);
}

TEST(ModelDimensions, ComesBackAsItWas) {
  for (const std::string& id : model_ids()) {
    const ModelDimensions model = load_model(id);
    EXPECT_EQ(to_json(model_from_json(to_json(model))).dump(), to_json(model).dump());
  }
}

TEST(ModelDimensions, UnknownNamesGetTheNearestOnes) {
  try {
    static_cast<void>(load_model("llama-3.1"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_STREQ(error.what(), "model 'llama-3.1' is unknown");
    EXPECT_EQ(error.hint(), "did you mean llama-3.1-70b or llama-3.1-8b?");
  }
}

TEST(ModelDimensions, BadFilesNameTheField) {
  const auto fails = [](const char* key, const ordered_json& value, const std::string& part) {
    const TemporaryFolder folder;
    const std::string path = (folder / "mine.json").string();
    ordered_json json = to_json(load_model("gemma-2-9b"));
    json[key] = value;
    write_bytes(path, json.dump());
    return fails_with(ErrorKind::kBadInput, path + ": model." + part,
                      [&] { static_cast<void>(load_model(path)); });
  };
  EXPECT_TRUE(fails("layers", 0, "layers is 0, expected an integer in [1, 4096]"));
  EXPECT_TRUE(fails("kv_heads", 3, "kv_heads is 3, expected a divisor of q_heads = 16"));
  EXPECT_TRUE(fails("kv_heads", 32, "kv_heads is 32, expected an integer in [1, 16]"));
  EXPECT_TRUE(fails("head_dim", 1.5, "head_dim is 1.5"));
  EXPECT_TRUE(fails("attention", "linear", "attention is \"linear\", expected grouped or latent"));
  EXPECT_TRUE(fails("source", "", "source is \"\""));
  EXPECT_TRUE(
      fails("experts_per_token", 2, "experts_per_token is 2, expected an integer in [1, 1]"));
  EXPECT_TRUE(fails("sliding_window", nullptr, "sliding_window is null"));
  EXPECT_TRUE(fails("sliding_layers", {3, 2}, "sliding_layers is [3,2], expected ascending"));
  EXPECT_TRUE(fails("sliding_layers", {42}, "sliding_layers is [42]"));
  EXPECT_TRUE(fails("weight_bytes", 16, "weight_bytes is 16"));
  EXPECT_TRUE(fails("layer", 42, "layer is unknown"));
  EXPECT_TRUE(fails("base", "gemma", "base is \"gemma\", expected the id of a built-in model"));
}

}  // namespace
}  // namespace kvsieve::sim::tests
