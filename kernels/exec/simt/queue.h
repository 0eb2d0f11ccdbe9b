#pragma once
// Streams and events as queues of work on one pretended device.
//
// Nothing runs when it is enqueued: work runs when somebody waits for it. Then the queues take
// turns in the schedule's order, so that work which only happens to be in the right order, without
// an event, goes wrong under one order or another.

#include <cstdint>
#include <functional>
#include <memory>

namespace kvsieve::simt {

class Queue;

/// What queues know of an event. Queues that wait for it keep it alive.
struct EventState {
  std::uint64_t recorded = 0;  ///< how often it was recorded
  std::uint64_t reached = 0;   ///< which of these a queue has come to
};

[[nodiscard]] Queue* make_queue();
/// Runs what is left in it first. What goes wrong there is lost.
void destroy_queue(Queue* queue) noexcept;

void enqueue(Queue& queue, std::function<void()> work);
void enqueue_record(Queue& queue, std::shared_ptr<EventState> event);
void enqueue_wait(Queue& queue, std::shared_ptr<EventState> event);

/// Runs work of all queues until this one is empty. Throws what went wrong in this queue, whose
/// work after that was dropped.
void drain(Queue& queue);
/// Runs work of all queues until the last recorded point is reached.
void drain(const std::shared_ptr<EventState>& event);
/// Runs everything.
void drain_all() noexcept;
/// Calls `body` while nothing of any queue runs.
void while_idle(const std::function<void()>& body);

}  // namespace kvsieve::simt
