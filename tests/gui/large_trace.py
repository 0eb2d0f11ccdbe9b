"""A trace of 1 GiB in the viewer: overview first, heads as they come, memory bounded as in the
command line (tests/cli/memory.py)."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KVSIEVE = os.environ["KVSIEVE"]
PROGRAM = os.environ["KVSIEVE_LARGE_TRACE_TEST"]
LIMIT_MIB = 600
FREE_GIB = 3
SKIPPED = 77
SYNTH = ["--layers", "4", "--q-heads", "16", "--kv-heads", "8", "--head-dim", "128",
         "--width", "128", "--prompt-tokens", "65536", "--prompt-queries", "32",
         "--decode-tokens", "4", "--no-out"]


def anonymous_mib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def main():
    with tempfile.TemporaryDirectory(prefix="kvsieve-large-") as folder:
        if shutil.disk_usage(folder).free < FREE_GIB * 2**30:
            print(f"skipped: {FREE_GIB} GiB of free disk are needed in {folder}")
            return SKIPPED
        trace = Path(folder) / "large.kvtrace"
        subprocess.run([KVSIEVE, "synth", trace, *SYNTH], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        size = trace.stat().st_size / 2**30
        environment = dict(os.environ, KVSIEVE_LARGE_TRACE=str(trace), QT_QPA_PLATFORM="offscreen",
                           HOME=folder)
        process = subprocess.Popen([PROGRAM], env=environment)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, anonymous_mib(process.pid))
            time.sleep(0.02)
        print(f"trace: {size:.2f} GiB; {peak:.0f} MiB of anonymous memory at most")
        return 0 if process.returncode == 0 and peak <= LIMIT_MIB and size >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
