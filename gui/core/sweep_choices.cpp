#include "core/sweep_choices.h"

#include <initializer_list>

#include "core/qt_text.h"

namespace kvsieve::gui {
namespace {

/// The first of these that varies, or nothing.
QString first_varying(const SweepTable& table, std::initializer_list<const char*> names,
                      const QString& not_this) {
  for (const char* name : names) {
    const SweepColumn* metric = table.metric(name);
    if (metric != nullptr && metric->varies && QString::fromUtf8(name) != not_this) {
      return QString::fromUtf8(name);
    }
  }
  return {};
}

}  // namespace

SweepChoices sweep_choices(const SweepTable& table) {
  SweepChoices choices;
  for (const bool varying : {true, false}) {
    for (const SweepColumn& metric : table.metrics()) {
      if (!metric.numbers.empty() && metric.varies == varying) {
        choices.metrics << qs(metric.name);
      }
    }
    for (const SweepColumn& option : table.options()) {
      if (option.varies == varying) {
        choices.options << qs(option.name);
      }
    }
  }
  choices.x = first_varying(
      table, {"tokens_per_second", "kept_tokens_per_head_mean", "attended_tokens", "gpu_bytes"},
      {});
  choices.y = first_varying(
      table,
      {"l1_loss_relative", "output_error", "evicted_mass", "captured_mass", "recall", "tpot_ms"},
      choices.x);
  if (choices.x.isEmpty()) {
    choices.x = choices.metrics.value(0);
  }
  if (choices.y.isEmpty()) {
    choices.y = choices.metrics.value(1, choices.metrics.value(0));
  }
  const SweepColumn* method = table.option("method");
  choices.colour =
      method != nullptr && method->varies ? QStringLiteral("method") : choices.options.value(0);
  return choices;
}

}  // namespace kvsieve::gui
