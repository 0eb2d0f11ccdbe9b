#include "kvsieve/traces/model_shape.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "fails_with.h"

namespace kvsieve::traces {
namespace {

using nlohmann::ordered_json;
using tests::fails_with;

/// Every field is set, and to something other than its default.
ordered_json sample() {
  return ordered_json::parse(R"({
    "name": "toy", "architecture": "llama", "layers": 6, "q_heads": 8, "kv_heads": 2,
    "head_dim": 16, "width": 100,
    "rope": {"pairing": "interleaved", "theta": 500000.0, "dim": 8,
             "scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096,
                         "beta_fast": 24.0, "beta_slow": 2.0, "truncate": false},
             "attention_factor": 1.25},
    "attention": {"scale": 0.3, "softcap": 50.0, "sliding_window": 1024},
    "layer_overrides": {}})");
}

ordered_json with_override(const std::string& layer, const char* patch) {
  ordered_json json = sample();
  json["layer_overrides"][layer] = ordered_json::parse(patch);
  return json;
}

void expect_equal(const ModelShape& expected, const ModelShape& actual) {
  EXPECT_EQ(expected.name, actual.name);
  EXPECT_EQ(expected.architecture, actual.architecture);
  EXPECT_EQ(expected.layers, actual.layers);
  EXPECT_EQ(expected.q_heads, actual.q_heads);
  EXPECT_EQ(expected.kv_heads, actual.kv_heads);
  EXPECT_EQ(expected.head_dim, actual.head_dim);
  EXPECT_EQ(expected.width, actual.width);
  for (std::int64_t layer = 0; layer < expected.layers; ++layer) {
    EXPECT_EQ(expected.layer(layer), actual.layer(layer)) << layer;
  }
}

TEST(model_shape, reads_every_field) {
  const ModelShape model = model_shape_from_json(sample());
  EXPECT_EQ("toy", model.name);
  EXPECT_EQ("llama", model.architecture);
  EXPECT_EQ(6, model.layers);
  EXPECT_EQ(8, model.q_heads);
  EXPECT_EQ(2, model.kv_heads);
  EXPECT_EQ(4, model.group());
  EXPECT_EQ(16, model.head_dim);
  EXPECT_EQ(100, model.width);
  const RopeSpec& rope = model.defaults.rope;
  EXPECT_EQ(RopePairing::kInterleaved, rope.pairing);
  EXPECT_EQ(500000.0, rope.theta);
  EXPECT_EQ(8, rope.dim);
  EXPECT_EQ(1.25, rope.attention_factor);
  EXPECT_EQ(RopeScalingType::kYarn, rope.scaling.type);
  EXPECT_EQ(4.0, rope.scaling.factor);
  EXPECT_EQ(4096, rope.scaling.original_max_position_embeddings);
  EXPECT_EQ(24.0, rope.scaling.beta_fast);
  EXPECT_EQ(2.0, rope.scaling.beta_slow);
  EXPECT_FALSE(rope.scaling.truncate);
  EXPECT_EQ(0.3, model.defaults.attention.scale);
  EXPECT_EQ(50.0, model.defaults.attention.softcap);
  EXPECT_EQ(1024, model.defaults.attention.sliding_window);
  EXPECT_TRUE(model.layer_overrides.empty());
}

TEST(model_shape, optional_fields_have_defaults) {
  ordered_json json = sample();
  json["rope"] = {{"pairing", "half"}, {"theta", 1e4}, {"dim", 16}};
  json["attention"] = ordered_json::object();
  json.erase("layer_overrides");
  const ModelShape model = model_shape_from_json(json);
  EXPECT_EQ(RopePairing::kHalf, model.defaults.rope.pairing);
  EXPECT_EQ(RopeScalingType::kNone, model.defaults.rope.scaling.type);
  EXPECT_EQ(1.0, model.defaults.rope.attention_factor);
  EXPECT_EQ(0.25, model.defaults.attention.scale);  // 1 / sqrt(16)
  EXPECT_FALSE(model.defaults.attention.softcap.has_value());
  EXPECT_FALSE(model.defaults.attention.sliding_window.has_value());
}

TEST(model_shape, yarn_defaults_are_the_published_ones) {
  ordered_json json = sample();
  json["rope"]["scaling"] = {
      {"type", "yarn"}, {"factor", 2.0}, {"original_max_position_embeddings", 2048}};
  const RopeScaling scaling = model_shape_from_json(json).defaults.rope.scaling;
  EXPECT_EQ(32.0, scaling.beta_fast);
  EXPECT_EQ(1.0, scaling.beta_slow);
  EXPECT_TRUE(scaling.truncate);
}

TEST(model_shape, json_round_trips_for_every_scaling) {
  for (const char* scaling :
       {"null", R"({"type": "linear", "factor": 2.5})",
        R"({"type": "llama3", "factor": 8.0, "low_freq_factor": 1.5, "high_freq_factor": 4.5,
            "original_max_position_embeddings": 8192})",
        R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096,
            "beta_fast": 24.0, "beta_slow": 2.0, "truncate": false})"}) {
    SCOPED_TRACE(scaling);
    ordered_json json = sample();
    json["rope"]["scaling"] = ordered_json::parse(scaling);
    const ModelShape model = model_shape_from_json(json);
    // Key order may differ, so the comparison is of unordered documents.
    EXPECT_EQ(nlohmann::json::parse(json.dump()), nlohmann::json::parse(to_json(model).dump()));
    expect_equal(model, model_shape_from_json(ordered_json::parse(to_json(model).dump())));
  }
}

TEST(model_shape, numbers_round_trip_exactly) {
  ordered_json json = sample();
  json["attention"]["scale"] = 0.08838834764831845;
  json["rope"]["theta"] = 1000000.0000000001;
  const ModelShape model = model_shape_from_json(json);
  const ModelShape back = model_shape_from_json(ordered_json::parse(to_json(model).dump()));
  EXPECT_EQ(0.08838834764831845, back.defaults.attention.scale);
  EXPECT_EQ(1000000.0000000001, back.defaults.rope.theta);
}

TEST(model_shape, overrides_change_only_what_they_name) {
  const ModelShape model =
      model_shape_from_json(with_override("3", R"({"rope": {"theta": 10000.0}})"));
  LayerSpec expected = model.defaults;
  expected.rope.theta = 10000.0;
  EXPECT_EQ(expected, model.layer(3));
  for (const std::int64_t other : {0, 1, 2, 4, 5}) {
    EXPECT_EQ(model.defaults, model.layer(other));
  }
}

TEST(model_shape, overrides_merge_at_every_depth) {
  const ModelShape model = model_shape_from_json(
      with_override("0", R"({"rope": {"scaling": {"factor": 9.0}}, "attention": {"scale": 2.0}})"));
  LayerSpec expected = model.defaults;
  expected.rope.scaling.factor = 9.0;
  expected.attention.scale = 2.0;
  EXPECT_EQ(expected, model.layer(0));
}

TEST(model_shape, overrides_switch_off_with_null) {
  const ModelShape model = model_shape_from_json(with_override("5", R"({"rope": {"scaling": null},
                             "attention": {"softcap": null, "sliding_window": null}})"));
  EXPECT_EQ(RopeScaling{}, model.layer(5).rope.scaling);
  EXPECT_FALSE(model.layer(5).attention.softcap.has_value());
  EXPECT_FALSE(model.layer(5).attention.sliding_window.has_value());
  EXPECT_EQ(RopeScalingType::kYarn, model.layer(4).rope.scaling.type);
}

TEST(model_shape, overrides_switch_on_what_the_default_has_not) {
  ordered_json json = sample();
  json["rope"]["scaling"] = nullptr;
  json["attention"] = {{"scale", 0.3}, {"softcap", nullptr}, {"sliding_window", nullptr}};
  json["layer_overrides"]["1"] = ordered_json::parse(
      R"({"rope": {"scaling": {"type": "linear", "factor": 8.0}},
          "attention": {"softcap": 30.0, "sliding_window": 512}})");
  const ModelShape model = model_shape_from_json(json);
  EXPECT_EQ(RopeScalingType::kLinear, model.layer(1).rope.scaling.type);
  EXPECT_EQ(8.0, model.layer(1).rope.scaling.factor);
  EXPECT_EQ(30.0, model.layer(1).attention.softcap);
  EXPECT_EQ(512, model.layer(1).attention.sliding_window);
  EXPECT_FALSE(model.layer(0).attention.softcap.has_value());
}

TEST(model_shape, overrides_may_replace_the_scaling_type) {
  const ModelShape model = model_shape_from_json(
      with_override("2", R"({"rope": {"scaling": {"type": "linear", "factor": 2.0}}})"));
  RopeScaling expected;
  expected.type = RopeScalingType::kLinear;
  expected.factor = 2.0;
  EXPECT_EQ(expected, model.layer(2).rope.scaling) << "parameters of the old scheme are left over";
  expect_equal(model, model_shape_from_json(to_json(model)));
}

TEST(model_shape, written_overrides_hold_only_what_differs) {
  ModelShape model = model_shape_from_json(sample());
  model.layer_overrides[1] = model.defaults;
  model.layer_overrides[2] = model.defaults;
  model.layer_overrides[2].attention.sliding_window.reset();
  model.layer_overrides[4] = model.defaults;
  model.layer_overrides[4].rope.scaling = {RopeScalingType::kLinear, 3.0};
  const ordered_json json = to_json(model);
  EXPECT_EQ(ordered_json::parse(
                R"({"2": {"attention": {"sliding_window": null}},
                    "4": {"rope": {"scaling": {"type": "linear", "factor": 3.0}}}})"),
            json["layer_overrides"]);
  expect_equal(model, model_shape_from_json(json));
}

TEST(model_shape, every_field_can_be_overridden_and_round_trips) {
  const std::vector<const char*> patches{
      R"({"rope": {"pairing": "half"}})",
      R"({"rope": {"theta": 20000.0}})",
      R"({"rope": {"dim": 4}})",
      R"({"rope": {"attention_factor": 0.5}})",
      R"({"rope": {"scaling": {"factor": 2.0}}})",
      R"({"rope": {"scaling": {"original_max_position_embeddings": 100}}})",
      R"({"rope": {"scaling": {"beta_fast": 25.0}}})",
      R"({"rope": {"scaling": {"beta_slow": 1.0}}})",
      R"({"rope": {"scaling": {"truncate": true}}})",
      R"({"attention": {"scale": 0.5}})",
      R"({"attention": {"softcap": 20.0}})",
      R"({"attention": {"sliding_window": 7}})"};
  for (const char* patch : patches) {
    SCOPED_TRACE(patch);
    const ordered_json json = with_override("4", patch);
    const ModelShape model = model_shape_from_json(json);
    EXPECT_NE(model.defaults, model.layer(4));
    EXPECT_EQ(json["layer_overrides"], to_json(model)["layer_overrides"]);
  }
}

/// One bad value and the message that it must give.
struct BadField {
  const char* pointer;
  const char* value;  ///< JSON, or null pointer to leave the field out
  const char* message;
};

TEST(model_shape, errors_name_the_field) {
  const std::vector<BadField> table{
      {"/name", nullptr, "model.name is missing, expected a string"},
      {"/name", "7", "model.name is 7, expected a string"},
      {"/architecture", "null", "model.architecture is null, expected a string"},
      {"/layers", nullptr, "model.layers is missing, expected an integer in [1, 4096]"},
      {"/layers", "0", "model.layers is 0,"},
      {"/layers", "-1", "model.layers is -1,"},
      {"/layers", "4097", "model.layers is 4097,"},
      {"/layers", "2.5", "model.layers is 2.5,"},
      {"/layers", "\"6\"", "model.layers is \"6\","},
      {"/layers", "18446744073709551615", "model.layers is 18446744073709551615,"},
      {"/q_heads", "0", "model.q_heads is 0,"},
      {"/q_heads", "7", "model.kv_heads is 2, expected a divisor of q_heads = 7"},
      {"/q_heads", "1", "model.kv_heads is 2, expected an integer in [1, 1]"},
      {"/q_heads", "20000", "model.q_heads is 20000,"},
      {"/kv_heads", "0", "model.kv_heads is 0,"},
      {"/kv_heads", "3", "model.kv_heads is 3, expected a divisor of q_heads = 8"},
      {"/kv_heads", "16", "model.kv_heads is 16,"},
      {"/head_dim", "1", "model.head_dim is 1,"},
      {"/head_dim", "16385", "model.head_dim is 16385,"},
      {"/width", "0", "model.width is 0,"},
      {"/width", "16777217", "model.width is 16777217,"},
      {"/rope", nullptr, "model.rope is missing"},
      {"/rope", "[]", "model.rope is [], expected an object"},
      {"/rope/pairing", nullptr, "model.rope.pairing is missing"},
      {"/rope/pairing", "\"quarter\"",
       "model.rope.pairing is \"quarter\", expected half or interleaved"},
      {"/rope/theta", "1.0", "model.rope.theta is 1.0, expected a number above 1"},
      {"/rope/theta", "-5", "model.rope.theta is -5,"},
      {"/rope/theta", "null", "model.rope.theta is null, expected a finite number"},
      {"/rope/dim", "0", "model.rope.dim is 0, expected an integer in [2, 16]"},
      {"/rope/dim", "18", "model.rope.dim is 18,"},
      {"/rope/dim", "7", "model.rope.dim is 7, expected an even number"},
      {"/rope/attention_factor", "0", "model.rope.attention_factor is 0, expected a number above"},
      {"/rope/scaling", "4", "model.rope.scaling is 4, expected an object"},
      {"/rope/scaling/type", nullptr, "model.rope.scaling.type is missing"},
      {"/rope/scaling/type", "\"ntk\"",
       "model.rope.scaling.type is \"ntk\", expected one of linear, llama3, yarn"},
      {"/rope/scaling/factor", "0", "model.rope.scaling.factor is 0,"},
      {"/rope/scaling/factor", nullptr, "model.rope.scaling.factor is missing"},
      {"/rope/scaling/beta_fast", "2.0", "model.rope.scaling.beta_fast is 2.0,"},
      {"/rope/scaling/beta_slow", "\"1\"", "model.rope.scaling.beta_slow is \"1\","},
      {"/rope/scaling/beta_slow", "0", "model.rope.scaling.beta_slow is 0,"},
      {"/rope/scaling/truncate", "1", "model.rope.scaling.truncate is 1, expected true or false"},
      {"/rope/scaling/original_max_position_embeddings", nullptr,
       "model.rope.scaling.original_max_position_embeddings is missing"},
      {"/rope/scaling/original_max_position_embeddings", "0",
       "model.rope.scaling.original_max_position_embeddings is 0,"},
      {"/attention", nullptr, "model.attention is missing"},
      {"/attention", "\"full\"", "model.attention is \"full\", expected an object"},
      {"/attention/scale", "0", "model.attention.scale is 0, expected a number above 0"},
      {"/attention/softcap", "-1", "model.attention.softcap is -1,"},
      {"/attention/softcap", "\"x\"", "model.attention.softcap is \"x\","},
      {"/attention/sliding_window", "0", "model.attention.sliding_window is 0,"},
      {"/attention/sliding_window", "1.5", "model.attention.sliding_window is 1.5,"},
      {"/layer_overrides", "[]", "model.layer_overrides is [], expected an object"},
      {"/layer_overrides/6", "{}", "model.layer_overrides.6 is {}, expected an object under"},
      {"/layer_overrides/-1", "{}", "model.layer_overrides.-1 is {},"},
      {"/layer_overrides/x", "{}", "model.layer_overrides.x is {},"},
      {"/layer_overrides/1e0", "{}", "model.layer_overrides.1e0 is {},"},
      {"/layer_overrides/02", "{}", "model.layer_overrides.02 is {},"},
      {"/layer_overrides/99999999999999999999", "{}", "model.layer_overrides.99999999999999999999"},
      {"/layer_overrides/2", "null", "model.layer_overrides.2 is null,"},
      {"/layer_overrides/2", R"({"rope": {"dim": 5}})",
       "model.layer_overrides.2.rope.dim is 5, expected an even number"},
      {"/layer_overrides/2", R"({"rope": null})", "model.layer_overrides.2.rope is null,"},
      {"/layer_overrides/2", R"({"rope": {"theta": null}})",
       "model.layer_overrides.2.rope.theta is null,"},
      {"/layer_overrides/2", R"({"attention": {"scale": "x"}})",
       "model.layer_overrides.2.attention.scale is \"x\","},
  };
  for (const BadField& bad : table) {
    ordered_json json = sample();
    const ordered_json::json_pointer pointer(bad.pointer);
    if (bad.value == nullptr) {
      json[pointer.parent_pointer()].erase(pointer.back());
    } else {
      json[pointer.parent_pointer()][pointer.back()] = ordered_json::parse(bad.value);
    }
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, bad.message,
                           [&] { static_cast<void>(model_shape_from_json(json)); }))
        << bad.pointer << " = " << (bad.value == nullptr ? "(left out)" : bad.value);
  }
}

TEST(model_shape, llama3_bands_must_be_ordered) {
  ordered_json json = sample();
  json["rope"]["scaling"] = {{"type", "llama3"},
                             {"factor", 8.0},
                             {"low_freq_factor", 4.0},
                             {"high_freq_factor", 4.0},
                             {"original_max_position_embeddings", 8192}};
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "model.rope.scaling.high_freq_factor is 4.0",
                         [&] { static_cast<void>(model_shape_from_json(json)); }));
  json["rope"]["scaling"].erase("low_freq_factor");
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "model.rope.scaling.low_freq_factor is missing",
                         [&] { static_cast<void>(model_shape_from_json(json)); }));
}

TEST(model_shape, anything_but_an_object_is_rejected) {
  for (const char* text : {"null", "[]", "3", "\"model\""}) {
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "expected an object", [&] {
      static_cast<void>(model_shape_from_json(ordered_json::parse(text)));
    })) << text;
  }
}

}  // namespace
}  // namespace kvsieve::traces
