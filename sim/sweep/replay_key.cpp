#include "sweep/replay_key.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "kvsieve/kernels/instruction_set.h"
#include "kvsieve/sim/version.h"

namespace kvsieve::sim {
namespace {

using nlohmann::ordered_json;

ordered_json key_head(std::string_view family, std::string_view trace_hash) {
  return {{"family", family},
          {"tool_version", version()},
          {"isa", kernels::instruction_set()},
          {"trace", trace_hash}};
}

std::string digits(const XXH128_hash_t& hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

ordered_json replay_key(std::string_view trace_hash, const EvictionPlan& plan,
                        const EvictionOptions& options) {
  const EvictionMethod& method = plan.method;
  ordered_json key = key_head("eviction", trace_hash);
  key["name"] = method.name;
  key["scorer"] = name_of(method.scorer);
  key["pool"] = name_of(method.pool);
  key["group_reduce"] = name_of(method.group_reduce);
  key["granularity"] = name_of(method.granularity);
  key["layer_rule"] = name_of(method.layer_rule);
  key["adaptive"] = method.adaptive;
  key["alpha"] = method.alpha.text();
  key["alpha_mode"] = name_of(method.alpha_mode);
  key["two_stage"] = method.two_stage;
  key["window"] = method.window;
  key["sinks"] = method.sinks;
  key["seed"] = method.seed;
  key["budget"] = plan.budget.text();
  key["layers"] = options.layers;
  key["losses"] = name_of(options.losses);
  key["bound"] = options.bound;
  key["backend"] = kernels::name_of(options.backend);
  return key;
}

ordered_json replay_key(std::string_view trace_hash, const RetrievalOptions& options,
                        std::string_view codebook_hash) {
  ordered_json key = key_head("retrieval", trace_hash);
  key["name"] = options.name;
  key["scorer"] = name_of(options.scorer);
  key["top"] = options.top.text();
  key["budget"] = name_of(options.budget);
  key["alpha"] = options.alpha.text();
  key["mass"] = options.mass ? options.mass->text() : "none";
  key["sinks"] = options.sinks;
  key["window"] = options.window;
  key["distance"] = options.distance;
  key["final_attention"] = name_of(options.final_attention);
  key["codebook"] = codebook_hash;
  key["codewords"] = options.codewords;
  key["max_iterations"] = options.max_iterations;
  key["moment"] = name_of(options.moment);
  key["center_keys"] = options.center_keys;
  key["codebook_dtype"] = traces::name_of(options.codebook_dtype);
  key["pq_subvectors"] = options.pq_subvectors;
  key["pq_bits"] = options.pq_bits;
  key["channels"] = options.channels;
  key["hot_buffer"] = options.hot_buffer;
  key["hot_policy"] = name_of(options.hot_policy);
  key["layers"] = options.layers;
  key["seed"] = options.seed;
  return key;
}

std::string content_hash(const Codebook& codebook) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  const auto add = [&](std::string_view bytes) {
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
  };
  const CodebookInfo& info = codebook.info();
  ordered_json head = {{"kind", name_of(info.kind)},
                       {"moment", name_of(info.moment)},
                       {"center_keys", info.center_keys},
                       {"codewords", info.codewords},
                       {"distance", info.distance}};
  for (const CodebookLayer& layer : codebook.layers()) {
    head["layers"].push_back(layer.layer);
  }
  add(head.dump());
  for (const CodebookLayer& layer : codebook.layers()) {
    for (const traces::TensorView* tensor : {&layer.codewords, &layer.cholesky, &layer.mean}) {
      add(fmt::format("{} {}", traces::name_of(tensor->dtype), tensor->bytes()));
      add({reinterpret_cast<const char*>(tensor->data), tensor->bytes()});
    }
  }
  return digits(XXH3_128bits_digest(state.get()));
}

std::string text_hash(std::string_view text) {
  return digits(XXH3_128bits(text.data(), text.size()));
}

}  // namespace kvsieve::sim
