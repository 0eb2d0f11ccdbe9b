// Streams and events: laziness, order, interleaving.

#include <gtest/gtest.h>

#include <set>
#include <span>
#include <vector>

#include "exec/device/device.cuh"
#include "kernels/device/orders.h"

namespace kvsieve::kernels::simt_ {
namespace {

/// Appends `mark` to the list: out[0] is its length.
__global__ void append(int* out, int mark) {
  out[1 + out[0]] = mark;
  ++out[0];
}

class Marks {
 public:
  explicit Marks(int capacity) : m_list(static_cast<std::size_t>(capacity) + 1) {
    fill_device(m_list.data(), 0, m_list.size_bytes(), m_stream);
    m_stream.synchronize();
  }
  void append_on(Stream& stream, int mark) {
    launch<append>({{1}, {1}}, stream, m_list.data(), mark);
  }
  [[nodiscard]] std::vector<int> read() {
    std::vector<int> list = m_list.download(m_stream);
    return {list.begin() + 1, list.begin() + 1 + list[0]};
  }

 private:
  Stream m_stream;
  DeviceBuffer<int> m_list;
};

std::vector<int> marks_of_two_streams(simt::Order order) {
  simt::set_order(simt::Order{});
  Marks marks(6);
  Stream a;
  Stream b;
  for (int i = 0; i < 3; ++i) {
    marks.append_on(a, 10 + i);
    marks.append_on(b, 20 + i);
  }
  simt::set_order(order);
  a.synchronize();
  b.synchronize();
  simt::set_order(simt::Order{});
  return marks.read();
}

TEST(SimtStreams, InterleaveInEveryOrder) {
  using Kind = simt::Order::Kind;
  EXPECT_EQ(marks_of_two_streams({Kind::kForward, 0}), (std::vector<int>{10, 11, 12, 20, 21, 22}));
  EXPECT_EQ(marks_of_two_streams({Kind::kReverse, 0}), (std::vector<int>{20, 21, 22, 10, 11, 12}));
  std::set<std::vector<int>> seen;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const std::vector<int> marks = marks_of_two_streams({Kind::kRandom, seed});
    EXPECT_EQ(marks, marks_of_two_streams({Kind::kRandom, seed})) << "repeatable";
    seen.insert(marks);
  }
  EXPECT_GT(seen.size(), 3U);
}

TEST(SimtStreams, RunOnlyWhenWaitedFor) {
  Marks marks(1);
  Stream stream;
  marks.append_on(stream, 1);
  std::vector<int> before;
  // Reading goes through another, older stream, which comes first in the forward order.
  before = marks.read();
  EXPECT_TRUE(before.empty());
  stream.synchronize();
  EXPECT_EQ(marks.read(), (std::vector<int>{1}));
}

TEST(SimtStreams, EventsOrderThem) {
  for_each_order([] {
    Marks marks(4);
    Stream a;
    Stream b;
    Event first;
    Event second;
    marks.append_on(a, 1);
    first.record(a);
    first.block(b);
    marks.append_on(b, 2);
    second.record(b);
    second.block(a);
    marks.append_on(a, 3);
    a.synchronize();
    EXPECT_EQ(marks.read(), (std::vector<int>{1, 2, 3}));
  });
}

TEST(SimtStreams, AnEventCoversWhatWasRecordedWhenItBlocked) {
  for_each_order([] {
    Marks marks(3);
    Stream a;
    Stream b;
    Event event;
    event.block(b);  // never recorded: no wait
    marks.append_on(b, 1);
    b.synchronize();
    marks.append_on(a, 2);
    event.record(a);
    event.block(b);
    event.record(a);  // recorded again, but b waits for the first
    marks.append_on(b, 3);
    b.synchronize();
    EXPECT_EQ(marks.read(), (std::vector<int>{1, 2, 3}));
  });
}

TEST(SimtStreams, AnEventMayDieBeforeItsWait) {
  for_each_order([] {
    Marks marks(2);
    Stream a;
    Stream b;
    {
      Event event;
      marks.append_on(a, 1);
      event.record(a);
      event.block(b);
    }
    marks.append_on(b, 2);
    b.synchronize();
    EXPECT_EQ(marks.read(), (std::vector<int>{1, 2}));
  });
}

TEST(SimtStreams, DestructionRunsWhatIsLeft) {
  for_each_order([] {
    Marks marks(2);
    {
      Stream stream;
      marks.append_on(stream, 1);
      marks.append_on(stream, 2);
    }
    EXPECT_EQ(marks.read(), (std::vector<int>{1, 2}));
  });
}

TEST(SimtStreams, FreeingMemoryWaitsForItsUsers) {
  Stream stream;
  std::vector<int> result(1);
  {
    const DeviceBuffer<int> buffer(1);
    fill_device(buffer.data(), 0, buffer.size_bytes(), stream);
    copy_to_host(result.data(), buffer.data(), buffer.size_bytes(), stream);
  }
  EXPECT_EQ(result[0], 0);
}

}  // namespace
}  // namespace kvsieve::kernels::simt_
