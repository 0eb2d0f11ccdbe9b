#include "core/head_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "kvsieve/sim/run_series.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::gui {
namespace {

using sim::Node;
using sim::RunView;
using sim::Unit;

/// A figure that is a number of a head's entry.
struct Field {
  const char* key;
  const char* name;
  const char* formula;
  Unit unit;
};

constexpr std::array kEvictionFields{
    Field{"evicted_mass", "evicted mass", "1 - F, mean over decode queries", Unit::kShare},
    Field{"l1_loss", "L1 loss", "‖Σ (A - Â) V W_O‖₁ of the head's queries, mean over decode steps",
          Unit::kNumber}};

constexpr std::array kRetrievalFields{
    Field{"recall", "recall@K", "share of the exact top K, mean over query heads and steps",
          Unit::kShare},
    Field{"captured_mass", "captured mass", "attention on sinks, window and union", Unit::kShare},
    Field{"retrieved_mass", "retrieved mass", "attention on the union alone", Unit::kShare},
    Field{"head_output_error", "output error", "‖o - ô‖₂ / ‖o‖₂ before W_O", Unit::kShare},
    Field{"l1_loss", "L1 loss", "‖Σ (A - Â) V W_O‖₁ of the head's queries, mean over decode steps",
          Unit::kNumber},
    Field{"wrope_recall", "recall of windowed RoPE", "top K of q R_b k against the exact one",
          Unit::kShare},
    Field{"recall_vs_wrope", "recall of the codes", "against the top K of windowed RoPE",
          Unit::kShare},
    Field{"score_error/nmse", "score error", "squared error / variance of the scores",
          Unit::kNumber},
    Field{"wrope_score_error/nmse", "score error of windowed RoPE",
          "squared error / variance of the scores", Unit::kNumber},
    Field{"vq_score_error/nmse", "score error of the codes",
          "squared error / variance of the scores", Unit::kNumber},
    Field{"union_tokens", "union tokens", "tokens that any query head of the group retrieves",
          Unit::kTokens},
    Field{"selected_tokens", "selected tokens", "K of a query head, mean over steps",
          Unit::kTokens},
    Field{"attended_tokens", "attended tokens", "sinks, window and union", Unit::kTokens},
    Field{"union_factor", "union over K", "union tokens / K", Unit::kRatio},
    Field{"overlap", "overlap", "share of a step's union that the step before had", Unit::kShare},
    Field{"hot_hit_rate", "hot-buffer hit rate", "hits / union tokens", Unit::kShare},
    Field{"needle_recall", "needle retrieved", "share of the needle's tokens in the union",
          Unit::kShare},
    Field{"code_usage/entropy_bits", "entropy of the codes", "-Σ p log₂ p over codewords, bits",
          Unit::kNumber},
    Field{"code_usage/dead_codes", "dead codewords", "codewords that no token uses",
          Unit::kTokens}};

constexpr std::array kCostFields{
    Field{"index_read_bytes_per_step", "index bytes a step", "codes of all eligible tokens",
          Unit::kBytes},
    Field{"pcie_per_step/cpu-attention/bytes", "PCIe bytes a step, cpu-attention",
          "queries and partial outputs, docs/methods.md", Unit::kBytes},
    Field{"pcie_per_step/fetch-dma/bytes", "PCIe bytes a step, fetch-dma",
          "lists, and K and V of the union", Unit::kBytes},
    Field{"pcie_per_step/fetch-dma/pieces", "PCIe pieces a step, fetch-dma",
          "a copy a run of tokens", Unit::kTokens},
    Field{"pcie_per_step/fetch-kernel/bytes", "PCIe bytes a step, fetch-kernel",
          "K and V of the union", Unit::kBytes},
    Field{"pcie_per_step/fetch-hot-buffer/bytes", "PCIe bytes a step, fetch-hot-buffer",
          "K and V of the union's tokens that the buffer lacks", Unit::kBytes}};

constexpr std::array kQueryHeadFields{
    Field{"recall", "recall@K of query heads", "share of the exact top K, mean over steps",
          Unit::kShare},
    Field{"captured_mass", "captured mass of query heads", "attention on sinks, window and union",
          Unit::kShare},
    Field{"output_error", "output error of query heads", "‖o - ô‖₂ / ‖o‖₂ before W_O",
          Unit::kShare}};

/// What a head's entry gives; the layer's entry may be needed too.
using Value = std::function<std::optional<double>(const Node& head)>;

/// A figure with the way to compute it.
struct Recipe {
  HeadFigureName name;
  std::function<sim::HeatMap(const RunView&)> map;
  std::function<bool(const RunView&)> exists;
};

/// The first head of the first layer, which stands for all where figures are asked for.
std::optional<Node> sample_head(const RunView& run) {
  for (const sim::LayerView& layer : run.layers) {
    if (!layer.heads.empty()) {
      return layer.heads.front();
    }
  }
  return std::nullopt;
}

Recipe recipe(HeadFigureName name, Unit unit, const Value& value) {
  Recipe made{std::move(name), {}, {}};
  const std::string shown = made.name.name;
  made.map = [shown, unit, value](const RunView& run) {
    return sim::head_map(run, shown, unit, value);
  };
  made.exists = [value](const RunView& run) {
    return std::any_of(run.layers.begin(), run.layers.end(), [&](const sim::LayerView& layer) {
      return !layer.heads.empty() && value(layer.heads.front()).has_value();
    });
  };
  return made;
}

Recipe recipe(const Field& field, const std::string& origin) {
  const std::string key = field.key;
  return recipe({key, field.name, field.formula, ColourCentre::kNone, origin}, field.unit,
                [key](const Node& head) { return head.number(key); });
}

std::optional<double> budget_of(const Node& head) {
  const std::optional<std::int64_t> budget = head.integer("budget");
  return budget ? std::optional(static_cast<double>(*budget)) : std::nullopt;
}

std::string budget_formula(const RunView& run) {
  if (!run.adaptive) {
    return "the same budget for each head of a layer";
  }
  return fmt::format("Ada-KV algorithm 1, {} with alpha {}", run.method.text("alpha_mode", "blend"),
                     run.method.number("alpha").value_or(0.0));
}

/// Tokens kept over those of the equal share of the layer's budget.
Recipe ratio_to_uniform(const std::string& origin) {
  HeadFigureName name{"budget_ratio", "budget to uniform", "budget / mean budget of the layer",
                      ColourCentre::kOne, origin};
  Recipe made{name, {}, {}};
  made.map = [name](const RunView& run) {
    sim::HeatMap map = sim::head_map(run, name.name, Unit::kRatio, budget_of);
    const std::size_t columns = map.columns.size();
    for (std::size_t row = 0; row < map.rows.size(); ++row) {
      double sum = 0.0;
      double count = 0.0;
      const std::span<std::optional<double>> cells(map.values.data() + row * columns, columns);
      for (const auto& cell : cells) {
        sum += cell.value_or(0.0);
        count += cell ? 1.0 : 0.0;
      }
      for (auto& cell : cells) {
        cell = cell && sum > 0.0 ? std::optional(*cell * count / sum) : std::nullopt;
      }
    }
    return map;
  };
  made.exists = [](const RunView& run) {
    const std::optional<Node> head = sample_head(run);
    return run.adaptive && head && budget_of(*head).has_value();
  };
  return made;
}

void add_eviction(const RunView& run, std::vector<Recipe>& all) {
  all.push_back(recipe({"budget", "budget", budget_formula(run), ColourCentre::kNone, run.origin},
                       Unit::kTokens, budget_of));
  all.push_back(ratio_to_uniform(run.origin));
  all.push_back(recipe(kEvictionFields[0], run.origin));
  all.push_back(recipe({"retained_mass", "retained mass", "F, mean over decode queries",
                        ColourCentre::kNone, run.origin},
                       Unit::kShare, [](const Node& head) {
                         const std::optional<double> evicted = head.number("evicted_mass");
                         return evicted ? std::optional(1.0 - *evicted) : std::nullopt;
                       }));
  all.push_back(recipe(kEvictionFields[1], run.origin));
  if (run.trace.needle) {
    const auto tokens =
        static_cast<double>(run.trace.needle->tokens.end - run.trace.needle->tokens.begin);
    all.push_back(recipe({"needle_kept", "needle kept", "share of the needle's tokens",
                          ColourCentre::kNone, run.origin},
                         Unit::kShare, [tokens](const Node& head) -> std::optional<double> {
                           const std::optional<std::int64_t> kept = head.integer("needle_kept");
                           return kept && tokens > 0.0
                                      ? std::optional(static_cast<double>(*kept) / tokens)
                                      : std::nullopt;
                         }));
  }
}

void add_retrieval(const RunView& run, std::vector<Recipe>& all) {
  for (const Field& field : kRetrievalFields) {
    all.push_back(recipe(field, run.origin));
  }
  for (const Field& field : kQueryHeadFields) {
    const std::string key = field.key;
    Recipe made{
        {"query_heads/" + key, field.name, field.formula, ColourCentre::kNone, run.origin}, {}, {}};
    made.map = [key, name = std::string(field.name), unit = field.unit](const RunView& shown) {
      return sim::query_head_map(shown, name, unit, key);
    };
    made.exists = [key](const RunView& shown) {
      const std::optional<Node> head = sample_head(shown);
      const std::vector<Node> queries = head ? head->children("query_heads") : std::vector<Node>{};
      return !queries.empty() && queries.front().number(key).has_value();
    };
    all.push_back(std::move(made));
  }
  for (const Field& field : kCostFields) {
    all.push_back(recipe(field, run.cost_origin));
  }
}

std::vector<Recipe> recipes(const RunView& run) {
  std::vector<Recipe> all;
  if (run.family == sim::Family::kEviction) {
    add_eviction(run, all);
  } else {
    add_retrieval(run, all);
  }
  std::erase_if(all, [&](const Recipe& one) { return !one.exists(run); });
  return all;
}

std::int64_t number_of(const std::string& name) {
  std::int64_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

/// Adds the rows of layers that were left whole, which hold no values.
void add_whole_layers(const RunView& run, HeadFigure& figure) {
  struct Row {
    std::int64_t layer;
    bool whole;
    std::size_t from;  // in the map without them
  };
  std::vector<Row> rows;
  for (std::size_t i = 0; i < run.layers.size(); ++i) {
    rows.push_back({run.layers[i].layer, false, i});
  }
  for (const std::int64_t layer : run.whole_layers) {
    rows.push_back({layer, true, 0});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.layer < b.layer; });
  const sim::HeatMap old = figure.map;
  const std::size_t columns = old.columns.size();
  figure.map.rows.clear();
  figure.map.values.assign(rows.size() * columns, std::nullopt);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    figure.map.rows.push_back(fmt::format("{}", rows[row].layer));
    figure.layers.push_back(rows[row].layer);
    figure.whole.push_back(rows[row].whole);
    if (!rows[row].whole) {
      std::copy_n(old.values.begin() + static_cast<std::ptrdiff_t>(rows[row].from * columns),
                  columns, figure.map.values.begin() + static_cast<std::ptrdiff_t>(row * columns));
    }
  }
}

/// The index of each name.
std::map<std::string, std::size_t> index_of(const std::vector<std::string>& names) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < names.size(); ++i) {
    index.emplace(names[i], i);
  }
  return index;
}

/// Names of both, in the order of their numbers.
std::vector<std::string> all_names(const std::vector<std::string>& a,
                                   const std::vector<std::string>& b) {
  std::set<std::int64_t> numbers;
  for (const auto* names : {&a, &b}) {
    for (const std::string& name : *names) {
      numbers.insert(number_of(name));
    }
  }
  std::vector<std::string> merged;
  for (const std::int64_t number : numbers) {
    merged.push_back(fmt::format("{}", number));
  }
  return merged;
}

/// Looks values of a figure up by the names of row and column.
class Lookup {
 public:
  explicit Lookup(const HeadFigure& figure)
      : m_figure(figure),
        m_rows(index_of(figure.map.rows)),
        m_columns(index_of(figure.map.columns)) {}

  [[nodiscard]] std::optional<double> value(const std::string& row,
                                            const std::string& column) const {
    const auto r = m_rows.find(row);
    const auto c = m_columns.find(column);
    return r != m_rows.end() && c != m_columns.end() ? m_figure.value(r->second, c->second)
                                                     : std::nullopt;
  }
  [[nodiscard]] bool is_whole(const std::string& row) const {
    const auto r = m_rows.find(row);
    return r != m_rows.end() && m_figure.whole[r->second];
  }

 private:
  const HeadFigure& m_figure;
  std::map<std::string, std::size_t> m_rows;
  std::map<std::string, std::size_t> m_columns;
};

}  // namespace

std::vector<HeadFigureName> head_figure_names(const RunView& run) {
  std::vector<HeadFigureName> names;
  for (Recipe& one : recipes(run)) {
    names.push_back(std::move(one.name));
  }
  return names;
}

HeadFigure head_figure(const RunView& run, const std::string& id) {
  for (Recipe& one : recipes(run)) {
    if (one.name.id != id) {
      continue;
    }
    HeadFigure figure;
    static_cast<HeadFigureName&>(figure) = std::move(one.name);
    figure.map = one.map(run);
    add_whole_layers(run, figure);
    // Query heads of a retrieval run belong to the KV head that retrieves for them.
    const bool members = id.starts_with("query_heads/") && run.trace.kv_heads > 0;
    const std::int64_t group =
        members ? std::max<std::int64_t>(1, run.trace.q_heads / run.trace.kv_heads) : 1;
    for (const std::string& column : figure.map.columns) {
      figure.column_head.push_back(number_of(column) / group);
    }
    return figure;
  }
  throw Error(ErrorKind::kInternal, fmt::format("the run has no figure '{}' of its heads", id));
}

std::vector<HeadId> heads_of(const HeadFigure& figure) {
  std::vector<HeadId> heads;
  for (std::size_t row = 0; row < figure.map.rows.size(); ++row) {
    for (std::size_t column = 0; column < figure.map.columns.size(); ++column) {
      if (figure.value(row, column)) {
        heads.push_back(figure.head_at(row, column));
      }
    }
  }
  heads.erase(std::unique(heads.begin(), heads.end()), heads.end());
  return heads;
}

HeadRanks rank_heads(const sim::HeatMap& map) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    if (map.values[i]) {
      order.push_back(i);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return *map.values[a] > *map.values[b]; });
  HeadRanks ranks{std::vector<std::size_t>(map.values.size(), 0), order.size()};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool tied = i > 0 && *map.values[order[i]] == *map.values[order[i - 1]];
    ranks.places[order[i]] = tied ? ranks.places[order[i - 1]] : i + 1;
  }
  return ranks;
}

std::string rank_text(std::size_t place, std::size_t count) {
  const std::size_t tens = place / 10 % 10;
  const std::size_t ones = place % 10;
  const char* ending = tens == 1   ? "th"
                       : ones == 1 ? "st"
                       : ones == 2 ? "nd"
                       : ones == 3 ? "rd"
                                   : "th";
  if (place == 1) {
    return fmt::format("largest of {}", count);
  }
  return fmt::format("{}{} largest of {}", place, ending, count);
}

HeadComparison compare_heads(const HeadFigure& own, const HeadFigure& baseline, HeadDelta how) {
  HeadComparison result;
  HeadFigure& figure = result.figure;
  static_cast<HeadFigureName&>(figure) = own;
  const bool ratio = how == HeadDelta::kRatio;
  figure.centre = ratio ? ColourCentre::kOne : ColourCentre::kZero;
  figure.map = own.map;
  figure.map.unit = ratio ? Unit::kRatio : own.map.unit;
  figure.map.low.reset();
  figure.map.high.reset();
  figure.map.value_name += ratio ? ", factor to the baseline" : ", difference to the baseline";
  if (own.map.column_name != baseline.map.column_name) {
    figure.map.values.assign(own.map.values.size(), std::nullopt);
    figure.layers = own.layers;
    figure.whole = own.whole;
    figure.column_head = own.column_head;
    result.missing.push_back(fmt::format("the run has {}s, the baseline {}s: no head is in both",
                                         own.map.column_name, baseline.map.column_name));
    return result;
  }
  figure.map.rows = all_names(own.map.rows, baseline.map.rows);
  figure.map.columns = all_names(own.map.columns, baseline.map.columns);
  figure.map.values.clear();
  const Lookup ours(own);
  const Lookup theirs(baseline);
  for (const std::string& row : figure.map.rows) {
    figure.layers.push_back(number_of(row));
    figure.whole.push_back(ours.is_whole(row) && theirs.is_whole(row));
    for (const std::string& column : figure.map.columns) {
      const std::optional<double> a = ours.value(row, column);
      const std::optional<double> b = theirs.value(row, column);
      std::optional<double>& cell = figure.map.values.emplace_back();
      if (a && b) {
        if (!ratio) {
          cell = *a - *b;
        } else if (*b != 0.0) {
          cell = *a / *b;
        }
      } else if (a || b) {
        result.missing.push_back(fmt::format("{} {}, {} {}: only in the {}", own.map.row_name, row,
                                             own.map.column_name, column, a ? "run" : "baseline"));
      }
    }
  }
  const auto heads = index_of(own.map.columns);
  const auto other_heads = index_of(baseline.map.columns);
  for (const std::string& column : figure.map.columns) {
    const auto found = heads.find(column);
    figure.column_head.push_back(found != heads.end()
                                     ? own.column_head[found->second]
                                     : baseline.column_head[other_heads.at(column)]);
  }
  return result;
}

}  // namespace kvsieve::gui
