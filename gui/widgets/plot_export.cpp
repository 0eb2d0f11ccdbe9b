#include "widgets/plot_export.h"

#include <QBuffer>
#include <QDir>
#include <QImage>
#include <QPainter>
#include <QPrinter>
#include <QSvgGenerator>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"

namespace kvsieve::gui {
namespace {

void save(const QString& path, const QByteArray& bytes) {
  traces::write_file(path.toStdString(), bytes.toStdString(), true);
}

}  // namespace

void save_png(PlotView& plot, const QString& path, const QSize& size, double scale) {
  QImage image(size * scale, QImage::Format_ARGB32_Premultiplied);
  image.setDevicePixelRatio(scale);
  image.fill(plot.palette().color(QPalette::Base));
  plot.draw(image, size);
  QByteArray bytes;
  QBuffer buffer(&bytes);
  buffer.open(QIODevice::WriteOnly);
  image.setText(QStringLiteral("Title"), plot.title());
  image.save(&buffer, "PNG");
  save(path, bytes);
}

void save_svg(PlotView& plot, const QString& path, const QSize& size) {
  QByteArray bytes;
  QBuffer buffer(&bytes);
  buffer.open(QIODevice::WriteOnly);
  {
    QSvgGenerator generator;
    generator.setOutputDevice(&buffer);
    generator.setSize(size);
    generator.setViewBox(QRect(QPoint(0, 0), size));
    generator.setTitle(plot.title());
    generator.setDescription(plot.note());
    plot.draw(generator, size);
  }
  save(path, bytes);
}

void save_csv(const PlotView& plot, const QString& path) {
  save_text(plot.csv(), path);
}

void save_text(const QString& text, const QString& path) {
  save(path, text.toUtf8());
}

QStringList export_pages(const std::vector<Page*>& pages, const QString& folder,
                         const QStringList& formats, const QSize& size) {
  if (!QDir().mkpath(folder)) {
    throw Error(ErrorKind::kBadInput, folder.toStdString() + ": cannot make this folder");
  }
  QStringList written;
  for (const Page* page : pages) {
    for (PlotView* plot : page->plots()) {
      if (plot->is_empty()) {
        continue;
      }
      for (const QString& format : formats) {
        const QString path = QDir(folder).filePath(plot->id() + "." + format);
        if (format == "png") {
          save_png(*plot, path, size);
        } else if (format == "svg") {
          save_svg(*plot, path, size);
        } else if (format == "csv") {
          save_csv(*plot, path);
        } else {
          throw Error(ErrorKind::kUsage, "the format '" + format.toStdString() +
                                             "' is unknown, supported: png, svg, csv");
        }
        written << path;
      }
    }
  }
  return written;
}

void print_plots(const Page& page, QPrinter& printer) {
  QPainter painter(&printer);
  bool first = true;
  for (PlotView* plot : page.plots()) {
    if (plot->is_empty()) {
      continue;
    }
    if (!first) {
      printer.newPage();
    }
    first = false;
    const QRect paper = painter.viewport();
    const int head = painter.fontMetrics().height() * 2;
    painter.drawText(QRect(0, 0, paper.width(), head), Qt::AlignLeft,
                     plot->title() + " (" + plot->origin() + ")");
    // Drawn as an image: a device can be painted on by one painter alone.
    QImage image(kExportSize * 2, QImage::Format_ARGB32_Premultiplied);
    image.setDevicePixelRatio(2.0);
    image.fill(plot->palette().color(QPalette::Base));
    plot->draw(image, kExportSize);
    const QSize fitted =
        kExportSize.scaled(paper.width(), paper.height() - head, Qt::KeepAspectRatio);
    painter.drawImage(QRect(QPoint(0, head), fitted), image);
  }
}

}  // namespace kvsieve::gui
