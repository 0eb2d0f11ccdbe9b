#include "core/dropped_mass.h"

#include <algorithm>
#include <numeric>

namespace kvsieve::gui {
namespace {

/// Calls `visit` with each position of the runs that has attention.
template <class Visit>
void for_each_position(std::span<const float> attention, std::span<const sim::TokenRun> runs,
                       const Visit& visit) {
  const auto count = static_cast<std::int64_t>(attention.size());
  for (const sim::TokenRun& run : runs) {
    for (std::int64_t position = run.begin; position < std::min(run.end, count); ++position) {
      visit(position, attention[static_cast<std::size_t>(position)]);
    }
  }
}

}  // namespace

std::vector<sim::TokenRun> dropped_runs(std::span<const sim::TokenRun> kept,
                                        std::int64_t prompt_tokens) {
  std::vector<sim::TokenRun> dropped;
  std::int64_t at = 0;
  for (const sim::TokenRun& run : kept) {
    if (run.begin > at) {
      dropped.push_back({at, run.begin});
    }
    at = run.end;
  }
  if (at < prompt_tokens) {
    dropped.push_back({at, prompt_tokens});
  }
  return dropped;
}

double mass_of(std::span<const float> attention, std::span<const sim::TokenRun> runs) {
  double mass = 0.0;
  for_each_position(attention, runs, [&](std::int64_t, float value) { mass += value; });
  return mass;
}

std::vector<DroppedToken> heaviest_dropped(std::span<const float> attention,
                                           std::span<const sim::TokenRun> dropped,
                                           std::size_t count) {
  std::vector<DroppedToken> tokens;
  for_each_position(attention, dropped, [&](std::int64_t position, float mass) {
    tokens.push_back({position, mass});
  });
  const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(std::min(count, tokens.size()));
  std::partial_sort(tokens.begin(), end, tokens.end(),
                    [](const DroppedToken& a, const DroppedToken& b) {
                      return a.mass != b.mass ? a.mass > b.mass : a.position < b.position;
                    });
  tokens.erase(end, tokens.end());
  return tokens;
}

std::vector<MassBucket> mass_buckets(std::span<const float> attention,
                                     std::span<const sim::TokenRun> dropped, std::int64_t buckets) {
  const auto tokens = static_cast<std::int64_t>(attention.size());
  const std::int64_t count = std::min(buckets, tokens);
  std::vector<MassBucket> all;
  for (std::int64_t i = 0; i < count; ++i) {
    all.push_back({i * tokens / count, (i + 1) * tokens / count, 0.0, 0.0});
    const MassBucket& bucket = all.back();
    const sim::TokenRun whole{bucket.begin, bucket.end};
    all.back().kept = mass_of(attention, {&whole, 1});
  }
  std::size_t at = 0;
  for_each_position(attention, dropped, [&](std::int64_t position, float value) {
    while (position >= all[at].end) {
      ++at;
    }
    all[at].dropped += value;
  });
  for (MassBucket& bucket : all) {
    bucket.kept = std::max(0.0, bucket.kept - bucket.dropped);
  }
  return all;
}

std::vector<std::int64_t> score_ranks(std::span<const float> scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  std::vector<std::int64_t> ranks(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    ranks[order[i]] = static_cast<std::int64_t>(i) + 1;
  }
  return ranks;
}

}  // namespace kvsieve::gui
