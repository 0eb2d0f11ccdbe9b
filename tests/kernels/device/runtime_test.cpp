#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <stdexcept>
#include <vector>

#include "exec/device/pieces_to_host.h"
#include "exec/device/runtime.h"
#include "kernels/device/orders.h"
#include "kernels/device/traffic.h"
#include "kvsieve/traces/error.h"

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

PinnedBuffer<int> pinned_numbers(std::size_t count) {
  PinnedBuffer<int> numbers(count);
  std::iota(numbers.data(), numbers.data() + count, 1);
  return numbers;
}

TEST(DeviceRuntime, PinnedMemoryIsAlignedAndMayBeEmpty) {
  const PinnedBuffer<int> none(0);
  EXPECT_EQ(none.size_bytes(), 0U);
  const PinnedBuffer<char> one(1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one.data()) % 256, 0U);
}

TEST(DeviceRuntime, CopiesPiecesInAnyOrder) {
  for_each_order([] {
    Stream stream;
    const PinnedBuffer<int> source = pinned_numbers(10);
    const DeviceBuffer<int> target(6);
    const CopyPiece pieces[] = {{target.data(), source.data() + 7, 2 * sizeof(int)},
                                {nullptr, nullptr, 0},
                                {target.data() + 5, source.data(), sizeof(int)},
                                {target.data() + 2, source.data() + 2, 3 * sizeof(int)}};
    const Traffic traffic(BusPath::kCopyToDevice);
    copy_pieces_to_device(pieces, stream);
    EXPECT_EQ(traffic.since(), (BusTraffic{6 * sizeof(int), 3}));
    EXPECT_EQ(target.download(stream), (std::vector<int>{8, 9, 3, 4, 5, 1}));
    copy_pieces_to_device({}, stream);
    stream.synchronize();
  });
}

TEST(DeviceRuntime, CopiesPiecesBackInAnyOrder) {
  for_each_order([] {
    Stream stream;
    const PinnedBuffer<int> source = pinned_numbers(10);
    const DeviceBuffer<int> numbers(std::span<const int>(source.data(), 10), stream);
    const PinnedBuffer<int> target(6);
    const CopyPiece pieces[] = {{target.data(), numbers.data() + 7, 2 * sizeof(int)},
                                {nullptr, nullptr, 0},
                                {target.data() + 5, numbers.data(), sizeof(int)},
                                {target.data() + 2, numbers.data() + 2, 3 * sizeof(int)}};
    const Traffic traffic(BusPath::kCopyToHost);
    copy_pieces_to_host(pieces, stream);
    stream.synchronize();
    EXPECT_EQ(traffic.since(), (BusTraffic{6 * sizeof(int), 3}));
    EXPECT_EQ(std::vector<int>(target.data(), target.data() + 6),
              (std::vector<int>{8, 9, 3, 4, 5, 1}));
    copy_pieces_to_host({}, stream);
    stream.synchronize();
  });
}

TEST(DeviceRuntime, CountsCopiesByBytesAndPieces) {
  Stream stream;
  const PinnedBuffer<int> source = pinned_numbers(8);
  const PinnedBuffer<int> back(8);
  const DeviceBuffer<int> target(8);
  const Traffic down(BusPath::kCopyToDevice);
  const Traffic up(BusPath::kCopyToHost);
  copy_to_device(target.data(), source.data(), source.size_bytes(), stream);
  copy_to_device(target.data(), source.data(), 0, stream);
  copy_on_device(target.data(), target.data() + 4, 8, stream);
  copy_to_host(back.data(), target.data(), 12, stream);
  copy_to_host(back.data() + 3, target.data(), 4, stream);
  copy_to_host(back.data(), target.data(), 0, stream);
  stream.synchronize();
  EXPECT_EQ(down.since(), (BusTraffic{32, 1}));
  EXPECT_EQ(up.since(), (BusTraffic{16, 2}));
}

TEST(DeviceRuntime, RunsWorkOfTheHostInTheOrderOfTheStream) {
  for_each_order([] {
    Stream stream;
    const PinnedBuffer<int> staging = pinned_numbers(4);
    const DeviceBuffer<int> source(4);
    const DeviceBuffer<int> target(4);
    copy_to_device(source.data(), staging.data(), staging.size_bytes(), stream);
    copy_to_host(staging.data(), source.data(), staging.size_bytes(), stream);
    run_on_host([&] { std::reverse(staging.data(), staging.data() + 4); }, stream);
    copy_to_device(target.data(), staging.data(), staging.size_bytes(), stream);
    EXPECT_EQ(target.download(stream), (std::vector<int>{4, 3, 2, 1}));
  });
}

TEST(DeviceRuntime, WhatWorkOfTheHostThrowsComesOutOfTheNextSynchronize) {
  Stream stream;
  Stream other;
  run_on_host([] { throw std::runtime_error("the host's own problem"); }, stream);
  other.synchronize();
  try {
    stream.synchronize();
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the host's own problem");
  }
  bool ran = false;
  run_on_host([&] { ran = true; }, stream);
  stream.synchronize();
  EXPECT_TRUE(ran);
}

TEST(DeviceRuntime, EventsTellTimeOnAGpuOnly) {
  Stream stream;
  Event begin;
  Event end;
  const PinnedBuffer<int> source = pinned_numbers(1024);
  const DeviceBuffer<int> target(1024);
  begin.record(stream);
  copy_to_device(target.data(), source.data(), source.size_bytes(), stream);
  end.record(stream);
  stream.synchronize();
#ifdef KVSIEVE_TEST_SIMT
  EXPECT_FALSE(end.microseconds_since(begin).has_value());
#else
  EXPECT_GT(end.microseconds_since(begin).value(), 0.0);
#endif
}

TEST(DeviceRuntime, KernelsTrafficIsKnownOnSimtOnly) {
#ifdef KVSIEVE_TEST_SIMT
  EXPECT_TRUE(bus_traffic(BusPath::kReadByKernel).has_value());
  EXPECT_TRUE(bus_traffic(BusPath::kWrittenByKernel).has_value());
#else
  EXPECT_FALSE(bus_traffic(BusPath::kReadByKernel).has_value());
  EXPECT_FALSE(bus_traffic(BusPath::kWrittenByKernel).has_value());
#endif
}

#ifdef KVSIEVE_TEST_SIMT
TEST(DeviceRuntime, WorkOfTheHostMayNotCallTheRuntime) {
  Stream stream;
  const DeviceBuffer<int> target(1);
  run_on_host([&] { fill_device(target.data(), 0, target.size_bytes(), stream); }, stream);
  EXPECT_THROW(stream.synchronize(), Error);
}

TEST(DeviceRuntime, RefusesPiecesOutsidePinnedMemory) {
  Stream stream;
  const std::vector<int> pageable(4);
  const PinnedBuffer<int> pinned(4);
  const DeviceBuffer<int> target(4);
  const CopyPiece from_pageable[] = {{target.data(), pageable.data(), 16}};
  EXPECT_THROW(copy_pieces_to_device(from_pageable, stream), Error);
  const CopyPiece too_long[] = {{target.data(), pinned.data() + 2, 12}};
  EXPECT_THROW(copy_pieces_to_device(too_long, stream), Error);
  std::vector<int> back(4);
  const CopyPiece to_pageable[] = {{back.data(), target.data(), 16}};
  EXPECT_THROW(copy_pieces_to_host(to_pageable, stream), Error);
}
#endif

}  // namespace
}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
