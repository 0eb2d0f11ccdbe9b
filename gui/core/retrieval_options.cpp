#include "core/retrieval_options.h"

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

using sim::Node;

/// A share as the exact decimal that it was given as.
kernels::Decimal decimal_of(double value) {
  return kernels::Decimal::parse(fmt::format("{:.9g}", value));
}

std::uint64_t seed_of(const Node& method) {
  const auto found = method.json().find("seed");
  if (found == method.json().end() || !found->is_number_unsigned()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: seed is missing or no integer of 0 or more", method.path()));
  }
  return found->get<std::uint64_t>();
}

std::filesystem::path codebook_path(const std::string& named, const Run& run) {
  std::error_code ignored;
  const std::filesystem::path path(named);
  if (std::filesystem::exists(path, ignored)) {
    return path;
  }
  const std::filesystem::path folder =
      std::filesystem::path(run.path().toStdString()).parent_path();
  for (const std::filesystem::path& candidate : {folder / path, folder / path.filename()}) {
    if (std::filesystem::exists(candidate, ignored)) {
      return candidate;
    }
  }
  throw Error(ErrorKind::kBadInput, fmt::format("the run's codebook {} is not there", named),
              "put it back, or beside the run's file");
}

std::shared_ptr<const sim::Codebook> given_codebook(const Node& node, const Run& run) {
  const std::string named = node.text("path");
  if (named.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: path is missing, the run was made with a codebook file that it "
                            "does not name",
                            node.path()),
                "make the run again with this version of the tool");
  }
  const std::filesystem::path path = codebook_path(named, run);
  auto codebook = std::make_shared<const sim::Codebook>(sim::Codebook::open(path));
  const sim::CodebookInfo& info = codebook->info();
  std::vector<std::string> hashes;
  for (const Node& trace : node.children("traces")) {
    hashes.push_back(trace.text("hash"));
  }
  bool same = info.codewords == node.integer_or("codewords", 0) &&
              name_of(info.kind) == node.text("kind") && info.traces.size() == hashes.size();
  for (std::size_t i = 0; same && i < hashes.size(); ++i) {
    same = info.traces[i].hash == hashes[i];
  }
  if (!same) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("{} is another codebook by now than the run was made with", path.string()));
  }
  return codebook;
}

void read_codebook(const Node& node, const Run& run, sim::RetrievalOptions& options) {
  options.codebook_dtype = sim::codebook_dtype_from_name(node.text("dtype", "fp32"));
  if (node.flag("given", false)) {
    options.codebook = given_codebook(node, run);
    return;
  }
  options.codewords = node.integer_or("codewords", options.codewords);
  options.center_keys = node.flag("center_keys", options.center_keys);
  options.max_iterations = node.integer_or("iterations", options.max_iterations);
}

}  // namespace

sim::RetrievalOptions retrieval_options(const Run& run) {
  const sim::RunView& view = run.view();
  if (view.family != sim::Family::kRetrieval) {
    throw Error(ErrorKind::kUsage, view.method_name + " evicts tokens and retrieves none");
  }
  const Node& method = view.method;
  sim::RetrievalOptions options;
  options.name = view.method_name;
  options.scorer = sim::retrieval_scorer_from_name(method.text("scorer"));
  if (options.scorer != sim::RetrievalScorer::kNone) {
    options.top = sim::TopBudget::parse(method.text("top"));
    options.budget = sim::retrieval_budget_from_name(method.text("retrieval_budget", "uniform"));
  }
  if (const std::optional<double> alpha = method.number("alpha")) {
    options.alpha = decimal_of(*alpha);
  }
  if (const std::optional<double> mass = method.number("mass")) {
    options.mass = decimal_of(*mass);
  }
  options.pq_subvectors = method.integer_or("pq_subvectors", options.pq_subvectors);
  options.pq_bits = method.integer_or("pq_bits", options.pq_bits);
  options.channels = method.integer_or("channels", options.channels);
  options.codewords = method.integer_or("codewords", options.codewords);
  options.max_iterations = method.integer_or("iterations", options.max_iterations);
  options.sinks = method.integer_or("sinks", options.sinks);
  options.window = method.integer_or("window", options.window);
  options.distance = method.integer_or("wrope_distance", options.distance);
  options.final_attention = sim::final_attention_from_name(method.text("final_attention", "exact"));
  options.placement = kernels::placement_from_name(method.text("placement", "fetch-dma"));
  options.hot_buffer = method.integer_or("hot_buffer_tokens", 0);
  options.hot_policy = sim::hot_policy_from_name(method.text("hot_policy", "lru"));
  options.seed = seed_of(method);
  for (const sim::LayerView& layer : view.layers) {
    options.layers.push_back(layer.layer);
  }
  if (const std::optional<Node> node = method.child("codebook")) {
    read_codebook(*node, run, options);
  }
  return options;
}

}  // namespace kvsieve::gui
