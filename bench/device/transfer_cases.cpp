// What crosses the bus in a decode step: gathered rows, hot buffers, and the step's messages.

#include <fmt/format.h>

#include <algorithm>

#include "a2ats/kv_gather_device.h"
#include "a2ats/step_messages_device.h"
#include "device/case_groups.h"
#include "device/case_memory.h"

namespace kvsieve::bench::KVSIEVE_BACKEND_NS {
namespace {

using traces::DType;

struct GatherShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t segments;
  std::int64_t tokens;    ///< rows of a segment
  std::int64_t selected;  ///< of them

  [[nodiscard]] std::string name(const char* operation) const {
    return fmt::format("{}/dtype:{}/d:{}/segments:{}/n:{}/selected:{}", operation,
                       case_name_of(dtype), head_dim, segments, tokens, selected);
  }
  [[nodiscard]] std::int64_t row_bytes() const {
    return kernels::row_bytes(head_dim, element_bytes(dtype));
  }
  /// A segment's rows, evenly over it from `first` on, ascending.
  [[nodiscard]] std::vector<std::int32_t> list(std::int64_t first) const {
    std::vector<std::int32_t> rows;
    for (std::int64_t i = 0; i < selected; ++i) {
      rows.push_back(static_cast<std::int32_t>(first + i * (tokens - first) / selected));
    }
    return rows;
  }
  /// The same list for each segment.
  [[nodiscard]] std::vector<std::int32_t> lists(std::int64_t first) const {
    std::vector<std::int32_t> all;
    for (std::int64_t s = 0; s < segments; ++s) {
      const std::vector<std::int32_t> rows = list(first);
      all.insert(all.end(), rows.begin(), rows.end());
    }
    return all;
  }
  [[nodiscard]] std::vector<std::int32_t> counts() const {
    return std::vector<std::int32_t>(static_cast<std::size_t>(segments),
                                     static_cast<std::int32_t>(selected));
  }
  [[nodiscard]] kernels::KvRows source(CaseMemory& memory) const {
    return {memory.pinned(segments * tokens * 2 * head_dim, dtype), dtype, head_dim, tokens};
  }
};

DeviceCase gather_rows_case(const GatherShape& shape) {
  return {shape.name("gather_rows"), shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            device::GatherRowsArgs args;
            args.source = shape.source(memory);
            args.segments = shape.segments;
            args.lists = {memory.copy(shape.lists(0)), memory.copy(shape.counts()), shape.selected};
            args.target =
                memory.output<std::uint8_t>(shape.segments * shape.selected * shape.row_bytes());
            return make_operation(
                std::move(memory), args,
                kernels::kv_gather_work(shape.segments * shape.selected, shape.head_dim,
                                        element_bytes(shape.dtype)),
                device::gather_rows);
          }};
}

/// Four steps of hot buffers that were empty: the second finds what it shares with the first, the
/// third takes others' slots, and the last one, the first again, finds what that has left.
DeviceCase serve_hot_buffers_case(const GatherShape& shape, kernels::HotPolicy policy) {
  return {shape.name("serve_hot_buffers") +
              fmt::format("/lfu:{}", static_cast<int>(policy == kernels::HotPolicy::kLfu)),
          shape.size, [shape, policy](device::Stream& stream) {
            CaseMemory memory(stream);
            device::HotBuffersArgs args;
            args.source = shape.source(memory);
            args.segments = shape.segments;
            args.slots = shape.selected + shape.selected / 2;
            args.tokens = shape.tokens;
            args.policy = policy;
            args.bypass_rows = shape.selected;
            args.wanted = {nullptr, memory.copy(shape.counts()), shape.selected};
            args.pool = memory.output<std::uint8_t>(
                shape.segments * (args.slots + args.bypass_rows) * shape.row_bytes());
            args.rows = memory.output<std::int32_t>(shape.segments * shape.selected);
            args.misses = memory.output<std::int32_t>(shape.segments);
            args.bypassed = memory.output<std::int32_t>(shape.segments);
            args.state = memory.workspace(device::hot_buffer_state_bytes(args));
            std::vector<device::HotBuffersArgs> steps;
            kernels::HotBuffer buffer(args.slots, args.tokens, policy);
            kernels::HotStep step;
            kernels::Work work;
            for (const std::int64_t first :
                 {std::int64_t{0}, shape.tokens / 2, shape.tokens / 4, std::int64_t{0}}) {
              args.wanted.tokens = memory.copy(shape.lists(first));
              steps.push_back(args);
              buffer.serve(shape.list(first), step);
              work += kernels::hot_buffer_work(
                  shape.segments * shape.selected,
                  shape.segments * static_cast<std::int64_t>(step.missing.size()), shape.head_dim,
                  element_bytes(shape.dtype));
            }
            return make_operation(std::move(memory), steps, work, [steps](device::Stream& at) {
              device::reset_hot_buffers(steps.front(), at);
              for (const device::HotBuffersArgs& step_args : steps) {
                device::serve_hot_buffers(step_args, at);
              }
            });
          }};
}

struct MessageShape {
  CaseSize size;
  DType dtype;
  std::int64_t head_dim;
  std::int64_t q_heads;
  std::int64_t kv_heads;
};

DeviceCase pack_step_message_case(const MessageShape& shape) {
  constexpr std::int64_t kResidentRows = 4;
  return {fmt::format("pack_step_message/dtype:{}/d:{}/heads:{}", case_name_of(shape.dtype),
                      shape.head_dim, shape.q_heads),
          shape.size, [shape](device::Stream& stream) {
            CaseMemory memory(stream);
            const std::int64_t d = shape.head_dim;
            const std::int64_t bytes = element_bytes(shape.dtype);
            device::PackStepMessageArgs args;
            args.queries = memory.normal(shape.q_heads * d);
            args.keys = memory.normal(shape.kv_heads * d);
            args.values = memory.normal(shape.kv_heads * d);
            args.q_heads = shape.q_heads;
            args.kv_heads = shape.kv_heads;
            args.head_dim = d;
            args.dtype = shape.dtype;
            args.message =
                memory.output<std::uint8_t>((shape.q_heads + 2 * shape.kv_heads) * d * bytes);
            const std::int64_t resident_bytes = shape.kv_heads * kResidentRows * 2 * d * bytes;
            args.resident = memory.output<std::uint8_t>(resident_bytes);
            args.resident_rows = kResidentRows;
            args.new_row = 1;
            args.moved_row = 3;
            return make_operation(
                std::move(memory), args,
                kernels::pack_step_message_work(shape.q_heads, shape.kv_heads, d, bytes),
                [args, resident_bytes](device::Stream& at) {
                  device::fill_device(args.resident, 0, static_cast<std::size_t>(resident_bytes),
                                      at);
                  device::pack_step_message(args, at);
                });
          }};
}

DeviceCase unpack_rows_case(CaseSize size, DType dtype, std::int64_t n) {
  return {fmt::format("unpack_rows/dtype:{}/n:{}", case_name_of(dtype), n), size,
          [=](device::Stream& stream) {
            CaseMemory memory(stream);
            device::UnpackRowsArgs args;
            args.rows = memory.normal(n, dtype);
            args.dtype = dtype;
            args.n = n;
            args.out = memory.output<float>(n);
            return make_operation(std::move(memory), args,
                                  kernels::unpack_rows_work(n, element_bytes(dtype)),
                                  device::unpack_rows);
          }};
}

}  // namespace

std::vector<DeviceCase> transfer_cases() {
  constexpr CaseSize kCounted = CaseSize::kCounted;
  constexpr CaseSize kTimed = CaseSize::kTimed;
  std::vector<DeviceCase> cases{
      pack_step_message_case({kCounted, DType::kBF16, 128, 8, 2}),
      pack_step_message_case({kCounted, DType::kF32, 80, 3, 1}),
      pack_step_message_case({kTimed, DType::kBF16, 128, 32, 8}),
      unpack_rows_case(kCounted, DType::kBF16, 1024),
      unpack_rows_case(kCounted, DType::kF16, 517),
      unpack_rows_case(kTimed, DType::kBF16, 4096),
  };
  for (const GatherShape& shape : {GatherShape{kCounted, DType::kBF16, 128, 2, 512, 32},
                                   GatherShape{kCounted, DType::kF32, 80, 1, 301, 37},
                                   GatherShape{kTimed, DType::kBF16, 128, 8, 131'072, 7'864}}) {
    cases.push_back(gather_rows_case(shape));
    cases.push_back(serve_hot_buffers_case(shape, kernels::HotPolicy::kLru));
    cases.push_back(serve_hot_buffers_case(shape, kernels::HotPolicy::kLfu));
  }
  return cases;
}

}  // namespace kvsieve::bench::KVSIEVE_BACKEND_NS
