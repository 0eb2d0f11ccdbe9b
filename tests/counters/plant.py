#!/usr/bin/env python3
"""Copies query_moment.cu and .cuh with one regression planted, for planted_test.py.

  plant.py NAME --kernels kernels --output DIR

The results stay the same, and every line keeps its number.
"""

import argparse
import pathlib

# What was there, and what is there now; each has to be found once.
PLANTED = {
    # Neighbouring threads add up elements that lie a row apart.
    "strided": [("const int row = static_cast<int>(threadIdx.x) / kMomentPart;",
                 "const int row = static_cast<int>(threadIdx.x) % kMomentPart;"),
                ("const int column = static_cast<int>(threadIdx.x) % kMomentPart;",
                 "const int column = static_cast<int>(threadIdx.x) / kMomentPart;")],
    # The first tile is read without waiting for the threads that store it.
    "no_barrier": [("  fetch.store(shared, 0, tile);\n  __syncthreads();",
                    "  fetch.store(shared, 0, tile);\n")],
    # A thread's four columns lie side by side.
    "bank_conflict": [("static_cast<int>(threadIdx.x) % 16 * 2", "static_cast<int>(threadIdx.x) % 16 * 4"),
                      ("right[at + c % 2 + c / 2 * 32]", "right[at + c]"),
                      ("tile.column * kMomentTile + column + half * 32",
                       "tile.column * kMomentTile + column + half * 2"),
                      ("(row + r) * kMomentTile + column + half * 32",
                       "(row + r) * kMomentTile + column + half * 2")],
    # The sums are found by numbers that only the running kernel knows.
    "spill": [("#pragma unroll\n  for (int half = 0;", "#pragma unroll 1\n  for (int half = 0;")],
}


def plant(text, changes):
    for old, new in changes:
        if text.count(old) != 1:
            raise SystemExit(f"error: {text.count(old)} places have {old!r}, expected one")
        text = text.replace(old, new)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(PLANTED))
    parser.add_argument("--kernels", required=True, type=pathlib.Path)
    parser.add_argument("--output", required=True, type=pathlib.Path)
    options = parser.parse_args()
    folder = options.output / "kernels/a2ats"
    folder.mkdir(parents=True, exist_ok=True)
    original = (options.kernels / "a2ats/query_moment.cuh").read_text()
    planted = plant(original, PLANTED[options.name])
    if planted.count("\n") != original.count("\n"):
        raise SystemExit("error: lines have got other numbers")
    (folder / "query_moment.cuh").write_text(planted)
    (folder / "query_moment.cu").write_text((options.kernels / "a2ats/query_moment.cu").read_text())


if __name__ == "__main__":
    main()
