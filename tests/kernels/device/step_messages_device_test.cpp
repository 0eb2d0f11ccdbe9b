#include "a2ats/step_messages_device.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "exec/device/launch_config.h"
#include "kernels/attention/case_table.h"
#include "kernels/attention/random_heads.h"
#include "kernels/device/orders.h"
#include "traces/fails_with.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

using kvsieve::tests::fails_with;
using Bytes = std::vector<std::byte>;

constexpr std::int64_t kQueryGroups[] = {0, 1, 3, 8};  // none: the message is of K and V alone
constexpr std::int64_t kKvHeads[] = {1, 2, 5};
constexpr std::int64_t kDims[] = {8, 64, 80, 256};
/// The new token's row and where the old one's goes.
constexpr std::array<std::int64_t, 2> kRows[] = {{0, -1}, {3, -1}, {2, 4}, {4, 0}};
constexpr std::int64_t kResidentRows = 5;

struct MessageCase {
  std::int64_t group = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 64;
  traces::DType dtype = traces::DType::kF16;
  std::array<std::int64_t, 2> rows{};

  [[nodiscard]] std::string name() const {
    return "G" + std::to_string(group) + " Hkv" + std::to_string(kv_heads) + " d" +
           std::to_string(head_dim) + " " + std::string(traces::name_of(dtype)) + " row " +
           std::to_string(rows[0]) + " to " + std::to_string(rows[1]);
  }
};

std::vector<MessageCase> message_cases() {
  const std::size_t levels[] = {std::size(kQueryGroups), std::size(kKvHeads), std::size(kDims),
                                std::size(tests::kDTypes), std::size(kRows)};
  std::vector<MessageCase> cases;
  for (const std::vector<std::size_t>& row : tests::pairwise(levels)) {
    cases.push_back({kQueryGroups[row[0]], kKvHeads[row[1]], kDims[row[2]], tests::kDTypes[row[3]],
                     kRows[row[4]]});
  }
  return cases;
}

/// A row of fp32 numbers in `dtype`.
void put(traces::DType dtype, std::span<const float> numbers, Bytes& out) {
  const std::size_t before = out.size();
  out.resize(before + numbers.size() * traces::size_of(dtype));
  traces::from_float(dtype, numbers, out.data() + before);
}

TEST(StepMessages, PackRoundsAndPlacesTheNewRows) {
  for (const MessageCase& item : message_cases()) {
    SCOPED_TRACE(item.name());
    const std::int64_t d = item.head_dim;
    const std::int64_t q_heads = item.group * item.kv_heads;
    const tests::RandomRows queries(std::max<std::int64_t>(1, q_heads), d, 1, 3.0);
    const tests::RandomRows keys(item.kv_heads, d, 2);
    const tests::RandomRows values(item.kv_heads, d, 3);
    const auto row_bytes = static_cast<std::size_t>(2 * d) * traces::size_of(item.dtype);
    Bytes before(static_cast<std::size_t>(item.kv_heads * kResidentRows) * row_bytes);
    for (std::size_t at = 0; at < before.size(); ++at) {
      before[at] = static_cast<std::byte>(at % 251);
    }
    Bytes expected;
    if (item.group > 0) {
      put(item.dtype, queries.data, expected);
    }
    Bytes resident = before;
    for (std::int64_t h = 0; h < item.kv_heads; ++h) {
      Bytes row;
      put(item.dtype, keys.view().row(h), row);
      put(item.dtype, values.view().row(h), row);
      expected.insert(expected.end(), row.begin(), row.end());
      std::byte* head = resident.data() + static_cast<std::size_t>(h * kResidentRows) * row_bytes;
      std::byte* place = head + static_cast<std::size_t>(item.rows[0]) * row_bytes;
      if (item.rows[1] >= 0) {
        std::copy_n(place, row_bytes, head + static_cast<std::size_t>(item.rows[1]) * row_bytes);
      }
      std::copy(row.begin(), row.end(), place);
    }
    for_each_order([&] {
      Stream stream;
      const DeviceBuffer<float> q(std::span<const float>(queries.data), stream);
      const DeviceBuffer<float> k(std::span<const float>(keys.data), stream);
      const DeviceBuffer<float> v(std::span<const float>(values.data), stream);
      const DeviceBuffer<std::byte> rows(std::span<const std::byte>(before), stream);
      const DeviceBuffer<std::byte> message(expected.size());
      PackStepMessageArgs args;
      args.queries = item.group > 0 ? q.data() : nullptr;
      args.keys = k.data();
      args.values = v.data();
      args.q_heads = q_heads;
      args.kv_heads = item.kv_heads;
      args.head_dim = d;
      args.dtype = item.dtype;
      args.message = message.data();
      args.resident = rows.data();
      args.resident_rows = kResidentRows;
      args.new_row = item.rows[0];
      args.moved_row = item.rows[1];
      pack_step_message(args, stream);
      EXPECT_EQ(message.download(stream), expected);
      EXPECT_EQ(rows.download(stream), resident);
    });
  }
}

TEST(StepMessages, UnpackIsExact) {
  for (const traces::DType dtype : tests::kDTypes) {
    for (const std::int64_t n : {0, 1, 255, 256, 257}) {
      SCOPED_TRACE(std::string(traces::name_of(dtype)) + " " + std::to_string(n));
      const tests::RandomRows numbers(1, std::max<std::int64_t>(1, n), 4);
      Bytes rows;
      put(dtype, std::span(numbers.data).first(static_cast<std::size_t>(n)), rows);
      std::vector<float> expected(static_cast<std::size_t>(n));
      traces::to_float(dtype, rows.data(), expected);
      Stream stream;
      const DeviceBuffer<std::byte> from(std::span<const std::byte>(rows), stream);
      const DeviceBuffer<float> to(static_cast<std::size_t>(n));
      UnpackRowsArgs args;
      args.rows = from.data();
      args.dtype = dtype;
      args.n = n;
      args.out = to.data();
      unpack_rows(args, stream);
      EXPECT_EQ(to.download(stream), expected);
    }
  }
}

TEST(StepMessages, RefuseRowsThatAreNotThere) {
  Stream stream;
  PackStepMessageArgs args;
  args.kv_heads = 1;
  args.head_dim = 64;
  args.resident_rows = 4;
  args.new_row = 4;
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "not among the resident ones",
                         [&] { pack_step_message(args, stream); }));
  args.new_row = 1;
  args.moved_row = 1;
  EXPECT_TRUE(fails_with(ErrorKind::kInternal, "not another resident one",
                         [&] { pack_step_message(args, stream); }));
}

TEST(StepMessages, LaunchesAThreadANumber) {
  PackStepMessageArgs args;
  args.kv_heads = 8;
  args.q_heads = 32;
  args.head_dim = 128;
  EXPECT_EQ(pack_step_message_config(args), (LaunchConfig{{8}, {256}, 0}));
  const float query = 0.0F;
  args.queries = &query;
  EXPECT_EQ(pack_step_message_config(args), (LaunchConfig{{24}, {256}, 0}));
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
