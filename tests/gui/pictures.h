#pragma once
// Pictures of widgets for whoever wants to look at them, and palettes to draw them with.

#include <QCoreApplication>
#include <QImage>
#include <QPalette>
#include <QWidget>
#include <cstdlib>

namespace kvsieve::gui::tests {

/// Saves NAME.png into the folder that KVSIEVE_PICTURES names, if it names one.
inline void keep_picture(QWidget& widget, const QString& name) {
  if (const QString folder = qEnvironmentVariable("KVSIEVE_PICTURES"); !folder.isEmpty()) {
    QCoreApplication::processEvents();  // charts draw when they are asked to, later
    widget.grab().save(folder + "/" + name + ".png");
  }
}

[[nodiscard]] inline QPalette dark_palette() {
  QPalette palette;
  const QColor ground(30, 32, 36);
  const QColor text(230, 230, 230);
  palette.setColor(QPalette::Window, QColor(40, 42, 46));
  palette.setColor(QPalette::Base, ground);
  palette.setColor(QPalette::AlternateBase, QColor(36, 38, 42));
  palette.setColor(QPalette::Button, QColor(52, 54, 58));
  palette.setColor(QPalette::Highlight, QColor(80, 140, 220));
  for (const QPalette::ColorRole role :
       {QPalette::Text, QPalette::WindowText, QPalette::ButtonText, QPalette::ToolTipText}) {
    palette.setColor(role, text);
  }
  return palette;
}

/// Pixels of this colour, up to `slack` off in each channel, in a part of an image or in all of it.
[[nodiscard]] inline int pixels_of(const QImage& image, const QColor& colour,
                                   const QRect& part = {}, int slack = 0) {
  const QRect within = part.isNull() ? image.rect() : part.intersected(image.rect());
  const auto near = [slack](int a, int b) { return std::abs(a - b) <= slack; };
  int count = 0;
  for (int y = within.top(); y <= within.bottom(); ++y) {
    for (int x = within.left(); x <= within.right(); ++x) {
      const QColor pixel = image.pixelColor(x, y);
      count += near(pixel.red(), colour.red()) && near(pixel.green(), colour.green()) &&
                       near(pixel.blue(), colour.blue())
                   ? 1
                   : 0;
    }
  }
  return count;
}

}  // namespace kvsieve::gui::tests
