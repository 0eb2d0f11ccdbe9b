"""Regenerates docs/accuracy.md and the error bands that results carry, from measured rows.

    python3 docs/accuracy.py --kvsieve build/release/cli/kvsieve FILE.csv...

The files are public sets in the forms of docs/measured-data.md. Each (device, engine, version, cache
type) is judged unfitted on all its rows, and calibrated on the even rows of its file on the odd ones.
"""

import argparse
import csv
import io
import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The devices that end-to-end rows may be of: their file does not say which A100.
END_TO_END_DEVICES = ("a100-sxm-40", "a100-sxm-80")

PUBLISHED = [
    ("Vidur", "random forest on profiled operators",
     "< 9 % end to end; static P95 to 3.33 %, dynamic to 12.65 % (arXiv:2405.05465)",
     "attention p50 / p95 55.4 / 376.1 %, end to end 2.9-45.5 % on H800 (Frontier, arXiv:2605.21312); "
     "P50 700 % off vLLM 0.9.1 (github.com/microsoft/vidur/issues/60)"),
    ("Frontier", "regressions on profiled operators",
     "attention p50 / p95 3.5 / 14.2 %, linear 3.3 / 6.4 %; end to end 6.4 % (arXiv:2605.21312)", ""),
    ("LLMCompass", "simulation of tiles",
     "matmul 9.0 %, softmax 12.0 %, operators 10.4 % on average; prefill 0.69 %, decode 7.5 % "
     "(github.com/PrincetonUniversity/LLMCompass)", ""),
    ("GenZ", "analytic, one efficiency a system, set on the same systems",
     "geometric mean: prefill 2.73 %, decode 1.85 %, others to 5.82 %", ""),
    ("AIConfigurator", "tables measured on the target (github.com/ai-dynamo/aiconfigurator)",
     "", "makespan 135-200 % off in decode-heavy, MoE and disaggregated set-ups (arXiv:2605.21312)"),
    ("LLMServingSim 2.0", "profiled layers, ASTRA-Sim (github.com/casys-kaist/LLMServingSim)",
     "TPOT +0.2 % (RTX 4090), -1.7 to +0.8 % (RTX PRO 6000); TTFT -13.6 to +1.3 %",
     "before its pull request 59: TPOT +173.5 %, end to end -14.7 %: errors cancel"),
    ("InferSim", "analytic", "prefill +4.6 to +15.2 %, decode -4.3 to +15.1 % (its README)", ""),
    ("BLIS", "trained physics", "end to end 11.79 % MAPE over 38 runs (inference-sim, pull request 944)",
     ""),
    ("LLM-Viewer, llm-analysis", "roofline", "none: \"only the relative relationships can be "
     "referenced\", \"lower bound\"", ""),
]


class Kvsieve:
    """Runs the program on files."""

    def __init__(self, program):
        self.program = program

    def run(self, *words):
        return subprocess.run([self.program, *map(str, words)], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    def validate(self, *words):
        return json.loads(self.run("validate", "--format", "json", *words))


def percent(share):
    return f"{100 * share:.1f} %"


def figures(row):
    return f"{row['n']} | {percent(row['median_error'])} | {percent(row['mape'])} | " \
           f"{percent(row['p95'])} | {100 * row['bias']:+.1f} %"


def figure_table(rows, head):
    names = " | ".join(head)
    lines = [f"| {names} | n | median | MAPE | p95 | bias |",
             "|" + " --- |" * len(head) + " ---: |" * 5]
    lines += ["| " + " | ".join(str(row[name]) or "-" for name in head) + f" | {figures(row)} |"
              for row in rows]
    return "\n".join(lines)


def engine_words(engine):
    """The options that choose "VLLM 0.14.0"."""
    name, _, version = engine.partition(" ")
    return ["--engine", name] + (["--engine-version", version] if version else [])


def calibrations(report):
    """One (device, engine, cache type, op) a fit: attention, dense layers, end to end."""
    return sorted({(row["device"], row["engine"], row["kv_dtype"], row["op"])
                   for row in report["regimes"] if row["device"] != "all"})


def calibrated(kvsieve, path, device, engine, kv_dtype, folder, as_device=""):
    """Errors on the odd rows of a profile that was fitted to the even ones; none if they are few."""
    words = ["--measured", path, *engine_words(engine)]
    words += ["--kv-dtype", kv_dtype] if kv_dtype else []
    words += ["--as", as_device] if as_device else []
    profile = folder / "profile.json"
    try:
        kvsieve.run("calibrate", *words, "--rows", "even", "--hardware", device, "--output", profile,
                    "--force")
        report = kvsieve.validate(*words, "--rows", "odd", "--hardware", profile)
    except subprocess.CalledProcessError:
        return []
    return [row for row in report["regimes"] if row["device"] != "all"]


def calibrated_rows(kvsieve, files, folder):
    rows = []
    for path in files:
        report = kvsieve.validate("--measured", path)
        for device, engine, kv_dtype, op in calibrations(report):
            rows += calibrated(kvsieve, path, device, engine, kv_dtype, folder)
    return sorted(rows, key=lambda row: (row["regime"], row["device"], row["engine"],
                                         row["kv_dtype"]))


def end_to_end_rows(kvsieve, files, folder):
    """The end-to-end rows as each device that could have measured them."""
    rows = []
    for path in files:
        report = kvsieve.validate("--measured", path)
        engines = sorted({row["engine"] for row in report["regimes"]
                          if row["regime"] == "end-to-end" and row["device"] != "all"})
        for engine in engines:
            for device in END_TO_END_DEVICES:
                rows += calibrated(kvsieve, path, device, engine, "", folder, device)
    return rows


def bands(report):
    """What sim/hardware/data/accuracy.json holds: errors by regime and architecture."""
    regimes = [{"regime": row["regime"], "architecture": row["device"],
                "median_error": round(row["median_error"], 4), "p95": round(row["p95"], 4),
                "bias": round(row["bias"], 4), "n": row["n"]}
               for row in report["architectures"]]
    regimes += [{"regime": row["regime"], "architecture": "all",
                 "median_error": round(row["median_error"], 4), "p95": round(row["p95"], 4),
                 "bias": round(row["bias"], 4), "n": row["n"]}
                for row in report["regimes"] if row["device"] == "all"]
    return {"regimes": regimes}


def published_table():
    lines = ["| model | kind | its own figures | others' measurements |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {kind} | {own or '-'} | {other or '-'} |"
              for name, kind, own, other in PUBLISHED]
    return "\n".join(lines)


def rows_of(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return sum(1 for _ in csv.reader(io.StringIO(file.read()))) - 1


def document(kvsieve, files, folder):
    report = kvsieve.validate(*(word for path in files for word in ("--measured", path)))
    regimes = report["regimes"]
    head = ["regime", "device", "engine", "kv_dtype"]
    sources = "\n".join(f"- `{Path(path).name}`: {rows_of(path)} rows" for path in files)
    text = f"""# How far off the cost model is

Modelled / measured - 1 over rows that others measured and published: median, mean (MAPE) and 95th
percentile of its size, and bias (positive: modelled too slow). Nothing here was measured by this project.
[measured-data.md](measured-data.md) says how rows are judged. This file is written by

    python3 docs/accuracy.py --kvsieve build/release/cli/kvsieve FILE.csv...

from these files (sources and licences: `tests/golden/validation/NOTICE`, which names the thinned copies
in the repository):

{sources}

{report['skipped_rows']} of these rows are of operations that the model has not (norms, rotary embedding and
the like), {report['impossible_rows']} are faster than the memory's data sheet and left out.

## Unfitted: the built-in profiles

The architectures' constants were rounded from these very rows, one value an architecture; devices and
engines beyond them have not been seen. All devices and engines together:

{figure_table([row for row in regimes if row["device"] == "all"], ["regime"])}

Of decode attention, the 16-bit rows with at most 8 query heads a KV head:

{figure_table([row for row in report["selections"] if row["device"] == "all"
               and row["selection"] == "16-bit, group<=8"], ["regime"])}

By device and engine:

{figure_table([row for row in regimes if row["device"] != "all"], head)}

FlashAttention 2 under SGLang reaches about half of the A100's bandwidth; a constant an architecture
cannot know that, a calibration does.

## Calibrated on the even rows of a file, judged on the odd ones

{figure_table(calibrated_rows(kvsieve, files, folder), head)}

End-to-end rows of a file that says no more than "A100", with one overhead an engine and step, judged as
either device; the 40 GB card is the likelier one:

{figure_table(end_to_end_rows(kvsieve, files, folder), ["regime", "device", "engine"])}

## What others report

Figures as their authors or others state them, of other hardware, workloads and definitions of an error.

{published_table()}
"""
    return text, bands(report)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kvsieve", required=True)
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text, accuracy = document(Kvsieve(arguments.kvsieve), sorted(arguments.files), Path(folder))
    (ROOT / "docs" / "accuracy.md").write_text(text, encoding="utf-8")
    lines = ",\n    ".join(json.dumps(entry) for entry in accuracy["regimes"])
    (ROOT / "sim" / "hardware" / "data" / "accuracy.json").write_text(
        '{\n  "regimes": [\n    ' + lines + "\n  ]\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
