// A frame of the viewer's head matrix and of its token strip, drawn into an image of the size of a
// window, and the Heads page taking a new run.

#include <benchmark/benchmark.h>

#include <QApplication>
#include <QImage>
#include <memory>
#include <vector>

#include "core/run.h"
#include "pages/heads_page.h"
#include "report/run_documents.h"
#include "widgets/head_matrix_view.h"
#include "widgets/token_strip_view.h"

namespace kvsieve::bench {
namespace {

constexpr QSize kWindow{1200, 800};

/// Widgets need an application, and a screen that is always there. It is never destroyed: Qt's own
/// statics may be gone by then.
void ensure_application() {
  static int argc = 1;
  static char name[] = "bench";
  static char* argv[] = {name, nullptr};
  qputenv("QT_QPA_PLATFORM", "offscreen");
  [[maybe_unused]] static const auto* application = new QApplication(argc, argv);
}

std::shared_ptr<const gui::Run> run_of(const benchmark::State& state) {
  return std::make_shared<const gui::Run>(
      tests::eviction_document({.layers = state.range(1),
                                .heads = state.range(2),
                                .steps = 3,
                                .prompt_tokens = state.range(0)}),
      QStringLiteral("run"));
}

QImage screen(double scale) {
  QImage image(kWindow * scale, QImage::Format_ARGB32_Premultiplied);
  image.setDevicePixelRatio(scale);
  return image;
}

void head_matrix_frame(benchmark::State& state) {
  ensure_application();
  const auto run = run_of(state);
  gui::Workspace workspace;
  gui::HeadMatrixView view("bench.matrix", "Heads", workspace);
  view.set_figure(gui::head_figure(run->view(), "evicted_mass"));
  // The worst case of outlines: every second head is selected.
  std::vector<gui::HeadId> heads;
  for (const gui::HeadId& head : gui::heads_of(*view.figure())) {
    if ((head.layer + head.head) % 2 == 0) {
      heads.push_back(head);
    }
  }
  workspace.view().select(gui::select_heads({}, heads, false));
  QImage image = screen(static_cast<double>(state.range(3)));
  for (auto _ : state) {
    view.draw(image, kWindow);
    benchmark::DoNotOptimize(image.constBits());
  }
  state.counters["cells"] = static_cast<double>(state.range(1) * state.range(2));
}

void head_matrix_hover(benchmark::State& state) {
  ensure_application();
  const auto run = run_of(state);
  gui::Workspace workspace;
  gui::HeadMatrixView view("bench.matrix", "Heads", workspace);
  view.set_figure(gui::head_figure(run->view(), "evicted_mass"));
  const gui::HeadGrid grid = view.grid(kWindow);
  int pixel = 0;
  for (auto _ : state) {
    pixel = (pixel + 7) % (kWindow.width() * kWindow.height());
    if (const auto cell = grid.cell_at(pixel % kWindow.width(), pixel / kWindow.width())) {
      benchmark::DoNotOptimize(view.text_at(*cell));
    }
  }
}

void heads_page_takes_a_run(benchmark::State& state) {
  ensure_application();
  const auto run = run_of(state);
  gui::Workspace workspace;
  gui::HeadsPage page(workspace);
  page.resize(kWindow);
  for (auto _ : state) {
    workspace.show_run(run);
  }
}

void token_strip_frame(benchmark::State& state) {
  ensure_application();
  const std::int64_t tokens = state.range(0);
  gui::Workspace workspace;
  gui::TokenStripView view("bench.tokens", "Tokens", workspace);
  gui::TokenStrip data;
  data.tokens = tokens;
  data.prompt_tokens = tokens;
  data.window_end = tokens;
  data.window = 32;
  gui::TokenStrip::Track track{"layer 0, KV head 0", {}, true};
  for (std::int64_t token = 0; token + 5 < tokens; token += 50) {
    track.kept.push_back({token, token + 5});
  }
  data.tracks.assign(static_cast<std::size_t>(state.range(1)), track);
  std::vector<float> attention(static_cast<std::size_t>(tokens));
  for (std::size_t i = 0; i < attention.size(); ++i) {
    attention[i] = 1e-6F * static_cast<float>(1 + i * 2654435761U % 997);
  }
  const auto values = std::make_shared<const std::vector<float>>(std::move(attention));
  data.curves = {{"attention", "softmax", sim::Ink::kAccent, values, true},
                 {"score", "mean attention", sim::Ink::kWarm, values, true}};
  view.set_data(std::move(data), "captured", {});
  QImage image = screen(1.0);
  for (auto _ : state) {
    view.draw(image, kWindow);
    benchmark::DoNotOptimize(image.constBits());
  }
}

BENCHMARK(head_matrix_frame)
    ->ArgNames({"n", "layers", "heads", "scale"})
    ->Args({1024, 80, 64, 1})
    ->Args({1024, 80, 64, 2})
    ->Args({1024, 8, 3, 1})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(head_matrix_hover)
    ->ArgNames({"n", "layers", "heads"})
    ->Args({1024, 80, 64})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(heads_page_takes_a_run)
    ->ArgNames({"n", "layers", "heads"})
    ->Args({1024, 8, 3})
    ->Args({1024, 80, 64})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(token_strip_frame)
    ->ArgNames({"n", "strips"})
    ->Args({1024, 4})
    ->Args({131'072, 4})
    ->Args({1'048'576, 4})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kvsieve::bench
