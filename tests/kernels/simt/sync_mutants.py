#!/usr/bin/env python3
"""Deletes each synchronisation of the kernels in turn and counts how many deletions a test notices.

  sync_mutants.py --kernels kernels TEST_PROGRAM... [--race TSAN_TEST_PROGRAM...]

Nothing is recompiled: the executor skips the synchronisation at the source line that the
environment variable KVSIEVE_SIMT_DELETE=FILE:LINE names. A mutant is killed when a test program
fails under it; the race suites of the programs built with ThreadSanitizer run only for those that
survive the others. A synchronisation that no program reaches survives. Exit status: 0 all killed, 1 otherwise.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

SYNCHRONISATION = re.compile(r"\b(__syncthreads|__syncwarp|__pipeline_wait_prior)\s*\(")
FOLDERS = ("a2ats", "adakv", "attention", "exec/device")


def synchronisations(kernels):
    """(path, line number, call) of every synchronisation in device code."""
    for folder in FOLDERS:
        for path in sorted((kernels / folder).glob("*.cuh")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                code = line.split("//")[0]
                if match := SYNCHRONISATION.search(code):
                    yield path, number, match[1]


def killed_by(programs, path, number, timeout, tests="*"):
    """The first program that fails without the synchronisation at `path`:`number`, or None."""
    environment = {**os.environ, "KVSIEVE_SIMT_DELETE": f"{path.name}:{number}",
                   "TSAN_OPTIONS": "atexit_sleep_ms=0 halt_on_error=1"}
    for program in programs:
        try:
            status = subprocess.run([program, "--gtest_brief=1", "--gtest_fail_fast",
                                     f"--gtest_filter={tests}"], env=environment, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            return f"{program} (did not end)"
        if status != 0:
            return program
    return None


def concerned(programs, path):
    """Programs of the operation first: they are the likeliest to notice."""
    return sorted(programs, key=lambda program: path.stem not in pathlib.Path(program).name)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--kernels", type=pathlib.Path, required=True)
    parser.add_argument("--race", nargs="*", default=[])
    parser.add_argument("--timeout", type=float, default=1800)
    options = parser.parse_args()
    mutants = list(synchronisations(options.kernels))
    survivors = []
    for path, number, call in mutants:
        begin = time.monotonic()
        killer = (killed_by(concerned(options.programs, path), path, number, options.timeout) or
                  killed_by(concerned(options.race, path), path, number, options.timeout,
                            "*Race*"))
        outcome = f"killed by {pathlib.Path(killer).name}" if killer else "SURVIVED"
        print(f"{path.name}:{number} {call}: {outcome} ({time.monotonic() - begin:.0f} s)",
              flush=True)
        if not killer:
            survivors.append(f"{path.name}:{number}")
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} deletions were noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
