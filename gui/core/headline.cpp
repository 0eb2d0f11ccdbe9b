#include "core/headline.h"

#include <QStringList>

#include "kvsieve/sim/number_text.h"

namespace kvsieve::gui {
namespace {

QString text(double value, sim::Unit unit) {
  return QString::fromStdString(sim::number_text(value, unit));
}

HeadlineFigure kept(const Run& run) {
  const sim::RunView& view = run.view();
  const bool eviction = view.family == sim::Family::kEviction;
  const double tokens =
      view.summary(eviction ? "kept_tokens_per_head_mean" : "attended_tokens").value_or(0.0);
  HeadlineFigure figure{eviction ? "kept a head" : "attended a head and step",
                        text(tokens, sim::Unit::kTokens) + " tokens",
                        {},
                        QString::fromStdString(view.origin)};
  if (view.trace.prompt_tokens > 0) {
    figure.detail =
        QStringLiteral("%1 of %2 prompt tokens")
            .arg(text(tokens / static_cast<double>(view.trace.prompt_tokens), sim::Unit::kShare),
                 QString::fromStdString(sim::grouped(view.trace.prompt_tokens)));
  }
  return figure;
}

void add_losses(const sim::RunView& view, std::vector<HeadlineFigure>& figures) {
  const QString origin = QString::fromStdString(view.origin);
  if (view.family == sim::Family::kEviction) {
    if (const auto mass = view.summary("evicted_mass")) {
      HeadlineFigure figure{"evicted attention mass", text(*mass, sim::Unit::kShare), {}, origin};
      QStringList details;
      if (const auto loss = view.summary("l1_loss_relative")) {
        details << QStringLiteral("L1 loss %1 of the output").arg(text(*loss, sim::Unit::kShare));
      }
      if (const auto bound = view.summary("bound"); bound && view.summary("l1_loss")) {
        details << QStringLiteral("loss %1, bound %2")
                       .arg(text(*view.summary("l1_loss"), sim::Unit::kNumber),
                            text(*bound, sim::Unit::kNumber));
      }
      figure.detail = details.join("; ");
      figures.push_back(figure);
    }
    if (const auto ratio = view.summary("ratio_to_uniform/l1_loss")) {
      HeadlineFigure figure{
          "L1 loss against uniform budgets", text(*ratio, sim::Unit::kRatio), {}, origin};
      if (const auto mass = view.summary("ratio_to_uniform/evicted_mass")) {
        figure.detail = QStringLiteral("evicted mass %1, at the same total")
                            .arg(text(*mass, sim::Unit::kRatio));
      }
      figures.push_back(figure);
    }
    return;
  }
  if (const auto recall = view.summary("recall")) {
    HeadlineFigure figure{
        "recall of the exact top K", text(*recall, sim::Unit::kShare), {}, origin};
    if (const auto rope = view.summary("wrope_recall")) {
      figure.detail = QStringLiteral("windowed RoPE alone %1").arg(text(*rope, sim::Unit::kShare));
    }
    figures.push_back(figure);
  }
  if (const auto mass = view.summary("captured_mass")) {
    HeadlineFigure figure{"captured attention mass", text(*mass, sim::Unit::kShare), {}, origin};
    if (const auto error = view.summary("output_error")) {
      figure.detail = QStringLiteral("output error %1").arg(text(*error, sim::Unit::kShare));
    }
    figures.push_back(figure);
  }
}

}  // namespace

std::vector<HeadlineFigure> headline(const Run& run) {
  const sim::RunView& view = run.view();
  std::vector<HeadlineFigure> figures{kept(run)};
  add_losses(view, figures);
  const QString modelled = QString::fromStdString(view.cost_origin);
  if (const auto bytes = view.cost("pcie_bytes_per_step")) {
    HeadlineFigure figure{
        "over PCIe a step (replayed layers)", text(*bytes, sim::Unit::kBytes), {}, modelled};
    if (const auto pieces = view.cost("pcie_pieces_per_step")) {
      figure.detail =
          QStringLiteral("in %1 pieces (IEC units)").arg(text(*pieces, sim::Unit::kTokens));
    } else if (*bytes == 0.0) {
      figure.detail = QStringLiteral("what is kept stays on the GPU");
    }
    figures.push_back(figure);
  }
  if (const auto step = view.cost("step_us")) {
    HeadlineFigure figure{"decode step", text(*step, sim::Unit::kMicroseconds), {}, modelled};
    QStringList details;
    const auto cost = view.document.child("cost");
    if (cost && cost->number("error_band/low_us") && cost->number("error_band/high_us")) {
      details << QStringLiteral("%1 to %2 by the model's median errors")
                     .arg(text(*cost->number("error_band/low_us"), sim::Unit::kMicroseconds),
                          text(*cost->number("error_band/high_us"), sim::Unit::kMicroseconds));
    }
    if (const auto hardware = cost ? cost->child("hardware") : std::nullopt) {
      details << QString::fromStdString(hardware->text("name"));
    }
    if (cost) {
      if (const auto speedup = cost->number("full_attention/speedup")) {
        details << QStringLiteral("%1 of full attention's speed")
                       .arg(text(*speedup, sim::Unit::kRatio));
      }
    }
    figure.detail = details.join("; ");
    figures.push_back(figure);
  }
  return figures;
}

}  // namespace kvsieve::gui
