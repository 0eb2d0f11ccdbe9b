#!/usr/bin/env python3
"""What nvcc made of the kernels: registers, spills, shared memory, occupancy, width of accesses.

Reads the library of compiled kernels with cuobjdump (and nvdisasm beside it), fails for kernels
that spill or use local memory and for row copies without 128-bit accesses, and compares the table with the baseline of the same nvcc version in
baseline/<version>.json. A version without a baseline is reported and does not fail.

  kernel_resources.py --library LIB --cuobjdump PATH --occupancy PROGRAM --nvcc-version 13.0.88
                      [--write] [--markdown FILE]

--write records the baseline of this nvcc version; --markdown writes the table of the docs.
Exit status: 0 as the baseline or no baseline, 1 worse or different, 77 no cuobjdump (skipped).
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

BASELINES = pathlib.Path(__file__).parent / "baseline"
# Shared memory that the system keeps in every block from sm_90 on; cuobjdump counts it wherever a
# kernel has some of its own.
RESERVED_SHARED_BYTES = {"sm_90": 1024, "sm_100": 1024}
COPY_KERNELS = ("compact_cache_kernel", "append_tokens_kernel", "regrow_cache_kernel",
                "gather_rows_kernel")
ACCESS = re.compile(r"\b(LDG|STG|LDGSTS|LDL|STL)((?:\.[A-Z0-9_]+)*)")


def run(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def short_name(demangled):
    """window_scores_kernel<__half, 128> out of a full signature."""
    name = re.sub(r"(?:(?:\w+|\(anonymous namespace\))::)+", "", demangled.removeprefix("void "))
    name = re.sub(r"\(\w+\)(?=\d)", "", name)  # an enumerator's type
    depth = 0
    for at, character in enumerate(name):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "(" and depth == 0:
            return name[:at]
    return name


def access_width(modifiers):
    """Bytes a lane moves with one global access."""
    for part in modifiers.split("."):
        if part in ("128", "64"):
            return int(part) // 8
        if part in ("U8", "S8"):
            return 1
        if part in ("U16", "S16"):
            return 2
    return 4


def per_kernel(cuobjdump, library):
    """{(arch, mangled name): {"registers", "stack", "local", "static_shared", "threads", ...}}"""
    kernels = {}
    arch = None
    name = None
    for line in run([cuobjdump, "-res-usage", library]).splitlines():
        if match := re.match(r"arch = (sm_\d+)", line):
            arch = match[1]
        elif match := re.match(r"\s*Function (\S+):", line):
            name = match[1]
        elif match := re.match(r"\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", line):
            registers, stack, shared, local = map(int, match.groups())
            kernels[arch, name] = {
                "registers": registers,
                "stack_bytes": stack + local,
                "static_shared_bytes": max(0, shared - RESERVED_SHARED_BYTES.get(arch, 0)),
                "accesses": collections.Counter(),
            }
    for line in run([cuobjdump, "-sass", library]).splitlines():
        if match := re.match(r"arch = (sm_\d+)", line):
            arch = match[1]
        elif match := re.match(r"\s*Function : (\S+)", line):
            name = match[1]
        elif match := ACCESS.search(line):
            kind = {"LDG": "load", "STG": "store", "LDGSTS": "async_copy"}.get(match[1], "local")
            width = "" if kind == "local" else f"_{8 * access_width(match[2])}"
            kernels[arch, name]["accesses"][kind + width] += 1
    return kernels


def threads_of(cuobjdump, library):
    """{(arch, mangled name): threads} from the kernels' launch bounds."""
    threads = {}
    arch = None
    name = None
    wanted = False
    for line in run([cuobjdump, "-elf", library]).splitlines():
        if match := re.match(r"arch = (sm_\d+)", line):
            arch = match[1]
        elif match := re.match(r"\.nv\.info\.(\S+)", line):
            name = match[1]
        elif "EIATTR_MAX_THREADS" in line:
            wanted = True
        elif wanted and (match := re.search(r"Value:\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+)",
                                            line)):
            x, y, z = (int(value, 16) for value in match.groups())
            threads[arch, name] = x * y * z
            wanted = False
    return threads


def occupancies(program, rows):
    """Blocks a multiprocessor and the share of its warps, of rows (arch, registers, threads, shared)."""
    lines = "".join(f"{arch[3:]} {registers} {threads} {shared}\n"
                    for arch, registers, threads, shared in rows)
    answer = subprocess.run([program], input=lines, check=True, capture_output=True, text=True).stdout
    return [(int(blocks), float(share)) for blocks, share in (line.split() for line in answer.splitlines())]


def dynamic_shared(program):
    """[(kernel name or beginning of it, bytes)], largest dynamic shared memory of each kernel."""
    return [(name, int(size)) for name, size in
            (line.rsplit(" ", 1) for line in run([program, "--dynamic-shared"]).splitlines())]


def build_table(options):
    raw = per_kernel(options.cuobjdump, options.library)
    threads = threads_of(options.cuobjdump, options.library)
    names = sorted({name for _, name in raw})
    demangled = dict(zip(names, run(["c++filt", *names]).splitlines()))
    dynamic = dynamic_shared(options.occupancy)
    table = {}
    for (arch, name), kernel in raw.items():
        short = short_name(demangled[name])
        extra = [size for beginning, size in dynamic if short.startswith(beginning)]
        table[f"{short} {arch}"] = {
            "registers": kernel["registers"],
            "stack_bytes": kernel["stack_bytes"],
            "local_accesses": kernel["accesses"].pop("local", 0),
            "static_shared_bytes": kernel["static_shared_bytes"],
            "dynamic_shared_bytes": max(extra, default=0),
            "threads": threads.get((arch, name), 1024),
            "accesses": dict(sorted(kernel["accesses"].items())),
        }
    keys = sorted(table)
    rows = [(key.split()[-1], table[key]["registers"], table[key]["threads"],
             table[key]["static_shared_bytes"] + table[key]["dynamic_shared_bytes"]) for key in keys]
    for key, (blocks, share) in zip(keys, occupancies(options.occupancy, rows)):
        table[key]["blocks_per_multiprocessor"] = blocks
        table[key]["occupancy"] = round(share, 3)
    return {key: table[key] for key in keys}


def spilling(table):
    return [f"{key}: {row['stack_bytes']} bytes of stack, {row['local_accesses']} local accesses"
            for key, row in table.items() if row["stack_bytes"] > 0 or row["local_accesses"] > 0]


def narrow_copies(table):
    """Kernels that copy rows and lack a 128-bit load or store."""
    return [f"{key}: copies rows without 128-bit accesses: {accesses_text(row['accesses'])}"
            for key, row in table.items()
            if key.startswith(COPY_KERNELS) and
            not {"load_128", "store_128"} <= row["accesses"].keys()]


def differences(old, new):
    found = [f"{key}: gone" for key in old.keys() - new.keys()]
    found += [f"{key}: not in the baseline" for key in new.keys() - old.keys()]
    for key in old.keys() & new.keys():
        for field, value in new[key].items():
            if old[key].get(field) != value:
                found.append(f"{key}: {field} was {old[key].get(field)}, is {value}")
    return sorted(found)


def accesses_text(accesses):
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in accesses.items())


def markdown(table, version):
    lines = ["# What nvcc made of the kernels", "",
             f"Written by `kernels/exec/cuda/resources/kernel_resources.py` from nvcc {version}'s output;",
             "nothing here ran on a GPU. Shared memory is static + the most dynamic memory that the",
             "launcher asks for at the benchmarks' shape; occupancy is what `cuda_occupancy.h` says of a",
             "multiprocessor with that much; accesses are global-memory instructions in the SASS by",
             "width in bits.", "",
             "| kernel | arch | registers | stack | shared bytes | threads | blocks an SM | occupancy | "
             "global accesses |", "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for key, row in table.items():
        name, arch = key.rsplit(" ", 1)
        lines.append(
            f"| `{name}` | {arch} | {row['registers']} | {row['stack_bytes']} | "
            f"{row['static_shared_bytes']} + {row['dynamic_shared_bytes']} | {row['threads']} | "
            f"{row['blocks_per_multiprocessor']} | {100 * row['occupancy']:.0f} % | "
            f"{accesses_text(row['accesses'])} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--cuobjdump", default="")
    parser.add_argument("--occupancy", required=True)
    parser.add_argument("--nvcc-version", required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    options.cuobjdump = shutil.which(options.cuobjdump or "cuobjdump")
    if not options.cuobjdump:
        print("skipped: cuobjdump was not found; `./dev test` gets it where pip works", file=sys.stderr)
        return 77
    # cuobjdump starts nvdisasm, which lies beside it.
    os.environ["PATH"] = f"{pathlib.Path(options.cuobjdump).parent}:{os.environ['PATH']}"
    table = build_table(options)
    print(f"{len(table)} kernels compiled by nvcc {options.nvcc_version}")
    if options.markdown:
        pathlib.Path(options.markdown).write_text(markdown(table, options.nvcc_version))
    baseline = BASELINES / f"{options.nvcc_version}.json"
    problems = spilling(table) + narrow_copies(table)
    if options.write:
        baseline.parent.mkdir(exist_ok=True)
        rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in table.items())
        baseline.write_text("{\n" + rows + "\n}\n")
    elif baseline.exists():
        problems += differences(json.loads(baseline.read_text()), table)
    else:
        print(f"no baseline for nvcc {options.nvcc_version}: record one with --write "
              f"(known: {', '.join(sorted(path.stem for path in BASELINES.glob('*.json')))})")
    for problem in problems:
        print(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
