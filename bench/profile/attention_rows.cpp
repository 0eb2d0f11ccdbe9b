#include "kvsieve/profile/attention_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "kvsieve/sim/measured_rows.h"

namespace kvsieve::profile {
namespace {

constexpr std::string_view kHeader =
    "gpu,engine,engine_version,op,batch,q_heads,kv_heads,head_dim,kv_dtype,context,m,n,k,"
    "latency_us\n";
constexpr std::string_view kEngine = "kvsieve";

}  // namespace

std::string attention_rows(const MeasuredTimeline& timeline, const AttentionRowShape& shape) {
  std::map<std::pair<std::int64_t, std::int32_t>, std::vector<double>> times;
  for (const MeasuredOperation& operation : timeline.operations) {
    if (operation.name != shape.stage || operation.step < 0 || operation.busy_us <= 0.0) {
      continue;
    }
    if (const auto tokens = shape.tokens(operation.step, operation.layer)) {
      times[{*tokens, operation.layer}].push_back(operation.busy_us);
    }
  }
  std::string rows(kHeader);
  for (auto& [key, list] : times) {
    std::sort(list.begin(), list.end());
    const double median = (list[(list.size() - 1) / 2] + list[list.size() / 2]) / 2.0;
    rows +=
        fmt::format("{},{},{},{},1,{},{},{},{},{},,,,{}\n", shape.gpu, kEngine,
                    shape.engine_version, name_of(sim::MeasuredOp::kDecodeAttention), shape.q_heads,
                    shape.kv_heads, shape.head_dim, shape.kv_dtype, key.first, median);
  }
  return rows;
}

}  // namespace kvsieve::profile
