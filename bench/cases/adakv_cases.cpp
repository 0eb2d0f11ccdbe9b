// Ada-KV's compress pipeline on one layer of Llama-3.1-8B at 20 % budget, stage by stage and whole.

#include <fmt/format.h>

#include <memory>

#include "cases/adakv_layer.h"
#include "cases/case_groups.h"

namespace kvsieve::bench {
namespace {

using traces::DType;

/// A stage: what runs before the clock does, what is timed, and its work.
struct Stage {
  const char* name;
  void (*before)(AdaKvLayer& layer);
  void (AdaKvLayer::*run)();
  kernels::Work (*work)(const AdaKvLayer& layer);
};

constexpr Stage kStages[] = {
    {"window_scores", [](AdaKvLayer&) {}, &AdaKvLayer::score,
     [](const AdaKvLayer& layer) { return layer.score_work(); }},
    {"allocation", [](AdaKvLayer& layer) { layer.score(); }, &AdaKvLayer::allocate,
     [](const AdaKvLayer& layer) { return layer.allocate_work(); }},
    {"selection",
     [](AdaKvLayer& layer) {
       layer.score();
       layer.allocate();
     },
     &AdaKvLayer::select, [](const AdaKvLayer& layer) { return layer.select_work(); }},
    {"compaction", [](AdaKvLayer& layer) { layer.compress(); }, &AdaKvLayer::compact,
     [](const AdaKvLayer& layer) { return layer.compact_work(); }},
    {"compress", [](AdaKvLayer&) {}, &AdaKvLayer::compress,
     [](const AdaKvLayer& layer) {
       kernels::Work work = layer.score_work();
       work += layer.allocate_work();
       work += layer.select_work();
       work += layer.compact_work();
       return work;
     }},
};

}  // namespace

std::vector<BenchCase> adakv_cases(int threads) {
  std::vector<BenchCase> cases;
  for (const Stage& stage : kStages) {
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      for (const std::int64_t tokens : kTokenCounts) {
        cases.push_back({fmt::format("adakv/stage:{}/dtype:{}/n:{}/threads:{}", stage.name,
                                     case_name_of(dtype), tokens, threads),
                         threads, [stage, dtype, tokens] {
                           const auto layer = std::make_shared<AdaKvLayer>(tokens, dtype);
                           stage.before(*layer);
                           PreparedCase prepared;
                           prepared.iterate = [layer, stage] { ((*layer).*stage.run)(); };
                           prepared.work = [layer, stage] { return stage.work(*layer); };
                           return prepared;
                         }});
      }
    }
  }
  return cases;
}

}  // namespace kvsieve::bench
