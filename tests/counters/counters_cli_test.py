#!/usr/bin/env python3
"""The command line of kvsieve-counters, its exit codes and its files.

  counters_cli_test.py --counters kvsieve-counters
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

COUNTERS = None
CASE = "^list_tokens/segments:2/"


def run(*options):
    return subprocess.run([COUNTERS, *options], capture_output=True, text=True)


class CommandLine(unittest.TestCase):
    def assert_fails(self, code, message, *options):
        result = run(*options)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.splitlines()[0], f"kvsieve-counters: {message}")

    def test_lists_cases_without_counting(self):
        names = run("--list").stdout.splitlines()
        self.assertGreater(len(names), 50)
        self.assertEqual(names, sorted(names))
        self.assertEqual(run("--list", "--filter", "^ragged_decode/").stdout.splitlines(),
                         [name for name in names if name.startswith("ragged_decode/")])

    def test_help_fits_a_terminal(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        self.assertLessEqual(max(map(len, result.stdout.splitlines())), 100)

    def test_counts_by_case_kernel_and_architecture(self):
        document = json.loads(run("--filter", CASE, "--arch", "100,80").stdout)
        self.assertEqual(document["context"]["kvsieve"]["schema"], "kvsieve.bench/1")
        self.assertEqual(document["context"]["kvsieve"]["kind"], "counters")
        entries = document["benchmarks"]
        self.assertEqual([entry["name"].rsplit("/", 1)[1] for entry in entries],
                         ["sm:100", "sm:80"])
        for entry in entries:
            self.assertIn("/kernel:list_tokens_kernel<false>/", entry["name"])
            self.assertEqual(entry["launches"], 1)
            self.assertEqual(entry["global_load_bytes"], 256)
            self.assertGreater(entry["registers"], 0)
            # nvcc ascribes almost every instruction to a line.
            of_lines = sum(line.get("instructions", 0) for line in entry["lines"])
            self.assertLessEqual(of_lines, entry["instructions"])
            self.assertGreater(of_lines, 0.9 * entry["instructions"])
            for line in entry["lines"]:
                self.assertFalse(pathlib.PurePath(line["file"]).is_absolute(), line)

    def test_lines_are_of_the_repository(self):
        root = pathlib.Path(__file__).parents[2]
        document = json.loads(run("--arch", "80,90,100").stdout)
        files = {line["file"] for entry in document["benchmarks"] for line in entry["lines"]}
        self.assertEqual([file for file in sorted(files) if not (root / file).is_file()], [])

    def test_two_runs_write_the_same_bytes(self):
        self.assertEqual(run("--filter", "^topk").stdout, run("--filter", "^topk").stdout)

    def test_writes_a_file_and_replaces_none(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "counters.json"
            result = run("--filter", CASE, "--output", path)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
            self.assertEqual(path.read_text(), run("--filter", CASE).stdout)
            self.assertEqual(run("--filter", CASE, "--output", path).returncode, 2)
            self.assertEqual(run("--filter", CASE, "--output", path, "--force").returncode, 0)
            self.assertEqual(os.listdir(folder), ["counters.json"])

    def test_prints_a_table(self):
        lines = run("--filter", CASE, "--format", "table").stdout.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].endswith("  name"))

    def test_refuses_what_it_does_not_know(self):
        self.assert_fails(2, "--arch: '75' is not supported; supported: 80, 90, 100", "--arch",
                          "80,75")
        self.assert_fails(2, "--arch: '' is not supported; supported: 80, 90, 100", "--arch", "80,")
        self.assert_fails(2, "--format: 'csv' is not supported; supported: json, table", "--format",
                          "csv")
        self.assert_fails(2, "--filter: '(' is no regular expression", "--filter", "(")
        self.assert_fails(2, "--filter: no case has such a name", "--filter", "nothing")
        self.assert_fails(2, "unrecognised option '--filt'", "--filt", "x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counters", required=True)
    OPTIONS, rest = parser.parse_known_args()
    COUNTERS = OPTIONS.counters
    unittest.main(argv=[__file__, *rest])
