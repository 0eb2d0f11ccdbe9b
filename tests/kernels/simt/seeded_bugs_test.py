#!/usr/bin/env python3
"""Runs every kernel of seeded_bugs.cpp with its bug, which has to be found, and without.

  seeded_bugs_test.py plain|address|thread PROGRAM

The table says what finds a bug in which build: a message that the executor stops with, a wrong
result under one of the orders, or a sanitizer's report. Reports have to name the kernel and its
thread. Without its bug, a kernel has to run clean everywhere.
"""

import os
import re
import subprocess
import sys
import unittest

WRONG = r"^wrong result, order "
THREAD = r"thread \(\d+,\d+,\d+\)"


def stopped(message):
    """The executor stops a kernel (or its launch) in every build."""
    pattern = rf"^stopped: .*{message}"
    return {"plain": pattern, "address": pattern, "thread": pattern}


def report(message):
    """AddressSanitizer or UBSan, after a line of ours that names the thread."""
    return rf"kvsieve: in kernel \w+.*, block \(\d+,\d+,\d+\), {THREAD}:\n(.*\n)*.*{message}"


RACE = rf"ThreadSanitizer: data race(.*\n)*.*Thread T\d+ 'block \(\d+,\d+,\d+\), {THREAD} of \w+"

FINDS = {
    # Missing synchronisation.
    "missing_syncthreads": {"plain": WRONG, "address": WRONG, "thread": RACE},
    "missing_syncthreads_before_reuse": {"plain": WRONG, "address": WRONG, "thread": RACE},
    "missing_syncwarp": {"plain": WRONG, "address": WRONG, "thread": RACE},
    "shared_counter_without_atomic": {"thread": RACE},
    "cross_block_race": {"thread": RACE},
    "missing_threadfence": {"thread": RACE},
    "missing_async_wait": {"plain": WRONG, "address": WRONG, "thread": WRONG},
    "async_wait_without_barrier": {"plain": WRONG, "address": WRONG, "thread": RACE},
    "async_wait_for_too_few": {"plain": WRONG, "address": WRONG, "thread": WRONG},
    "missing_event": {"plain": WRONG, "address": WRONG, "thread": WRONG},
    # Memory.
    "shared_static_overrun": {"address": report("index 64 out of bounds for type 'int ?\\[64\\]'")},
    "shared_dynamic_overrun": {"address": report("AddressSanitizer: heap-buffer-overflow")},
    "global_overrun": {"address": report("AddressSanitizer: heap-buffer-overflow")},
    "off_by_one_tail": {"address": report("AddressSanitizer: heap-buffer-overflow")},
    "local_array_overrun": {"address": report("index 4 out of bounds for type 'int ?\\[4\\]'")},
    "static_overrun_by_pointer": {"address": report("AddressSanitizer: global-buffer-overflow")},
    "local_overrun_by_pointer": {"address": report("AddressSanitizer: stack-buffer-overflow")},
    "use_after_free": {"address": report("AddressSanitizer: heap-use-after-free")},
    "misaligned_load": {"address": report("misaligned address")},
    "misaligned_async_copy": stopped("cp.async of 16 bytes from or to a misaligned address"),
    "uninitialised_static_shared": {"plain": WRONG, "thread": WRONG},
    "uninitialised_dynamic_shared": {"plain": WRONG, "address": WRONG, "thread": WRONG},
    "uninitialised_global": {"plain": WRONG, "address": WRONG, "thread": WRONG},
    "host_read_of_pageable_memory": stopped(
        rf"kernel double_from_host, block \(0,0,0\), {THREAD}, seeded_bugs.cpp:\d+: read of 16 "
        r"bytes over the bus outside pinned host memory$"),
    "host_read_overrun": stopped(r"thread \(15,0,0\), seeded_bugs.cpp:\d+: read of 16 bytes over "
                                 r"the bus outside pinned host memory$"),
    "host_read_misaligned": stopped("read of 16 bytes over the bus at a misaligned address$"),
    "host_write_to_device_memory": stopped("write of 4 bytes over the bus outside pinned host "
                                           "memory$"),
    "signed_overflow": {"address": report("signed integer overflow")},
    # Divergence. The message names the line of the barrier or operation.
    "divergent_barrier": stopped(r"kernel divergent_barrier<true>, block \(0,0,0\): thread "
                                 r"\(40,0,0\) exited while others wait for it: thread 40 exited; 40 "
                                 r"threads \(0 to 39\) in __syncthreads at seeded_bugs.cpp:\d+$"),
    "two_barriers": stopped(r"thread \(32,0,0\), seeded_bugs.cpp:\d+: two different barriers meet: "
                            r"32 threads \(0 to 31\) in __syncthreads at seeded_bugs.cpp:\d+; thread "
                            r"32 in __syncthreads at seeded_bugs.cpp:\d+$"),
    "deadlock": stopped(r"kernel deadlock<true>, block \(0,0,0\): deadlock: 32 threads \(0 to 47\) in "
                        r"__ballot_sync\(mask ffffffff\) at seeded_bugs.cpp:\d+; 32 threads \(16 to "
                        r"63\) in __syncthreads at seeded_bugs.cpp:\d+$"),
    "mask_of_a_full_warp": stopped(r"seeded_bugs.cpp:\d+: __ballot_sync names lane 8 in its mask "
                                   r"ffffffff, but the warp has 8 lanes$"),
    "lane_outside_mask": stopped(r"thread \(16,0,0\), seeded_bugs.cpp:\d+: __shfl_sync is called by "
                                 r"lane 16, which is not in its mask 0000ffff$"),
    "shuffle_from_outside_mask": stopped(r"seeded_bugs.cpp:\d+: __shfl_sync reads lane 8, which is "
                                         r"not in the mask$"),
    "shuffle_with_exited_lane": stopped(r"thread \(5,0,0\) exited while others wait for it: .*"
                                        r"__shfl_xor_sync\(mask ffffffff\) at seeded_bugs.cpp:\d+$"),
    "different_operations": stopped(r"wait for each other in different operations: thread \(16,0,0\) "
                                    r"in __any_sync\(mask ffffffff\) at seeded_bugs.cpp:\d+ and thread "
                                    r"\(0,0,0\) in __ballot_sync\(mask ffffffff\)"),
    "different_masks": stopped(r"seeded_bugs.cpp:\d+: __any_sync names lane 0 in its mask ffffffff, "
                               r"which has exited$"),
    # Launches.
    "too_much_shared_memory": stopped("232449 bytes of shared memory, a block has at most 232448$"),
    "too_many_threads": stopped("blocks of 1025 x 1 x 1 threads, at most 1024 threads"),
}

# Exit statuses of the program and of sanitizers.
STOPPED = 3
WRONG_RESULT = 4
REPORTED = (1, 66)

BUILD, PROGRAM = sys.argv[1:3]
ENVIRONMENT = {
    **os.environ,
    "TSAN_OPTIONS": "atexit_sleep_ms=0",
    "ASAN_OPTIONS": "detect_leaks=1",
}
TIMEOUT_S = 120


def run(*arguments):
    """(exit status, everything that the program wrote)"""
    done = subprocess.run([PROGRAM, *arguments], env=ENVIRONMENT, timeout=TIMEOUT_S, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


class SeededBugs(unittest.TestCase):
    def test_table_and_program_hold_the_same_cases(self):
        _, listed = run("--list")
        self.assertEqual(sorted(FINDS), sorted(listed.split()))

    def test_bugs_are_found(self):
        for name, finds in FINDS.items():
            if BUILD in finds:
                with self.subTest(name):
                    status, output = run(name, "bug")
                    # An error that the executor reports has to end the program in its own way:
                    # sanitizers find neither leaks nor races in the error's path.
                    reported = finds[BUILD].startswith("^stopped")
                    self.assertIn(status, (STOPPED,) if reported else (WRONG_RESULT, *REPORTED), output)
                    self.assertIsNotNone(re.search(finds[BUILD], output, re.MULTILINE), output)

    def test_right_kernels_run_clean(self):
        for name in FINDS:
            with self.subTest(name):
                status, output = run(name, "fixed")
                self.assertEqual((status, output), (0, ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
