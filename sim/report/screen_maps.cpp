#include "screen_maps.h"

#include <fmt/format.h>

#include <algorithm>

#include "clean_text.h"
#include "kvsieve/sim/run_series.h"
#include "section_parts.h"

namespace kvsieve::sim {
namespace {

/// Neighbouring layers or heads merged to their mean, so that at most these many remain.
HeatMap condensed(const HeatMap& map, std::size_t most_rows, std::size_t most_columns) {
  const auto merged = [](std::size_t count, std::size_t most) {
    return most == 0 ? count : (count + most - 1) / most;
  };
  const std::size_t tall = std::max<std::size_t>(1, merged(map.rows.size(), most_rows));
  const std::size_t broad = std::max<std::size_t>(1, merged(map.columns.size(), most_columns));
  const auto names = [](const std::vector<std::string>& all, std::size_t step) {
    std::vector<std::string> kept;
    for (std::size_t i = 0; i < all.size(); i += step) {
      const std::size_t last = std::min(i + step, all.size()) - 1;
      kept.push_back(last == i ? all[i] : fmt::format("{}-{}", all[i], all[last]));
    }
    return kept;
  };
  HeatMap small = map;
  small.rows = names(map.rows, tall);
  small.columns = names(map.columns, broad);
  small.values.assign(small.rows.size() * small.columns.size(), std::nullopt);
  for (std::size_t i = 0; i < small.values.size(); ++i) {
    double sum = 0.0;
    double count = 0.0;
    const std::size_t row = i / small.columns.size() * tall;
    const std::size_t column = i % small.columns.size() * broad;
    for (std::size_t y = row; y < std::min(row + tall, map.rows.size()); ++y) {
      for (std::size_t x = column; x < std::min(column + broad, map.columns.size()); ++x) {
        if (const auto& value = map.values[y * map.columns.size() + x]) {
          sum += *value;
          count += 1.0;
        }
      }
    }
    if (count > 0.0) {
      small.values[i] = sum / count;
    }
  }
  return small;
}

Block map_block(const Screen& screen, const ScreenMap& entry, std::size_t width,
                std::size_t most_rows) {
  std::size_t label = text_columns(entry.map.row_name);
  for (const std::string& row : condensed(entry.map, most_rows, 0).rows) {
    label = std::max(label, text_columns(row));
  }
  const std::size_t room = width > label + 2 ? width - label - 2 : 1;
  const HeatMap map = condensed(entry.map, most_rows, room);
  const std::size_t cell = std::clamp<std::size_t>(room / map.columns.size(), 1, 4);
  Range range = range_of(entry.map.values);
  range.low = map.low.value_or(range.low);
  range.high = map.high.value_or(range.high);
  Block block{plain_line(screen.shortened(screen.shown(entry.title), width))};
  std::string heads = padded(map.row_name, label, true) + "  ";
  if (cell >= 3) {
    for (const std::string& column : map.columns) {
      heads += padded(screen.shortened(column, cell - 1), cell, false);
    }
  } else {
    heads += screen.shortened(
        fmt::format("{}s {} to {}", map.column_name, map.columns.front(), map.columns.back()),
        room);
  }
  block.push_back({screen.styled(heads, "2"), text_columns(heads)});
  for (std::size_t row = 0; row < map.rows.size(); ++row) {
    std::string text = padded(map.rows[row], label, true) + "  ";
    for (std::size_t column = 0; column < map.columns.size(); ++column) {
      const std::optional<double>& value = map.values[row * map.columns.size() + column];
      text += screen.cell(
          value ? std::optional((*value - range.low) / (range.high - range.low)) : std::nullopt,
          cell);
    }
    block.push_back({text, label + 2 + cell * map.columns.size()});
  }
  const auto end_text = [&](double value) {
    return map.unit == Unit::kShare ? fixed(100.0 * value, 0) + "%" : number_text(value, map.unit);
  };
  std::string legend = std::string(label, ' ') + "  " + end_text(range.low) + " ";
  const std::size_t before = text_columns(legend);
  constexpr std::size_t kShades = 10;
  for (std::size_t i = 0; i < kShades; ++i) {
    legend += screen.cell((static_cast<double>(i) + 0.5) / kShades, 1);
  }
  std::string after = " " + end_text(range.high);
  if (entry.equal) {
    const std::string mean = fmt::format(", mean {}", number_text(*entry.equal, map.unit));
    after += before + kShades + text_columns(after + mean) <= width ? mean : "";
  }
  if (before + kShades + text_columns(after) <= width) {
    block.push_back({legend + after, before + kShades + text_columns(after)});
  }
  return block;
}

}  // namespace

std::vector<ScreenMap> screen_maps(const std::vector<RunView>& runs) {
  std::vector<ScreenMap> maps;
  for (const RunView& run : runs) {
    ScreenMap entry;
    if (run.family == Family::kEviction) {
      entry.map = head_map(run, "tokens", Unit::kTokens,
                           [](const Node& head) { return head.number("budget"); });
      entry.title =
          fmt::format("{} {}: tokens kept a {}", run.number, run.method_name, run.unit_name);
      entry.equal = run.summary("kept_tokens_per_head_mean");
    } else {
      entry.map = query_head_map(run, "recall", Unit::kShare, "recall");
      entry.map.low = 0.0;
      entry.map.high = 1.0;
      entry.title = fmt::format("{} {}: recall of each query head", run.number, run.method_name);
    }
    if (varies(entry.map) && entry.map.columns.size() > 1) {
      maps.push_back(std::move(entry));
    }
  }
  return maps;
}

void add_maps(Screen& screen, const std::vector<ScreenMap>& maps) {
  constexpr std::size_t kGap = 4;
  constexpr std::size_t kNarrowest = 22;
  constexpr std::size_t kFrame = 4;  // a blank line, title, heads and legend
  constexpr std::size_t kFewestRows = 4;
  if (maps.empty()) {
    return;
  }
  const std::size_t beside = std::clamp<std::size_t>(
      (screen.columns() + kGap) / (kNarrowest + kGap), 1, std::min<std::size_t>(maps.size(), 3));
  const std::size_t width = (screen.columns() + kGap) / beside - kGap;
  const std::size_t bands = (maps.size() + beside - 1) / beside;
  for (std::size_t band = 0; band < bands; ++band) {
    const std::size_t rows = screen.rows_left() / (bands - band);
    if (rows < kFrame + kFewestRows) {
      return;
    }
    std::vector<Block> blocks;
    for (std::size_t i = band * beside; i < std::min((band + 1) * beside, maps.size()); ++i) {
      blocks.push_back(map_block(screen, maps[i], width, rows - kFrame));
    }
    screen.add("");
    screen.add(side_by_side(blocks, width, kGap));
  }
}

}  // namespace kvsieve::sim
