#include "line_changes.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <span>

namespace kvsieve::sim {
namespace {

// The table of the longest common subsequence of longer files would take too long.
constexpr std::size_t kMostLines = 2000;

using Lines = std::vector<const SourceCounts*>;

std::map<std::string, Lines> by_file(const std::vector<SourceCounts>& lines) {
  std::map<std::string, Lines> files;
  for (const SourceCounts& line : lines) {
    files[line.file].push_back(&line);
  }
  for (auto& [file, list] : files) {
    std::stable_sort(list.begin(), list.end(), [](const SourceCounts* a, const SourceCounts* b) {
      return a->line < b->line;
    });
  }
  return files;
}

void pair_in_order(std::span<const SourceCounts* const> before,
                   std::span<const SourceCounts* const> after, std::vector<LinePair>& pairs) {
  for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
    pairs.push_back(
        {i < before.size() ? before[i] : nullptr, i < after.size() ? after[i] : nullptr});
  }
}

/// Pairs by line number alone.
void pair_by_number(const Lines& before, const Lines& after, std::vector<LinePair>& pairs) {
  std::map<std::int64_t, LinePair> numbers;
  for (const SourceCounts* line : before) {
    numbers[line->line].before = line;
  }
  for (const SourceCounts* line : after) {
    numbers[line->line].after = line;
  }
  for (const auto& [number, pair] : numbers) {
    pairs.push_back(pair);
  }
}

void pair_file(const Lines& before, const Lines& after, std::vector<LinePair>& pairs) {
  if (before.size() > kMostLines || after.size() > kMostLines) {
    pair_by_number(before, after, pairs);
    return;
  }
  // common[i][j]: the most lines that before[i..] and after[j..] share in order.
  const std::size_t width = after.size() + 1;
  std::vector<std::uint32_t> common((before.size() + 1) * width, 0);
  for (std::size_t i = before.size(); i-- > 0;) {
    for (std::size_t j = after.size(); j-- > 0;) {
      common[i * width + j] =
          before[i]->counts == after[j]->counts
              ? common[(i + 1) * width + j + 1] + 1
              : std::max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  std::size_t i = 0;
  std::size_t j = 0;
  std::size_t from_i = 0;
  std::size_t from_j = 0;
  const auto pair_between = [&] {
    pair_in_order(std::span(before).subspan(from_i, i - from_i),
                  std::span(after).subspan(from_j, j - from_j), pairs);
  };
  while (i < before.size() && j < after.size()) {
    if (before[i]->counts == after[j]->counts) {
      pair_between();
      pairs.push_back({before[i++], after[j++]});
      from_i = i;
      from_j = j;
    } else if (common[(i + 1) * width + j] >= common[i * width + j + 1]) {
      ++i;
    } else {
      ++j;
    }
  }
  i = before.size();
  j = after.size();
  pair_between();
}

double count_of(const SourceCounts* line, const std::string& counter) {
  if (line == nullptr) {
    return 0.0;
  }
  const auto found = line->counts.find(counter);
  return found == line->counts.end() ? 0.0 : found->second;
}

}  // namespace

std::vector<LinePair> pair_lines(const std::vector<SourceCounts>& before,
                                 const std::vector<SourceCounts>& after) {
  const std::map<std::string, Lines> old_files = by_file(before);
  std::map<std::string, Lines> new_files = by_file(after);
  std::vector<LinePair> pairs;
  for (const auto& [file, lines] : old_files) {
    pair_file(lines, new_files[file], pairs);
    new_files.erase(file);
  }
  for (const auto& [file, lines] : new_files) {
    pair_file({}, lines, pairs);
  }
  return pairs;
}

std::vector<LineChange> line_changes(const std::vector<LinePair>& pairs, const std::string& counter,
                                     std::size_t most) {
  std::vector<LineChange> changes;
  for (const LinePair& pair : pairs) {
    const double before = count_of(pair.before, counter);
    const double after = count_of(pair.after, counter);
    if (before != after) {
      const SourceCounts& shown = pair.after != nullptr ? *pair.after : *pair.before;
      changes.push_back({shown.file, shown.line, before, after});
    }
  }
  std::stable_sort(changes.begin(), changes.end(), [](const LineChange& a, const LineChange& b) {
    return std::abs(a.after - a.before) > std::abs(b.after - b.before);
  });
  changes.resize(std::min(changes.size(), most));
  return changes;
}

}  // namespace kvsieve::sim
