#include "run_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "terminal.h"

namespace kvsieve::cli {
namespace {

/// Four digits, and powers of ten only for numbers that would be long without them.
std::string number(double value) {
  const double size = std::abs(value);
  return size >= 1e4 && size < 1e7 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

std::string number(const std::optional<double>& value) {
  return value ? number(*value) : "-";
}

/// A number in a table: short for people, every digit for programs; empty if there is none.
std::string cell(double value, bool exact) {
  return exact ? fmt::format("{}", value) : number(value);
}

std::string cell(const std::optional<double>& value, bool exact) {
  return value ? cell(*value, exact) : "";
}

std::string percent(double value) {
  return fmt::format("{:.2f}%", 100.0 * value);
}

std::string percent(const std::optional<double>& value) {
  return value ? percent(*value) : "-";
}

std::string trace_line(const traces::Trace& trace) {
  const traces::TraceHeader& header = trace.header();
  return fmt::format("{}: {}, {} prompt tokens, {} decode steps, {} of {} layers captured\n",
                     one_line(trace.path().filename().string()), one_line(header.model.name),
                     header.prompt_tokens, header.decode_tokens, header.captured_layers.size(),
                     header.model.layers);
}

/// Whether a method acted on any layer; without one there is nothing to sum up.
template <class Result>
bool touched(const Result& result) {
  return std::any_of(result.layers.begin(), result.layers.end(),
                     [](const auto& layer) { return layer.touched; });
}

std::string eviction_summary(const traces::Trace& trace, const sim::EvictionResult& result) {
  const sim::EvictionSummary& summary = result.summary;
  std::string text = trace_line(trace);
  if (!touched(result)) {
    return text;
  }
  const bool evicts = result.plan.method.scorer != sim::Scorer::kNone;
  text += fmt::format("{}{}: {:.1f} of {} tokens a {} head kept\n", result.method_name,
                      evicts ? " at budget " + result.plan.budget.text() : "",
                      summary.kept_tokens_per_head_mean, trace.header().prompt_tokens,
                      name_of(result.plan.method.granularity));
  if (!summary.decode) {
    return text;
  }
  const bool l1 = result.losses == sim::Losses::kProjected;
  text += fmt::format("  on {} unseen decode steps: evicted mass {}", trace.header().decode_tokens,
                      percent(summary.decode->evicted_mass));
  text += l1 ? fmt::format(", L1 loss {} ({} of the output)\n", number(summary.decode->l1_loss),
                           percent(summary.decode->l1_loss_relative))
             : "\n";
  if (result.bound) {
    text += fmt::format("  bounds: theta {}, per head {}, eps {}\n",
                        number(summary.decode->bounds.theta), number(summary.decode->bounds.head),
                        number(summary.decode->bounds.eps));
  }
  if (result.plan.method.adaptive) {
    text += fmt::format(
        "  against uniform at the same total: evicted mass x{} (better in {} of {} layers)",
        number(summary.ratio.evicted_mass), summary.ratio.layers_improved_mass,
        summary.ratio.layers);
    text += l1 ? fmt::format(", L1 loss x{} (better in {})\n", number(summary.ratio.l1_loss),
                             summary.ratio.layers_improved_l1)
               : "\n";
  }
  if (const auto& needle = trace.header().needle) {
    const std::int64_t tokens = needle->end - needle->begin;
    std::int64_t kept = 0;
    std::int64_t heads = 0;
    for (const sim::LayerEviction& layer : result.layers) {
      for (const sim::HeadEviction& head : layer.heads) {
        kept += head.needle_kept;
        ++heads;
      }
    }
    text += fmt::format("  needle: {} of its {} tokens kept a head on average\n",
                        number(static_cast<double>(kept) / static_cast<double>(heads)), tokens);
  }
  return text;
}

Table eviction_table(const sim::EvictionResult& result, bool exact) {
  const bool adaptive = result.plan.method.adaptive;
  const bool l1 = result.losses == sim::Losses::kProjected;
  std::vector<std::string> header{"layer", "budgets", "evicted_mass"};
  const auto add_columns = [&](bool wanted, std::initializer_list<const char*> names) {
    if (wanted) {
      header.insert(header.end(), names.begin(), names.end());
    }
  };
  add_columns(l1, {"l1_loss", "l1_loss_relative"});
  add_columns(adaptive, {"uniform_evicted_mass"});
  add_columns(adaptive && l1, {"uniform_l1_loss"});
  add_columns(result.bound, {"bound"});
  Table table(header);
  for (const sim::LayerEviction& layer : result.layers) {
    std::vector<std::string> row{std::to_string(layer.layer)};
    if (!layer.touched) {
      row.emplace_back(exact ? "" : "whole (sliding window)");
      row.resize(header.size());
      table.add(row);
      continue;
    }
    std::vector<std::int64_t> budgets;
    for (const sim::HeadEviction& head : layer.heads) {
      budgets.push_back(head.budget);
    }
    row.push_back(fmt::format("{}", fmt::join(budgets, " ")));
    if (layer.decode) {
      row.push_back(cell(layer.decode->evicted_mass, exact));
      if (l1) {
        row.push_back(cell(layer.decode->l1_loss, exact));
        row.push_back(cell(layer.decode->l1_loss_relative, exact));
      }
      if (adaptive) {
        row.push_back(cell(layer.uniform->evicted_mass, exact));
      }
      if (adaptive && l1) {
        row.push_back(cell(layer.uniform->l1_loss, exact));
      }
      if (result.bound) {
        row.push_back(cell(layer.decode->bounds.eps, exact));
      }
    }
    row.resize(header.size());
    table.add(row);
  }
  return table;
}

/// Mean over KV heads, where codes were compared.
std::optional<double> code_agreement(const sim::RetrievalResult& result) {
  double sum = 0.0;
  double heads = 0.0;
  for (const sim::LayerRetrieval& layer : result.layers) {
    for (const sim::HeadRetrieval& head : layer.heads) {
      if (head.code_usage && head.code_usage->agreement) {
        sum += *head.code_usage->agreement;
        heads += 1.0;
      }
    }
  }
  return heads > 0.0 ? std::optional(sum / heads) : std::nullopt;
}

/// What running the decode steps on a backend showed; nothing if none did.
std::string describe_decode(const sim::RetrievalResult& result) {
  if (!result.decode) {
    return "";
  }
  const sim::DecodeReport& decode = *result.decode;
  const auto steps = static_cast<double>(result.steps.size());
  std::string text =
      fmt::format("  decode steps on {}, {}, {} sequence{}: ", name_of(decode.backend),
                  name_of(decode.schedule), decode.sequences, decode.sequences == 1 ? "" : "s");
  text += decode.step_us ? fmt::format("{:.0f} us a step (measured)\n", *decode.step_us)
                         : "no times, the executor's mean nothing\n";
  for (const sim::StageLatency& stage : decode.stages) {
    text += fmt::format("    {:<19} {:>9.1f} us, at most {:.1f}\n", name_of(stage.stage),
                        stage.mean_us, stage.max_us);
  }
  if (decode.counted) {
    text += fmt::format("    bus, counted: {} to the GPU, {} to the host, {} copies a step\n",
                        human_bytes(static_cast<double>(decode.counted->to_gpu_bytes) / steps),
                        human_bytes(static_cast<double>(decode.counted->to_host_bytes) / steps),
                        number(static_cast<double>(decode.counted->copies) / steps));
  }
  return text + fmt::format("    outputs within {:.1e} of the replay's\n", decode.output_deviation);
}

std::string retrieval_summary(const traces::Trace& trace, const sim::RetrievalResult& result) {
  const sim::RetrievalOptions& options = result.options;
  const sim::RetrievalFigures& summary = result.summary;
  std::string text = trace_line(trace);
  if (!touched(result)) {
    return text;
  }
  const bool retrieves = options.scorer != sim::RetrievalScorer::kNone;
  text += fmt::format("{}{}: {:.1f} tokens attended a KV head and step\n", options.name,
                      retrieves ? " top " + options.top.text() : "", summary.attended_tokens);
  if (result.codebook) {
    text += fmt::format(
        "  codebook: {}{}, {} codewords in {}, {}\n", name_of(result.codebook->info.kind),
        result.codebook->info.center_keys ? " of centred keys" : "",
        result.codebook->info.codewords, sim::codebook_dtype_name(options.codebook_dtype),
        result.codebook->given ? "given" : "trained in-sample on this trace's own prompt");
    if (const std::optional<double> agreement = code_agreement(result)) {
      text += fmt::format("  codes equal those of the fp32 codebook for {} of the tokens\n",
                          percent(agreement));
    }
  }
  if (result.index) {
    text += fmt::format("  index: {} bytes a token and KV head, {} besides; a step reads {}\n",
                        number(result.index->per_token),
                        human_bytes(static_cast<double>(result.index->fixed)),
                        human_bytes(summary.index_read_bytes));
  }
  if (result.selected) {
    text += fmt::format(
        "  tokens a query head and step: mean {}, 10% {}, median {}, 90% {}, largest {}; {} take K "
        "or more\n",
        number(summary.selected_tokens), result.selected->p10, result.selected->median,
        result.selected->p90, result.selected->largest, percent(result.selected->at_top));
  }
  if (retrieves) {
    text += fmt::format("  recall {} of the exact top K", percent(summary.recall));
    const bool split = result.codebook && options.scorer != sim::RetrievalScorer::kVqPostRope;
    text += split ? fmt::format("; windowed RoPE alone {}, codes given it {}\n",
                                percent(summary.wrope_recall), percent(summary.recall_vs_wrope))
                  : "\n";
  }
  text += fmt::format("  captured mass {} (retrieved part {}), output error {}, L1 loss {} ({})\n",
                      percent(summary.captured_mass), percent(summary.retrieved_mass),
                      percent(result.loss.output_error), number(result.loss.l1_loss),
                      percent(result.loss.l1_loss_relative));
  text += "  PCIe a step over the replayed layers (modelled): ";
  for (const kernels::Placement placement : kernels::kPlacements) {
    const sim::PcieTraffic& traffic = summary.pcie_of(placement);
    if (placement != kernels::Placement::kFetchHotBuffer || options.hot_buffer > 0) {
      text +=
          fmt::format("{}{} {} in {} pieces", placement == kernels::kPlacements.front() ? "" : ", ",
                      name_of(placement), human_bytes(traffic.bytes()), number(traffic.pieces));
    }
  }
  text += "\n";
  if (retrieves) {
    text += fmt::format("  union factor {}, step-to-step overlap {}, hot buffer {}\n",
                        number(summary.union_factor), percent(summary.overlap),
                        options.hot_buffer > 0 ? "hits " + percent(summary.hot_hit_rate) : "off");
  }
  if (summary.needle_recall) {
    text += fmt::format("  needle: {} of its tokens retrieved\n", percent(summary.needle_recall));
  }
  return text + describe_decode(result);
}

Table retrieval_table(const sim::RetrievalResult& result, bool exact) {
  const std::vector<std::string> header{
      "layer",         "recall",           "wrope_recall",     "recall_vs_wrope",
      "captured_mass", "output_error",     "l1_loss_relative", "union_tokens",
      "overlap",       "index_read_bytes", "pcie_bytes",       "pcie_pieces"};
  Table table(header);
  for (const sim::LayerRetrieval& layer : result.layers) {
    if (!layer.touched) {
      std::vector<std::string> row{std::to_string(layer.layer)};
      row.emplace_back(exact ? "" : "whole (sliding window)");
      row.resize(header.size());
      table.add(row);
      continue;
    }
    const sim::RetrievalFigures& figures = layer.figures;
    table.add({std::to_string(layer.layer), cell(figures.recall, exact),
               cell(figures.wrope_recall, exact), cell(figures.recall_vs_wrope, exact),
               cell(figures.captured_mass, exact), cell(layer.loss.output_error, exact),
               cell(layer.loss.l1_loss_relative, exact), cell(figures.union_tokens, exact),
               cell(figures.overlap, exact), cell(figures.index_read_bytes, exact),
               cell(figures.pcie_of(result.options.placement).bytes(), exact),
               cell(figures.pcie_of(result.options.placement).pieces, exact)});
  }
  return table;
}

/// The summary's indented lines become a list in Markdown, which would join them otherwise.
std::string as_list(const std::string& summary) {
  std::string list;
  for (std::size_t begin = 0; begin < summary.size();) {
    const std::size_t end = summary.find('\n', begin) + 1;
    const std::size_t text = summary.find_first_not_of(' ', begin);
    list += (text == begin ? "- " : "  - ") + summary.substr(text, end - text);
    begin = end;
  }
  return list;
}

std::string join(const std::string& summary, const Table& table, std::string_view format) {
  if (format == "csv") {
    return table.csv();
  }
  return (format == "md" ? as_list(summary) : summary) + "\n" + table.format(format);
}

}  // namespace

std::string describe(const traces::Trace& trace, const sim::EvictionResult& result,
                     std::string_view format) {
  return join(eviction_summary(trace, result), eviction_table(result, format == "csv"), format);
}

std::string describe(const traces::Trace& trace, const sim::RetrievalResult& result,
                     std::string_view format) {
  return join(retrieval_summary(trace, result), retrieval_table(result, format == "csv"), format);
}

}  // namespace kvsieve::cli
