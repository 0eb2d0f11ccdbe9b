#include "measured_fixture.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace kvsieve::sim::tests {

MeasuredRow attention_row(std::int64_t batch, std::int64_t q_heads, std::int64_t kv_heads,
                          std::int64_t context, double latency_us) {
  MeasuredRow row;
  row.gpu = "h100-sxm";
  row.engine = "VLLM";
  row.engine_version = "1.0";
  row.batch = batch;
  row.q_heads = q_heads;
  row.kv_heads = kv_heads;
  row.head_dim = 128;
  row.kv_dtype = "bfloat16";
  row.context = context;
  row.latency_us = latency_us;
  return row;
}

MeasuredRow gemm_row(std::int64_t m, std::int64_t n, std::int64_t k, double latency_us) {
  MeasuredRow row;
  row.gpu = "h100-sxm";
  row.engine = "VLLM";
  row.engine_version = "1.0";
  row.op = MeasuredOp::kGemm;
  row.m = m;
  row.n = n;
  row.k = k;
  row.latency_us = latency_us;
  return row;
}

MeasuredFile as_file(std::vector<MeasuredRow> rows) {
  MeasuredFile file;
  file.form = "kvsieve";
  file.name = "planted.csv";
  file.hash = "00112233445566778899aabbccddeeff";
  file.total_rows = static_cast<std::int64_t>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].number = static_cast<std::int64_t>(i);
    rows[i].line = static_cast<std::int64_t>(i) + 2;
  }
  file.rows = std::move(rows);
  return file;
}

MeasuredFile published(const std::string& name) {
  return read_measured(std::filesystem::path(KVSIEVE_PUBLISHED_ROWS) / name);
}

ErrorFigures figures_of(const std::vector<RegimeError>& errors, const std::string& regime,
                        const std::string& device, const std::string& engine,
                        const std::string& kv_dtype, const std::string& selection) {
  ErrorFigures figures;
  int found = 0;
  for (const RegimeError& error : errors) {
    if (error.regime == regime && error.device == device && error.engine == engine &&
        error.kv_dtype == kv_dtype && error.selection == selection) {
      figures = error.figures;
      ++found;
    }
  }
  EXPECT_EQ(found, 1) << regime << " " << device << " " << engine << " " << kv_dtype;
  return figures;
}

}  // namespace kvsieve::sim::tests
