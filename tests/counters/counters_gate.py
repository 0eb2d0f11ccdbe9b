#!/usr/bin/env python3
"""The gate on the kernels' counters: every count and every static resource as recorded.

  counters_gate.py --counters kvsieve-counters --kvsieve kvsieve --nvcc-version 13.0.88 [--write]

`kvsieve compare` compares with baseline-<version>.json beside this file; counts of another nvcc
version mean nothing. --write records the baseline of this nvcc version.
Exit status: 0 as the baseline, 1 different, 77 no baseline for this nvcc version (skipped).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

BASELINES = pathlib.Path(__file__).parent
ARCHITECTURES = "80"
# What a line of source is held to; the others follow from `instructions`.
LINE_COUNTERS = {"instructions", "global_load_sectors", "global_store_sectors",
                 "global_excess_sectors", "shared_wavefronts", "shared_bank_conflicts",
                 "local_requests", "global_atomics", "shared_atomics", "divergent_branches",
                 "barriers", "async_copies"}


def reduced(document):
    """The same document with fewer counters by line, so that a baseline is small."""
    kept = LINE_COUNTERS | {"file", "line"}
    for entry in document["benchmarks"]:
        lines = [{key: value for key, value in line.items() if key in kept}
                 for line in entry["lines"]]
        entry["lines"] = [line for line in lines if len(line) > 2]
    return document


def text_of(document):
    """A row for every entry, so that changes of the file can be read."""
    rows = [json.dumps(entry, separators=(",", ":")) for entry in document["benchmarks"]]
    context = json.dumps(document["context"], separators=(",", ":"))
    return f'{{"context":{context},\n"benchmarks":[\n' + ",\n".join(rows) + "\n]}\n"


def count(counters, path):
    """Writes the counts of all cases."""
    subprocess.run([counters, "--arch", ARCHITECTURES, "--output", path, "--force"], check=True)
    path.write_text(text_of(reduced(json.loads(path.read_text()))))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counters", required=True)
    parser.add_argument("--kvsieve", required=True)
    parser.add_argument("--nvcc-version", required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    baseline = BASELINES / f"baseline-{options.nvcc_version}.json"
    if options.write:
        count(options.counters, baseline)
        return 0
    if not baseline.exists():
        known = ", ".join(sorted(path.stem.removeprefix("baseline-")
                                 for path in BASELINES.glob("baseline-*.json")))
        print(f"skipped: no baseline for nvcc {options.nvcc_version}, known: {known}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        counted = pathlib.Path(folder) / "counters.json"
        count(options.counters, counted)
        result = subprocess.run([options.kvsieve, "compare", baseline, counted,
                                 "--fail-on", "any"], check=False)
    if result.returncode == 1:
        print("Where the change is meant: cmake --build BUILD --target kvsieve_record_counters")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
