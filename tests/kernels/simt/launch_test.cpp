// Launches: names, limits, orders, and what happens after an error.

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "exec/device/device.cuh"
#include "kernels/device/orders.h"
#include "kernels/simt/run_kernel.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels::simt_ {
namespace {

__global__ void copy(const int* in, int* out) {
  out[threadIdx.x] = in[threadIdx.x];
}
template <class T, int kValue>
__global__ void templated(const T* in, int* out) {
  out[threadIdx.x] = static_cast<int>(in[threadIdx.x]) + kValue;
}
__global__ void half_waits(const int*, int*) {
  const std::vector<int> ballast(1);  // must not leak, nor be freed twice
  if (threadIdx.x < 16) {
    __syncthreads();
  }
}
__global__ void throws(const int*, int*) {
  throw std::runtime_error("a message that is longer than what a string holds in place");
}
__global__ void counts_order(const int*, int* out) {
  out[1 + atomicAdd(out, 1)] = static_cast<int>(threadIdx.x);
}

std::string message_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    return error.what();
  }
  return "no error";
}

template <auto Kernel>
std::string message_of_launch(const LaunchConfig& config) {
  return message_of([&] { run_kernel<Kernel, int>(config, std::vector<int>(64, 3), 64); });
}

TEST(SimtLaunch, NamesKernelsWithTheirTemplateArguments) {
  EXPECT_EQ(simt::kernel_name<copy>(), "copy");
  EXPECT_EQ((simt::kernel_name<templated<float, 7>>()), "templated<float, 7>");
}

TEST(SimtLaunch, RefusesWhatNoGpuTakes) {
  EXPECT_EQ(
      message_of_launch<copy>({{1}, {32, 32, 2}}),
      "launch of kernel copy: blocks of 32 x 32 x 2 threads, at most 1024 threads and 64 in z "
      "fit");
  EXPECT_EQ(message_of_launch<copy>({{1}, {1, 1, 65}}),
            "launch of kernel copy: blocks of 1 x 1 x 65 threads, at most 1024 threads and 64 in z "
            "fit");
  EXPECT_EQ(message_of_launch<copy>({{1}, {0}}),
            "launch of kernel copy: blocks of 0 x 1 x 1 threads, at most 1024 threads and 64 in z "
            "fit");
  EXPECT_EQ(message_of_launch<copy>({{1, 65536}, {32}}),
            "launch of kernel copy: a grid of 1 x 65536 x 1 blocks, at most 2147483647 x 65535 x "
            "65535 fit");
  EXPECT_EQ(message_of_launch<copy>({{1}, {32}, 232449}),
            "launch of kernel copy: 232449 bytes of shared memory, a block has at most 232448");
  EXPECT_EQ(message_of_launch<copy>({{1}, {32}, 232448}), "no error");
}

TEST(SimtLaunch, NoBlocksMeanNoLaunch) {
  EXPECT_EQ((run_kernel<copy, int>({{0}, {32}}, std::vector<int>(32, 3), 1)),
            (std::vector<int>{0}));
}

TEST(SimtLaunch, GoesOnAfterAnError) {
  for_each_order([] {
    for (int turn = 0; turn < 3; ++turn) {
      const std::string message = message_of_launch<half_waits>({{5}, {32}});
      EXPECT_NE(message.find("kernel half_waits, block ("), std::string::npos) << message;
      EXPECT_EQ((run_kernel<copy, int>({{1}, {64}}, std::vector<int>(64, 3), 64)),
                std::vector<int>(64, 3));
    }
  });
}

TEST(SimtLaunch, DropsTheStreamsWorkAfterAnErrorAndTellsOnce) {
  Stream stream;
  const DeviceBuffer<int> buffer(32);
  launch<half_waits>({{1}, {32}}, stream, buffer.data(), buffer.data());
  fill_device(buffer.data(), 0, buffer.size_bytes(), stream);
  EXPECT_NE(message_of([&] { stream.synchronize(); }), "no error");
  EXPECT_EQ(message_of([&] { stream.synchronize(); }), "no error");
  EXPECT_EQ(buffer.download(stream)[0], -1);
}

TEST(SimtLaunch, TellsOfExceptionsInKernels) {
  EXPECT_EQ(message_of_launch<throws>({{1}, {1}}),
            "kernel throws, block (0,0,0), thread (0,0,0): exception in the kernel: a message that "
            "is longer than what a string holds in place");
}

TEST(SimtLaunch, OrdersLanes) {
  const auto order_of_lanes = [](simt::Order order) {
    simt::set_order(order);
    auto lanes = run_kernel<counts_order, int>({{1}, {64}}, std::vector<int>(1), 65);
    simt::set_order({});
    lanes.erase(lanes.begin());
    return lanes;
  };
  const auto forward = order_of_lanes({simt::Order::Kind::kForward, 0});
  const auto reverse = order_of_lanes({simt::Order::Kind::kReverse, 0});
  const auto random = order_of_lanes({simt::Order::Kind::kRandom, 1});
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(forward[static_cast<std::size_t>(i)], i);
    EXPECT_EQ(reverse[static_cast<std::size_t>(i)], 63 - i);
  }
  EXPECT_NE(random, forward);
  EXPECT_NE(random, reverse);
}

TEST(SimtLaunch, ReadsOrders) {
  using Kind = simt::Order::Kind;
  EXPECT_EQ(simt::parse_order("forward"), (simt::Order{Kind::kForward, 0}));
  EXPECT_EQ(simt::parse_order("reverse"), (simt::Order{Kind::kReverse, 0}));
  EXPECT_EQ(simt::parse_order("random:12"), (simt::Order{Kind::kRandom, 12}));
  EXPECT_EQ(simt::to_text(simt::parse_order("random:12")), "random:12");
  for (const char* wrong : {"", "random", "random:", "random:x", "random:1x", "backward"}) {
    EXPECT_THROW(static_cast<void>(simt::parse_order(wrong)), Error) << wrong;
  }
}

}  // namespace
}  // namespace kvsieve::kernels::simt_
