#include "kvsieve/sim/end_to_end.h"

#include <fmt/format.h>

#include <algorithm>

#include "kvsieve/sim/step_cost.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::sim {

EndToEndTime end_to_end(const HardwareProfile& profile, const ModelDimensions& model,
                        std::int64_t batch, std::int64_t prompt, std::int64_t output) {
  const StepModel step_model(profile, model);
  CostPoint point;
  point.context = prompt + output;
  const std::int64_t fit = largest_batch(
      memory_ledger(model, point.method, point.context, point.capacity), profile, point.capacity);
  if (fit < 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} with {} tokens does not fit the memory of {}", model.id,
                            point.context, profile.id),
                "choose a shorter context, a smaller model or a larger GPU");
  }
  EndToEndTime time;
  point.batch = std::min(batch, fit);
  time.rounds = static_cast<double>(batch) / static_cast<double>(point.batch);
  time.steps = time.rounds * static_cast<double>(output);
  point.context = prompt;
  const double prefill = step_model.prefill_us(point);
  // The step's time is linear in the context to the model's accuracy: its mean is the middle's.
  point.context = prompt + output / 2;
  time.us = time.rounds * prefill + time.steps * step_model.step(point).step_us;
  return time;
}

}  // namespace kvsieve::sim
