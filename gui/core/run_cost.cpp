#include "core/run_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>

#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

using sim::Node;

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::kBadInput, what, "make the run again with this version of the tool");
}

double required_number(const Node& node, std::string_view key) {
  const std::optional<double> number = node.number(key);
  if (!number) {
    fail(fmt::format("{}: {} is missing", node.path(), key));
  }
  return *number;
}

std::int64_t required_count(const Node& node, std::string_view key) {
  const std::int64_t count = node.integer_or(key, 0);
  if (count < 1) {
    fail(fmt::format("{}: {} is {}, expected 1 or more", node.path(), key, count));
  }
  return count;
}

Node required_child(const Node& node, std::string_view key) {
  const std::optional<Node> child = node.child(key);
  if (!child) {
    fail(fmt::format("{}: {} is missing", node.path(), key));
  }
  return *child;
}

sim::HardwareProfile hardware_of(const Node& node) {
  if (const std::optional<Node> profile = node.child("profile")) {
    return sim::hardware_from_json(profile->json());
  }
  const std::string id = node.text("id");
  const std::optional<sim::HardwareProfile> known = sim::find_hardware(id);
  if (!known) {
    fail(fmt::format("{}: id '{}' is no built-in hardware, and its profile is missing", node.path(),
                     id));
  }
  return *known;
}

sim::ModelDimensions model_of(const Node& node) {
  if (const std::optional<Node> dimensions = node.child("dimensions")) {
    return sim::model_from_json(dimensions->json());
  }
  const std::string id = node.text("id");
  const std::vector<std::string> ids = sim::model_ids();
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
    fail(fmt::format("{}: id '{}' is no built-in model, and its dimensions are missing",
                     node.path(), id));
  }
  return sim::load_model(id);
}

sim::CostFamily family_of(const Node& node) {
  const std::string name = node.text("family");
  for (const sim::CostFamily family :
       {sim::CostFamily::kFull, sim::CostFamily::kEviction, sim::CostFamily::kRetrieval}) {
    if (name == sim::name_of(family)) {
      return family;
    }
  }
  fail(fmt::format("{}: family is '{}', expected full, eviction or retrieval", node.path(), name));
}

/// The preset of this name, for what an index is made of; the document has the rest.
sim::CostMethod preset(const std::string& name, sim::CostFamily family) {
  for (const sim::CostMethod& method : sim::cost_methods()) {
    if (method.name == name && method.family == family) {
      return method;
    }
  }
  sim::CostMethod method;
  method.name = name;
  method.family = family;
  return method;
}

sim::CostMethod method_of(const Node& node) {
  sim::CostMethod method = preset(node.text("name"), family_of(node));
  if (method.family == sim::CostFamily::kEviction) {
    method.budget = sim::Budget::parse(node.text("budget"));
    method.longest_over_mean = required_number(node, "longest_over_mean");
  }
  if (method.family != sim::CostFamily::kRetrieval) {
    return method;
  }
  method.top = sim::TopBudget::parse(node.text("top"));
  method.sinks = node.integer_or("sinks", method.sinks);
  method.window = node.integer_or("window", method.window);
  method.placement = kernels::placement_from_name(node.text("placement"));
  method.schedule = kernels::schedule_from_name(node.text("schedule"));
  if (const std::optional<std::int64_t> codewords = node.integer("codewords")) {
    method.index.codes = true;
    method.index.codewords = *codewords;
    method.index.packed = node.flag("packed_codes", method.index.packed);
    method.index.buckets = node.flag("buckets", method.index.buckets);
  }
  method.index.bytes_per_token = node.number("index_bytes_per_token").value_or(0.0);
  if (const std::string path = node.text("fetch_path"); !path.empty()) {
    method.fetch_path = sim::fetch_path_from_name(path);
  }
  method.hot_buffer = node.integer_or("hot_buffer", 0);
  method.hit_rate = node.number("hit_rate").value_or(method.hit_rate);
  method.union_factor = node.number("union_factor");
  method.run_tokens = node.number("run_tokens").value_or(method.run_tokens);
  return method;
}

/// The share of a memory that may be used.
double usable_share(const Node& memory) {
  return required_number(memory, "usable_bytes") / required_number(memory, "capacity_bytes");
}

sim::StepLoads eviction_loads(const sim::RunView& view) {
  const double kv_heads =
      static_cast<double>(required_count(required_child(view.document, "trace"), "Hkv"));
  std::vector<sim::LayerLoad> layers;
  for (const sim::LayerView& layer : view.layers) {
    if (layer.heads.empty()) {
      continue;
    }
    double total = 0.0;
    double longest = 0.0;
    for (const Node& head : layer.heads) {
      const double budget = required_number(head, "budget");
      total += budget;
      longest = std::max(longest, budget);
    }
    const double mean = total / static_cast<double>(layer.heads.size());
    sim::LayerLoad& load = layers.emplace_back();
    load.kept_share =
        total / kv_heads / static_cast<double>(std::max<std::int64_t>(view.trace.prompt_tokens, 1));
    load.longest_over_mean = mean > 0.0 ? longest / mean : 1.0;
  }
  sim::StepLoads loads;
  loads.layers = static_cast<std::int64_t>(layers.size());
  for (std::int64_t step = 0; step < std::max<std::int64_t>(view.trace.decode_steps, 1); ++step) {
    loads.loads.insert(loads.loads.end(), layers.begin(), layers.end());
  }
  return loads;
}

/// Sums over a layer's heads at one step.
struct HeadSums {
  double tokens = 0.0;
  double hits = 0.0;
  double runs = 0.0;
};

sim::StepLoads retrieval_loads(const sim::RunView& view) {
  const bool buffered = view.method.integer_or("hot_buffer_tokens", 0) > 0;
  const std::size_t steps = view.steps.size();
  sim::StepLoads loads;
  loads.layers = static_cast<std::int64_t>(view.layers.size());
  loads.loads.resize(steps * view.layers.size());
  for (std::size_t l = 0; l < view.layers.size(); ++l) {
    const sim::LayerView& layer = view.layers[l];
    std::vector<HeadSums> sums(steps);
    for (const Node& head : layer.heads) {
      const std::vector<Node> entries = head.children("steps");
      if (entries.size() != steps) {
        fail(fmt::format("{}: steps has {} entries, expected {}", head.path(), entries.size(),
                         steps));
      }
      for (std::size_t step = 0; step < steps; ++step) {
        sums[step].tokens += required_number(entries[step], "union_tokens");
        sums[step].hits += required_number(entries[step], "hot_hits");
        sums[step].runs += required_number(entries[step], "fetch_pieces");
      }
    }
    if (layer.heads.empty()) {
      fail(fmt::format("{}: heads is empty", layer.node.path()));
    }
    for (std::size_t step = 0; step < steps; ++step) {
      const double context =
          static_cast<double>(view.trace.prompt_tokens) + static_cast<double>(step) + 1.0;
      const HeadSums& sum = sums[step];
      sim::LayerLoad& load = loads.loads[step * view.layers.size() + l];
      load.union_share = sum.tokens / static_cast<double>(layer.heads.size()) / context;
      load.miss_share = buffered && sum.tokens > 0.0 ? 1.0 - sum.hits / sum.tokens : 1.0;
      load.run_share = sum.tokens > 0.0 ? sum.runs / sum.tokens : 1.0;
    }
  }
  return loads;
}

/// What `read` makes of the cost of a run on hardware, if it has one.
template <class Read>
auto with_cost(const Run& run, const Read& read)
    -> std::optional<std::invoke_result_t<Read, const Node&>> {
  const std::optional<Node> cost = run.view().document.child("cost");
  if (!cost || !cost->number("step_us")) {
    return std::nullopt;
  }
  try {
    return read(*cost);
  } catch (const Error& error) {
    // A name that an option would refuse is damage here.
    throw Error(ErrorKind::kBadInput, fmt::format("{}: {}", run.name().toStdString(), error.what()),
                error.hint());
  }
}

}  // namespace

sim::StepLoads run_loads(const Run& run) {
  return run.view().family == sim::Family::kEviction ? eviction_loads(run.view())
                                                     : retrieval_loads(run.view());
}

std::optional<sim::HardwareProfile> run_hardware(const Run& run) {
  return with_cost(run,
                   [](const Node& cost) { return hardware_of(required_child(cost, "hardware")); });
}

std::optional<sim::ModelDimensions> run_model(const Run& run) {
  return with_cost(run, [](const Node& cost) { return model_of(required_child(cost, "model")); });
}

std::optional<sim::CostRequest> run_cost_request(const Run& run) {
  return with_cost(run, [&](const Node& cost) {
    sim::CostRequest request;
    request.hardware = hardware_of(required_child(cost, "hardware"));
    request.model = model_of(required_child(cost, "model"));
    request.point.method = method_of(required_child(cost, "method"));
    request.point.context = required_count(cost, "context");
    request.point.batch = required_count(cost, "batch");
    request.point.capacity.element_bytes = required_count(cost, "kv_element_bytes");
    const Node memory = required_child(cost, "memory");
    request.point.capacity.gpu_share = usable_share(required_child(memory, "gpu"));
    request.point.capacity.host_share = usable_share(required_child(memory, "host"));
    request.loads = run_loads(run);
    request.steps = std::max<std::int64_t>(request.loads.steps(), 1);
    return request;
  });
}

}  // namespace kvsieve::gui
