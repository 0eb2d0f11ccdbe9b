#!/usr/bin/env python3
"""Planted regressions of one kernel: each has to be caught, with the kernel and the line.

  planted_test.py --counters kvsieve-counters --kvsieve kvsieve --planted DIR

DIR has one program for every regression of plant.py, kvsieve-counters-NAME, and the sources that it
was compiled from in NAME/.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import unittest

from plant import PLANTED

OPTIONS = None
CASES = ("--filter", "^query_moment/")
SOURCE = "kernels/a2ats/query_moment.cuh"


def planted_program(name):
    return OPTIONS.planted / f"kvsieve-counters-{name}"


def line_of(name, text):
    """Number of the line of the planted source with this text."""
    lines = (OPTIONS.planted / name / SOURCE).read_text().splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if text in line]
    assert len(numbers) == 1, (text, numbers)
    return numbers[0]


class Planted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.before = cls.count(OPTIONS.counters, "before")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def count(cls, program, name):
        path = pathlib.Path(cls.folder.name) / f"{name}.json"
        subprocess.run([program, "--output", path, "--force", *CASES], check=True)
        return path

    def compare(self, after):
        """Exit status and changes, as `kvsieve compare` prints them."""
        result = subprocess.run([OPTIONS.kvsieve, "compare", self.before, after, "--format",
                                 "json"], capture_output=True, text=True)
        return result.returncode, json.loads(result.stdout)["changes"]

    def worse(self, name, kernel, counter):
        """What got worse of a counter of a kernel, an entry for each of the two cases."""
        status, changes = self.compare(self.count(planted_program(name), name))
        self.assertEqual(status, 1)
        found = [change for change in changes if f"/kernel:{kernel}" in change["case"] and
                 change["metric"] == counter and change["verdict"] == "worse"]
        self.assertEqual(len(found), 2, changes)
        return found

    def check_lines(self, changes, name, text):
        line = line_of(name, text)
        for change in changes:
            self.assertIn((SOURCE, line), [(at["file"], at["line"]) for at in change["lines"]])

    def test_nothing_planted_is_no_difference(self):
        self.assertEqual(self.compare(self.count(OPTIONS.counters, "again")), (0, []))

    def test_a_strided_access(self):
        changes = self.worse("strided", "add_shares_kernel", "global_excess_sectors")
        self.check_lines(changes, "strided", "first_column + column] += sum;")
        loads = self.worse("strided", "add_shares_kernel", "global_load_sectors")
        self.check_lines(loads, "strided", "sum += share[")

    def test_a_removed_barrier(self):
        result = subprocess.run([planted_program("no_barrier"), *CASES], capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertRegex(result.stderr, r"query_moment/.*moment_shares_kernel.*: race: ")
        line = line_of("no_barrier", "const double x = left[at + r];")
        self.assertIn(f"{SOURCE}:{line}: ", result.stderr)

    def test_a_bank_conflict(self):
        changes = self.worse("bank_conflict", "moment_shares_kernel", "shared_bank_conflicts")
        self.check_lines(changes, "bank_conflict", "sums[r][c] += x")

    def test_a_spill(self):
        stack = self.worse("spill", "moment_shares_kernel", "stack_bytes")
        self.assertEqual([change["before"] for change in stack], [0, 0])
        changes = self.worse("spill", "moment_shares_kernel", "local_requests")
        self.check_lines(changes, "spill", "make_double2(")

    def test_every_regression_has_a_test(self):
        self.assertEqual(set(PLANTED), {"strided", "no_barrier", "bank_conflict", "spill"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counters", required=True, type=pathlib.Path)
    parser.add_argument("--kvsieve", required=True, type=pathlib.Path)
    parser.add_argument("--planted", required=True, type=pathlib.Path)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[__file__, *rest])
