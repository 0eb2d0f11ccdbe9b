#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "cost_options.h"
#include "cost_tables.h"
#include "kvsieve/sim/break_even.h"
#include "kvsieve/sim/cost_report.h"
#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"
#include "output_path.h"
#include "terminal.h"
#include "verb.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

constexpr std::int64_t kMostContext = std::int64_t{1} << 30;
constexpr std::int64_t kMostSteps = 4096;

/// The comma-separated whole numbers of an option, ascending; powers of two if it is not given.
std::vector<std::int64_t> grid(const Arguments& arguments, const std::string& name,
                               std::int64_t first, std::int64_t last, std::int64_t most) {
  std::vector<std::int64_t> values;
  if (!arguments.has(name)) {
    for (std::int64_t value = first; value <= last; value *= 2) {
      values.push_back(value);
    }
    return values;
  }
  for (const std::string& text : split_list(arguments.get<std::string>(name))) {
    const auto value = whole_number(text);
    if (!value || *value < 1 || *value > most) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--{}: '{}' is no whole number from 1 to {}", name, text, most),
                  fmt::format("for example --{} 1,8,64", name));
    }
    values.push_back(*value);
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// The ids that an option takes, with what they stand for and where it is from.
int print_list(const std::string& what, std::string_view format) {
  Table table({"id", "name", "numbers", "source", "verified"});
  if (what == "hardware") {
    for (const std::string& id : sim::hardware_ids()) {
      const sim::HardwareProfile profile = sim::load_hardware(id);
      table.add({id, profile.name,
                 fmt::format("{} SMs, {} GB/s, {} TFLOPS bf16, {}, {}", profile.gpu.sms.value,
                             profile.gpu.memory_gbps.value, profile.gpu.bf16_tflops.value,
                             profile.link.id, profile.cpu.id),
                 profile.gpu.memory_gbps.source, profile.gpu.memory_gbps.verified ? "yes" : "no"});
    }
  } else if (what == "links") {
    for (const std::string& id : sim::link_ids()) {
      const sim::LinkSpec link = sim::load_link(id);
      table.add({id, link.name, fmt::format("{} GB/s a direction", link.to_gpu.spec_gbps.value),
                 link.to_gpu.spec_gbps.source, link.to_gpu.spec_gbps.verified ? "yes" : "no"});
    }
  } else if (what == "cpus") {
    for (const std::string& id : sim::cpu_ids()) {
      const sim::CpuSpec cpu = sim::load_cpu(id);
      table.add(
          {id, cpu.name,
           fmt::format("{} cores, {}, {} GB/s", cpu.cores.value, cpu.isa, cpu.dram_gbps.value),
           cpu.dram_gbps.source, cpu.dram_gbps.verified ? "yes" : "no"});
    }
  } else if (what == "models") {
    for (const std::string& id : sim::model_ids()) {
      const sim::ModelDimensions model = sim::load_model(id);
      table.add({id, model.name,
                 fmt::format("L {}, Hq {}, Hkv {}, d {}, D {}", model.layers, model.q_heads,
                             model.kv_heads, model.head_dim, model.width),
                 model.source, model.verified ? "yes" : "no"});
    }
  } else {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--list '{}' is unknown, supported: hardware, links, cpus, models", what));
  }
  std::cout << table.format(format);
  return 0;
}

void print_json(const nlohmann::ordered_json& json) {
  std::cout << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
}

}  // namespace

int run_cost(const std::vector<std::string>& words) {
  std::string format;
  std::string timeline_path;
  std::int64_t steps = 0;
  bool force = false;
  bool explain = false;
  bool map = false;
  std::string list;
  Arguments arguments(
      "cost [options]",
      "Models a decode step of a method on hardware: time of every stage, throughput, memory,\n"
      "transfers, and what is off by how much. Nothing is measured. `kvsieve run` does the same "
      "with\n"
      "what a trace's method kept or retrieved.",
      {"kvsieve cost --method a2ats --context 131072 --batch 16 --hardware a100-sxm-80",
       "kvsieve cost --method ada-snapkv --budget 20% --context 32768 --batch max",
       "kvsieve cost --method a2ats --break-even --hardware h100-sxm --format csv",
       "kvsieve cost --method a2ats --schedule overlapped --batch 8 --timeline step.json",
       "kvsieve cost --method full --explain"});
  add_cost_method_options(arguments);
  add_hardware_options(arguments, "32768 if not given");
  arguments.options("Output")("format", po::value(&format)->default_value("table"),
                              "table, json, csv or md")(
      "explain", po::bool_switch(&explain), "every term with its formula, inputs and source")(
      "break-even", po::bool_switch(&map),
      "from which context and batch the method pays against full attention")(
      "contexts", po::value<std::string>(), "of the map, e.g. 4096,32768; powers of two otherwise")(
      "batches", po::value<std::string>(), "of the map, e.g. 1,8; powers of two otherwise")(
      "timeline", po::value(&timeline_path), "also write a Chrome/Perfetto trace of --steps steps")(
      "steps", po::value(&steps)->default_value(2), "of the timeline")(
      "list", po::value(&list),
      "print what there is with its sources: hardware, links, cpus or models")(
      "force", po::bool_switch(&force), "replace an existing timeline file");
  if (!arguments.parse(words)) {
    return 0;
  }
  if (!list.empty()) {
    return print_list(list, format);
  }
  if (format != "json") {
    static_cast<void>(Table({}).format(format));
  }
  if (explain && map) {
    throw Error(ErrorKind::kUsage, "--explain and --break-even exclude each other");
  }
  const sim::ModelDimensions model = sim::load_model(arguments.get<std::string>("model-shape"));
  sim::CostRequest request = hardware_request(arguments, model, 32'768);
  request.point.method = read_cost_method(arguments, model);
  request.steps = arguments.at_least(1, "steps");
  if (request.steps > kMostSteps) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--steps is {}, expected 1 to {}", request.steps, kMostSteps));
  }
  if (!timeline_path.empty()) {
    check_output(timeline_path, force, {});
  }
  if (map) {
    const std::vector<std::int64_t> contexts =
        grid(arguments, "contexts", 1024, std::max<std::int64_t>(model.max_context, 131'072),
             kMostContext);
    const std::vector<std::int64_t> batches =
        grid(arguments, "batches", 1, 64, sim::kMostSequences);
    const sim::BreakEvenMap found = sim::break_even(request, contexts, batches);
    if (format == "json") {
      print_json(sim::to_json(found));
    } else {
      std::cout << describe(found, request, format);
    }
    return 0;
  }
  const sim::CostReport report = sim::cost_report(request);
  if (!timeline_path.empty()) {
    const sim::Timeline timeline = sim::cost_timeline(report.request);
    const std::string title =
        fmt::format("{} {} on {}", model.id, request.point.method.name, request.hardware.id);
    traces::write_file(timeline_path,
                       sim::chrome_trace(timeline, sim::simulate(timeline), title, 0,
                                         static_cast<std::int32_t>(request.steps))
                           .dump(),
                       force);
  }
  if (explain) {
    const sim::CostTerms terms =
        sim::StepModel(report.request.hardware, model).explain(report.request.point);
    if (format == "json") {
      print_json(sim::to_json(terms));
    } else {
      std::cout << describe(terms, format);
    }
    return 0;
  }
  if (!report.fits) {
    warn(fmt::format("a batch of {} does not fit: at most {} sequences do",
                     report.request.point.batch, report.largest_batch));
  }
  if (format == "json") {
    print_json(sim::to_json(report));
  } else {
    std::cout << describe(report, format);
  }
  return 0;
}

}  // namespace kvsieve::cli
