"""The gate on two programs measured in turns: identical ones, and ones with planted changes.

    against_test.py              judges measurements that were recorded on a busy machine
    against_test.py --measure    measures anew, which takes about ten minutes
    against_test.py --record     measures anew and records that
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

KVSIEVE = os.environ.get("KVSIEVE", "kvsieve")
PLANTED = os.environ.get("KVSIEVE_PLANTED", "kvsieve_planted")
RECORDED = Path(__file__).resolve().parent / "data" / "against.json"

WORK = 100
# Planted slow-downs in per cent, and how many comparisons are made of each.
COUNTS = {0: 50, 3: 10, 5: 20, 10: 20, 20: 20}


class Measurements:
    """Both sides' repetitions of one comparison."""

    def __init__(self, before, after):
        self.before = before
        self.after = after


def measure(change):
    """Runs `bench --against` on planted work; the new side has `change` per cent more."""
    with tempfile.TemporaryDirectory(prefix="kvsieve-against-") as name:
        folder = Path(name)
        old = folder / "old.sh"
        old.write_text(f'#!/bin/sh\nexec {PLANTED} {WORK} "$@"\n')
        old.chmod(0o755)
        paths = [folder / "old.json", folder / "new.json"]
        subprocess.run(
            [PLANTED, str(WORK * (100 + change) // 100), "bench", "--against", str(old),
             "--output-old", str(paths[0]), "--output-new", str(paths[1])],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=True)
        sides = [[entry["real_time"] for entry in json.loads(path.read_text())["benchmarks"]]
                 for path in paths]
    return Measurements(*sides)


def document(times):
    return {"context": {"kvsieve": {"schema": "kvsieve.bench/1", "kind": "timings"}},
            "benchmarks": [{"name": "spin/n:1", "run_name": "spin/n:1", "run_type": "iteration",
                            "repetitions": len(times), "repetition_index": index, "threads": 1,
                            "iterations": 1, "real_time": time, "cpu_time": time,
                            "time_unit": "us"} for index, time in enumerate(times)]}


def verdict(measurements, threshold):
    """What `kvsieve compare` says: worse, better, or anything else."""
    with tempfile.TemporaryDirectory(prefix="kvsieve-against-") as name:
        paths = []
        for side in ("before", "after"):
            paths.append(os.path.join(name, side + ".json"))
            Path(paths[-1]).write_text(json.dumps(document(getattr(measurements, side))))
        process = subprocess.run(
            [KVSIEVE, "compare", *paths, "--threshold", threshold, "--format", "json", "--all"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        changes = json.loads(process.stdout)["changes"]
        found = changes[0]["verdict"]
        if found == "worse" and process.returncode != 1:
            raise AssertionError("a regression without exit 1")
        return found


class GateTest(unittest.TestCase):
    """Shares of comparisons with each verdict."""

    comparisons = {}

    def alarms(self, change, threshold):
        return [verdict(one, threshold) for one in self.comparisons[change]]

    def share_found(self, change, threshold):
        verdicts = self.alarms(change, threshold)
        return verdicts.count("worse") / len(verdicts)

    def test_identical_programs_raise_no_alarm(self):
        for threshold in ("5%", "2%"):
            verdicts = self.alarms(0, threshold)
            alarms = verdicts.count("worse") + verdicts.count("better")
            self.assertLessEqual(alarms, len(verdicts) / 50, f"{threshold}: {verdicts}")

    def test_ten_and_twenty_per_cent_are_found(self):
        for change in (10, 20):
            self.assertGreaterEqual(self.share_found(change, "5%"), 0.95, change)

    def test_five_per_cent_are_found_at_two(self):
        self.assertGreaterEqual(self.share_found(5, "2%"), 0.8)

    def test_three_per_cent_are_no_regression_at_five(self):
        self.assertNotIn("worse", self.alarms(3, "5%"))

    def test_no_slow_down_passes_for_a_gain(self):
        for change in (3, 5, 10, 20):
            self.assertNotIn("better", self.alarms(change, "2%"))


def measure_all():
    comparisons = {}
    for change, count in COUNTS.items():
        comparisons[change] = [measure(change) for _ in range(count)]
        print(f"measured {count} comparisons with {change} % planted", file=sys.stderr)
    return comparisons


def record(comparisons):
    """A line a comparison, five digits a number."""
    changes = []
    for change, one in comparisons.items():
        lines = [json.dumps([[float(f"{time:.5g}") for time in side]
                             for side in (pair.before, pair.after)]) for pair in one]
        changes.append('"{}": [\n{}\n]'.format(change, ",\n".join(lines)))
    RECORDED.write_text("{\n" + ",\n".join(changes) + "\n}\n")


def recorded():
    data = json.loads(RECORDED.read_text())
    return {int(change): [Measurements(*sides) for sides in one] for change, one in data.items()}


def main():
    if sys.argv[1:]:
        GateTest.comparisons = measure_all()
        if sys.argv[1] == "--record":
            record(GateTest.comparisons)
    else:
        GateTest.comparisons = recorded()
    for change in COUNTS:
        verdicts = {threshold: GateTest().alarms(change, threshold) for threshold in ("5%", "2%")}
        print(f"{change:3} % planted:", {
            threshold: {verdict: all_of.count(verdict) for verdict in sorted(set(all_of))}
            for threshold, all_of in verdicts.items()}, flush=True)
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
