#include "kvsieve/profile/operation_pairing.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace kvsieve::profile {
namespace {

constexpr std::int32_t kBeforeSteps = -1;

using Key = std::tuple<std::string, std::int32_t, std::int32_t, std::int32_t>;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) {
    return *middle;
  }
  return (*middle + *std::max_element(values.begin(), middle)) / 2.0;
}

/// Sums what is left over by name and lane.
class Unpaired {
 public:
  void add(const std::string& name, sim::Lane lane, double us) {
    UnpairedOperations& sum = m_sums[{name, lane}];
    sum.name = name;
    sum.lane = lane;
    ++sum.operations;
    sum.us += us;
  }
  [[nodiscard]] std::vector<UnpairedOperations> list() const {
    std::vector<UnpairedOperations> list;
    for (const auto& [key, sum] : m_sums) {
      list.push_back(sum);
    }
    std::stable_sort(
        list.begin(), list.end(),
        [](const UnpairedOperations& a, const UnpairedOperations& b) { return a.us > b.us; });
    return list;
  }

 private:
  std::map<std::pair<std::string, sim::Lane>, UnpairedOperations> m_sums;
};

StageError stage_error(const std::vector<const OperationPair*>& pairs) {
  StageError stage;
  stage.stage = pairs.front()->stage;
  stage.lane = pairs.front()->lane;
  std::vector<double> measured;
  std::vector<double> gaps;
  std::vector<double> modelled;
  std::vector<double> errors;
  for (const OperationPair* pair : pairs) {
    measured.push_back(pair->measured_us);
    gaps.push_back(pair->gap_us);
    modelled.push_back(pair->modelled_us);
    errors.push_back(pair->error());
    stage.measured_bytes += pair->measured_bytes;
    stage.modelled_bytes += pair->modelled_bytes;
  }
  stage.measured_median_us = median(std::move(measured));
  stage.gap_median_us = median(std::move(gaps));
  stage.modelled_median_us = median(std::move(modelled));
  stage.figures = sim::error_figures(std::move(errors));
  return stage;
}

}  // namespace

Pairing pair_operations(std::span<const MeasuredOperation> measured, const sim::Timeline& prompt,
                        const sim::Timeline& steps) {
  std::map<Key, const MeasuredOperation*> waiting;
  Unpaired measured_only;
  const auto leave = [&](const MeasuredOperation& operation) {
    measured_only.add(operation.name, operation.lane, operation.busy_us);
  };
  for (const MeasuredOperation& operation : measured) {
    const bool pairs = operation.layer >= 0 && operation.busy_us > 0.0;
    if (!pairs ||
        !waiting
             .emplace(Key{operation.name, operation.step, operation.layer, operation.micro_batch},
                      &operation)
             .second) {
      leave(operation);
    }
  }
  Pairing pairing;
  Unpaired modelled_only;
  const auto pair_up = [&](const sim::TimelineTask& task, const std::string& name,
                           std::int32_t step) {
    const auto found = waiting.find(Key{name, step, task.layer, task.micro_batch});
    if (found == waiting.end() || task.us <= 0.0) {
      modelled_only.add(name, task.lane, task.us);
      return;
    }
    const MeasuredOperation& operation = *found->second;
    pairing.pairs.push_back({name, task.lane, step, task.layer, task.micro_batch, operation.busy_us,
                             operation.end_us - operation.begin_us - operation.busy_us, task.us,
                             operation.bytes, task.bytes});
    waiting.erase(found);
  };
  for (const sim::TimelineTask& task : prompt.tasks) {
    pair_up(task, prompt.names[static_cast<std::size_t>(task.name)], kBeforeSteps);
  }
  for (const sim::TimelineTask& task : steps.tasks) {
    pair_up(task, steps.names[static_cast<std::size_t>(task.name)], task.step);
  }
  for (const auto& [key, operation] : waiting) {
    leave(*operation);
  }
  std::map<std::string, std::vector<const OperationPair*>> by_stage;
  for (const OperationPair& pair : pairing.pairs) {
    by_stage[pair.stage].push_back(&pair);
  }
  for (const sim::Timeline* modelled : {&prompt, &steps}) {
    for (const std::string& name : modelled->names) {
      if (const auto found = by_stage.find(name); found != by_stage.end()) {
        pairing.stages.push_back(stage_error(found->second));
        by_stage.erase(found);
      }
    }
  }
  pairing.measured_only = measured_only.list();
  pairing.modelled_only = modelled_only.list();
  return pairing;
}

}  // namespace kvsieve::profile
