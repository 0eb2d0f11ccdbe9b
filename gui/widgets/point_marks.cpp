#include "widgets/point_marks.h"

#include <QPolygonF>
#include <initializer_list>

namespace kvsieve::gui {

QPainterPath point_mark(std::size_t shape, double radius) {
  QPainterPath path;
  const double r = radius;
  const auto polygon = [&](std::initializer_list<QPointF> corners) {
    QPolygonF points;
    for (const QPointF& corner : corners) {
      points << corner * r;
    }
    path.addPolygon(points);
    path.closeSubpath();
  };
  switch (shape % kMarkShapes) {
    case 0:
      path.addEllipse(QPointF(0, 0), r, r);
      break;
    case 1:
      polygon({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}});
      break;
    case 2:
      polygon({{0, -1.15}, {1.1, 0.85}, {-1.1, 0.85}});
      break;
    case 3:
      polygon({{0, -1.25}, {1.25, 0}, {0, 1.25}, {-1.25, 0}});
      break;
    case 4:
      polygon({{0, 1.15}, {1.1, -0.85}, {-1.1, -0.85}});
      break;
    case 5:
      polygon({{-0.35, -1.2},
               {0.35, -1.2},
               {0.35, -0.35},
               {1.2, -0.35},
               {1.2, 0.35},
               {0.35, 0.35},
               {0.35, 1.2},
               {-0.35, 1.2},
               {-0.35, 0.35},
               {-1.2, 0.35},
               {-1.2, -0.35},
               {-0.35, -0.35}});
      break;
    case 6: {
      constexpr double s = 0.85;
      polygon({{-s, -0.45 - s / 2},
               {-0.45 - s / 2, -s},
               {0, -0.45},
               {0.45 + s / 2, -s},
               {s, -0.45 - s / 2},
               {0.45, 0},
               {s, 0.45 + s / 2},
               {0.45 + s / 2, s},
               {0, 0.45},
               {-0.45 - s / 2, s},
               {-s, 0.45 + s / 2},
               {-0.45, 0}});
      break;
    }
    default:
      polygon({{0, -1.2}, {1.15, -0.35}, {0.7, 1.0}, {-0.7, 1.0}, {-1.15, -0.35}});
      break;
  }
  return path;
}

}  // namespace kvsieve::gui
