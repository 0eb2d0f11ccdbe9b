#pragma once
// What differs between two runs: set-up, figures, heads, layers and steps.

#include <QString>
#include <QStringList>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/figure_delta.h"
#include "core/run.h"

namespace kvsieve::gui {

/// Something that two runs or sweeps were made with, where it differs.
struct SetUpDelta {
  QString name;
  QString baseline;  ///< empty if it has none
  QString shown;
};

struct FigureDelta {
  QString name;  ///< "uniform/evicted_mass", "cost/kv_kept_bytes"
  MetricInfo info;
  DeltaValue value;
};

/// Items of one kind that one side alone has: "layer 8", "heads 3, 5–7 of layer 4".
struct MissingItem {
  QString what;
  bool in_baseline = false;  ///< the baseline has it; otherwise the shown one
};

/// Deltas of heads: values [layers, heads]; a head that neither run has is empty on both sides.
struct DeltaMap {
  QString head_name;  ///< "KV head" or "query head"
  std::vector<std::int64_t> layers;
  std::vector<std::int64_t> heads;
  std::vector<DeltaValue> values;
};

/// Two runs, matched by layer, head, step and the names of figures. What one of them lacks is in
/// missing(), never left out in silence.
class RunDelta {
 public:
  RunDelta(const Run& baseline, const Run& shown);

  /// Differing method parameters, traces by their hashes, versions.
  [[nodiscard]] const std::vector<SetUpDelta>& set_up() const { return m_set_up; }
  /// Figures of the summary and the cost, the worst change first.
  [[nodiscard]] const std::vector<FigureDelta>& figures() const { return m_figures; }
  [[nodiscard]] const std::vector<MissingItem>& missing() const { return m_missing; }

  /// Figures that both runs have of heads, layers or steps; those of query heads inside KV heads
  /// begin with "query_heads/".
  [[nodiscard]] const QStringList& head_figures() const { return m_head_figures; }
  [[nodiscard]] const QStringList& layer_figures() const { return m_layer_figures; }
  [[nodiscard]] const QStringList& step_figures() const { return m_step_figures; }
  [[nodiscard]] DeltaMap head_map(const QString& figure) const;
  /// By layer or step, ascending.
  [[nodiscard]] std::vector<std::pair<std::int64_t, DeltaValue>> by_layer(
      const QString& figure) const;
  [[nodiscard]] std::vector<std::pair<std::int64_t, DeltaValue>> by_step(
      const QString& figure) const;

 private:
  using Figures = std::map<std::string, double>;
  /// Figures of both runs by an item's place: layer, layer and head, or step.
  using Place = std::pair<std::int64_t, std::int64_t>;
  struct Items {
    std::map<Place, Figures> baseline;
    std::map<Place, Figures> shown;
  };

  void compare_set_up(const Run& baseline, const Run& shown);
  void compare_figures(const Run& baseline, const Run& shown);
  void read_items(const Run& run, std::map<Place, Figures> Items::*side);
  void list_missing();
  static QStringList common_figures(const Items& items);
  static DeltaValue value_at(const Items& items, const Place& place, const std::string& figure);
  static std::vector<std::pair<std::int64_t, DeltaValue>> values_of(const Items& items,
                                                                    const QString& figure);

  QString m_head_name;
  std::vector<SetUpDelta> m_set_up;
  std::vector<FigureDelta> m_figures;
  std::vector<MissingItem> m_missing;
  Items m_layers;
  Items m_heads;
  Items m_query_heads;
  Items m_steps;
  QStringList m_head_figures;
  QStringList m_layer_figures;
  QStringList m_step_figures;
};

/// "0, 4, 8–11".
[[nodiscard]] QString number_list(const std::vector<std::int64_t>& ascending);

}  // namespace kvsieve::gui
