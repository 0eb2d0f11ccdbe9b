#pragma once
// A run as pages show it.

#include <QString>
#include <nlohmann/json.hpp>

#include "kvsieve/sim/run_view.h"

namespace kvsieve::gui {

/// A run's document with the view of it that reports use. Shared between pages, never changed.
class Run {
 public:
  enum class Extent {
    kWhole,
    kPart,  ///< of a replay that goes on or was cancelled: nothing to keep or to compare with
  };

  /// @param name as tabs and legends show it @param path of its file; empty if it was computed here
  /// Throws Error(kBadInput), one line, if the document is no run.
  Run(nlohmann::ordered_json document, QString name, QString path = {},
      Extent extent = Extent::kWhole)
      : m_document(std::move(document)),
        m_view(m_document, 1),
        m_name(std::move(name)),
        m_path(std::move(path)),
        m_extent(extent) {}
  Run(const Run&) = delete;  // the view points into the document
  Run& operator=(const Run&) = delete;

  [[nodiscard]] const nlohmann::ordered_json& document() const noexcept { return m_document; }
  [[nodiscard]] const sim::RunView& view() const noexcept { return m_view; }
  [[nodiscard]] const QString& name() const noexcept { return m_name; }
  [[nodiscard]] const QString& path() const noexcept { return m_path; }
  [[nodiscard]] bool is_whole() const noexcept { return m_extent == Extent::kWhole; }

 private:
  nlohmann::ordered_json m_document;
  sim::RunView m_view;
  QString m_name;
  QString m_path;
  Extent m_extent;
};

}  // namespace kvsieve::gui
