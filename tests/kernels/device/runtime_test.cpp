#include <gtest/gtest.h>

#include <span>
#include <vector>

#include "exec/device/runtime.h"
#include "kernels/device/orders.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {
namespace {

TEST(DeviceRuntime, CopiesThereAndBack) {
  for_each_order([] {
    Stream stream;
    const std::vector<int> elements{1, 2, 3, 4, 5};
    const DeviceBuffer<int> source(std::span<const int>(elements), stream);
    const DeviceBuffer<int> target(elements.size());
    copy_on_device(target.data(), source.data(), source.size_bytes(), stream);
    EXPECT_EQ(target.download(stream), elements);
  });
}

TEST(DeviceRuntime, FillsBytes) {
  for_each_order([] {
    Stream stream;
    const DeviceBuffer<unsigned char> target(3);
    fill_device(target.data(), 7, target.size_bytes(), stream);
    EXPECT_EQ(target.download(stream), (std::vector<unsigned char>{7, 7, 7}));
  });
}

TEST(DeviceRuntime, EmptyBuffersTakePartInCopies) {
  Stream stream;
  const DeviceBuffer<int> source(0);
  const DeviceBuffer<int> target(0);
  copy_on_device(target.data(), source.data(), 0, stream);
  EXPECT_TRUE(target.download(stream).empty());
}

TEST(DeviceRuntime, AnEventOrdersTwoStreams) {
  for_each_order([] {
    Stream producer;
    Stream consumer;
    Event produced;
    const std::vector<int> elements{6, 7};
    const DeviceBuffer<int> middle(elements.size());
    std::vector<int> result(elements.size());
    copy_to_device(middle.data(), elements.data(), middle.size_bytes(), producer);
    produced.record(producer);
    produced.block(consumer);
    copy_to_host(result.data(), middle.data(), middle.size_bytes(), consumer);
    consumer.synchronize();
    EXPECT_EQ(result, elements);
  });
}

TEST(DeviceRuntime, TheHostWaitsForAnEvent) {
  Stream stream;
  Event uploaded;
  const std::vector<int> elements{8, 9};
  const DeviceBuffer<int> target(elements.size());
  std::vector<int> result(elements.size());
  copy_to_device(target.data(), elements.data(), target.size_bytes(), stream);
  copy_to_host(result.data(), target.data(), target.size_bytes(), stream);
  uploaded.record(stream);
  uploaded.synchronize();
  EXPECT_EQ(result, elements);
}

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
