"""Compares `kvsieve run` with the independent numpy replay on one trace.

Every figure of summary, layers and heads must agree within 0.5 %, budgets and kept tokens exactly.

    python3 compare_replay.py --kvsieve build/release/cli/kvsieve TRACE [--suite ratios|methods]
"""

import argparse
import itertools
import json
import os
import subprocess
import sys

TOLERANCE = 5e-3
REPLAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "replay.py")

SUITES = {
    # The published comparison: Ada-KV against uniform at four budgets and both granularities.
    "ratios": [
        ["--method", "ada-snapkv", "--budget", budget, "--granularity", granularity]
        for budget, granularity in itertools.product(["5%", "10%", "20%", "40%"], ["kv", "query"])
    ],
    # Every other stage once.
    "methods": [
        ["--method", "snapkv", "--budget", "300", "--pool", "avg:5", "--group-reduce", "max"],
        ["--method", "ada-snapkv", "--budget", "20%", "--alpha-mode", "floor", "--pool", "none"],
        ["--method", "ada-snapkv", "--budget", "200", "--alpha-mode", "floor-kvpress",
         "--alpha", "0.5", "--window", "64"],
        ["--method", "ada-snapkv", "--budget", "10%", "--alpha-mode", "paper-literal"],
        ["--method", "ada-snapkv", "--budget", "10%", "--alpha-mode", "official-rounding"],
        ["--method", "ada-snapkv", "--budget", "10%", "--sinks", "8", "--alpha", "0"],
        ["--method", "pyramidkv", "--budget", "20%"],
        ["--method", "criticalkv", "--budget", "20%"],
        ["--method", "ada-criticalkv", "--budget", "20%"],
        ["--method", "h2o", "--budget", "20%"],
        ["--method", "tova", "--budget", "20%"],
        ["--method", "knorm", "--budget", "20%"],
        ["--method", "streaming-llm", "--budget", "20%"],
    ],
}

FIGURES = ["evicted_mass", "l1_loss", "l1_loss_relative", "bound", "bound_head", "bound_theta"]


def run_json(command):
    """The JSON document that a command prints."""
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def tokens_of(runs):
    """Positions covered by [begin, end) runs."""
    return [j for begin, end in runs for j in range(begin, end)]


class Comparison:
    """Collects the disagreements of one run."""

    def __init__(self):
        self.failures = []
        self.compared = 0

    def close(self, where, ours, theirs):
        """Relative agreement; both missing is agreement too."""
        self.compared += 1
        if ours is None or theirs is None:
            if ours is not theirs:
                self.failures.append(f"{where}: {ours} against {theirs}")
        elif abs(ours - theirs) > TOLERANCE * max(abs(ours), abs(theirs)):
            self.failures.append(f"{where}: {ours:.6g} against {theirs:.6g}")

    def equal(self, where, ours, theirs):
        self.compared += 1
        if ours != theirs:
            self.failures.append(f"{where}: {str(ours)[:80]} against {str(theirs)[:80]}")

    def figures(self, where, ours, theirs, names):
        for name in names:
            self.close(f"{where}.{name}", ours.get(name), theirs.get(name))


def compare(ours, theirs):
    """Compares two run documents figure by figure."""
    result = Comparison()
    for where in ("summary", "uniform"):
        a, b = (d["summary"] if where == "summary" else d["summary"]["uniform"]
                for d in (ours, theirs))
        result.figures(where, a, b, FIGURES if where == "summary" else FIGURES[:3])
    ratio_a, ratio_b = (d["summary"]["ratio_to_uniform"] for d in (ours, theirs))
    result.figures("ratio_to_uniform", ratio_a, ratio_b, ["evicted_mass", "l1_loss"])
    for name in ("layers_improved_mass", "layers_improved_l1"):
        result.equal(f"ratio_to_uniform.{name}", ratio_a[name], ratio_b[name])
    result.equal("layers", [x["layer"] for x in ours["layers"]],
                 [x["layer"] for x in theirs["layers"]])
    for a, b in zip(ours["layers"], theirs["layers"]):
        where = f"layer {a['layer']}"
        result.equal(f"{where}.touched", a.get("touched", True), b.get("touched", True))
        if not a.get("touched", True):
            continue
        result.equal(f"{where}.budget_total", a["budget_total"], b["budget_total"])
        result.figures(where, a, b, FIGURES)
        result.figures(f"{where}.uniform", a["uniform"], b["uniform"], FIGURES[:3])
        for head_a, head_b in zip(a["heads"], b["heads"]):
            unit = f"{where} head {head_a['head']}"
            result.equal(f"{unit}.budget", head_a["budget"], head_b["budget"])
            result.equal(f"{unit}.kept", tokens_of(head_a["kept_runs"]), head_b["kept"])
            result.figures(unit, head_a, head_b, ["evicted_mass", "l1_loss"])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace")
    parser.add_argument("--kvsieve", required=True)
    parser.add_argument("--suite", choices=sorted(SUITES), default="ratios")
    arguments = parser.parse_args()
    failed = False
    for options in SUITES[arguments.suite]:
        ours = run_json([arguments.kvsieve, "run", arguments.trace, "--format", "json",
                         "--quiet"] + options)
        theirs = run_json([sys.executable, REPLAY, arguments.trace, "--kept"] + options)
        result = compare(ours, theirs)
        print(f"{' '.join(options)}: {result.compared} figures compared, "
              f"{len(result.failures)} disagree", flush=True)
        for failure in result.failures[:10]:
            print(f"  {failure}")
        failed = failed or bool(result.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
