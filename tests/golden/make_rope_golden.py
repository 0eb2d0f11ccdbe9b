#!/usr/bin/env python3
"""Writes rope_golden.json: rotated vectors that Hugging Face's own rotary code produced.

    python3 -m venv venv
    venv/bin/pip install torch transformers numpy
    venv/bin/python tests/golden/make_rope_golden.py [OUTPUT]

How exact the numbers are:
- `inv_freq` comes from the library's own formulas. The library hard-codes float32 there; while they
  run, `torch.float` and `torch.float32` are made to mean float64, so the same lines compute in
  double. Each list is compared with the untouched float32 result (at most 1e-6 relative apart).
- `rotated` comes from the library's own apply_rotary_pos_emb on float64 input, with cosine and sine
  taken in float64 of position * inv_freq, times the attention factor.
- The library itself multiplies position * inv_freq in float32. `float32_difference` says how far
  its own untouched result is away: a model at position 100000 rotates by angles that are off by up
  to some 1e-3, and a test that compares with captured data needs that much room there.
- Interleaved pairs are rotated by GPT-J's code, which shares nothing with the half-pair code. Its
  table of sines (theta 10000 only) is compared with the one used here.
"""

import contextlib
import pathlib
import sys

import torch
from transformers import GPTNeoXConfig, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.gpt_neox import modeling_gpt_neox
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama

import golden_json

POSITIONS = [0, 1, 2, 63, 64, 2047, 2048, 8191, 100000]
# Eight decimals keep the file small and still lie far below any float32 rounding of the vectors.
DECIMALS = 8

LLAMA31 = {
    "type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {
    "type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 4096,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
}


def case(name, d, theta, dim=None, scaling=None, pairing="half"):
    return {"name": name, "d": d, "theta": theta, "dim": dim or d, "scaling": scaling,
            "pairing": pairing}


CASES = [
    case("default theta 1e4", 64, 1e4),
    case("default theta 1e5", 64, 1e5),
    case("llama3 (Llama-3.1-8B)", 128, 5e5, scaling=LLAMA31),
    case("linear factor 4", 32, 1e4, scaling={"type": "linear", "factor": 4.0}),
    case("yarn", 32, 1e4, scaling=YARN),
    case("yarn without truncation", 32, 1e4, scaling={**YARN, "truncate": False}),
    case("partial rotary half (GPT-NeoX)", 32, 1e4, dim=16),
    case("partial rotary half with yarn", 32, 1e4, dim=16, scaling=YARN),
    case("interleaved theta 1e5 (GPT-J pairs)", 64, 1e5, pairing="interleaved"),
    case("interleaved partial (GPT-J)", 32, 1e4, dim=16, pairing="interleaved"),
]


@contextlib.contextmanager
def library_in_double():
    """Lets the library's `dtype=torch.float` mean float64."""
    narrow = torch.float, torch.float32
    torch.float = torch.float32 = torch.float64
    try:
        yield
    finally:
        torch.float, torch.float32 = narrow


def config_of(spec):
    """A configuration that makes the library rotate as `spec` says."""
    scaling = dict(spec["scaling"] or {})
    rope = {"rope_type": scaling.pop("type", "default"), "rope_theta": spec["theta"], **scaling}
    # YaRN complains where the context is not what its factor makes of the original one.
    context = scaling.get("original_max_position_embeddings", 8192) * scaling.get("factor", 1)
    shape = {"hidden_size": 2 * spec["d"], "num_attention_heads": 2,
             "max_position_embeddings": int(context), "rope_parameters": rope}
    if spec["dim"] == spec["d"]:
        return LlamaConfig(head_dim=spec["d"], **shape)
    return GPTNeoXConfig(rotary_pct=spec["dim"] / spec["d"], **shape)


def embedding_class(config):
    if isinstance(config, LlamaConfig):
        return modeling_llama.LlamaRotaryEmbedding
    return modeling_gpt_neox.GPTNeoXRotaryEmbedding


def frequencies(config):
    """(inverse frequencies, attention factor) by the library's formula for the configured type."""
    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        return embedding_class(config).compute_default_rope_parameters(config)
    return ROPE_INIT_FUNCTIONS[kind](config)


def rotate(spec, vectors, cos, sin):
    """`vectors` [positions, d] rotated by the library; cos and sin are [positions, dim/2]."""
    if spec["pairing"] == "interleaved":
        head = vectors[None, :, None, : spec["dim"]]
        turned = modeling_gptj.apply_rotary_pos_emb(head, sin[None], cos[None])[0, :, 0]
        return torch.cat((turned, vectors[:, spec["dim"]:]), dim=-1)
    library = modeling_llama if spec["dim"] == spec["d"] else modeling_gpt_neox
    both = [torch.cat((table, table), dim=-1)[None] for table in (cos, sin)]
    vectors = vectors[None, None]
    return library.apply_rotary_pos_emb(vectors, vectors, *both)[0][0, 0]


def library_tables(spec, config):
    """The library's own float32 cosines and sines, [positions, dim/2] each."""
    positions = torch.tensor(POSITIONS)
    if spec["pairing"] == "interleaved" and spec["theta"] == 1e4:
        table = modeling_gptj.create_sinusoidal_positions(max(POSITIONS) + 1, spec["dim"])
        sin, cos = table[positions].chunk(2, dim=-1)
        return cos, sin
    module = embedding_class(config)(config)
    cos, sin = module(torch.zeros(1), positions[None])
    return cos[0, :, : spec["dim"] // 2], sin[0, :, : spec["dim"] // 2]


def input_vector(d):
    return [round(((37 * i) % 101) / 50 - 1, 2) for i in range(d)]


def make_case(spec):
    config = config_of(spec)
    narrow, _ = frequencies(config)
    with library_in_double():
        wide, factor = frequencies(config)
    assert narrow.dtype == torch.float32 and wide.dtype == torch.float64
    assert ((narrow - wide).abs() <= 1e-6 * wide).all(), spec["name"]

    angles = torch.tensor(POSITIONS, dtype=torch.float64)[:, None] * wide
    vectors = torch.tensor(input_vector(spec["d"]), dtype=torch.float64).repeat(len(POSITIONS), 1)
    rotated = rotate(spec, vectors, angles.cos() * factor, angles.sin() * factor)
    apart = (rotate(spec, vectors.float(), *library_tables(spec, config)) - rotated).abs()
    apart = apart.amax(dim=-1).tolist()
    assert max(apart[:5]) < 2e-5 and max(apart) < 5e-2, (spec["name"], apart)

    return {
        "name": spec["name"],
        "rope": {"pairing": spec["pairing"], "theta": spec["theta"], "dim": spec["dim"],
                 "scaling": spec["scaling"], "attention_factor": factor},
        "d": spec["d"],
        "inv_freq": [float(f"{value:.13g}") for value in wide.tolist()],
        "float32_difference": [float(f"{value:.2g}") for value in apart],
        "input": input_vector(spec["d"]),
        # Adding zero turns a rounded -0.0 into 0.0.
        "rotated": [[round(value, DECIMALS) + 0.0 for value in row] for row in rotated.tolist()],
    }


def main():
    default = pathlib.Path(__file__).with_name("rope_golden.json")
    golden_json.write(sys.argv[1] if len(sys.argv) > 1 else default, {
        "made_by": "make_rope_golden.py",
        "versions": golden_json.versions("torch", "transformers"),
        "note": "inv_freq and rotated in float64; float32_difference: the library's own float32 "
                "result against rotated, per position",
        "positions": POSITIONS,
        "cases": [make_case(spec) for spec in CASES],
    })


if __name__ == "__main__":
    main()
