"""Prints the table of docs/results.md: Ada-KV against uniform on the given traces.

    python3 docs/eviction_ratios.py --kvsieve build/release/cli/kvsieve TRACE...
"""

import argparse
import json
import os
import subprocess

BUDGETS = ["5%", "10%", "20%", "40%"]


def ratios(kvsieve, trace, granularity, budget, alpha):
    """Summary of one ada-snapkv run."""
    command = [kvsieve, "run", trace, "--method", "ada-snapkv", "--budget", budget, "--alpha",
               alpha, "--granularity", granularity, "--no-bound", "--quiet", "--format", "json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["summary"]


def cell(summary, figure, improved):
    """Ratio with the layers in which the figure fell and in which it did not."""
    ratio = summary["ratio_to_uniform"]
    better = ratio[improved]
    return f"{ratio[figure]:.3f} ({better} / {ratio['layers'] - better})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvsieve", required=True)
    parser.add_argument("--alpha", default="0.2")
    parser.add_argument("traces", nargs="+")
    arguments = parser.parse_args()
    print("| trace | heads | budget | evicted mass, uniform | evicted mass, ratio | "
          "L1 loss, uniform | L1 loss, ratio |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for trace in arguments.traces:
        name = os.path.basename(trace).removesuffix(".kvtrace")
        for granularity in ("kv", "query"):
            for budget in BUDGETS:
                summary = ratios(arguments.kvsieve, trace, granularity, budget, arguments.alpha)
                uniform = summary["uniform"]
                print(f"| {name} | {granularity} | {budget} | {uniform['evicted_mass']:.3f} | "
                      f"{cell(summary, 'evicted_mass', 'layers_improved_mass')} | "
                      f"{100 * uniform['l1_loss_relative']:.1f} % | "
                      f"{cell(summary, 'l1_loss', 'layers_improved_l1')} |", flush=True)


if __name__ == "__main__":
    main()
