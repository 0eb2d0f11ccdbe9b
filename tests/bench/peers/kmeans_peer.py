#!/usr/bin/env python3
"""Times KVSieve's k-means against faiss-cpu, in one process on the same points.

    python kmeans_peer.py build/ci/tests/bench/libkvsieve_kmeans_peer.so \\
        [--traces A.kvtrace B.kvtrace ...] [--rounds 3] [--quick]

Needs faiss-cpu (1.15.1) and numpy in the interpreter that runs it. Any other load on the machine
falls on both sides: the two take turns, round after round, and the ratios are those of the medians.

Both run `--iterations` of Lloyd's algorithm, 2 threads, C = 4,096, from the same initial centroids
(distinct rows of the points, drawn with a fixed seed), on all points (faiss is told not to take a sample).
KVSieve assigns once more after the last update, which is on its clock; so are its choice of axes and
the encoding of the points. faiss gets its flat index, as its own k-means does.

captured
    Keys before RoPE of the given traces (one model; the bundled sample unless --traces is given), of
    all tokens, whitened as training does: z = k L, L from the prompt queries of the head's group
    rotated to the distance 2048. A set is one KV head of one layer, all traces together; `sets` of
    them, each whitened on its own, make up the points: 1 where the traces are long enough, as in real
    training, more where they are not. d = 128 with a model of d = 64 is two KV heads side by side,
    quantised together; where such pairs are too few, pairs that share a head make up the rest.
Gaussian
    Independent standard normal numbers: no structure to make use of.

`first` is the relative difference of the objectives before the first update, which the same
centroids must give; `objective` that of the final centroids, KVSieve's over faiss's, less 1, measured
for both by faiss's search. Empty clusters are treated differently, so it is not zero.
"""

import argparse
import ctypes
import json
import os
import platform
import statistics
import struct
import sys

import faiss
import numpy as np

from turns import seconds

CLUSTERS = 4096
SAMPLE = "traces/samples/smollm2-needle.kvtrace"


def load_library(path):
    library = ctypes.CDLL(os.path.abspath(path))
    integer, pointer = ctypes.c_int64, ctypes.c_void_p
    library.kvsieve_isa.restype = ctypes.c_char_p
    library.kvsieve_load.restype = pointer
    library.kvsieve_load.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, integer, integer,
                                     integer]
    library.kvsieve_keys.restype = ctypes.POINTER(ctypes.c_float)
    library.kvsieve_keys.argtypes = [pointer, ctypes.POINTER(integer), ctypes.POINTER(integer)]
    library.kvsieve_close.restype = None
    library.kvsieve_close.argtypes = [pointer]
    library.kvsieve_kmeans.argtypes = [pointer, integer, integer, pointer, integer, integer, pointer,
                                       ctypes.c_int]
    return library


def header(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        return json.loads(json.loads(file.read(size))["__metadata__"]["kvsieve"])


def whitened_set(library, paths, layer, head, heads):
    names = (ctypes.c_char_p * len(paths))(*[os.fsencode(path) for path in paths])
    keys = library.kvsieve_load(names, len(paths), layer, head, heads)
    if keys is None:
        sys.exit("kvsieve_load failed")
    rows, width = ctypes.c_int64(), ctypes.c_int64()
    data = library.kvsieve_keys(keys, ctypes.byref(rows), ctypes.byref(width))
    array = np.ctypeslib.as_array(data, (rows.value, width.value)).copy()
    library.kvsieve_close(keys)
    return array


def captured(library, paths, n, d):
    """Points [n, d] and the number of sets they come from; None if the traces are too short."""
    model = header(paths[0])["model"]
    layers = sorted(set.intersection(*[set(header(path)["captured_layers"]) for path in paths]))
    heads = d // model["head_dim"]
    if heads * model["head_dim"] != d or heads > model["kv_heads"]:
        return None, 0
    # The middle of the model first: its layers retrieve, the outermost ones are unlike the others.
    layers.sort(key=lambda layer: abs(layer - model["layers"] // 2))
    sets, rows = [], 0
    for disjoint in (True, False):  # sets that share a head come last
        for layer in layers:
            for head in range(model["kv_heads"] - heads + 1):
                if rows < n and (head % heads == 0) == disjoint:
                    sets.append(whitened_set(library, paths, layer, head, heads))
                    rows += len(sets[-1])
    if rows < n:
        return None, 0
    points = np.concatenate(sets)
    chosen = np.random.default_rng(n + d).permutation(rows)[:n]
    return np.ascontiguousarray(points[chosen]), len(sets)


def gaussian(n, d):
    return np.random.default_rng(n + d).standard_normal((n, d), dtype=np.float32)


class Peer:
    def __init__(self, points, initial, iterations, threads):
        self.points, self.initial = points, initial
        self.iterations = iterations
        faiss.omp_set_num_threads(threads)

    def run(self):
        n, d = self.points.shape
        clustering = faiss.Clustering(d, CLUSTERS)
        clustering.niter = self.iterations
        clustering.max_points_per_centroid = n
        clustering.min_points_per_centroid = 1
        faiss.copy_array_to_vector(self.initial.ravel(), clustering.centroids)
        clustering.train(self.points, faiss.IndexFlatL2(d))
        self.centroids = faiss.vector_to_array(clustering.centroids).reshape(CLUSTERS, d)
        self.first = clustering.iteration_stats.at(0).obj / n


class Ours:
    def __init__(self, library, points, initial, iterations, threads):
        self.library, self.points, self.initial = library, points, initial
        self.iterations, self.threads = iterations, threads

    def run(self):
        n, d = self.points.shape
        self.centroids = self.initial.copy()
        objective = np.empty(self.iterations + 1)
        if self.library.kvsieve_kmeans(self.points.ctypes.data, n, d, self.centroids.ctypes.data,
                                       CLUSTERS, self.iterations, objective.ctypes.data,
                                       self.threads) != 0:
            sys.exit("kvsieve_kmeans failed")
        self.first = objective[0]


def objective(points, centroids):
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(centroids)
    return float(index.search(points, 1)[0].astype(np.float64).mean())


def compare(library, points, iterations, threads, rounds):
    n = len(points)
    rows = points[np.random.default_rng(1).permutation(n)]
    distinct = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    initial = np.ascontiguousarray(rows[distinct[:CLUSTERS]])
    peer = Peer(points, initial, iterations, threads)
    ours = Ours(library, points, initial, iterations, threads)
    times = {"peer": [], "ours": []}
    for _ in range(rounds):
        times["peer"].append(seconds(peer.run))
        times["ours"].append(seconds(ours.run))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = sorted(a / b for a, b in zip(times["peer"], times["ours"]))
    return (medians, ratios, ours.first / peer.first - 1.0,
            objective(points, ours.centroids) / objective(points, peer.centroids) - 1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="libkvsieve_kmeans_peer.so of a release build")
    parser.add_argument("--traces", nargs="+", default=[SAMPLE], help=f"default {SAMPLE}")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds a case (default 3)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--points", nargs="+", default=["captured", "Gaussian"],
                        choices=["captured", "Gaussian"], help="default both")
    parser.add_argument("--quick", action="store_true", help="32768 points only")
    options = parser.parse_args()
    library = load_library(options.library)
    print(f"faiss-cpu {faiss.__version__} ({faiss.get_compile_options().strip()}); "
          f"KVSieve with {library.kvsieve_isa().decode()}; {platform.machine()}, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; C = {CLUSTERS}, "
          f"{options.iterations} iterations, {options.threads} threads, medians of "
          f"{options.rounds} rounds in s")
    print(f"{'points':>9} {'sets':>4} {'n':>7} {'d':>4} | {'faiss':>8} {'KVSieve':>8} {'ratio':>6} "
          f"{'rounds':>13} | {'first':>9} {'objective':>9}   load")
    for kind in options.points:
        for n in (32768,) if options.quick else (32768, 131072):
            for d in (64, 128):
                points, sets = (gaussian(n, d), 1) if kind == "Gaussian" else captured(
                    library, options.traces, n, d)
                if points is None:
                    print(f"{kind:>9} {'':>4} {n:>7} {d:>4} | the traces do not hold as many keys")
                    continue
                took, ratios, first, final = compare(library, points, options.iterations,
                                                     options.threads, options.rounds)
                print(f"{kind:>9} {sets:>4} {n:>7} {d:>4} | {took['peer']:>8.2f} {took['ours']:>8.2f} "
                      f"{took['peer'] / took['ours']:>5.2f}x {ratios[0]:>5.2f} to {ratios[-1]:>5.2f} "
                      f"| {first:>9.1e} {final:>9.1e}   {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
