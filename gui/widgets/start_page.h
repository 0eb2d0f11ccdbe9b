#pragma once
// What there is to do while nothing is open.

#include <QListWidget>
#include <QWidget>

namespace kvsieve::gui {

class StartPage : public QWidget {
  Q_OBJECT
 public:
  /// @param sample path of the bundled trace; empty if it is not installed
  explicit StartPage(const QString& sample);

  void set_recent(const QStringList& files);

 Q_SIGNALS:
  void open_wanted();
  void file_wanted(const QString& path);

 private:
  QListWidget* m_recent;
};

/// The bundled sample trace: installed, or in the source tree that this program was built from.
/// Empty if there is none.
[[nodiscard]] QString bundled_sample();

}  // namespace kvsieve::gui
