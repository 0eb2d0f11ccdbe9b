#include "cost_tables.h"

#include <fmt/format.h>

#include <cmath>

#include "terminal.h"

namespace kvsieve::cli {
namespace {

/// "123 us", "12.3 ms": three significant digits.
std::string human_us(double us) {
  if (us >= 1e6) {
    return fmt::format("{:.3g} s", us * 1e-6);
  }
  return us >= 1e3 ? fmt::format("{:.3g} ms", us * 1e-3) : fmt::format("{:.3g} us", us);
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", share * 100.0);
}

std::string number(const std::optional<double>& value, const char* format = "{:.3g}") {
  return value ? fmt::format(fmt::runtime(format), *value) : "";
}

std::string tokens(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "never";
}

std::string method_text(const sim::CostMethod& method) {
  switch (method.family) {
    case sim::CostFamily::kFull:
      return method.name;
    case sim::CostFamily::kEviction:
      return fmt::format("{} at {}", method.name, method.budget.text());
    case sim::CostFamily::kRetrieval:
      break;
  }
  return fmt::format("{} at top {}, {}, {}", method.name, method.top.text(),
                     kernels::name_of(method.placement), kernels::name_of(method.schedule));
}

std::string memory_text(std::string_view where, double bytes, double capacity) {
  return fmt::format("{} {} of {}", where, human_bytes(bytes), human_bytes(capacity));
}

Table stage_table(const sim::CostReport& report, bool exact) {
  Table table({"stage", "lane", "us", "share", "bytes", "pieces", "regime", "median_error", "n"});
  for (const sim::StageCost& stage : report.cost.stages) {
    const auto band = stage.regime.empty() ? std::nullopt
                                           : sim::error_band(report.request.hardware, stage.regime);
    const bool moves = stage.bytes > 0.0;
    table.add(
        {std::string(sim::name_of(stage.stage)),
         std::string(sim::name_of(sim::lane_of(stage.stage))),
         exact ? fmt::format("{}", stage.us) : fmt::format("{:.1f}", stage.us),
         exact ? fmt::format("{}", stage.us / report.cost.serial_us)
               : percent(stage.us / report.cost.serial_us),
         moves ? fmt::format("{:.0f}", stage.bytes) : "",
         moves ? fmt::format("{:.0f}", stage.pieces) : "", std::string(stage.regime),
         band ? exact ? fmt::format("{}", band->median_error) : percent(band->median_error) : "",
         band ? std::to_string(band->n) : ""});
  }
  return table;
}

std::string report_lines(const sim::CostReport& report) {
  const sim::CostRequest& request = report.request;
  const sim::CostPoint& point = request.point;
  const sim::StepCost& cost = report.cost;
  std::string text =
      fmt::format("{} on {} ({}, {}), all modelled\n{}; context {}, batch {}, load {}\n\n",
                  request.model.id, request.hardware.name, request.hardware.link.name,
                  request.hardware.cpu.name, method_text(point.method), point.context, point.batch,
                  request.loads.layers > 0 ? "captured" : "stated");
  text += fmt::format("step          {} ({} to {} by the median errors of {} of its time)\n",
                      human_us(cost.step_us), human_us(report.band.low_us),
                      human_us(report.band.high_us), percent(report.band.covered_share));
  text += fmt::format("throughput    {:.4g} tokens/s\n", cost.tokens_per_second);
  text += fmt::format("prefill       {}\n", human_us(report.prefill_us));
  if (cost.to_gpu_bytes + cost.to_host_bytes > 0.0) {
    text += fmt::format("PCIe          {} to the GPU and {} to the host a step, {} of it exposed\n",
                        human_bytes(cost.to_gpu_bytes), human_bytes(cost.to_host_bytes),
                        human_us(cost.exposed_transfer_us));
    text += fmt::format("busy          GPU {}, CPU {}, to GPU {}, to host {}\n",
                        percent(cost.utilisation[static_cast<std::size_t>(sim::Lane::kGpu)]),
                        percent(cost.utilisation[static_cast<std::size_t>(sim::Lane::kCpu)]),
                        percent(cost.utilisation[static_cast<std::size_t>(sim::Lane::kToGpu)]),
                        percent(cost.utilisation[static_cast<std::size_t>(sim::Lane::kToHost)]));
  }
  text +=
      fmt::format("memory        {}, {}; at most {} sequences fit\n",
                  memory_text("GPU", static_cast<double>(report.memory.gpu_bytes(point.batch)),
                              request.hardware.gpu.memory_bytes.value * point.capacity.gpu_share),
                  memory_text("host", static_cast<double>(report.memory.host_bytes(point.batch)),
                              request.hardware.cpu.memory_bytes.value * point.capacity.host_share),
                  report.largest_batch);
  if (point.method.family != sim::CostFamily::kFull) {
    text += "full          ";
    if (report.full.step_us) {
      text += fmt::format("attention takes {} at this batch: {:.2f}x",
                          human_us(*report.full.step_us), *report.full.step_us / cost.step_us);
    } else {
      text += fmt::format("attention fits {} sequences, not {}", report.full.largest_batch,
                          point.batch);
    }
    if (report.full.best_tokens_per_second) {
      text += fmt::format("; {:.2f}x its throughput at batch {}",
                          cost.tokens_per_second / *report.full.best_tokens_per_second,
                          report.full.largest_batch);
    }
    text += "\n";
  }
  return text;
}

}  // namespace

std::string describe(const sim::CostReport& report, std::string_view format) {
  if (format != "table") {
    return stage_table(report, format == "csv").format(format);
  }
  return report_lines(report) + "\n" + stage_table(report, false).text();
}

std::string cost_lines(const sim::CostReport& report) {
  return report_lines(report);
}

std::string describe(const sim::CostTerms& terms, std::string_view format) {
  if (format == "table") {
    std::string text;
    for (const sim::CostTerm& term : terms) {
      text += fmt::format("{} = {:.6g} {}\n  formula  {}\n  inputs   {}\n  source   {}\n",
                          term.name, term.value, term.unit, term.formula, term.inputs, term.source);
    }
    return text;
  }
  Table table({"name", "value", "unit", "formula", "inputs", "source"});
  for (const sim::CostTerm& term : terms) {
    table.add({term.name, fmt::format("{}", term.value), term.unit, term.formula, term.inputs,
               term.source});
  }
  return table.format(format);
}

std::string describe(const sim::BreakEvenMap& map, const sim::CostRequest& request,
                     std::string_view format) {
  if (format == "csv") {
    Table table({"context", "batch", "full_tokens_per_second", "method_tokens_per_second",
                 "same_batch", "against_best"});
    for (const sim::BreakEvenPoint& point : map.points) {
      table.add({std::to_string(point.context), std::to_string(point.batch),
                 number(point.full_tokens_per_second, "{}"),
                 number(point.method_tokens_per_second, "{}"), number(point.same_batch, "{}"),
                 number(point.against_best, "{}")});
    }
    return table.format(format);
  }
  std::vector<std::string> header{"context",      "full_batch",   "full_tok/s",
                                  "method_batch", "method_tok/s", "ratio"};
  for (const sim::BreakEvenBatch& batch : map.batches) {
    header.push_back(fmt::format("b{}", batch.batch));
  }
  Table table(header);
  for (std::size_t c = 0; c < map.contexts.size(); ++c) {
    const sim::BreakEvenContext& context = map.contexts[c];
    std::vector<std::string> row{
        std::to_string(context.context),          std::to_string(context.full_batch),
        number(context.full_tokens_per_second),   std::to_string(context.method_batch),
        number(context.method_tokens_per_second), number(context.ratio, "{:.2f}")};
    for (std::size_t b = 0; b < map.batches.size(); ++b) {
      row.push_back(number(map.points[c * map.batches.size() + b].same_batch, "{:.2f}"));
    }
    table.add(row);
  }
  if (format != "table") {
    return table.format(format);
  }
  std::string text = fmt::format(
      "{} against full attention, {} on {} ({}, {}), all modelled\n"
      "ratio: throughput of each at its largest batch; b1, b2, ...: both at that batch\n\n{}\n",
      method_text(request.point.method), request.model.id, request.hardware.name,
      request.hardware.link.name, request.hardware.cpu.name, table.text());
  text +=
      fmt::format("pays from context {} at the largest batches\n", tokens(map.pays_from_context));
  for (const sim::BreakEvenBatch& batch : map.batches) {
    text += fmt::format("pays from context {} at batch {}\n", tokens(batch.pays_from_context),
                        batch.batch);
  }
  return text;
}

}  // namespace kvsieve::cli
