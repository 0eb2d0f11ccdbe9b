#pragma once
// Head detail: where one head looks, what it keeps of that, and what is lost with the rest.

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QSpinBox>
#include <QTableWidget>
#include <QToolButton>
#include <memory>
#include <optional>
#include <vector>

#include "core/attention_row.h"
#include "widgets/chart_view.h"
#include "widgets/page.h"
#include "widgets/token_strip_view.h"

namespace kvsieve::gui {

class HeadDetailPage : public Page {
  Q_OBJECT
 public:
  explicit HeadDetailPage(Workspace& workspace);

 public Q_SLOTS:
  /// The head after the shown one, or before it.
  void next_head() { step_head(1); }
  void previous_head() { step_head(-1); }

 protected:
  void keyPressEvent(QKeyEvent* event) override;

 private:
  /// What was computed of a head, and for what.
  struct Attention {
    std::shared_ptr<const traces::Trace> trace;
    HeadId head;
    bool query_head = false;
    std::optional<std::int64_t> step;
    std::optional<ScoreRecipe> recipe;
    std::shared_ptr<const std::vector<float>> decode;  ///< at the step, or the mean over steps
    std::shared_ptr<const std::vector<float>> scores;
    std::shared_ptr<const std::vector<std::int64_t>> ranks;

    [[nodiscard]] bool is_for(const Attention& other) const {
      return trace == other.trace && head == other.head && query_head == other.query_head &&
             step == other.step && recipe == other.recipe;
    }
  };
  /// Whether the open trace is the one that the run was made of.
  enum class Match { kUnknown, kSame, kOther };

  void make_controls();
  void files_changed();
  void refresh();
  void check_trace();
  void look_for_trace();
  void compute(Attention wanted);
  void show_strip();
  void show_losses();
  void show_facts();
  void show_hint();
  void step_head(int by);
  [[nodiscard]] bool query_heads() const;
  [[nodiscard]] bool uses_trace() const;
  [[nodiscard]] std::vector<HeadId> list_heads() const;
  [[nodiscard]] std::optional<HeadId> shown_head() const;
  [[nodiscard]] std::int64_t steps() const;
  [[nodiscard]] QString name_of(const HeadId& head) const;
  [[nodiscard]] const sim::Node* node_of(const HeadId& head) const;
  [[nodiscard]] std::vector<sim::TokenRun> dropped_of(const HeadId& head) const;

  QToolButton* m_previous;
  QToolButton* m_next;
  QComboBox* m_head;
  QSpinBox* m_step;
  QCheckBox* m_log;
  QLabel* m_facts;
  QWidget* m_hint_row;
  QLabel* m_hint;
  QPushButton* m_open_trace;
  TokenStripView* m_strip;
  ChartView* m_buckets;
  QTableWidget* m_dropped;
  QLabel* m_dropped_title;
  std::vector<HeadId> m_heads;  // every head that can be shown, in order
  std::optional<Attention> m_attention;
  std::optional<Attention> m_wanted;  // being computed
  Match m_match = Match::kUnknown;
  std::shared_ptr<const traces::Trace> m_hashed;  // whose hash is m_hash
  std::string m_hash;
  QString m_failure;
  QString m_found_trace;
  std::vector<std::int64_t> m_bucket_begins;
  /// What the table and the bars were made of: they keep row and cursor while it stays.
  struct Shown {
    std::shared_ptr<const Run> run;
    std::optional<HeadId> head;
    std::shared_ptr<const std::vector<float>> decode;

    bool operator==(const Shown&) const = default;
  };
  std::optional<Shown> m_shown;
};

}  // namespace kvsieve::gui
