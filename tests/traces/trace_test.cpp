#include "kvsieve/traces/trace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "fails_with.h"
#include "temporary_folder.h"

namespace kvsieve::traces {
namespace {

using tests::fails_with;
using tests::TemporaryFolder;

constexpr std::int64_t kQueryHeads = 4;
constexpr std::int64_t kKvHeads = 2;
constexpr std::int64_t kHeadDim = 6;
constexpr std::int64_t kWidth = 5;

TraceHeader small_header(DType dtype = DType::kF32) {
  TraceHeader header;
  header.model.name = "toy \xc3\xa9";
  header.model.architecture = "llama";
  header.model.layers = 9;
  header.model.q_heads = kQueryHeads;
  header.model.kv_heads = kKvHeads;
  header.model.head_dim = kHeadDim;
  header.model.width = kWidth;
  header.model.defaults.rope.dim = 4;
  header.model.defaults.attention.scale = 0.4;
  header.model.layer_overrides[7] = header.model.defaults;
  header.model.layer_overrides[7].attention.sliding_window = 3;
  header.captured_layers = {0, 2, 7};
  header.prompt_tokens = 5;
  header.decode_tokens = 2;
  header.dtype = dtype;
  header.source = {"trace_test", "1.2", std::string(64, 'a'), "line one\nline \"two\""};
  header.needle = Needle{1, 4, "the needle"};
  return header;
}

std::vector<std::int32_t> positions_from(std::int32_t first, std::int32_t end) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(end - first));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

/// Small integers, exact in every dtype, different in every tensor, head and element.
std::vector<float> pattern(std::int64_t layer, int part, std::int64_t head, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        static_cast<float>((layer * 31 + part * 17 + head * 7 + static_cast<int>(i) * 3) % 251) -
        125.0F;
  }
  return values;
}

void write_layers(TraceWriter& writer, const TraceHeader& header, std::int64_t queries,
                  bool with_out) {
  for (const std::int64_t layer : header.captured_layers) {
    for (std::int64_t head = 0; head < kKvHeads; ++head) {
      const std::int64_t count = header.total_tokens() * kHeadDim;
      writer.write_k(layer, head, 0, pattern(layer, 0, head, count));
      writer.write_v(layer, head, 0, pattern(layer, 1, head, count));
    }
    for (std::int64_t head = 0; head < kQueryHeads; ++head) {
      writer.write_q(layer, head, 0, pattern(layer, 2, head, queries * kHeadDim));
      writer.write_wo(layer, head, pattern(layer, 3, head, kHeadDim * kWidth));
      if (with_out) {
        writer.write_out(layer, head, 0, pattern(layer, 4, head, queries * kHeadDim));
      }
    }
  }
}

void write_trace(const std::filesystem::path& path, const TraceHeader& header,
                 const std::vector<std::int32_t>& positions, const TraceWriter::Options& options) {
  TraceWriter writer(path, header, positions, options);
  write_layers(writer, header, static_cast<std::int64_t>(positions.size()), options.with_out);
  if (options.with_tokens) {
    writer.write_tokens(0, positions_from(100, 100 + static_cast<int>(header.total_tokens())));
  }
  writer.commit();
}

std::vector<float> head_of(const TensorView& tensor, std::int64_t head) {
  const std::int64_t count = tensor.shape[1] * tensor.shape[2];
  std::vector<float> values(static_cast<std::size_t>(count));
  to_float(tensor.dtype,
           tensor.data + static_cast<std::size_t>(head * count) * size_of(tensor.dtype), values);
  return values;
}

TEST(trace, all_tensors_round_trip_in_every_dtype) {
  const TemporaryFolder folder;
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    SCOPED_TRACE(name_of(dtype));
    const TraceHeader header = small_header(dtype);
    write_trace(folder / "t", header, positions_from(3, 7), {true, true, true});
    const Trace trace = Trace::open(folder / "t");
    for (std::size_t i = 0; i < header.captured_layers.size(); ++i) {
      const TraceLayer layer = trace.layer(i);
      EXPECT_EQ(header.captured_layers[i], layer.layer);
      EXPECT_EQ(header.model.layer(layer.layer), layer.spec);
      EXPECT_EQ((std::vector<std::int64_t>{kKvHeads, 7, kHeadDim}), layer.k.shape);
      EXPECT_EQ((std::vector<std::int64_t>{kKvHeads, 7, kHeadDim}), layer.v.shape);
      EXPECT_EQ((std::vector<std::int64_t>{kQueryHeads, 4, kHeadDim}), layer.q.shape);
      EXPECT_EQ((std::vector<std::int64_t>{kQueryHeads, kHeadDim, kWidth}), layer.wo.shape);
      ASSERT_TRUE(layer.out.has_value());
      for (std::int64_t head = 0; head < kKvHeads; ++head) {
        EXPECT_EQ(pattern(layer.layer, 0, head, 7 * kHeadDim), head_of(layer.k, head));
        EXPECT_EQ(pattern(layer.layer, 1, head, 7 * kHeadDim), head_of(layer.v, head));
      }
      for (std::int64_t head = 0; head < kQueryHeads; ++head) {
        EXPECT_EQ(pattern(layer.layer, 2, head, 4 * kHeadDim), head_of(layer.q, head));
        EXPECT_EQ(pattern(layer.layer, 3, head, kHeadDim * kWidth), head_of(layer.wo, head));
        EXPECT_EQ(pattern(layer.layer, 4, head, 4 * kHeadDim), head_of(*layer.out, head));
      }
      EXPECT_EQ(dtype, layer.k.dtype);
    }
  }
}

TEST(trace, header_round_trips) {
  const TemporaryFolder folder;
  const TraceHeader header = small_header(DType::kBF16);
  write_trace(folder / "t", header, positions_from(3, 7), {});
  const Trace trace = Trace::open(folder / "t");
  const TraceHeader& back = trace.header();
  EXPECT_EQ(folder / "t", trace.path());
  EXPECT_EQ(std::filesystem::file_size(folder / "t"), trace.file_size());
  EXPECT_EQ(32U, trace.hash().size());
  EXPECT_EQ(header.model.name, back.model.name);
  EXPECT_EQ(header.model.layers, back.model.layers);
  EXPECT_EQ(header.model.layer(7), back.model.layer(7));
  EXPECT_EQ(header.captured_layers, back.captured_layers);
  EXPECT_EQ(5, back.prompt_tokens);
  EXPECT_EQ(2, back.decode_tokens);
  EXPECT_EQ(7, back.total_tokens());
  EXPECT_EQ(DType::kBF16, back.dtype);
  EXPECT_EQ("trace_test", back.source.tool);
  EXPECT_EQ("1.2", back.source.version);
  EXPECT_EQ(std::string(64, 'a'), back.source.prompt_sha256);
  EXPECT_EQ("line one\nline \"two\"", back.source.note);
  ASSERT_TRUE(back.needle.has_value());
  EXPECT_EQ(1, back.needle->begin);
  EXPECT_EQ(4, back.needle->end);
  EXPECT_EQ("the needle", back.needle->text);
}

TEST(trace, optional_parts_may_be_absent) {
  const TemporaryFolder folder;
  TraceHeader header = small_header();
  header.needle.reset();
  header.source = {};
  write_trace(folder / "t", header, positions_from(3, 7), {false, false, false});
  const Trace trace = Trace::open(folder / "t");
  EXPECT_TRUE(trace.tokens().empty());
  EXPECT_FALSE(trace.header().needle.has_value());
  EXPECT_EQ("", trace.header().source.tool);
  EXPECT_FALSE(trace.layer(0).out.has_value());
}

TEST(trace, tokens_are_those_written) {
  const TemporaryFolder folder;
  write_trace(folder / "t", small_header(), positions_from(3, 7), {});
  const Trace trace = Trace::open(folder / "t");
  EXPECT_EQ(positions_from(100, 107),
            std::vector<std::int32_t>(trace.tokens().begin(), trace.tokens().end()));
}

TEST(trace, rows_arrive_in_any_order) {
  const TemporaryFolder folder;
  const TraceHeader header = small_header();
  TraceWriter writer(folder / "t", header, positions_from(0, 7), {false, true, false});
  for (const std::int64_t token : {6, 2, 0, 4, 1, 5, 3}) {
    writer.write_tokens(token, std::vector{static_cast<std::int32_t>(token)});
    for (const std::int64_t layer : {7, 0, 2}) {
      for (const std::int64_t head : {3, 1, 0, 2}) {
        const auto row = [&](int part) {
          const std::vector<float> all = pattern(layer, part, head, 7 * kHeadDim);
          return std::vector(all.begin() + token * kHeadDim, all.begin() + (token + 1) * kHeadDim);
        };
        writer.write_q(layer, head, token, row(2));
        if (head < kKvHeads) {
          writer.write_v(layer, head, token, row(1));
          writer.write_k(layer, head, token, row(0));
        }
        if (token == 0) {
          writer.write_wo(layer, head, pattern(layer, 3, head, kHeadDim * kWidth));
        }
      }
    }
  }
  writer.commit();
  const Trace trace = Trace::open(folder / "t");
  EXPECT_EQ(pattern(2, 0, 1, 7 * kHeadDim), head_of(trace.layer(1).k, 1));
  EXPECT_EQ(pattern(7, 1, 0, 7 * kHeadDim), head_of(trace.layer(2).v, 0));
  EXPECT_EQ(pattern(0, 2, 3, 7 * kHeadDim), head_of(trace.layer(0).q, 3));
  EXPECT_EQ(positions_from(0, 7),
            std::vector<std::int32_t>(trace.tokens().begin(), trace.tokens().end()));
}

TEST(trace, an_incomplete_trace_cannot_be_committed) {
  const TemporaryFolder folder;
  const TraceHeader header = small_header();
  TraceWriter writer(folder / "t", header, positions_from(3, 7), {true, false, false});
  write_layers(writer, header, 4, false);
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "layers.0.out", [&] { writer.commit(); }));
  EXPECT_FALSE(std::filesystem::exists(folder / "t"));
}

TEST(trace, rows_outside_a_tensor_are_rejected) {
  const TemporaryFolder folder;
  TraceWriter writer(folder / "t", small_header(), positions_from(3, 7), {false, false, false});
  const std::vector<float> row(kHeadDim);
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "layers.1.k", [&] { writer.write_k(1, 0, 0, row); }));
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "layers.0.k", [&] { writer.write_k(0, kKvHeads, 0, row); }));
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "layers.0.q", [&] { writer.write_q(0, 3, 4, row); }));
  EXPECT_TRUE(
      fails_with(ErrorKind::kInternal, "layers.0.out", [&] { writer.write_out(0, 0, 0, row); }));
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "tokens", [&] { writer.write_tokens(0, {}); }));
}

TEST(trace, rows_never_reach_into_the_next_head) {
  const TemporaryFolder folder;
  TraceWriter writer(folder / "t", small_header(), positions_from(3, 7), {});
  const auto fails = [&](const char* part, auto&& write) {
    return fails_with(ErrorKind::kInternal, part, write);
  };
  const std::vector<float> rows(2 * kHeadDim);
  EXPECT_TRUE(fails("layers.0.k", [&] { writer.write_k(0, 0, 6, rows); }));
  EXPECT_TRUE(fails("layers.0.v", [&] { writer.write_v(0, 0, 6, rows); }));
  EXPECT_TRUE(fails("layers.0.v", [&] { writer.write_v(0, 1, -1, rows); }));
  EXPECT_TRUE(fails("layers.0.q", [&] { writer.write_q(0, 1, 3, rows); }));
  EXPECT_TRUE(fails("layers.0.out", [&] { writer.write_out(0, 2, 3, rows); }));
  EXPECT_TRUE(fails("layers.0.wo",
                    [&] { writer.write_wo(0, 0, std::vector<float>((kHeadDim + 1) * kWidth)); }));
  EXPECT_TRUE(fails("layers.0.k", [&] { writer.write_k(0, 0, 0, {rows.data(), kHeadDim + 1}); }));
  EXPECT_NO_THROW(writer.write_k(0, 0, 5, rows));
}

TEST(trace, query_positions_end_the_prompt_and_cover_decoding) {
  const TemporaryFolder folder;
  for (const std::int32_t first : {0, 3, 4, 5}) {
    write_trace(folder / "t", small_header(), positions_from(first, 7), {true, true, true});
    const Trace trace = Trace::open(folder / "t");
    EXPECT_EQ(5 - first, trace.prompt_queries());
    EXPECT_EQ(positions_from(first, 7), std::vector<std::int32_t>(trace.query_positions().begin(),
                                                                  trace.query_positions().end()));
  }
}

TEST(trace, a_trace_may_hold_no_decode_steps) {
  const TemporaryFolder folder;
  TraceHeader header = small_header();
  header.decode_tokens = 0;
  write_trace(folder / "t", header, positions_from(2, 5), {});
  EXPECT_EQ(3, Trace::open(folder / "t").prompt_queries());
}

TEST(trace, other_query_positions_are_rejected) {
  const TemporaryFolder folder;
  const std::vector<std::vector<std::int32_t>> rejected{
      {3, 4, 6, 5}, {3, 4, 5}, {2, 4, 5, 6}, {4, 5, 6, 7}, {-1, 0, 1, 2, 3, 4, 5, 6},
      {5},          {6},       {4, 4, 5, 6}};
  for (const auto& positions : rejected) {
    EXPECT_TRUE(fails_with(ErrorKind::kUsage, "query_positions", [&] {
      TraceWriter(folder / "t", small_header(), positions, {});
    })) << testing::PrintToString(positions);
  }
  EXPECT_TRUE(folder.entries().empty()) << "a temporary file was left behind";
}

TEST(trace, a_trace_needs_a_query) {
  const TemporaryFolder folder;
  TraceHeader header = small_header();
  header.decode_tokens = 0;
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "query_positions",
                         [&] { TraceWriter(folder / "t", header, {}, {}); }));
}

TEST(trace, the_needle_lies_inside_the_prompt) {
  const TemporaryFolder folder;
  const auto opens_writer = [&](std::int64_t begin, std::int64_t end) {
    TraceHeader header = small_header();
    header.needle = Needle{begin, end, ""};
    TraceWriter(folder / "t", header, positions_from(3, 7), {});
  };
  const auto fails = [&](std::int64_t begin, std::int64_t end, const char* part) {
    return fails_with(ErrorKind::kUsage, part, [&] { opens_writer(begin, end); });
  };
  EXPECT_TRUE(fails(-1, 2, "needle.begin is -1"));
  EXPECT_TRUE(fails(5, 6, "needle.begin is 5"));
  EXPECT_TRUE(fails(2, 6, "needle.end is 6"));
  EXPECT_TRUE(fails(2, 2, "needle.end is 2"));
  EXPECT_TRUE(fails(3, 1, "needle.end is 1"));
  EXPECT_NO_THROW(opens_writer(0, 5));
  EXPECT_NO_THROW(opens_writer(4, 5));
}

TEST(trace, inconsistent_headers_are_a_usage_error) {
  const TemporaryFolder folder;
  const auto fails = [&](std::string_view part, auto&& change) {
    TraceHeader header = small_header();
    change(header);
    return fails_with(ErrorKind::kUsage, part,
                      [&] { TraceWriter(folder / "t", header, positions_from(3, 7), {}); });
  };
  EXPECT_TRUE(fails("captured_layers", [](TraceHeader& h) { h.captured_layers = {2, 0}; }));
  EXPECT_TRUE(fails("captured_layers", [](TraceHeader& h) { h.captured_layers = {2, 2}; }));
  EXPECT_TRUE(fails("captured_layers", [](TraceHeader& h) { h.captured_layers = {9}; }));
  EXPECT_TRUE(fails("captured_layers", [](TraceHeader& h) { h.captured_layers = {}; }));
  EXPECT_TRUE(fails("prompt_tokens", [](TraceHeader& h) { h.prompt_tokens = 0; }));
  EXPECT_TRUE(fails("decode_tokens", [](TraceHeader& h) { h.decode_tokens = -1; }));
  EXPECT_TRUE(fails("decode_tokens", [](TraceHeader& h) { h.decode_tokens = INT32_MAX; }));
  EXPECT_TRUE(fails("dtype", [](TraceHeader& h) { h.dtype = DType::kI32; }));
  EXPECT_TRUE(fails("model.kv_heads", [](TraceHeader& h) { h.model.kv_heads = 3; }));
  EXPECT_TRUE(fails("model.rope.dim", [](TraceHeader& h) { h.model.defaults.rope.dim = 8; }));
  EXPECT_TRUE(fails("model.attention.scale",
                    [](TraceHeader& h) { h.model.defaults.attention.scale = 0.0; }));
  EXPECT_TRUE(folder.entries().empty());
}

TEST(trace, names_of_any_bytes_can_be_written) {
  const TemporaryFolder folder;
  TraceHeader header = small_header();
  header.model.name = "bad \xff utf-8";
  header.source.note = "\x80";
  write_trace(folder / "t", header, positions_from(3, 7), {});
  EXPECT_EQ("bad \xef\xbf\xbd utf-8", Trace::open(folder / "t").header().model.name);
}

TEST(trace, an_existing_trace_is_replaced_only_on_request) {
  const TemporaryFolder folder;
  write_trace(folder / "t", small_header(), positions_from(3, 7), {});
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "exists already", [&] {
    write_trace(folder / "t", small_header(), positions_from(3, 7), {});
  }));
  write_trace(folder / "t", small_header(), positions_from(4, 7), {true, true, true});
  EXPECT_EQ(1, Trace::open(folder / "t").prompt_queries());
}

TEST(trace, layers_are_found_by_their_number) {
  const TemporaryFolder folder;
  write_trace(folder / "t", small_header(), positions_from(3, 7), {});
  const Trace trace = Trace::open(folder / "t");
  EXPECT_EQ(0U, trace.find_layer(0));
  EXPECT_EQ(1U, trace.find_layer(2));
  EXPECT_EQ(2U, trace.find_layer(7));
  for (const std::int64_t layer : {-1, 1, 3, 6, 8, 100}) {
    EXPECT_EQ(std::nullopt, trace.find_layer(layer)) << layer;
  }
}

TEST(trace, released_layers_can_be_read_again) {
  const TemporaryFolder folder;
  write_trace(folder / "t", small_header(), positions_from(3, 7), {});
  const Trace trace = Trace::open(folder / "t");
  const TraceLayer layer = trace.layer(1);
  trace.release(layer);
  EXPECT_EQ(pattern(2, 4, 1, 4 * kHeadDim), head_of(*layer.out, 1));
}

TEST(trace, values_that_are_not_finite_can_be_opened) {
  const TemporaryFolder folder;
  const TraceHeader header = small_header(DType::kF16);
  TraceWriter writer(folder / "t", header, positions_from(3, 7), {true, false, false});
  write_layers(writer, header, 4, true);
  writer.write_k(0, 0, 0,
                 std::vector<float>{HUGE_VALF, -HUGE_VALF, std::nanf(""), 0.0F, 0.0F, 0.0F});
  writer.commit();
  EXPECT_NO_THROW(Trace::open(folder / "t"));
}

TEST(trace, tensor_names_are_those_of_the_format) {
  EXPECT_EQ("layers.3.k", tensor_name(3, "k"));
  EXPECT_EQ("layers.10.wo", tensor_name(10, "wo"));
}

TEST(trace, errors_begin_with_the_path_whatever_its_name) {
  // A message that happens to begin like the path must not be taken for one that has it already.
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  for (const char* name : {"t", "tensor", "k", "kvsieve", "__metadata__"}) {
    SafetensorsWriter(name, {{"format", "kvsieve.trace"}, {"version", "1"}, {"kvsieve", "{}"}}, {},
                      false)
        .commit();
    EXPECT_TRUE(fails_with(ErrorKind::kBadInput, std::string(name) + ": kvsieve.model",
                           [&] { static_cast<void>(Trace::open(name)); }));
  }
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace kvsieve::traces
