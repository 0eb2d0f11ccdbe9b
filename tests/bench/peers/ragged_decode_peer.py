#!/usr/bin/env python3
"""Times KVSieve's decode step against PyTorch's scaled_dot_product_attention on the same tensors.

    python ragged_decode_peer.py build/ci/tests/bench/libkvsieve_ragged_decode_peer.so
        [--rounds 9] [--tokens 32768 131072] [--threads 1 2]

Needs torch in the interpreter that runs it. The two sides take turns, round after round, in one
process, so that any other load on the machine falls on both; ratios are those of the medians. The
shape is one layer of Llama-3.1-8B (8 KV heads, 4 query heads each, d = 128) of which 20 % is kept.
Each side goes through several layers in turn, so that none is found in the processor's caches.

equal heads
    All KV heads keep as many tokens, so that PyTorch takes one call: the best of enable_gqa, of the
    group's queries as rows of one head, and of the per-head loop below.
unequal heads
    From half to one and a half times as many tokens a head as in the mean. PyTorch has no ragged
    layout: one call a KV head with its own length, the group's queries as rows.
"""

import argparse
import ctypes
import os
import statistics
import sys

import torch
import torch.nn.functional as F

from turns import median_seconds

KV_HEADS, GROUP, HEAD_DIM, KEPT_SHARE = 8, 4, 128, 0.2
LEAST_BYTES = 256 << 20
DTYPES = {"f16": (0, torch.float16), "bf16": (1, torch.bfloat16), "f32": (2, torch.float32)}
TOLERANCE = {"f16": 2e-3, "bf16": 2e-2, "f32": 1e-4}


def load_library(path):
    library = ctypes.CDLL(os.path.abspath(path))
    library.kvsieve_isa.restype = ctypes.c_char_p
    library.kvsieve_read_bandwidth.restype = ctypes.c_double
    library.kvsieve_decode.argtypes = ([ctypes.c_int] + [ctypes.c_void_p] * 5
                                       + [ctypes.c_int64] * 3
                                       + [ctypes.c_float, ctypes.c_void_p, ctypes.c_int])
    return library


class Layers:
    """Flat K and V [rows, d] of several layers, heads one behind the other."""

    def __init__(self, lengths, dtype):
        self.lengths = torch.tensor(lengths, dtype=torch.int32)
        self.offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64)
        self.offsets[1:] = torch.cumsum(self.lengths, 0)
        rows = int(self.offsets[-1])
        self.bytes = 2 * rows * HEAD_DIM * dtype.itemsize
        count = LEAST_BYTES // self.bytes + 1
        self.keys = [torch.randn(rows, HEAD_DIM).to(dtype) for _ in range(count)]
        self.values = [torch.randn(rows, HEAD_DIM).to(dtype) for _ in range(count)]
        self.queries = torch.randn(KV_HEADS, GROUP, HEAD_DIM).to(dtype)
        self.count = count


def ours(library, layers, code, threads):
    out = torch.empty(KV_HEADS, GROUP, HEAD_DIM)

    def step(i):
        failed = library.kvsieve_decode(
            code, layers.keys[i].data_ptr(), layers.values[i].data_ptr(),
            layers.queries.data_ptr(), layers.offsets.data_ptr(), layers.lengths.data_ptr(),
            KV_HEADS, GROUP, HEAD_DIM, HEAD_DIM**-0.5, out.data_ptr(), threads)
        if failed:
            sys.exit("kvsieve_decode failed")
        return out
    return step


def torch_gqa(layers):
    n = int(layers.lengths[0])
    q = layers.queries.view(1, KV_HEADS * GROUP, 1, HEAD_DIM)

    def step(i):
        k = layers.keys[i].view(1, KV_HEADS, n, HEAD_DIM)
        v = layers.values[i].view(1, KV_HEADS, n, HEAD_DIM)
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    return step


def torch_group_rows(layers):
    n = int(layers.lengths[0])
    q = layers.queries.view(1, KV_HEADS, GROUP, HEAD_DIM)

    def step(i):
        k = layers.keys[i].view(1, KV_HEADS, n, HEAD_DIM)
        v = layers.values[i].view(1, KV_HEADS, n, HEAD_DIM)
        return F.scaled_dot_product_attention(q, k, v)
    return step


def torch_per_head(layers):
    offsets = layers.offsets.tolist()
    q = layers.queries.view(KV_HEADS, 1, 1, GROUP, HEAD_DIM)

    def step(i):
        parts = []
        for h in range(KV_HEADS):
            rows = slice(offsets[h], offsets[h + 1])
            parts.append(F.scaled_dot_product_attention(
                q[h], layers.keys[i][rows][None, None], layers.values[i][rows][None, None]))
        return torch.cat(parts)
    return step


def compare(library, name, lengths, dtype_name, threads, rounds):
    code, dtype = DTYPES[dtype_name]
    layers = Layers(lengths, dtype)
    sides = {"kvsieve": ours(library, layers, code, threads), "loop": torch_per_head(layers)}
    if len(set(lengths)) == 1:
        sides |= {"gqa": torch_gqa(layers), "rows": torch_group_rows(layers)}
    mine = sides["kvsieve"](0).clone()
    for side, step in sides.items():
        theirs = step(0).float().view(mine.shape)
        error = float((theirs - mine).abs().max())
        if error > TOLERANCE[dtype_name]:
            sys.exit(f"{side} differs from kvsieve by {error}")
    bandwidths = []
    medians = median_seconds(sides, layers.count, rounds,
                             lambda: bandwidths.append(library.kvsieve_read_bandwidth(threads)))
    best = min((side for side in sides if side != "kvsieve"), key=medians.get)
    bandwidth = layers.bytes / medians["kvsieve"]
    share = bandwidth / statistics.median(bandwidths)
    print(f"{name:14} {dtype_name:5} n {sum(lengths) / KV_HEADS / KEPT_SHARE:8.0f} "
          f"threads {threads}: kvsieve {medians['kvsieve'] * 1e6:8.0f} us "
          f"({bandwidth / 1e9:5.1f} GB/s, {share:4.0%} of reading), "
          + ", ".join(f"torch {side} {value * 1e6:8.0f} us" for side, value in medians.items()
                      if side != "kvsieve")
          + f"; torch {best} / kvsieve {medians[best] / medians['kvsieve']:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, nargs="+", default=[32768, 131072])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "f32"], choices=DTYPES)
    options = parser.parse_args()
    library = load_library(options.library)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, kvsieve on {library.kvsieve_isa().decode()}")
    for threads in options.threads:
        torch.set_num_threads(threads)
        for tokens in options.tokens:
            mean = round(tokens * KEPT_SHARE)
            unequal = [round(mean * (0.5 + h / (KV_HEADS - 1))) for h in range(KV_HEADS)]
            for dtype_name in options.dtypes:
                compare(library, "equal heads", [mean] * KV_HEADS, dtype_name, threads,
                        options.rounds)
                compare(library, "unequal heads", unequal, dtype_name, threads, options.rounds)


if __name__ == "__main__":
    main()
