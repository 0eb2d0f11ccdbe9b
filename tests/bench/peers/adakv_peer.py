#!/usr/bin/env python3
"""Times KVSieve's compress pipeline against kvpress on PyTorch, in one process on the same tensors.

    python adakv_peer.py build/ci/tests/bench/libkvsieve_adakv_peer.so [--rounds 5] [--quick]

Needs torch, transformers and kvpress (0.5.5) in the interpreter that runs it. Any other load on the
machine falls on both sides: the two take turns, round after round, and the ratios are those of the
medians. The shape is one layer of Llama-3.1-8B: 32 query heads, 8 KV heads, d = 128, a window of
32, 20 % of the cache kept, alpha 0.2, average pooling over 5.

compress
    kvpress: AdaKVPress(SnapKVPress(window_size=32)).compress(). That is score() and the choice of
    the tokens to mask; nothing is removed from the cache. The query projection is left out: the
    function that projects is replaced by one that returns finished queries. RoPE is left in with
    an angle of 0 (32 rows a head, microseconds), so that both sides see the same queries.
    KVSieve: window scores, allocation, selection, and the compaction that kvpress leaves out: the
    kept rows of K and V copied to a ragged cache. Results go to memory that is kept from one run
    to the next; PyTorch allocates its own as it does.
choose
    Allocation and selection alone, on the scores that kvpress computed: kvpress's compress() with
    a score() that returns them (a fresh copy, made outside the clock), against allocation and
    selection on the same numbers as fp32, which is what KVSieve's own scores are in.

`agree` is the share of KVSieve's kept tokens that kvpress keeps, of compress: below 1 in bfloat16,
where kvpress rounds scores to 8 bits of precision and leaves ties to chance.
"""

import argparse
import ctypes
import importlib
import importlib.metadata
import math
import os
import platform
import statistics
import sys
import types

import kvpress
import torch
import transformers
from kvpress.utils import compute_n_kept

from turns import seconds

QUERY_HEADS, KV_HEADS, HEAD_DIM, WINDOW, POOL = 32, 8, 128, 32, 5
KEPT_SHARE = 0.2


def load_library(path):
    library = ctypes.CDLL(os.path.abspath(path))
    library.kvsieve_isa.restype = ctypes.c_char_p
    library.kvsieve_open.restype = ctypes.c_void_p
    library.kvsieve_open.argtypes = [ctypes.c_int] + [ctypes.c_int64] * 7 + [ctypes.c_double]
    library.kvsieve_close.restype = None
    library.kvsieve_close.argtypes = [ctypes.c_void_p]
    library.kvsieve_compress.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int]
    library.kvsieve_choose.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                                       ctypes.c_int]
    library.kvsieve_kept.restype = ctypes.POINTER(ctypes.c_int32)
    library.kvsieve_kept.argtypes = [ctypes.c_void_p,
                                     ctypes.POINTER(ctypes.POINTER(ctypes.c_int64))]
    return library


def random_layer(tokens, dtype):
    """Queries [Hq, w, d], keys and values [Hkv, n, d]; some keys and heads stand out."""
    generator = torch.Generator().manual_seed(tokens)

    def noise(*shape):
        return torch.randn(*shape, generator=generator)

    queries = noise(QUERY_HEADS, WINDOW, HEAD_DIM)
    keys = noise(KV_HEADS, tokens, HEAD_DIM)
    keys *= 0.5 + torch.rand(KV_HEADS, tokens, 1, generator=generator) ** 4 * 2.0
    values = noise(KV_HEADS, tokens, HEAD_DIM)
    return [x.to(dtype).contiguous() for x in (queries, keys, values)]


class Peer:
    """kvpress on one layer."""

    def __init__(self, queries, keys, values):
        self.keys, self.values = keys[None], values[None]
        tokens = keys.shape[1]
        self.module = types.SimpleNamespace(
            config=types.SimpleNamespace(num_attention_heads=QUERY_HEADS,
                                         num_key_value_heads=KV_HEADS,
                                         _attn_implementation="sdpa"),
            head_dim=HEAD_DIM)
        self.hidden = torch.empty(1, tokens, 1, dtype=keys.dtype)
        angles = torch.zeros(1, tokens, HEAD_DIM, dtype=keys.dtype)
        self.extra = {"position_embeddings": (angles + 1, angles)}
        snapkv = importlib.import_module("kvpress.presses.snapkv_press")
        snapkv.get_prerope_query_states = lambda module, hidden: queries[None]
        self.press = kvpress.AdaKVPress(
            kvpress.SnapKVPress(compression_ratio=1.0 - KEPT_SHARE, window_size=WINDOW,
                                kernel_size=POOL))
        self.score = self.press.press.score

    def compress(self):
        self.press.compress(self.module, self.hidden, self.keys, self.values, None, self.extra)

    def scores(self):
        return self.score(self.module, self.hidden, self.keys, self.values, None, self.extra)

    def choose(self, scores):
        self.press.press.score = lambda *arguments: scores
        try:
            self.press.compress(self.module, self.hidden, self.keys, self.values, None, self.extra)
        finally:
            self.press.press.score = self.score

    def kept_mask(self):
        kept = torch.ones(KV_HEADS, self.keys.shape[2], dtype=torch.bool)
        _, heads, tokens = self.module.masked_key_indices
        kept[heads, tokens] = False
        return kept


class Ours:
    """KVSieve on the same layer."""

    def __init__(self, library, queries, keys, values, kept_per_head, threads):
        self.library, self.threads = library, threads
        self.tensors = (queries, keys, values)
        self.layer = library.kvsieve_open(
            int(keys.dtype == torch.bfloat16), QUERY_HEADS, KV_HEADS, HEAD_DIM, keys.shape[1],
            WINDOW, POOL, kept_per_head, 1.0 / math.sqrt(HEAD_DIM))

    def close(self):
        self.library.kvsieve_close(self.layer)

    def compress(self):
        pointers = [x.data_ptr() for x in self.tensors]
        if self.library.kvsieve_compress(self.layer, *pointers, self.threads) != 0:
            sys.exit("kvsieve_compress failed")

    def choose(self, scores):
        if self.library.kvsieve_choose(self.layer, scores.data_ptr(), scores.shape[-1],
                                       self.threads) != 0:
            sys.exit("kvsieve_choose failed")

    def kept_mask(self):
        offsets = ctypes.POINTER(ctypes.c_int64)()
        tokens = self.library.kvsieve_kept(self.layer, ctypes.byref(offsets))
        kept = torch.zeros(KV_HEADS, self.tensors[1].shape[1], dtype=torch.bool)
        for head in range(KV_HEADS):
            kept[head, tokens[offsets[head]:offsets[head + 1]]] = True
        return kept


def compare(library, tokens, dtype, threads, rounds):
    torch.set_num_threads(threads)
    tensors = random_layer(tokens, dtype)
    peer = Peer(*tensors)
    kept_per_head = compute_n_kept(tokens, peer.press.compression_ratio)
    ours = Ours(library, *tensors, kept_per_head, threads)
    times = {name: [] for name in ("peer", "ours", "peer_choose", "ours_choose")}
    peer_scores = peer.scores()
    our_scores = peer_scores.float().contiguous()
    for round_number in range(rounds + 1):
        fresh = peer_scores.clone()
        took = {
            "peer": seconds(peer.compress),
            "ours": seconds(ours.compress),
        }
        if round_number == 0:
            both = (peer.kept_mask() & ours.kept_mask()).sum().item()
            agreement = both / ours.kept_mask().sum().item()
        took["peer_choose"] = seconds(lambda: peer.choose(fresh))
        took["ours_choose"] = seconds(lambda: ours.choose(our_scores))
        if round_number > 0:  # the first one warms up
            for name, value in took.items():
                times[name].append(value)
    ours.close()
    return {name: statistics.median(values) for name, values in times.items()}, agreement


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="libkvsieve_adakv_peer.so of a release build")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds a case (default 5)")
    parser.add_argument("--quick", action="store_true", help="32768 tokens only")
    options = parser.parse_args()
    library = load_library(options.library)
    print(f"kvpress {importlib.metadata.version('kvpress')}, "
          f"torch {torch.__version__}, transformers {transformers.__version__}; "
          f"KVSieve with {library.kvsieve_isa().decode()}; {platform.machine()}, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
          f"medians of {options.rounds} rounds in ms")
    print(f"{'n':>7} {'dtype':>9} {'threads':>7} | {'kvpress':>9} {'KVSieve':>8} {'ratio':>6} "
          f"{'agree':>7} | {'kvpress':>8} {'KVSieve':>8} {'ratio':>6}   load")
    print(f"{'':>25} | {'compress':>33} | {'choose':>24}")
    with torch.no_grad():
        for tokens in (32768,) if options.quick else (32768, 131072):
            for dtype in (torch.bfloat16, torch.float32):
                for threads in (1, 2):
                    took, agree = compare(library, tokens, dtype, threads, options.rounds)
                    print(f"{tokens:>7} {str(dtype).split('.')[1]:>9} {threads:>7} | "
                          f"{took['peer'] * 1e3:>9.1f} {took['ours'] * 1e3:>8.1f} "
                          f"{took['peer'] / took['ours']:>5.1f}x {agree:>7.4f} | "
                          f"{took['peer_choose'] * 1e3:>8.2f} {took['ours_choose'] * 1e3:>8.3f} "
                          f"{took['peer_choose'] / took['ours_choose']:>5.1f}x "
                          f"  {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
