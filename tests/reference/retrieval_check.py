"""Recomputes exact retrieval on one trace in numpy and compares `kvsieve run` with it.

Written from the definitions alone: windowed RoPE at a constant distance, top K a query head among
the tokens between sinks and window, union over the group, exact attention over the selection.

    python3 retrieval_check.py --kvsieve build/release/cli/kvsieve TRACE --layers 0,12
"""

import argparse
import json
import subprocess
import sys

import numpy as np

from replay import Tensors, layer_config, rope

SINKS, WINDOW, DISTANCE, TOP_PERCENT = 8, 64, 2048, 3
TOLERANCE = 1e-4
FIGURES = ["wrope_recall", "captured_mass", "union_tokens", "head_output_error", "output_error",
           "l1_loss", "l1_loss_relative"]
METHODS = {"exact-topk": "rope", "exact-topk-wrope": "wrope"}


def top_tokens(scores, count):
    """Eligible tokens of the highest scores; ties go to the most recent."""
    eligible = np.arange(SINKS, len(scores) - WINDOW)
    order = np.lexsort((-eligible, -scores[eligible]))
    return set(eligible[order[:count]].tolist())


def attend(weights, values, tokens):
    """Attention over some tokens, renormalised, and the mass that they hold."""
    mass = weights[tokens].sum()
    return weights[tokens] @ values[tokens] / mass, mass


def replay_layer(tensors, info, layer):
    """Figures of both methods on one layer."""
    k, v, q, wo = (tensors.read(f"layers.{layer}.{name}") for name in ("k", "v", "q", "wo"))
    positions = tensors.read("query_positions")
    config = layer_config(info["model"], layer)
    scale = config["attention"]["scale"]
    group = q.shape[0] // k.shape[0]
    rotated = rope(k, np.arange(k.shape[1]), config["rope"])
    near = rope(q, positions, config["rope"]) * scale
    far = rope(q, np.full(len(positions), DISTANCE), config["rope"]) * scale
    sums = {method: {name: [] for name in FIGURES + ["output_l1"]} for method in METHODS}
    for index, position in enumerate(positions):
        if position < info["prompt_tokens"]:
            continue
        tokens = position + 1
        count = min(TOP_PERCENT * tokens // 100, tokens - SINKS - WINDOW)
        dense = np.zeros(wo.shape[2])
        sparse = {method: np.zeros(wo.shape[2]) for method in METHODS}
        for kv_head in range(k.shape[0]):
            heads = range(kv_head * group, (kv_head + 1) * group)
            scores = {h: rotated[kv_head, :tokens] @ near[h, index] for h in heads}
            tops = {h: {"rope": top_tokens(scores[h], count),
                        "wrope": top_tokens(k[kv_head, :tokens] @ far[h, index], count)}
                    for h in heads}
            for method, ranking in METHODS.items():
                union = set().union(*(tops[h][ranking] for h in heads))
                chosen = sorted(set(range(SINKS)) | union | set(range(tokens - WINDOW, tokens)))
                sums[method]["union_tokens"].append(len(union))
                for h in heads:
                    weights = np.exp(scores[h] - scores[h].max())
                    weights /= weights.sum()
                    full = weights @ v[kv_head, :tokens]
                    part, mass = attend(weights, v[kv_head, :tokens], chosen)
                    figures = sums[method]
                    figures["wrope_recall"].append(
                        len(tops[h]["rope"] & tops[h]["wrope"]) / count)
                    figures["captured_mass"].append(mass)
                    figures["head_output_error"].append(
                        np.linalg.norm(full - part) / np.linalg.norm(full))
                    sparse[method] += part @ wo[h]
                    if method == "exact-topk":
                        dense += full @ wo[h]
        for method in METHODS:
            difference = dense - sparse[method]
            sums[method]["l1_loss"].append(np.abs(difference).sum())
            sums[method]["output_l1"].append(np.abs(dense).sum())
            sums[method]["output_error"].append(
                np.linalg.norm(difference) / np.linalg.norm(dense))
    means = {method: {name: float(np.mean(values)) for name, values in figures.items() if values}
             for method, figures in sums.items()}
    for figures in means.values():
        figures["l1_loss_relative"] = figures["l1_loss"] / figures["output_l1"]
    return means


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace")
    parser.add_argument("--kvsieve", required=True)
    parser.add_argument("--layers", default="12")
    arguments = parser.parse_args()
    tensors = Tensors(arguments.trace)
    info = json.loads(tensors.metadata["kvsieve"])
    failures = 0
    for layer in (int(text) for text in arguments.layers.split(",")):
        expected = replay_layer(tensors, info, layer)
        for method in METHODS:
            run = subprocess.run(
                [arguments.kvsieve, "run", arguments.trace, "--method", method, "--layers",
                 str(layer), "--top", f"{TOP_PERCENT}%", "--format", "json", "--quiet"],
                check=True, stdout=subprocess.PIPE)
            ours = json.loads(run.stdout)["layers"][0]
            for name in FIGURES:
                theirs = expected[method][name]
                if abs(ours[name] - theirs) > TOLERANCE * abs(theirs):
                    print(f"layer {layer}, {method}: {name} is {ours[name]}, expected {theirs}")
                    failures += 1
        print(f"layer {layer}: {len(METHODS) * len(FIGURES)} figures compared", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
