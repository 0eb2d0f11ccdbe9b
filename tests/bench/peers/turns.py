"""Times sides that take turns, so that any other load on the machine falls on all."""

import statistics
import time

REST_SECONDS = 0.02  # lets the other side's idle threads stop spinning
# Before steps are timed: a scheduler may take 30 ms to spread threads that slept over the cores,
# and a side that waits for it would be timed with one of them.
WARM_UP_SECONDS = 0.06


def rest():
    time.sleep(REST_SECONDS)


def seconds(action):
    """Seconds of one action that is long against the start of its threads."""
    rest()
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def seconds_a_step(step, count):
    """Mean seconds of step(0) to step(count - 1), warm."""
    rest()
    start = time.perf_counter()
    while time.perf_counter() - start < WARM_UP_SECONDS:
        for i in range(count):
            step(i)
    start = time.perf_counter()
    for i in range(count):
        step(i)
    return (time.perf_counter() - start) / count


def median_seconds(sides, count, rounds, each_round=lambda: None):
    """Median seconds a step of each side, over rounds of `count` steps."""
    times = {side: [] for side in sides}
    for _ in range(rounds):
        for side, step in sides.items():
            times[side].append(seconds_a_step(step, count))
        rest()
        each_round()
    return {side: statistics.median(values) for side, values in times.items()}
