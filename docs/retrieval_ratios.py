"""Prints the tables of docs/retrieval-results.md from traces recorded with --prompt-queries all.

    python3 docs/retrieval_ratios.py --kvsieve build/release/cli/kvsieve TRACE TRACE TRACE...

Codebooks come from each trace (in-sample where they serve their own) and, for every trace, from all
others of its model together.
"""

import argparse
import json
import os
import subprocess
import tempfile
from statistics import fmean

KINDS = {"query-aware": "a2ats", "plain": "vq-plain", "post-rope": "vq-post-rope"}
METHODS = {method: kind for kind, method in KINDS.items()}
TOPS = ["3%", "64"]
BASELINES = ["exact-topk", "exact-topk-wrope", "a2ats", "vq-plain", "vq-post-rope", "quest", "pq",
             "chunk-mean", "cluster-centroid", "channel-subset", "random-topk", "streaming-llm"]
OPTIONS = [
    ("the paper's rule", []),
    ("adaptive, alpha 0.2", ["--retrieval-budget", "adaptive"]),
    ("adaptive, alpha 0", ["--retrieval-budget", "adaptive", "--alpha", "0"]),
    ("mass 95%, at most 10%", ["--top", "10%", "--mass", "95%"]),
    ("mass 90%, at most 10%", ["--top", "10%", "--mass", "90%"]),
    ("centred keys", ["--center-keys"]),
    ("fp16 codebook", ["--codebook-dtype", "fp16"]),
    ("bf16 codebook", ["--codebook-dtype", "bf16"]),
    ("bf16 codebook of centred keys", ["--codebook-dtype", "bf16", "--center-keys"]),
]
CROSS_CODEWORDS = 128
CODEWORDS = [32, 64, 128, 256, 512]
DISTANCES = [64, 256, 512, 1024, 2048, 4096]
SLOTS = [256, 512]


class Tool:
    """kvsieve, with what it printed before."""

    def __init__(self, path, folder):
        self.path = path
        self.folder = folder
        self.runs = {}

    def call(self, *words):
        return subprocess.run([self.path, *words], check=True, stdout=subprocess.PIPE).stdout

    def run(self, trace, method, *words):
        key = (trace, method, words)
        if key not in self.runs:
            given = list(words) if "--top" in words else ["--top", "3%", *words]
            if method in METHODS and "--codebook" not in words and "--codewords" not in words:
                # Training once gives what every run would train anew.
                centred = [word for word in given if word == "--center-keys"]
                given = [word for word in given if word != "--center-keys"]
                given += ["--codebook",
                          self.train(name_of(trace), METHODS[method], [trace], *centred)]
            self.runs[key] = json.loads(self.call("run", trace, "--method", method, *given,
                                                  "--quiet", "--format", "json"))
        return self.runs[key]

    def train(self, name, kind, traces, *words):
        path = os.path.join(self.folder, f"{name}.{kind}{''.join(words)}.kvcodebook")
        if not os.path.exists(path):
            self.call("train", *traces, "--output", path, "--kind", kind, *words)
        return path


def name_of(trace):
    return os.path.basename(trace).removesuffix(".kvtrace")


def percent(value):
    return "-" if value is None else f"{100 * value:.1f} %"


def error(figures, key, part):
    return "-" if key not in figures else f"{figures[key][part]:.3g}"


def print_table(title, header, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("| " + " | ".join("---" if i < 2 else "---:" for i in range(len(header))) + " |")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def sources(tool, traces, trace, kind):
    """Codebooks of one size that can serve a trace: its own, each other's, that of all others."""
    size = ["--codewords", str(CROSS_CODEWORDS)]
    yield "itself", tool.train(name_of(trace), kind, [trace], *size)
    others = [other for other in traces if other != trace]
    for other in others:
        yield name_of(other), tool.train(name_of(other), kind, [other], *size)
    if len(others) > 1:
        yield "all others", tool.train(f"not-{name_of(trace)}", kind, others, *size)


def cross_rows(tool, traces):
    for trace in traces:
        for source in range(len(traces) + (len(traces) > 2)):
            for kind, method in KINDS.items():
                name, codebook = list(sources(tool, traces, trace, kind))[source]
                found = {top: tool.run(trace, method, "--codebook", codebook, "--top", top)
                         for top in TOPS}
                summary = found["3%"]["summary"]
                uses_wrope = kind != "post-rope"
                yield [name_of(trace), name, method,
                       error(summary, "wrope_score_error", "mse") if uses_wrope else "-",
                       error(summary, "vq_score_error", "mse"),
                       error(summary, "score_error", "mse"),
                       error(summary, "wrope_score_error", "nmse") if uses_wrope else "-",
                       error(summary, "vq_score_error", "nmse"),
                       error(summary, "score_error", "nmse"),
                       percent(summary["recall"]),
                       percent(found["64"]["summary"]["recall"]),
                       percent(summary["captured_mass"]),
                       percent(summary["retrieved_mass"])]


def query_aware_rows(tool, traces):
    """Query-aware beside plain: layers in which the error of the codes fell, and recall rose."""
    for trace in traces:
        count = len(list(sources(tool, traces, trace, "plain")))
        for source in range(count):
            layers = {}
            for kind in ("query-aware", "plain"):
                name, codebook = list(sources(tool, traces, trace, kind))[source]
                layers[kind] = [layer for layer in tool.run(
                    trace, KINDS[kind], "--codebook", codebook, "--top", "3%")["layers"]
                    if layer.get("touched", True)]
            pairs = list(zip(layers["query-aware"], layers["plain"]))
            ratios = [ours["vq_score_error"]["mse"] / plain["vq_score_error"]["mse"]
                      for ours, plain in pairs]
            recalls = [ours["recall"] - plain["recall"] for ours, plain in pairs]
            yield [name_of(trace), name, f"{fmean(ratios):.3f}",
                   f"{min(ratios):.2f} to {max(ratios):.2f}",
                   f"{sum(ratio < 1 for ratio in ratios)} / {len(ratios)}",
                   f"{100 * fmean(recalls):+.1f}",
                   f"{sum(gain > 0 for gain in recalls)} / {len(recalls)}",
                   f"{sum(r < 1 and g <= 0 for r, g in zip(ratios, recalls))}"]


def baseline_rows(tool, traces):
    for trace in traces:
        for method in BASELINES:
            found = tool.run(trace, method)
            summary, index = found["summary"], found["cost"].get("index")
            layers = found["cost"]["layers"] * found["trace"]["Hkv"]
            yield [name_of(trace), method,
                   f"{index['bytes_per_token']:g}" if index else "-",
                   f"{index['fixed_bytes'] / 1024:.0f}" if index else "-",
                   f"{index['read_bytes_per_step'] / layers / 1024:.1f}" if index else "-",
                   percent(summary.get("recall")), percent(summary["captured_mass"]),
                   percent(summary["retrieved_mass"]), percent(summary["output_error"]),
                   f"{summary['union_tokens']:.0f}",
                   f"{summary['union_factor']:.2f}" if "union_factor" in summary else "-",
                   percent(summary.get("overlap")),
                   f"{summary['pcie_per_step']['fetch-kernel']['bytes'] / layers / 1024:.0f}"]


def option_rows(tool, traces, method):
    for trace in traces:
        for name, words in OPTIONS:
            if method == "exact-topk" and ("codebook" in name or "centred" in name):
                continue
            found = tool.run(trace, method, *words)
            summary = found["summary"]
            agreement = [head["code_usage"]["agreement"]
                         for layer in found["layers"] for head in layer.get("heads", [])
                         if "agreement" in head.get("code_usage", {})]
            spread = summary.get("selected")
            yield [name_of(trace), name, f"{summary['selected_tokens']:.0f}",
                   "{p10} / {median} / {p90} / {largest}".format(**spread) if spread else "-",
                   f"{summary['union_tokens']:.0f}", percent(summary["captured_mass"]),
                   percent(summary["retrieved_mass"]), percent(summary["output_error"]),
                   percent(summary["recall"]), error(summary, "score_error", "mse"),
                   percent(fmean(agreement)) if agreement else "-"]


def matched_rows(tool, traces, method):
    """Options that change the number of tokens, beside the uniform K of about the same union."""
    options = [row for row in OPTIONS if row[0].startswith(("adaptive", "mass"))]
    for trace in traces:
        for name, words in options:
            ours = tool.run(trace, method, *words)["summary"]
            uniform = tool.run(trace, method)["summary"]
            for _ in range(2):  # the union grows with K almost in proportion
                ratio = ours["union_tokens"] / uniform["union_tokens"]
                top = max(1, round(uniform["selected_tokens"] * ratio))
                uniform = tool.run(trace, method, "--top", str(top))["summary"]
            yield [name_of(trace), name, top,
                   *(f"{ours[key]:.0f} / {uniform[key]:.0f}"
                     for key in ("selected_tokens", "union_tokens")),
                   *(f"{percent(ours[key])} / {percent(uniform[key])}"
                     for key in ("captured_mass", "retrieved_mass", "output_error"))]


def codeword_rows(tool, traces):
    for trace in traces:
        for codewords in CODEWORDS:
            summary = tool.run(trace, "a2ats", "--codewords", str(codewords))["summary"]
            yield [name_of(trace), codewords, error(summary, "vq_score_error", "mse"),
                   error(summary, "score_error", "mse"), percent(summary["recall_vs_wrope"]),
                   percent(summary["recall"]), percent(summary["captured_mass"])]


def distance_rows(tool, traces):
    for trace in traces:
        for distance in DISTANCES:
            summary = tool.run(trace, "exact-topk-wrope", "--wrope-distance",
                               str(distance))["summary"]
            yield [name_of(trace), distance, error(summary, "wrope_score_error", "mse"),
                   error(summary, "wrope_score_error", "nmse"), percent(summary["recall"]),
                   percent(summary["captured_mass"]), percent(summary["output_error"])]


def buffer_rows(tool, traces):
    for trace in traces:
        for slots in SLOTS:
            hits = [tool.run(trace, "a2ats", "--hot-buffer", str(slots), "--hot-policy",
                             policy)["summary"] for policy in ("lru", "lfu")]
            yield [name_of(trace), slots, f"{hits[0]['union_tokens']:.0f}",
                   percent(hits[0]["overlap"]),
                   *(percent(summary["hot_hit_rate"]) for summary in hits)]


def print_cross(tool, traces):
    print_table(f"Codebooks of other texts, {CROSS_CODEWORDS} codewords",
                ["trace", "codebook of", "method", "MSE, WRoPE part", "MSE, VQ part",
                 "MSE, total", "NMSE, WRoPE part", "NMSE, VQ part", "NMSE, total",
                 "recall at 3%", "recall at 64", "captured mass", "retrieved part"],
                cross_rows(tool, traces))
    print_table("Query-aware beside plain codes, on decode queries",
                ["trace", "codebook of", "VQ MSE, mean ratio", "range", "layers lower",
                 "recall at 3%, points", "layers higher", "MSE lower, recall not"],
                query_aware_rows(tool, traces))


def print_baselines(tool, traces):
    print_table("Baselines at 3%",
                ["trace", "method", "index B a token", "fixed KiB", "read KiB a step", "recall",
                 "captured mass", "retrieved part", "output error", "union", "union / K",
                 "overlap", "fetch KiB a step"],
                baseline_rows(tool, traces))


def print_options(tool, traces):
    for method in ("a2ats", "exact-topk"):
        print_table(f"Options at 3%, {method}",
                    ["trace", "option", "K mean", "K 10 / 50 / 90 / max", "union",
                     "captured mass", "retrieved part", "output error", "recall", "score MSE",
                     "codes kept"],
                    option_rows(tool, traces, method))
        print_table(f"Beside the uniform K of the same union, {method}",
                    ["trace", "option / uniform", "uniform K", "K", "union", "captured mass",
                     "retrieved part", "output error"],
                    matched_rows(tool, traces, method))


def print_codewords(tool, traces):
    print_table("Codewords, a2ats in-sample at 3%",
                ["trace", "C", "VQ MSE", "score MSE", "recall given WRoPE", "recall",
                 "captured mass"], codeword_rows(tool, traces))


def print_distances(tool, traces):
    print_table("The constant distance, exact keys at 3%",
                ["trace", "b", "WRoPE MSE", "WRoPE NMSE", "recall", "captured mass",
                 "output error"], distance_rows(tool, traces))


def print_buffers(tool, traces):
    print_table("Hot buffer, a2ats at 3%",
                ["trace", "slots", "union", "overlap", "LRU hits", "LFU hits"],
                buffer_rows(tool, traces))


TABLES = {"cross": print_cross, "baselines": print_baselines, "options": print_options,
          "codewords": print_codewords, "distances": print_distances, "buffers": print_buffers}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kvsieve", required=True)
    parser.add_argument("--tables", default=",".join(TABLES),
                        help="which ones, of " + ", ".join(TABLES))
    parser.add_argument("--codebooks", help="folder to keep codebooks in from run to run")
    parser.add_argument("traces", nargs="+")
    arguments = parser.parse_args()
    traces = arguments.traces
    wanted = arguments.tables.split(",")
    with tempfile.TemporaryDirectory() as folder:
        tool = Tool(arguments.kvsieve, arguments.codebooks or folder)
        for name, table in TABLES.items():
            if name in wanted:
                table(tool, traces)


if __name__ == "__main__":
    main()
