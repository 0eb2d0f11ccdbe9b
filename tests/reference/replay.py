#!/usr/bin/env python3
"""Reference replay of KV-cache eviction on a captured attention trace, in double precision.

Written from the specification alone, without reading the C++, as an independent check on the C++
tool: when the two disagree, at least one has misread the specification. Clarity goes before
speed, so each step is one small function that names the section it follows: "design" is the
project's design document, "spec" is the method specification of Ada-KV.

  replay.py TRACE --method ada-snapkv --budget 20%     one JSON document on stdout
  replay.py --self-test                                golden values and brute-force checks

Needs Python 3.9 and numpy 1.24.
"""
import argparse
import collections
import itertools
import json
import math
import os
import sys
import tempfile
from fractions import Fraction

import numpy as np

# What a method is made of: its scores, then whether budgets adapt to heads, follow the pyramid
# over layers, and whether the selection inside a head is CriticalKV's in two stages (spec 7).
Method = collections.namedtuple("Method", "scorer adaptive pyramid critical")
METHODS = {
    "snapkv": Method("window", False, False, False),
    "ada-snapkv": Method("window", True, False, False),
    "pyramidkv": Method("window", False, True, False),
    "ada-pyramidkv": Method("window", True, True, False),
    "criticalkv": Method("window", False, False, True),
    "ada-criticalkv": Method("window", True, False, True),
    "h2o": Method("h2o", False, False, False),
    "tova": Method("tova", False, False, False),
    "knorm": Method("knorm", False, False, False),
    "streaming-llm": Method("recency", False, False, False),
}
ALPHA_MODES = ("blend", "floor", "floor-kvpress", "paper-literal", "official-rounding")


# ---- The trace file (design 3) ------------------------------------------------------------------


class Tensors:
    """A safetensors file read one tensor at a time, so that memory is bounded by one layer."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            self.entries = json.loads(file.read(size))
        self.base = 8 + size
        self.metadata = self.entries.pop("__metadata__", {})

    def read(self, name):
        """The tensor in double precision; an I32 tensor as 64-bit integers."""
        if name not in self.entries:
            raise ValueError("no tensor %s in %s" % (name, self.path))
        entry = self.entries[name]
        stored = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "I32": "<i4"}[entry["dtype"]]
        begin, end = entry["data_offsets"]
        with open(self.path, "rb") as file:
            file.seek(self.base + begin)
            values = np.frombuffer(file.read(end - begin), dtype=stored)
        if entry["dtype"] == "BF16":
            # A BF16 number is the upper half of the F32 number with the same value.
            values = (values.astype(np.uint32) << 16).view(np.float32)
        wanted = np.int64 if entry["dtype"] == "I32" else np.float64
        return values.astype(wanted).reshape(entry["shape"])


def merged(base, override):
    """An override replaces single keys, at every depth, and leaves the others (design 3)."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    result = dict(base)
    for key, value in override.items():
        result[key] = merged(base[key], value) if key in base else value
    return result


def layer_config(model, index):
    """The RoPE and attention settings that hold in one layer (design 3)."""
    base = {"rope": model.get("rope"), "attention": model.get("attention") or {}}
    return merged(base, (model.get("layer_overrides") or {}).get(str(index), {}))


class Layer:
    """One captured layer, with queries and keys rotated to their positions (design 3)."""

    def __init__(self, tensors, index, config):
        prefix = "layers.%d." % index
        self.index, self.attention = index, config["attention"]
        self.positions = tensors.read("query_positions")
        keys, queries = tensors.read(prefix + "k"), tensors.read(prefix + "q")
        self.v, self.wo = tensors.read(prefix + "v"), tensors.read(prefix + "wo")
        self.out = tensors.read(prefix + "out") if prefix + "out" in tensors.entries else None
        # Rotation keeps a vector's length, and only the lengths before it tie exactly for
        # repeated tokens, so the key-norm method is given these.
        self.key_norms = np.sqrt((keys ** 2).sum(axis=2))
        self.k = rope(keys, np.arange(keys.shape[1]), config["rope"])
        self.q = rope(queries, self.positions, config["rope"])
        self.group = len(self.q) // len(self.k)

    def weights(self, head, rows, key_count):
        """Attention weights of one query head: [rows, key_count]."""
        return attention_weights(self.q[head, rows], self.k[head // self.group, :key_count],
                                 self.positions[rows], self.attention)


# ---- Attention (design 3) -----------------------------------------------------------------------


def rope_frequencies(settings):
    """Angle per position of each rotated pair, after the model's context extension."""
    dim, theta = settings["dim"], float(settings["theta"])
    frequency = theta ** (-np.arange(0, dim, 2) / dim)
    scaling = settings.get("scaling")
    if scaling is None:
        return frequency
    factor = float(scaling["factor"])
    if scaling["type"] == "linear":
        return frequency / factor
    context = float(scaling["original_max_position_embeddings"])
    if scaling["type"] == "llama3":
        low, high = float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
        turns = context * frequency / (2 * math.pi)
        share = np.clip((turns - low) / (high - low), 0, 1)
        return (1 - share) * frequency / factor + share * frequency
    if scaling["type"] == "yarn":
        def pair_that_turns(times):
            return dim * math.log(context / (times * 2 * math.pi)) / (2 * math.log(theta))
        low = pair_that_turns(float(scaling.get("beta_fast", 32)))
        high = pair_that_turns(float(scaling.get("beta_slow", 1)))
        if scaling.get("truncate", True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, dim - 1)
        if low == high:
            high += 0.001
        slowed = np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
        return slowed * frequency / factor + (1 - slowed) * frequency
    raise ValueError("unknown RoPE scaling %r" % scaling["type"])


def rope(x, positions, settings):
    """Rotate x [heads, tokens, d]; components past `dim` are left alone (partial rotary)."""
    if settings is None:
        return x
    settings = dict(settings, dim=settings.get("dim") or x.shape[2])
    dim, half = settings["dim"], settings["dim"] // 2
    angles = np.asarray(positions)[:, None] * rope_frequencies(settings)[None, :]
    factor = settings.get("attention_factor")
    factor = 1.0 if factor is None else float(factor)
    cos, sin = np.cos(angles) * factor, np.sin(angles) * factor
    if settings["pairing"] == "half":
        first, second = slice(0, half), slice(half, dim)
    elif settings["pairing"] == "interleaved":
        first, second = slice(0, dim, 2), slice(1, dim, 2)
    else:
        raise ValueError("unknown RoPE pairing %r" % settings["pairing"])
    result = x.copy()
    result[..., first] = x[..., first] * cos - x[..., second] * sin
    result[..., second] = x[..., first] * sin + x[..., second] * cos
    return result


def attention_weights(q, k, positions, attention):
    """Causal softmax weights [queries, keys], with scale, softcap and sliding window."""
    scale = attention.get("scale")
    scores = (q @ k.T) * (1 / math.sqrt(q.shape[1]) if scale is None else float(scale))
    if attention.get("softcap") is not None:
        scores = attention["softcap"] * np.tanh(scores / attention["softcap"])
    distance = positions[:, None] - np.arange(len(k))[None, :]
    visible = distance >= 0
    if attention.get("sliding_window") is not None:
        visible &= distance < attention["sliding_window"]
    scores = np.where(visible, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


# ---- Scores: one row an allocation unit, one column a prompt token outside the window -----------


def rows_at(layer, wanted):
    """Rows of the captured queries at the wanted positions, in that order."""
    row_of = {int(position): row for row, position in enumerate(layer.positions)}
    missing = [position for position in wanted if position not in row_of]
    if missing:
        raise ValueError("the query at position %d was not captured" % missing[0])
    return np.array([row_of[position] for position in wanted], dtype=np.int64)


def reduce_groups(scores, group, options):
    """Query heads of a group share one mask at KV granularity, so they share scores (spec 2.4)."""
    if options.granularity == "query":
        return scores
    grouped = scores.reshape(-1, group, scores.shape[1])
    return grouped.mean(axis=1) if options.group_reduce == "mean" else grouped.max(axis=1)


def pooled(scores, pool):
    """Pooling over tokens, stride 1: avg counts the zero padding, max does not (spec 2.4)."""
    if pool == "none":
        return scores
    kind, kernel = pool.split(":")
    side, count = int(kernel) // 2, scores.shape[1]
    padded = np.pad(scores, ((0, 0), (side, side)),
                    constant_values=-np.inf if kind == "max" else 0.0)
    shifts = [padded[:, i:i + count] for i in range(2 * side + 1)]
    return np.maximum.reduce(shifts) if kind == "max" else sum(shifts) / len(shifts)


def window_scores(layer, n, w, options):
    """SnapKV: mean weight from the window's queries, then the group, then the pool (spec 2.4)."""
    rows = rows_at(layer, range(n - w, n))
    scores = np.array([layer.weights(head, rows, n).mean(axis=0)[:n - w]
                       for head in range(len(layer.q))])
    return pooled(reduce_groups(scores, layer.group, options), options.pool)


def h2o_scores(layer, n, w, options):
    """Mean weight from the captured prompt queries that see the key, not pooled (design 3)."""
    rows = np.flatnonzero(layer.positions < n)
    seen = (layer.positions[rows][:, None] >= np.arange(n - w)[None, :]).sum(axis=0)
    scores = np.zeros((len(layer.q), n - w))
    for head, begin in itertools.product(range(len(layer.q)), range(0, len(rows), 512)):
        scores[head] += layer.weights(head, rows[begin:begin + 512], n).sum(axis=0)[:n - w]
    return reduce_groups(scores / seen, layer.group, options)


def unit_scores(scorer, layer, n, w, options):
    """The scores of one layer by the named scorer (spec 7)."""
    if scorer == "window":
        return window_scores(layer, n, w, options)
    if scorer == "h2o":
        return h2o_scores(layer, n, w, options)
    units = len(layer.q) if options.granularity == "query" else len(layer.k)
    if scorer == "tova":
        last = rows_at(layer, [n - 1])
        mean = sum(layer.weights(head, last, n)[0] for head in range(len(layer.q))) / len(layer.q)
        return np.tile(mean[:n - w], (units, 1))
    if scorer == "knorm":
        return np.repeat(-layer.key_norms[:, :n - w], units // len(layer.k), axis=0)
    return np.tile(np.arange(n - w, dtype=np.float64), (units, 1))


# ---- Budgets (design 4, spec 2) -----------------------------------------------------------------


def budget_tokens(text, n):
    """Tokens a head from "20%" or "512"; exact, because 29 % of 100 is 29 (design 4)."""
    if text.endswith("%"):
        return math.floor(Fraction(text[:-1]) / 100 * n)
    return int(text)


def split_budget(budget, n, window, sinks):
    """The parts of one head's budget: window, then sinks, then b tokens chosen by score."""
    w = min(window, n)
    sinks = min(sinks, n - w, max(budget - w, 0))
    return w, sinks, min(max(budget - w - sinks, 0), n - w - sinks)


def largest_remainder(raw):
    """Round exact fractions with a whole sum; ties go to the lower index (spec 2.3)."""
    result = [math.floor(x) for x in raw]
    by_fraction = sorted(range(len(raw)), key=lambda i: (result[i] - raw[i], i))
    for i in by_fraction[:int(sum(raw)) - sum(result)]:
        result[i] += 1
    return result


def global_top(scores, total, allowed=None):
    """Heads' counts among the `total` best cells: score, then head, then token (spec 2.1, 2.8)."""
    flat = scores.ravel()
    cells = np.arange(flat.size) if allowed is None else np.flatnonzero(allowed.ravel())
    best = cells[np.argsort(-flat[cells], kind="stable")[:total]]
    return [int(c) for c in np.bincount(best // scores.shape[1], minlength=len(scores))]


def pinned_floor(scores, b, floor):
    """Each head's best `floor` tokens, then the best of all the rest (spec 1.5, 2.2)."""
    pinned = top_mask(scores, [floor] * len(scores))
    rest = global_top(scores, (b - floor) * len(scores), ~pinned)
    return [floor + extra for extra in rest]


def allocate(scores, b, alpha, mode, protected):
    """Tokens outside the protected ones for each head, b a head on average (design 4, spec 2.2)."""
    if b >= scores.shape[1]:
        return [scores.shape[1]] * len(scores)
    if mode == "floor":
        return pinned_floor(scores, b, math.floor(alpha * b))
    if mode == "floor-kvpress":
        return pinned_floor(scores, b, max(0, math.floor(alpha * (b + protected)) - protected))
    pure = global_top(scores, b * len(scores))
    if mode == "official-rounding":
        return [round((1 - alpha) * f + math.floor(alpha * b)) for f in pure]
    uniform_share = 1 - alpha if mode == "paper-literal" else alpha
    return largest_remainder([(1 - uniform_share) * f + uniform_share * b for f in pure])


def pyramid(b, layers, candidates, beta=20):
    """A linear schedule from lower to higher layers whose total is exact (spec 2.6)."""
    if layers == 1 or b >= candidates:
        return [b] * layers
    low = b // beta
    high = 2 * b - low
    if high >= candidates:
        high, low = candidates, 2 * b - candidates
    return largest_remainder([high - Fraction(i * (high - low), layers - 1)
                              for i in range(layers)])


# ---- Selection ----------------------------------------------------------------------------------


def top_mask(scores, counts):
    """Each head's best tokens, ties to the earlier token (spec 2.8)."""
    mask = np.zeros(scores.shape, dtype=bool)
    for head, count in enumerate(counts):
        mask[head, np.argsort(-scores[head], kind="stable")[:count]] = True
    return mask


def critical_mask(scores, value_norms, counts):
    """Half by weight, the rest by weight times ||V_j W_O||_1, without an epsilon (spec 1.7)."""
    first = top_mask(scores, [count // 2 for count in counts])
    return top_mask(np.where(first, np.inf, scores * value_norms), counts)


def keep_masks(layer, n, options, method, budget, layer_b):
    """Kept prompt tokens [units, n]: the method's, and the uniform ones from the same scores."""
    units = len(layer.q) if options.granularity == "query" else len(layer.k)
    w, sinks, b = split_budget(budget, n, options.window, options.sinks)
    everything = np.ones((units, n), dtype=bool)
    if w == n:
        return everything, everything
    scores = unit_scores(method.scorer, layer, n, w, options)[:, sinks:]
    if not np.isfinite(scores).all():
        raise ValueError("a score of layer %d is not finite" % layer.index)
    norms = None
    if method.critical:
        norms = value_norms(layer)[:, sinks:n - w]
        norms = reduce_groups(norms, layer.group, argparse.Namespace(
            granularity=options.granularity, group_reduce="mean"))

    def mask(counts):
        result = everything.copy()
        result[:, sinks:n - w] = (critical_mask(scores, norms, counts) if method.critical
                                  else top_mask(scores, counts))
        return result

    chosen = [layer_b] * units
    if method.adaptive:
        chosen = allocate(scores, layer_b, options.alpha, options.alpha_mode, w + sinks)
    return mask(chosen), mask([b] * units)


# ---- Losses over the decode queries (design 4, spec 1) ------------------------------------------


def value_norms(layer):
    """||V_j W_O||_1 for every query head and key (spec 1.2): [Hq, T]."""
    heads, tokens = len(layer.q), layer.v.shape[1]
    norms, block = np.empty((heads, tokens)), max(1, 2 ** 21 // layer.wo.shape[2])
    for head, begin in itertools.product(range(heads), range(0, tokens, block)):
        rows = layer.v[head // layer.group, begin:begin + block]
        norms[head, begin:begin + block] = np.abs(rows @ layer.wo[head]).sum(axis=1)
    return norms


def losses(layer, masks, n, norms):
    """Per decode query, for each of several keep masks: evicted mass, L1 losses, bounds.

    y and y^ follow spec 1.1, the bounds spec 1.2 and 1.6. All masks share one pass because the
    attention of a head is the costly part.
    """
    rows = np.flatnonzero(layer.positions >= n)
    heads, tokens, width = len(layer.q), layer.k.shape[1], layer.wo.shape[2]
    y = np.zeros((len(rows), width))
    results = [{"difference": np.zeros(y.shape), "evicted": np.zeros((heads, len(rows))),
                "unit_l1": [], "theta": np.zeros(len(rows))} for _ in masks]
    per_unit = heads // len(masks[0])
    for head in range(heads):
        weights, v = layer.weights(head, rows, tokens), layer.v[head // layer.group]
        output = weights @ v
        y += output @ layer.wo[head]
        for result, mask in zip(results, masks):
            # Decoded tokens are never evicted.
            keep = np.ones(tokens, dtype=bool)
            keep[:n] = mask[head // per_unit]
            survivors = weights * keep
            kept, evicted = survivors.sum(axis=1), (weights * ~keep).sum(axis=1)
            # Dividing by both parts' sum keeps a head that lost nothing at a loss of exactly 0.
            share = kept / (kept + evicted)
            # A head whose kept mass underflows to nothing contributes nothing (spec 1.2).
            safe = np.where(share > 0, share, 1.0)
            result["evicted"][head] = evicted / (kept + evicted)
            if head % per_unit == 0:
                unit_difference = result["unit_difference"] = np.zeros(y.shape)
            unit_difference = result["unit_difference"]
            unit_difference += (output - (survivors @ v) / safe[:, None]) @ layer.wo[head]
            if head % per_unit == per_unit - 1:
                result["difference"] += unit_difference
                result["unit_l1"].append(np.abs(unit_difference).sum(axis=1))
            if norms is not None:
                factor = np.where(share > 0, 2 - 1 / safe, 0.0)
                result["theta"] += weights @ norms[head] - factor * (survivors @ norms[head])
    for result in results:
        del result["unit_difference"]
        result["l1"] = np.abs(result.pop("difference")).sum(axis=1)
        result["unit_l1"] = np.array(result["unit_l1"])
        if norms is not None:
            per_head = norms.max(axis=1)
            result["bound"] = 2 * per_head.max() * result["evicted"].sum(axis=0)
            result["bound_head"] = 2 * (per_head[:, None] * result["evicted"]).sum(axis=0)
    return np.abs(y).sum(axis=1), results


def layer_values(y_norm, result, with_bound):
    """The means over decode queries that a layer reports (design 4)."""
    values = {"evicted_mass": result["evicted"].mean(), "l1_loss": result["l1"].mean()}
    if y_norm.mean() > 0:
        values["l1_loss_relative"] = result["l1"].mean() / y_norm.mean()
    if with_bound:
        values.update(bound=result["bound"].mean(), bound_head=result["bound_head"].mean(),
                      bound_theta=result["theta"].mean())
    return {key: float(value) for key, value in values.items()}


# ---- The run ------------------------------------------------------------------------------------


def chosen_layers(captured, text):
    """Captured layers named by "0,4,8-11" (design 4)."""
    if text is None:
        return list(captured)
    wanted = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        wanted.update(range(int(first), int(last or first) + 1))
    if wanted - set(captured):
        raise ValueError("layer %d was not captured" % min(wanted - set(captured)))
    return [index for index in captured if index in wanted]


def replay_layer(layer, n, options, method, budget, layer_b):
    """One layer's entry of the JSON document (design 4)."""
    masks = keep_masks(layer, n, options, method, budget, layer_b)
    counts = masks[0].sum(axis=1)
    entry = {"layer": layer.index, "touched": True, "budget_total": int(counts.sum())}
    heads = [{"head": unit, "budget": int(count)} for unit, count in enumerate(counts)]
    if (layer.positions >= n).any():
        with_bound = not options.no_bound
        norms = value_norms(layer) if with_bound else None
        y_norm, (ours, uniform) = losses(layer, masks, n, norms)
        entry.update(layer_values(y_norm, ours, with_bound))
        entry["uniform"] = layer_values(y_norm, uniform, False)
        evicted = ours["evicted"].reshape(len(heads), -1).mean(axis=1)
        for head, mass, l1 in zip(heads, evicted, ours["unit_l1"].mean(axis=1)):
            head.update(evicted_mass=float(mass), l1_loss=float(l1))
    if options.kept:
        for head, mask in zip(heads, masks[0]):
            head["kept"] = [int(j) for j in np.flatnonzero(mask)]
    return dict(entry, heads=heads)


def output_error(layer):
    """Relative Frobenius error of softmax(qk)v against the captured output (design 4, check)."""
    rows, difference = np.arange(len(layer.positions)), 0.0
    for head in range(len(layer.q)):
        ours = layer.weights(head, rows, layer.k.shape[1]) @ layer.v[head // layer.group]
        difference += ((ours - layer.out[head]) ** 2).sum()
    return math.sqrt(difference / (layer.out ** 2).sum())


def summarise(layers):
    """Means over the touched layers, and the comparison with equal budgets (design 4)."""
    touched = [layer for layer in layers if layer["touched"]]
    if not touched:
        return {}
    budgets = [head["budget"] for layer in touched for head in layer["heads"]]
    summary = {"kept_tokens_per_head_mean": sum(budgets) / len(budgets)}
    names = ("evicted_mass", "l1_loss", "l1_loss_relative", "bound", "bound_head", "bound_theta")
    for name in names:
        if all(name in layer for layer in touched):
            summary[name] = sum(layer[name] for layer in touched) / len(touched)
    if "uniform" not in touched[0]:
        return summary
    uniform = [layer["uniform"] for layer in touched]
    summary["uniform"] = {name: sum(u[name] for u in uniform) / len(uniform)
                          for name in names[:3] if all(name in u for u in uniform)}
    ratio = summary["ratio_to_uniform"] = {}
    for name in ("evicted_mass", "l1_loss"):
        total = sum(u[name] for u in uniform)
        if total > 0:
            ratio[name] = sum(layer[name] for layer in touched) / total
    for name, source in (("mass", "evicted_mass"), ("l1", "l1_loss")):
        ratio["layers_improved_" + name] = sum(
            layer[source] < layer["uniform"][source] for layer in touched)
    return summary


def replay(path, options):
    """The whole JSON document for one trace (design 4)."""
    tensors = Tensors(path)
    if tensors.metadata.get("format") != "kvsieve.trace":
        raise ValueError("%s is not a trace" % path)
    info = json.loads(tensors.metadata["kvsieve"])
    model, n = info["model"], info["prompt_tokens"]
    configs = [layer_config(model, index) for index in range(model["layers"])]
    slides = [c["attention"].get("sliding_window") is not None for c in configs]
    method, budget = METHODS[options.method], budget_tokens(options.budget, n)
    w, sinks, b = split_budget(budget, n, options.window, options.sinks)
    if budget <= options.window:
        print("warning: the budget of %d tokens keeps the window only" % budget, file=sys.stderr)
    # The pyramid runs over all global layers of the model, so that what one layer gets does not
    # depend on which others were captured or chosen.
    plan = {index: b for index in range(model["layers"])}
    if method.pyramid:
        global_layers = [index for index in plan if not slides[index]]
        plan.update(zip(global_layers, pyramid(b, len(global_layers), n - w - sinks)))
    layers = []
    for index in chosen_layers(info["captured_layers"], options.layers):
        layer = None
        if not slides[index] or options.check_out:
            layer = Layer(tensors, index, configs[index])
        entry = {"layer": index, "touched": False}
        if not slides[index]:
            entry = replay_layer(layer, n, options, method, budget, plan[index])
        if options.check_out and layer.out is not None:
            entry["output_error"] = output_error(layer)
        layers.append(entry)
    described = {"name": options.method, "budget": options.budget, "window": options.window,
                 "granularity": options.granularity, "sinks": options.sinks}
    if method.adaptive:
        described.update(alpha=float(options.alpha), alpha_mode=options.alpha_mode)
    if method.scorer == "window":
        described["pool"] = options.pool
    if method.scorer in ("window", "h2o") and options.granularity == "kv":
        described["group_reduce"] = options.group_reduce
    if method.scorer == "h2o":
        described["queries_used"] = int((tensors.read("query_positions") < n).sum())
        described["name"] = "h2o" if described["queries_used"] == n else "h2o-window"
    trace = {"path": path, "model": model.get("name"), "L": model["layers"],
             "Hq": model["q_heads"], "Hkv": model["kv_heads"], "d": model["head_dim"],
             "prompt_tokens": n, "decode_steps": info["decode_tokens"]}
    return {"schema": "kvsieve.run/1", "tool_version": "reference", "trace": trace,
            "method": described, "backend": "reference", "summary": summarise(layers),
            "layers": layers}


# ---- Self-test ----------------------------------------------------------------------------------


def test_allocation():
    """Golden values of spec 6 (tests 5, 6) and the properties 1 to 4, 8, 9, 10, 15 and 43."""
    fig1 = np.array([[.32, .01, .18, .08, .22, .19], [.89, .01, .05, .02, .01, .02],
                     [.68, .01, .08, .04, .09, .10]])

    def mass(rows, counts):
        return rows[top_mask(rows, counts)].sum()

    def caps(alpha, mode, rows=fig1, b=2, protected=0):
        return allocate(rows, b, Fraction(alpha), mode, protected)
    assert caps("0", "blend") == [4, 1, 1]
    assert abs(mass(fig1, [4, 1, 1]) - 2.48) < 1e-12 and abs(mass(fig1, [2] * 3) - 2.26) < 1e-12
    assert [caps(a, "official-rounding") for a in ("0.2", "0.5", "1")] == [
        [3, 1, 1], [3, 2, 2], [2, 2, 2]]
    assert caps("0.2", "blend") == [4, 1, 1] and caps("0.5", "blend") == [3, 2, 1]
    assert caps("0.8", "paper-literal") == caps("0.2", "blend")
    golden2 = np.array([[.30, .02, .25, .05, .20, .03, .10, .05], [.90, .03, .02] + [.01] * 5,
                        [.13, .12, .14, .11, .15, .10, .13, .12]])
    assert caps("0.2", "floor", golden2, 2) == [3, 1, 2]
    kept = [set(np.flatnonzero(row)) for row in top_mask(golden2, [3, 1, 2])]
    assert kept == [{0, 2, 4}, {0}, {2, 4}]
    assert caps("0.5", "floor", golden2, 4) == [3, 2, 7]
    assert not top_mask(golden2, [3, 2, 7])[2, 5]
    assert caps("0.5", "floor-kvpress", golden2, 2, 4) == caps("0", "floor", golden2, 2)
    assert caps("0", "blend", np.ones((3, 5)), 2) == [5, 1, 0]
    rng = np.random.default_rng(7)
    for _ in range(60):
        rows = np.round(rng.dirichlet(np.full(6, .4), 3), 2)
        b, alpha = int(rng.integers(1, 6)), Fraction(int(rng.integers(0, 11)), 10)
        pure = caps(0, "blend", rows, b)
        for mode in ("blend", "paper-literal", "floor", "floor-kvpress"):
            counts = caps(alpha, mode, rows, b)
            assert sum(counts) == 3 * b and max(counts) <= 6
            assert mass(rows, counts) >= mass(rows, [b] * 3) - 1e-12
        assert min(caps(alpha, "blend", rows, b)) >= math.floor(alpha * b)
        assert caps(1, "blend", rows, b) == [b] * 3 and caps(0, "floor", rows, b) == pure
        floor = math.floor(alpha * b)
        every = [c for c in itertools.product(range(floor, 7), repeat=3) if sum(c) == 3 * b]
        best = max(mass(rows, c) for c in every)
        assert abs(mass(rows, caps(alpha, "floor", rows, b)) - best) < 1e-12
    for b, layers, candidates in ((96, 32, 8000), (992, 30, 1500), (7, 5, 100), (50, 1, 60)):
        plan = pyramid(b, layers, candidates)
        assert sum(plan) == layers * b and plan == sorted(plan, reverse=True)
        assert max(plan) <= candidates
    assert budget_tokens("29%", 100) == 29 and budget_tokens("512", 9) == 512
    assert pooled(np.array([[0., 0, 0, 0, 1, 0, 0]]), "max:3").tolist() == [[0, 0, 0, 1, 1, 1, 0]]
    assert np.allclose(pooled(np.ones((1, 4)), "avg:5"), [[.6, .8, .8, .6]])


def test_rope():
    """Pairings agree up to a permutation, scores depend on distance only, scalings at their ends.

    The middle of the llama3 and yarn ramps is compared with values worked out by hand.
    """
    rng = np.random.default_rng(3)
    x, base = rng.normal(size=(1, 4, 10)), {"theta": 1e4, "dim": 8, "pairing": "half"}
    order = [0, 4, 1, 5, 2, 6, 3, 7, 8, 9]
    rotated = rope(x, [0, 3, 70, 71], base)
    other = rope(x[..., order], [0, 3, 70, 71], dict(base, pairing="interleaved"))
    assert np.allclose(rotated[..., order], other) and np.allclose(rotated[0, 0], x[0, 0])
    assert np.array_equal(rotated[..., 8:], x[..., 8:])
    shifted = rope(x, [10, 13, 80, 81], base)
    assert np.allclose(rotated[0] @ rotated[0].T, shifted[0] @ shifted[0].T)
    assert np.allclose(rope(x, range(4), dict(base, attention_factor=2.0))[..., :8],
                       2 * rope(x, range(4), base)[..., :8])
    plain = rope_frequencies(base)
    assert np.allclose(plain, [1, .1, .01, .001])
    linear = {"type": "linear", "factor": 4}
    assert np.allclose(rope_frequencies(dict(base, scaling=linear)), plain / 4)
    # Over 1000 positions the pairs turn 159, 15.9, 1.59 and 0.159 times.
    llama3 = {"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
              "original_max_position_embeddings": 1000}
    share = (10 / (2 * math.pi) - 1) / 3
    assert np.allclose(rope_frequencies(dict(base, scaling=llama3)),
                       [1, .1, .01 * (share + (1 - share) / 8), .001 / 8])
    # 32 turns lie at pair 0.697 and one turn at pair 2.202, that is 0 and 3 when truncated.
    yarn = {"type": "yarn", "factor": 4, "original_max_position_embeddings": 1000}
    assert np.allclose(rope_frequencies(dict(base, scaling=yarn)),
                       plain * [1, 2 / 3 + 1 / 12, 1 / 3 + 1 / 6, 1 / 4])
    exact = rope_frequencies(dict(base, scaling=dict(yarn, truncate=False)))
    low, high = math.log10(1000 / (64 * math.pi)), math.log10(1000 / (2 * math.pi))
    assert np.allclose(exact[1], .1 * (1 - .75 * (1 - low) / (high - low)))
    assert np.allclose(exact[[0, 3]], [1, .001 / 4])
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": None}}) == {
        "a": {"b": None, "c": 2}, "d": 3}


def write_trace(path, n, m, layers, heads, kv_heads, d, width, dtype, model_extra, prompt_queries):
    """A random trace in the format of design 3, without the captured outputs."""
    rng, arrays = np.random.default_rng(11), {}
    model = {"name": "synthetic", "layers": layers, "q_heads": heads, "kv_heads": kv_heads,
             "head_dim": d, "width": width, "attention": {"scale": None},
             "rope": {"pairing": "half", "theta": 1e4, "dim": d, "scaling": None}}
    model = merged(model, model_extra)
    arrays["query_positions"] = np.arange(n - prompt_queries, n + m).astype("<i4")
    for index in range(layers):
        for name, shape in (("k", (kv_heads, n + m, d)), ("q", (heads, prompt_queries + m, d)),
                            ("v", (kv_heads, n + m, d)), ("wo", (heads, d, width))):
            # Heads of unequal sharpness give the adaptive budgets something to adapt to.
            scale = np.linspace(.5, 2, heads)[:, None, None] if name == "q" else 1.0
            arrays["layers.%d.%s" % (index, name)] = (rng.normal(size=shape) * scale).astype("<f4")
    info = {"model": model, "captured_layers": list(range(layers)), "prompt_tokens": n,
            "decode_tokens": m, "dtype": dtype}
    header = {"__metadata__": {"format": "kvsieve.trace", "version": "1",
                               "kvsieve": json.dumps(info)}}
    blobs, offset = [], 0
    for name, array in arrays.items():
        kind = "I32" if array.dtype == np.dtype("<i4") else dtype
        blob = array.tobytes()
        if kind == "F16":
            blob = array.astype("<f2").tobytes()
        elif kind == "BF16":
            blob = (array.view("<u4") >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def naive_scores(layer, n, w, group_reduce, kernel):
    """The max-pooled window scores at KV granularity, by plain loops."""
    scores = []
    for g in range(len(layer.k)):
        members = range(g * layer.group, (g + 1) * layer.group)
        mean = {h: [0.0] * n for h in members}
        for h, (row, position) in itertools.product(members, enumerate(layer.positions)):
            if not n - w <= position < n:
                continue
            seen = [math.exp(layer.q[h, row] @ layer.k[g, j] / math.sqrt(layer.q.shape[2]))
                    for j in range(position + 1)]
            for j, value in enumerate(seen):
                mean[h][j] += value / sum(seen) / w
        reduce = max if group_reduce == "max" else (lambda x: sum(x) / len(x))
        line = [reduce([mean[h][j] for h in members]) for j in range(n - w)]
        side = kernel // 2
        scores.append([max(line[max(0, j - side):j + side + 1]) for j in range(n - w)])
    return np.array(scores)


def naive_layer(path, index, config, n, kept_by_head):
    """Evicted mass, L1 loss, ||y||, the three bounds and each query's chain, by plain loops."""
    layer = Layer(Tensors(path), index, config)
    heads, width = len(layer.q), layer.wo.shape[2]
    c = [max(np.abs(v @ layer.wo[h]).sum() for v in layer.v[h // layer.group])
         for h in range(heads)]
    totals = []
    for row, position in enumerate(layer.positions):
        if position < n:
            continue
        y, cut, values = np.zeros(width), np.zeros(width), np.zeros(4)
        for h in range(heads):
            g = h // layer.group
            cap = config["attention"].get("softcap")
            logit = [layer.q[h, row] @ layer.k[g, j] / math.sqrt(layer.q.shape[2])
                     for j in range(position + 1)]
            if cap is not None:
                logit = [cap * math.tanh(x / cap) for x in logit]
            a = [math.exp(x) / sum(math.exp(z) for z in logit) for x in logit]
            keep = [j for j in range(position + 1) if j >= n or j in kept_by_head[h]]
            u = [layer.v[g, j] @ layer.wo[h] for j in range(position + 1)]
            f = sum(a[j] for j in keep)
            y += sum(a[j] * u[j] for j in range(position + 1))
            cut += sum(a[j] / f * u[j] for j in keep)
            full = sum(a[j] * np.abs(u[j]).sum() for j in range(position + 1))
            left = sum(a[j] * np.abs(u[j]).sum() for j in keep)
            values += [(1 - f) / heads, 2 * max(c) * (1 - f), 2 * c[h] * (1 - f),
                       full - (2 - 1 / f) * left]
        loss = np.abs(y - cut).sum()
        assert loss <= values[3] + 1e-9 <= values[2] + 2e-9 <= values[1] + 3e-9
        totals.append([values[0], loss, np.abs(y).sum(), *values[1:]])
    return np.mean(totals, axis=0)


def test_replay():
    """Whole runs on a small synthetic trace, against plain loops and set arithmetic."""
    extra = {"layer_overrides": {"1": {"attention": {"sliding_window": 16}},
                                 "2": {"attention": {"softcap": 3.0}, "rope": {"theta": 1e5}}}}
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("F32", "F16", "BF16"):
            write_trace(os.path.join(folder, dtype), 60, 5, 4, 4, 2, 8, 12, dtype, extra, 20)
        path = os.path.join(folder, "F32")
        model = json.loads(Tensors(path).metadata["kvsieve"])["model"]

        def run(*words):
            return replay(path, parse(["x", "--window", "8", "--kept"] + list(words)))
        for name, pool in itertools.product(METHODS, ("max:7", "avg:5", "none")):
            for granularity in ("kv", "query"):
                result = run("--method", name, "--budget", "30%", "--granularity", granularity,
                             "--pool", pool, "--sinks", "2")
                touched = [x for x in result["layers"] if x["touched"]]
                assert [x["layer"] for x in touched] == [0, 2, 3]
                assert result["layers"][1] == {"layer": 1, "touched": False}
                units = 2 if granularity == "kv" else 4
                assert sum(x["budget_total"] for x in touched) == 3 * units * 18
                for layer in touched:
                    for head in layer["heads"]:
                        kept = set(head["kept"])
                        assert set(range(52, 60)) | {0, 1} <= kept and len(kept) == head["budget"]
        for mode, granularity in itertools.product(ALPHA_MODES, ("kv", "query")):
            result = run("--method", "ada-snapkv", "--budget", "24", "--alpha-mode", mode,
                         "--granularity", granularity)
            layer = result["layers"][2]
            sets = [set(head["kept"]) for head in layer["heads"]]
            by_head = [sets[h * len(sets) // 4] for h in range(4)]
            naive = naive_layer(path, 2, layer_config(model, 2), 60, by_head)
            ours = [layer[x] for x in ("evicted_mass", "l1_loss", "l1_loss", "bound",
                                       "bound_head", "bound_theta")]
            ours[2] /= layer["l1_loss_relative"]
            assert np.allclose(naive, ours, rtol=1e-9)
            if granularity == "query":
                assert np.isclose(np.mean([h["evicted_mass"] for h in layer["heads"]]), naive[0])
        layer = Layer(Tensors(path), 0, layer_config(model, 0))
        for reduce in ("mean", "max"):
            options = parse(["x", "--group-reduce", reduce])
            assert np.allclose(window_scores(layer, 60, 8, options),
                               naive_scores(layer, 60, 8, reduce, 7), rtol=1e-12)
        layer = Layer(Tensors(path), 1, layer_config(model, 1))
        layer.out = np.zeros(layer.q.shape)
        for h, row in itertools.product(range(4), range(len(layer.positions))):
            position = layer.positions[row]
            near = range(max(0, position - 15), position + 1)
            mass = [math.exp(layer.q[h, row] @ layer.k[h // 2, j] / math.sqrt(8)) for j in near]
            layer.out[h, row] = sum(a / sum(mass) * layer.v[h // 2, j]
                                    for a, j in zip(mass, near))
        assert output_error(layer) < 1e-12
        snap = run("--method", "snapkv", "--budget", "24")
        assert snap["summary"]["ratio_to_uniform"] == {
            "evicted_mass": 1.0, "l1_loss": 1.0, "layers_improved_mass": 0, "layers_improved_l1": 0}
        assert result["summary"]["uniform"] != snap["summary"]["uniform"]
        ada = run("--method", "ada-snapkv", "--budget", "24")
        assert ada["summary"]["uniform"]["l1_loss"] == snap["summary"]["l1_loss"]
        assert any(len({h["budget"] for h in x.get("heads", [])}) > 1 for x in ada["layers"])
        assert run("--method", "ada-snapkv", "--budget", "24", "--alpha", "1")["layers"][0][
            "heads"] == snap["layers"][0]["heads"]
        whole = run("--method", "ada-snapkv", "--budget", "100%")
        assert whole["summary"]["l1_loss"] == 0 == whole["summary"]["bound"]
        assert run("--method", "streaming-llm", "--budget", "20")["layers"][0]["heads"][0][
            "kept"] == [0, 1, 2, 3] + list(range(44, 60))
        assert run("--method", "h2o", "--budget", "24")["method"]["name"] == "h2o-window"
        assert "bound" not in run("--budget", "24", "--no-bound")["summary"]
        assert [x["layer"] for x in run("--budget", "24", "--layers", "0,2-3")["layers"]] == [
            0, 2, 3]
        for dtype in ("F16", "BF16"):
            path = os.path.join(folder, dtype)
            other = run("--method", "ada-snapkv", "--budget", "24")["summary"]["evicted_mass"]
            assert abs(other / ada["summary"]["evicted_mass"] - 1) < .05


def parse(arguments):
    """The command line, with the names of design 4."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("trace", nargs="?")
    add("--method", choices=sorted(METHODS), default="ada-snapkv")
    add("--budget", default="20%", help="20%% of the prompt, or tokens a head; counts the window")
    add("--alpha", type=Fraction, default=Fraction(1, 5), help="uniform share of the budget")
    add("--alpha-mode", choices=ALPHA_MODES, default="blend")
    add("--granularity", choices=("kv", "query"), default="kv")
    add("--window", type=int, default=32)
    add("--pool", default="max:7", help="max:7, avg:5 or none")
    add("--group-reduce", choices=("mean", "max"), default="mean")
    add("--sinks", type=int, help="first tokens always kept (default 0; streaming-llm 4)")
    add("--layers", help="layer indices, for example 0,4,8-11")
    add("--no-bound", action="store_true")
    add("--kept", action="store_true", help="list the kept prompt positions of each head")
    add("--check-out", action="store_true", help="error against the captured attention output")
    add("--self-test", action="store_true")
    options = parser.parse_args(arguments)
    if options.sinks is None:
        options.sinks = 4 if options.method == "streaming-llm" else 0
    kind, _, kernel = options.pool.partition(":")
    if options.pool != "none" and (kind not in ("max", "avg") or not kernel.isdigit()
                                   or int(kernel) % 2 == 0):
        parser.error("--pool takes max:K, avg:K with an odd K, or none")
    if not 0 <= options.alpha <= 1 or options.window < 1 or options.sinks < 0:
        parser.error("--alpha lies in [0, 1], --window is at least 1, --sinks at least 0")
    if not options.trace and not options.self_test:
        parser.error("a trace is needed")
    return options


def main():
    options = parse(sys.argv[1:])
    if options.self_test:
        if not __debug__:
            sys.exit("replay.py: the self-test needs asserts; run it without -O")
        for test in (test_allocation, test_rope, test_replay):
            test()
            print("%s: ok" % test.__name__, file=sys.stderr)
        return 0
    try:
        document = replay(options.trace, options)
    except (OSError, ValueError, KeyError) as error:
        print("replay.py: %s" % error, file=sys.stderr)
        return 3
    json.dump(document, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
