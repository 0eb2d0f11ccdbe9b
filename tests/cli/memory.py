"""Memory is bounded by one layer, not by the file: replays of a 2 GiB trace stay under 600 MiB.

What counts is anonymous memory, which the kernel cannot drop; the trace itself is a file mapping
that it can. The shape is that of an 8B model: 8 KV heads of dimension 128 over 131,072 tokens.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cli_test import KVSIEVE, is_instrumented

LIMIT_MIB = 600
TRACE_GIB = 2
FREE_GIB = 6
SAMPLE_S = 0.02
SKIPPED = 77

SYNTH = ["--layers", "4", "--q-heads", "16", "--kv-heads", "8", "--head-dim", "128",
         "--width", "128", "--prompt-tokens", "131072", "--prompt-queries", "32",
         "--decode-tokens", "4", "--no-out"]
RUNS = {
    "ada-snapkv": ["--method", "ada-snapkv", "--budget", "20%"],
    "a2ats": ["--method", "a2ats", "--top", "1%", "--codewords", "64", "--iterations", "3"],
}


def anonymous_mib(pid):
    """Anonymous resident memory of a process, or 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def measure(words):
    """Runs kvsieve; returns the peak of its anonymous memory in MiB and the seconds it took."""
    begin = time.monotonic()
    process = subprocess.Popen([KVSIEVE] + words, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, anonymous_mib(process.pid))
        time.sleep(SAMPLE_S)
    if process.returncode != 0:
        sys.exit(f"kvsieve {' '.join(words)}: exit code {process.returncode}")
    return peak, time.monotonic() - begin


def main():
    if is_instrumented():
        print("skipped: a sanitizer's own memory would be measured")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="kvsieve-memory-") as folder:
        free = shutil.disk_usage(folder).free / 2**30
        if free < FREE_GIB:
            print(f"skipped: {folder} has {free:.1f} GiB of free disk, {FREE_GIB} are needed")
            return SKIPPED
        trace = Path(folder) / "big.kvtrace"
        peak, seconds = measure(["synth", str(trace)] + SYNTH)
        size = trace.stat().st_size / 2**30
        print(f"trace: {size:.2f} GiB, written in {seconds:.0f} s with {peak:.0f} MiB")
        failed = size < TRACE_GIB
        for name, words in RUNS.items():
            peak, seconds = measure(["run", str(trace), "--quiet"] + words)
            over = peak > LIMIT_MIB
            print(f"{name}: {peak:.0f} MiB of anonymous memory at most, {seconds:.0f} s"
                  + (f", more than {LIMIT_MIB} MiB" if over else ""), flush=True)
            failed = failed or over
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
