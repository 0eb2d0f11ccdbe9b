#include "sweep_fixture.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace kvsieve::tests {

sim::SweepIdentity sweep_identity(std::int64_t points, const std::string& version) {
  return {version, "avx2",
          R"({"axes":[{"name":"trace","values":["a b.kvtrace"]},)"
          R"({"name":"method","values":["snapkv","ada-snapkv","quest"]}]})",
          R"({"trace":{"a b.kvtrace":"00ff"}})", points};
}

bool fails(std::int64_t number) {
  return number % 50 == 7;
}

sim::SweepRow sweep_row(std::int64_t number, const std::string& version) {
  constexpr std::array kMethods{"snapkv", "ada-snapkv", "quest"};
  const std::int64_t method = number % 3;
  const std::int64_t budget = 5 * (1 + number / 3 % 10);
  const double batch = 1.0 + static_cast<double>(number / 30 % 500);
  sim::SweepRow row;
  row.number = number;
  row.key = fmt::format("{}-{:032x}", version, number * 2654435761);
  row.options = fmt::format(
      R"({{"trace":"a b.kvtrace","method":"{}","budget":"{}%","batch":"{}","no-cost":"false"}})",
      kMethods[static_cast<std::size_t>(method)], budget, batch);
  if (fails(number)) {
    row.error = "out of memory, point " + std::to_string(number % 100);
    return row;
  }
  const double share = static_cast<double>(budget) / 100.0;
  const double loss = (method == 1 ? 0.2 : 0.3) * std::exp(-6.0 * share) +
                      1e-3 * static_cast<double>(number * 7919 % 101) / 101.0;
  const double speed = batch * 40.0 / (0.2 + share) * (method == 2 ? 1.2 : 1.0);
  row.metrics = fmt::format(
      R"({{"evicted_mass":{},"l1_loss_relative":{},"tpot_ms":{},"tokens_per_second":{},)"
      R"("gpu_bytes":{},"loss_context":2009}})",
      loss, 1.5 * loss, 1000.0 * batch / speed, speed, 1'000'000 + 1000 * number);
  return row;
}

void write_store(const QString& path, std::int64_t begin, std::int64_t end, std::int64_t points,
                 const std::string& version) {
  sim::SweepStore store(path.toStdString(), sim::SweepStore::Mode::kResume,
                        sweep_identity(points, version));
  std::vector<sim::SweepRow> rows;
  for (std::int64_t number = begin; number < end; ++number) {
    rows.push_back(sweep_row(number, version));
  }
  store.add(rows);
}

}  // namespace kvsieve::tests
