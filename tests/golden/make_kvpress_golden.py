#!/usr/bin/env python3
"""Writes kvpress_golden.json: which tokens kvpress keeps, and the scores it decides by.

    python3 -m venv venv
    venv/bin/pip install torch transformers kvpress==0.5.5 numpy
    venv/bin/python tests/golden/make_kvpress_golden.py [OUTPUT]

The presses run on a stand-in for an attention module, in float32, on the CPU.

What the file holds:
- `layers`: scores [Hkv][n] as the plain press gave them, and for each compression ratio and
  safeguard what AdaKVPress keeps of them. Nine significant digits bring every float32 back.
- `raw`: tiny SnapKV layers with the rotated queries of the window and the rotated keys, to check
  the scoring itself and not only the selection.

What to know when comparing:
- `n_kept` is kvpress's own int(n * (1 - ratio)) in binary floating point, at least 1. It can lie
  one below the exact product: 160 * (1 - 0.8) gives 31. Compare by n_kept, not by the ratio.
- SnapKVPress gives every window token the same score, the maximum plus 1. A budget below the window
  is decided among equal scores, where torch promises no order: such cuts are not in this file.
- The safeguard counts window tokens first, so with SnapKV it changes a selection only where n_safe
  exceeds the window: here in "snapkv, long" at alpha 0.75.
"""

import pathlib
import sys
import types

import numpy as np
import torch
from kvpress import AdaKVPress, KnormPress, ScorerPress, SnapKVPress
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama

import golden_json

RATIOS = (0.2, 0.4, 0.6, 0.8)
SAFEGUARDS = (0.2, 0.5, 0.0)


class FixedScores(ScorerPress):
    """Scores chosen by hand, for cases that can be worked out on paper."""

    def score(self, module, hidden_states, keys, values, attentions, kwargs):
        return self.chosen.clone()


def stand_in(q_heads, kv_heads, head_dim):
    """The few attributes of an attention module that presses read."""
    config = types.SimpleNamespace(num_attention_heads=q_heads, num_key_value_heads=kv_heads,
                                   _attn_implementation="sdpa")
    # The hidden states are the queries already, so that a test can know them.
    return types.SimpleNamespace(config=config, head_dim=head_dim, q_proj=torch.nn.Identity())


def float32_list(tensor):
    """Nested lists with nine significant digits, enough to restore each float32."""
    def shorten(value):
        return [shorten(v) for v in value] if isinstance(value, list) else float(f"{value:.9g}")
    short = shorten(tensor.tolist())
    assert torch.equal(torch.tensor(short, dtype=torch.float32), tensor)
    return short


class Layer:
    """One random layer and the inputs that a press wants."""

    def __init__(self, seed, kv_heads, group, n, d, window=0, spread=(0.6, 1.8)):
        rng = np.random.default_rng(seed)
        self.shape = {"kv_heads": kv_heads, "q_heads": kv_heads * group, "tokens": n, "head_dim": d}
        self.module = stand_in(kv_heads * group, kv_heads, d)
        # Unlike heads are what makes an adaptive budget differ from a uniform one.
        scales = np.linspace(*spread, kv_heads)[:, None, None]
        keys = np.round(scales * rng.standard_normal((kv_heads, n, d)), 3)
        # A head whose queries look alike agrees on a few keys, and scores the others near zero.
        queries = rng.standard_normal(kv_heads * group * d)
        queries = np.round(queries + rng.standard_normal((n, kv_heads * group * d)) / 4, 3)
        config = LlamaConfig(hidden_size=d, num_attention_heads=1, head_dim=d)
        tables = modeling_llama.LlamaRotaryEmbedding(config)(torch.zeros(1), torch.arange(n)[None])
        keys = torch.tensor(keys, dtype=torch.float32)[None]
        self.keys = modeling_llama.apply_rotary_pos_emb(keys, keys, *tables)[1]
        self.hidden = torch.tensor(queries, dtype=torch.float32)[None]
        self.kwargs = {"position_embeddings": tables}
        self.window = window

    def score(self, press):
        return press.score(self.module, self.hidden, self.keys, self.keys, None, self.kwargs)[0]

    def window_queries(self):
        """The rotated queries [Hq, window, d] of the last positions."""
        heads = self.hidden[0].view(self.shape["tokens"], -1, self.shape["head_dim"])
        heads = heads.transpose(0, 1)[None]
        rotated = modeling_llama.apply_rotary_pos_emb(
            heads, heads, *self.kwargs["position_embeddings"])[0]
        return rotated[0, :, -self.window:]


def selection(layer, press, ratio, safeguard):
    """What AdaKVPress keeps of `layer`."""
    press.compression_ratio = ratio
    wrapped = AdaKVPress(press, alpha_safeguard=safeguard)
    module = layer.module
    wrapped.compress(module, layer.hidden, layer.keys, layer.keys, None, layer.kwargs)
    scores = layer.score(press)
    heads, n = scores.shape
    keep = torch.ones_like(scores, dtype=torch.bool)
    _, head_indices, tokens = module.masked_key_indices
    keep[head_indices, tokens] = False

    n_kept = int(keep.sum()) // heads
    assert n_kept * heads == int(keep.sum()) and n_kept == max(1, int(n * (1 - ratio)))
    n_safe = int(n_kept * safeguard)
    n_safe = max(1, n_safe) if safeguard > 0 else n_safe
    assert_untied(scores, keep, n_safe)
    return {
        "ratio": ratio, "alpha": safeguard, "n_kept": n_kept, "n_safe": n_safe,
        "kept": [torch.nonzero(row).flatten().tolist() for row in keep],
    }


def assert_untied(scores, keep, n_safe):
    """Refuses a layer whose answer hangs on the order of equal scores."""
    if keep.all():
        return
    pinned = torch.zeros_like(keep)
    pinned.scatter_(-1, scores.topk(n_safe, dim=-1).indices, True)
    assert not (pinned & ~keep).any()
    free = keep & ~pinned
    if free.any():
        assert scores[free].min() > scores[~keep].max()
    # An order among pinned tokens could matter only where the last pinned one equals a dropped one.
    for row, kept, pins in zip(scores, keep, pinned):
        if pins.any() and not kept.all():
            assert row[pins].min() > row[~kept].max()


def layer_record(name, layer, press, cases):
    scores = layer.score(press)
    outside = scores[:, : scores.shape[1] - layer.window]
    assert outside.unique().numel() == outside.numel(), f"{name}: equal scores"
    record = {"name": name, "press": type(press).__name__, "shape": layer.shape}
    if layer.window:
        record["window"] = press.window_size
        record["pool"] = f"avg:{press.kernel_size}"
    record["scores"] = float32_list(scores)
    record["selections"] = [selection(layer, press, *case) for case in cases]
    return record


def grid(ratios=RATIOS):
    return [(ratio, safeguard) for ratio in ratios for safeguard in SAFEGUARDS]


def knorm_layers():
    yield layer_record("knorm", Layer(11, 4, 2, 96, 32), KnormPress(), grid())
    yield layer_record("knorm, eight heads", Layer(12, 8, 1, 97, 16), KnormPress(),
                       grid((0.4, 0.8)))
    yield layer_record("knorm, odd length", Layer(13, 3, 3, 131, 64), KnormPress(), grid())


def snapkv_layers():
    def press():
        return SnapKVPress(window_size=64, kernel_size=5)
    yield layer_record("snapkv", Layer(21, 3, 2, 160, 16, 64), press(), grid((0.2, 0.4)))
    yield layer_record("snapkv, short", Layer(22, 4, 3, 96, 32, 64), press(), grid((0.2,)))
    # The budget is exactly the window, and the window takes all of it.
    yield layer_record("snapkv, window only", Layer(23, 3, 1, 128, 16, 64), press(), grid((0.5,)))
    # Long enough for ratio 0.8 to leave more than the window.
    yield layer_record("snapkv, long", Layer(24, 2, 1, 352, 16, 64, (0.05, 5.0)), press(),
                       [*grid(), (0.4, 0.75)])


def clamp_layers():
    """Contexts so short that the shares round to nothing."""
    yield layer_record("clamp, two tokens", Layer(31, 3, 1, 2, 4), KnormPress(), grid((0.6, 0.9)))
    yield layer_record("clamp, one token", Layer(32, 3, 1, 1, 4), KnormPress(), grid((0.5,)))
    yield layer_record("clamp, seven tokens", Layer(33, 4, 1, 7, 4), KnormPress(), grid())
    # 10 * (1 - 0.8) is just below 2 in binary, and kvpress keeps 1.
    yield layer_record("ratio just below a whole number", Layer(34, 3, 1, 10, 4), KnormPress(),
                       [(0.8, 0.2), (0.8, 1.0)])


def handmade_layer():
    rows = [[.30, .02, .25, .05, .20, .03, .10, .06],
            [.90, .031, .021, .011, .012, .013, .014, .015],
            [.13, .12, .14, .11, .15, .101, .131, .121]]
    press = FixedScores()
    press.chosen = torch.tensor([rows], dtype=torch.float32)
    layer = Layer(41, 3, 1, 8, 4)
    return layer_record("by hand", layer, press, [(0.75, 0.2), (0.5, 0.5), (0.75, 1.0)])


def raw_record(name, layer, press):
    scores = layer.score(press)
    queries, keys = layer.window_queries(), layer.keys[0]
    apart = np.abs(naive_snapkv(queries, keys, press.kernel_size) - scores.numpy()).max()
    assert apart < 1e-6, (name, apart)
    return {"name": name, "shape": layer.shape, "window": press.window_size,
            "pool": f"avg:{press.kernel_size}", "queries": float32_list(queries),
            "keys": float32_list(keys), "scores": float32_list(scores)}


def naive_snapkv(queries, keys, kernel):
    """The same scores by loops in double: proves that the stored inputs are the ones used."""
    queries, keys = queries.double().numpy(), keys.double().numpy()
    (q_heads, window, d), (kv_heads, n, _) = queries.shape, keys.shape
    group, half = q_heads // kv_heads, kernel // 2
    scores = np.zeros((kv_heads, n - window))
    for head in range(q_heads):
        mean = np.zeros(n - window)
        for row, query in enumerate(queries[head]):
            logits = keys[head // group, : n - window + row + 1] @ query / np.sqrt(d)
            weights = np.exp(logits - logits.max())
            mean += (weights / weights.sum())[: n - window] / window
        padded = np.pad(mean, half)
        scores[head // group] += [padded[j:j + kernel].mean() / group for j in range(n - window)]
    return np.pad(scores, ((0, 0), (0, window)), constant_values=scores.max() + 1)


def raw_records():
    wide = Layer(51, 2, 2, 72, 4, 64)
    narrow = Layer(52, 2, 3, 29, 8, 8)
    return [raw_record("window 64", wide, SnapKVPress(window_size=64, kernel_size=5)),
            raw_record("window 8", narrow, SnapKVPress(window_size=8, kernel_size=5))]


def main():
    default = pathlib.Path(__file__).with_name("kvpress_golden.json")
    golden_json.write(sys.argv[1] if len(sys.argv) > 1 else default, {
        "made_by": "make_kvpress_golden.py",
        "versions": golden_json.versions("torch", "transformers", "kvpress", "numpy"),
        "layers": [*knorm_layers(), *snapkv_layers(), *clamp_layers(), handmade_layer()],
        "raw": raw_records(),
    })


if __name__ == "__main__":
    main()
