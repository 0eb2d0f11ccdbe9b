#!/usr/bin/env python3
"""Times KVSieve's retrieval and sparse attention against PyTorch and numpy on the same numbers.

    python retrieval_peer.py build/ci/tests/bench/libkvsieve_retrieval_peer.so
        [--rounds 9] [--threads 1 2] [--only retrieval attention]

Needs torch and numpy in the interpreter that runs it. All sides take turns, round after round, in
one process, so that any other load on the machine falls on all; ratios are those of the medians.
The shape is one layer of Llama-3.1-8B: 8 KV heads, 4 query heads each, 131,072 tokens.

retrieval
    The top 3 % of the eligible tokens by approximate score for each of the 32 query heads, d = 128,
    C = 4,096 fp32 codewords a KV head. Every side computes the table of query times codewords
    anew. KVSieve's time also holds the union over each group and the lists; PyTorch's and numpy's
    end with each query head's unordered indices. `buckets` has the tokens sorted by code but for
    the last 128 (they are sorted now and then, not every step: that is not timed); `lookup` has the
    codes alone, as the others. PyTorch gathers with 64-bit indices that lie ready, numpy takes the
    scores that PyTorch gathered. Four layers in turn: codebooks of 16 MiB that no step finds in
    the caches.
attention
    K and V rows adjacent, gathered by ascending random lists of 6 % of the tokens (about the union
    of four heads' 3 %), in the same memory for all sides: KVSieve's own, in huge pages where the
    system grants them. PyTorch copies the listed rows (index_select) and attends to the copies
    (scaled_dot_product_attention): for all heads in one call, or head by head. The shares are of the
    bandwidth of reading rows of that size at random places, and of reading in order; both are
    measured anew in every round.
"""

import argparse
import ctypes
import os
import statistics
import sys

import numpy as np
import torch
import torch.nn.functional as F

from turns import median_seconds

KV_HEADS, GROUP, HEAD_DIM, CODEWORDS, TOKENS = 8, 4, 128, 4096, 131072
K = TOKENS * 3 // 100
SELECTED = TOKENS * 6 // 100
LAYERS = 4
LEAST_BYTES = 256 << 20
DTYPES = {"f16": (0, torch.float16), "bf16": (1, torch.bfloat16), "f32": (2, torch.float32)}
TOLERANCE = {"f16": 2e-3, "bf16": 2e-2, "f32": 1e-4}


def load_library(path):
    library = ctypes.CDLL(os.path.abspath(path))
    pointer, integer, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    library.kvsieve_isa.restype = ctypes.c_char_p
    library.kvsieve_read_bandwidth.restype = ctypes.c_double
    library.kvsieve_row_reads.restype = ctypes.c_double
    library.kvsieve_row_reads.argtypes = [number, integer]
    library.kvsieve_allocate_rows.restype = pointer
    library.kvsieve_allocate_rows.argtypes = [integer, ctypes.POINTER(pointer)]
    library.kvsieve_free_rows.argtypes = [pointer]
    library.kvsieve_open_layer.restype = pointer
    library.kvsieve_open_layer.argtypes = [pointer, pointer, integer]
    library.kvsieve_close_layer.argtypes = [pointer]
    library.kvsieve_eligible.argtypes = [pointer, pointer]
    library.kvsieve_retrieve.argtypes = [pointer, pointer, integer, number, number]
    library.kvsieve_lists.restype = ctypes.POINTER(ctypes.c_int32)
    library.kvsieve_lists.argtypes = [pointer, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))]
    library.kvsieve_attend.argtypes = [number, pointer, integer, integer, integer, integer, pointer,
                                       pointer, integer, pointer, ctypes.c_float, pointer, pointer,
                                       number]
    return library


class RetrievalLayers:
    def __init__(self, library):
        codes = torch.randint(CODEWORDS, (KV_HEADS, TOKENS))
        self.library = library
        self.queries = torch.randn(KV_HEADS, GROUP, HEAD_DIM)
        self.codewords = [torch.randn(KV_HEADS, CODEWORDS, HEAD_DIM) for _ in range(LAYERS)]
        self.packed_codes = codes.numpy().astype(np.uint16)
        self.handles = [library.kvsieve_open_layer(words.data_ptr(), self.packed_codes.ctypes.data,
                                                   TOKENS) for words in self.codewords]
        borders = (ctypes.c_int64 * 2)()
        library.kvsieve_eligible(self.handles[0], borders)
        self.begin, self.end = borders
        self.codes = codes[:, self.begin:self.end].contiguous()

    def close(self):
        for handle in self.handles:
            self.library.kvsieve_close_layer(handle)

    def ours(self, with_buckets, threads):
        def step(i):
            if self.library.kvsieve_retrieve(self.handles[i], self.queries.data_ptr(), K,
                                             with_buckets, threads):
                sys.exit("kvsieve_retrieve failed")
        return step

    def lists(self, i):
        counts = ctypes.POINTER(ctypes.c_int32)()
        lists = self.library.kvsieve_lists(self.handles[i], ctypes.byref(counts))
        return [set(lists[h * TOKENS:h * TOKENS + counts[h]]) for h in range(KV_HEADS)]

    def gathered(self, i):
        table = torch.matmul(self.queries, self.codewords[i].transpose(1, 2)) * HEAD_DIM**-0.5
        codes = self.codes.unsqueeze(1).expand(KV_HEADS, GROUP, self.codes.shape[1])
        return torch.gather(table, 2, codes)

    def torch_topk(self, i):
        return self.gathered(i).topk(K, dim=-1, sorted=False).indices

    def numpy_argpartition(self, i):
        scores = self.gathered(i).numpy()
        return np.argpartition(scores, scores.shape[-1] - K, axis=-1)[..., -K:]


def compare_retrieval(library, threads, rounds):
    layers = RetrievalLayers(library)
    sides = {"buckets": layers.ours(1, threads), "lookup": layers.ours(0, threads),
             "gather": layers.gathered, "topk": layers.torch_topk,
             "argpartition": layers.numpy_argpartition}
    theirs = layers.torch_topk(0) + layers.begin
    found = []
    for side in ("lookup", "buckets"):
        sides[side](0)
        found.append(layers.lists(0))
    if found[0] != found[1]:
        sys.exit("buckets and lookup select different tokens")
    # Ties at the boundary go to any token there, and tables differ in their last bits.
    shares = []
    for h in range(KV_HEADS):
        union = set(theirs[h].flatten().tolist())
        shares.append(len(found[0][h] & union) / len(union))
    medians = median_seconds(sides, LAYERS, rounds)
    layers.close()
    fastest = min(("topk", "argpartition"), key=medians.get)
    print(f"retrieval  threads {threads}: "
          + ", ".join(f"{side} {value * 1e3:.2f} ms" for side, value in medians.items())
          + f"; agree {statistics.mean(shares):.4f}; {fastest} / buckets "
          f"{medians[fastest] / medians['buckets']:.1f}, {fastest} / lookup "
          f"{medians[fastest] / medians['lookup']:.1f}   load {os.getloadavg()[0]:.1f}", flush=True)


class Rows:
    """K and V of one layer in KVSieve's memory, and lists for some steps."""

    def __init__(self, library, head_dim, dtype):
        size = KV_HEADS * TOKENS * 2 * head_dim * dtype.itemsize
        data = ctypes.c_void_p()
        self.library, self.head_dim = library, head_dim
        self.memory = library.kvsieve_allocate_rows(size, ctypes.byref(data))
        buffer = (ctypes.c_uint8 * size).from_address(data.value)
        self.rows = torch.frombuffer(buffer, dtype=dtype).view(KV_HEADS, TOKENS, 2, head_dim)
        for head in self.rows:
            head.copy_(torch.randn(TOKENS, 2, head_dim))
        self.step_bytes = KV_HEADS * SELECTED * 2 * head_dim * dtype.itemsize
        self.steps = LEAST_BYTES // self.step_bytes + 1
        self.lists = [torch.stack([torch.randperm(TOKENS)[:SELECTED].sort().values
                                   for _ in range(KV_HEADS)]) for _ in range(self.steps)]
        self.packed_lists = [lists.to(torch.int32) for lists in self.lists]
        self.counts = torch.full((KV_HEADS,), SELECTED, dtype=torch.int32)
        self.queries = torch.randn(KV_HEADS, GROUP, head_dim)
        self.rounded_queries = self.queries.to(dtype)

    def close(self):
        del self.rows
        self.library.kvsieve_free_rows(self.memory)

    def ours(self, code, threads):
        out = torch.empty(KV_HEADS, GROUP, self.head_dim)
        log_sums = torch.empty(KV_HEADS, GROUP)
        queries = self.rounded_queries.float()

        def step(i):
            if self.library.kvsieve_attend(
                    code, self.rows.data_ptr(), TOKENS, KV_HEADS, GROUP, self.head_dim,
                    queries.data_ptr(), self.packed_lists[i].data_ptr(), SELECTED,
                    self.counts.data_ptr(), self.head_dim**-0.5, out.data_ptr(),
                    log_sums.data_ptr(), threads):
                sys.exit("kvsieve_attend failed")
            return out
        return step

    def torch_at_once(self, i):
        flat = self.rows.view(KV_HEADS * TOKENS, 2 * self.head_dim)
        index = (self.lists[i] + torch.arange(KV_HEADS).unsqueeze(1) * TOKENS).flatten()
        picked = flat.index_select(0, index).view(KV_HEADS, SELECTED, 2, self.head_dim)
        return F.scaled_dot_product_attention(self.rounded_queries.unsqueeze(0),
                                              picked[:, :, 0].unsqueeze(0),
                                              picked[:, :, 1].unsqueeze(0))

    def torch_per_head(self, i):
        parts = []
        for h in range(KV_HEADS):
            picked = self.rows[h].index_select(0, self.lists[i][h])
            parts.append(F.scaled_dot_product_attention(self.rounded_queries[None, h:h + 1],
                                                        picked[None, None, :, 0],
                                                        picked[None, None, :, 1]))
        return torch.cat(parts)


def compare_attention(library, head_dim, dtype_name, threads, rounds):
    code, dtype = DTYPES[dtype_name]
    rows = Rows(library, head_dim, dtype)
    sides = {"kvsieve": rows.ours(code, threads), "at once": rows.torch_at_once,
             "per head": rows.torch_per_head}
    mine = sides["kvsieve"](0).clone()
    for side, step in sides.items():
        error = float((step(0).float().view(mine.shape) - mine).abs().max())
        if error > TOLERANCE[dtype_name]:
            sys.exit(f"{side} differs from kvsieve by {error}")
    step_bytes = rows.step_bytes
    row_bytes = step_bytes // KV_HEADS // SELECTED
    in_order, at_random = [], []

    def measure_reading():
        in_order.append(library.kvsieve_read_bandwidth(threads))
        at_random.append(library.kvsieve_row_reads(threads, row_bytes))

    medians = median_seconds(sides, rows.steps, rounds, measure_reading)
    rows.close()
    fastest = min(("at once", "per head"), key=medians.get)
    bandwidth = step_bytes / medians["kvsieve"]
    print(f"attention  d {head_dim:3} {dtype_name:4} rows of {row_bytes} bytes, threads {threads}: "
          + ", ".join(f"{side} {value * 1e3:.2f} ms" for side, value in medians.items())
          + f"; {bandwidth / 1e9:.1f} GB/s, {bandwidth / statistics.median(at_random):.0%} of "
          f"reading such rows, {bandwidth / statistics.median(in_order):.0%} of reading in order; "
          f"torch {fastest} / kvsieve "
          f"{medians[fastest] / medians['kvsieve']:.1f}   load {os.getloadavg()[0]:.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", default=["retrieval", "attention"],
                        choices=["retrieval", "attention"])
    options = parser.parse_args()
    library = load_library(options.library)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, numpy {np.__version__}; KVSieve with "
          f"{library.kvsieve_isa().decode()}; {os.cpu_count()} cores")
    with torch.no_grad():
        for threads in options.threads:
            torch.set_num_threads(threads)
            if "retrieval" in options.only:
                compare_retrieval(library, threads, options.rounds)
            if "attention" in options.only:
                for head_dim, dtype_name in ((64, "bf16"), (128, "bf16"), (64, "f32"),
                                             (128, "f16")):
                    compare_attention(library, head_dim, dtype_name, threads, options.rounds)


if __name__ == "__main__":
    main()
