#!/usr/bin/env python3
"""Compiles a .cu file beside this one to the .ptx that the tests read.

    make_ptx.py seeded_bugs.cu [NVCC]

The .ptx names the source without its folder and tells the source's hash, by which a test notices that
the two no longer belong together.
"""

import pathlib
import subprocess
import sys


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def main():
    source = pathlib.Path(__file__).parent / sys.argv[1]
    nvcc = sys.argv[2] if len(sys.argv) > 2 else "nvcc"
    target = source.with_suffix(".ptx")
    subprocess.run([nvcc, "-std=c++20", "-O3", "-lineinfo", "-arch=compute_80", "-ptx", str(source),
                    "-o", str(target)], check=True)
    text = target.read_text().replace(str(source.resolve()), source.name)
    target.write_text(f"// {source.name} {fnv1a(source.read_bytes()):016x}\n{text}")


main()
