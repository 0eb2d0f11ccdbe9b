#pragma once
// Plots as files: PNG, SVG, CSV. The same for the menus and for `kvsieve-gui --export`.

#include <QSize>
#include <QString>
#include <QStringList>
#include <vector>

#include "widgets/page.h"
#include "widgets/plot_view.h"

class QPrinter;

namespace kvsieve::gui {

/// Size of exported images where nobody chose another.
inline constexpr QSize kExportSize{1200, 700};

/// Each writes a file whole or not at all, in place of one that exists. Errors as
/// traces::OutputFile.
void save_png(PlotView& plot, const QString& path, const QSize& size, double scale = 2.0);
void save_svg(PlotView& plot, const QString& path, const QSize& size);
void save_csv(const PlotView& plot, const QString& path);
void save_text(const QString& text, const QString& path);

/// Writes every plot of the pages that shows something into a folder, which is made if it is not
/// there: FOLDER/PLOT.png and so on. Returns the written paths.
/// @param formats of png, svg and csv
QStringList export_pages(const std::vector<Page*>& pages, const QString& folder,
                         const QStringList& formats, const QSize& size);

/// The page's plots on paper, one a sheet.
void print_plots(const Page& page, QPrinter& printer);

}  // namespace kvsieve::gui
