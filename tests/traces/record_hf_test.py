#!/usr/bin/env python3
"""Tests traces/record_hf.py on tiny random models of every family it supports.

    python3 tests/traces/record_hf_test.py

Where torch or transformers are missing, the tests that need them are skipped with a message and the
exit code stays 0: recording from Hugging Face models is an optional part.
"""

import contextlib
import importlib.util
import io
import json
import pathlib
import struct
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load_recorder():
    spec = importlib.util.spec_from_file_location("record_hf", ROOT / "traces" / "record_hf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


record_hf = load_recorder()
try:
    import numpy as np
    import torch
    import transformers
    MISSING = ""
except ImportError as error:
    MISSING = f"{error}: models cannot be built here"

VOCABULARY = 96
PROMPT = [(7 * i * i + 11 * i + 5) % VOCABULARY for i in range(40)]
DECODE = 5
SHAPE = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
         "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 256, "initializer_range": 0.2, "bos_token_id": 1,
         "eos_token_id": 2, "pad_token_id": 0}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
EXPERTS = {"num_experts_per_tok": 2}


def families():
    """One configuration a family, with what sets it apart turned on, and small enough to show."""
    t = transformers
    return {
        "llama": t.LlamaConfig(**SHAPE, rope_theta=5e3, rope_scaling=dict(LLAMA3)),
        "llama with biases": t.LlamaConfig(**SHAPE, head_dim=16, attention_bias=True),
        "mistral": t.MistralConfig(**SHAPE, head_dim=8, sliding_window=12,
                                   rope_scaling=dict(YARN)),
        "mixtral": t.MixtralConfig(**SHAPE, **EXPERTS, num_local_experts=3, sliding_window=None),
        "qwen2": t.Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=9,
                               max_window_layers=2),
        "qwen3": t.Qwen3Config(**SHAPE, head_dim=16,
                               rope_scaling={"rope_type": "linear", "factor": 2.0}),
        "qwen3_moe": t.Qwen3MoeConfig(**SHAPE, **EXPERTS, head_dim=16, num_experts=3,
                                      moe_intermediate_size=24),
        "gemma": t.GemmaConfig(**SHAPE, head_dim=16),
        "gemma2": t.Gemma2Config(**SHAPE, head_dim=16, query_pre_attn_scalar=20,
                                 attn_logit_softcapping=2.0, sliding_window=10),
        "gemma3_text": t.Gemma3TextConfig(
            **SHAPE, head_dim=16, query_pre_attn_scalar=24, sliding_window=11,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_theta=2e4, rope_local_base_freq=3e2,
            rope_scaling={"rope_type": "linear", "factor": 4.0}),
        "phi3": t.Phi3Config(**SHAPE, partial_rotary_factor=0.5, sliding_window=None),
    }


def build_model(config, folder):
    """Saves a random model whose norms and biases do something, too."""
    torch.manual_seed(20)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)


def save_tokenizer(folder):
    """Words w0, w1, ... as tokens, so that a text's token range is known beforehand."""
    import tokenizers
    words = {f"w{i}": i for i in range(VOCABULARY)}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(tokenizer_object=plain).save_pretrained(folder)


def run(*arguments):
    """(exit code, standard error) of the program."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = record_hf.main([str(argument) for argument in arguments])
    return code, errors.getvalue()


class Trace:
    """A trace read with nothing but the file format's description."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8:8 + size])
        metadata = header.pop("__metadata__")
        assert (metadata["format"], metadata["version"]) == ("kvsieve.trace", "1")
        assert size % 8 == 0
        self.document = json.loads(metadata["kvsieve"])
        self.model = self.document["model"]
        self.body, self.entries = data[8 + size:], header
        ends = sorted(entry["data_offsets"] for entry in header.values())
        assert [begin for begin, _ in ends] == [0] + [end for _, end in ends[:-1]]
        assert ends[-1][1] == len(self.body)

    def __getitem__(self, name):
        entry = self.entries[name]
        raw = self.body[slice(*entry["data_offsets"])]
        if entry["dtype"] == "BF16":
            wide = np.frombuffer(raw, "<u2").astype("<u4") << 16
            return wide.view("<f4").reshape(entry["shape"]).astype(np.float64)
        kind = {"F16": "<f2", "F32": "<f4", "I32": "<i4"}[entry["dtype"]]
        values = np.frombuffer(raw, kind).reshape(entry["shape"])
        return values if kind == "<i4" else values.astype(np.float64)

    def spec(self, layer):
        changes = self.model["layer_overrides"].get(str(layer), {})
        return merge({key: self.model[key] for key in ("rope", "attention")}, changes)


def merge(base, changes):
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def rotate(rows, positions, rope):
    """rows [H, T, d] at `positions` [T]"""
    half = rope["dim"] // 2
    angles = np.outer(positions, record_hf.rope_frequencies(rope))
    cos, sin = (table * rope["attention_factor"] for table in (np.cos(angles), np.sin(angles)))
    first, second = rows[..., :half], rows[..., half:2 * half]
    return np.concatenate((first * cos - second * sin, second * cos + first * sin,
                           rows[..., 2 * half:]), axis=-1)


def replay(trace, layer, spec):
    """The attention output [Hq, M, d] that follows from the trace's q, k and v."""
    keys, values, queries = (trace[f"layers.{layer}.{name}"] for name in ("k", "v", "q"))
    positions = trace["query_positions"]
    everything = np.arange(keys.shape[1])
    keys, queries = rotate(keys, everything, spec["rope"]), rotate(queries, positions, spec["rope"])
    group = queries.shape[0] // keys.shape[0]
    keys, values = np.repeat(keys, group, axis=0), np.repeat(values, group, axis=0)
    scores = spec["attention"]["scale"] * queries @ keys.swapaxes(1, 2)
    if spec["attention"]["softcap"]:
        scores = spec["attention"]["softcap"] * np.tanh(scores / spec["attention"]["softcap"])
    distance = positions[:, None] - everything
    window = spec["attention"]["sliding_window"] or len(everything)
    scores[:, (distance < 0) | (distance >= window)] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ values


def relative_error(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def one_shot(folder, tokens):
    """What the model computes when all tokens go through it in a single pass, without a cache.

    Returns (inputs of o_proj, outputs of o_proj without bias, most likely next tokens).
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager").float().eval()
    inputs, outputs = {}, {}

    def watch(layer):
        def hook(module, arguments, output):
            inputs[layer] = arguments[0][0].numpy()
            bias = 0 if module.bias is None else module.bias
            outputs[layer] = (output[0] - bias).numpy()
        return hook
    for name, module in model.named_modules():
        if name.endswith("self_attn.o_proj"):
            module.register_forward_hook(watch(int(name.split(".")[-3])))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    return inputs, outputs, logits.argmax(dim=-1).tolist()


class InFolder(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.output = self.folder / "trace.safetensors"
        self.ids = self.folder / "ids.json"
        self.ids.write_text(json.dumps(PROMPT), encoding="utf-8")

    def expect_failure(self, code, pattern, *arguments):
        """The exit code, one line that says why, and no file."""
        got, errors = run(*arguments)
        lines = [line for line in errors.splitlines() if line.strip()]
        self.assertEqual(got, code, errors)
        self.assertEqual(len(lines), 1, errors)
        self.assertRegex(lines[0], pattern)
        self.assertFalse(self.output.exists())


@unittest.skipIf(MISSING, MISSING)
class EveryFamily(InFolder):
    def record(self, config, *more):
        model = self.folder / "model"
        build_model(config, model)
        code, errors = run(model, "--token-ids", self.ids, "--decode", DECODE, "--chunk", 16,
                           "--prompt-queries", 8, "--dtype", "F32", "--output", self.output, *more)
        self.assertEqual(code, 0, errors)
        return Trace(self.output)

    def check_shapes(self, trace, config):
        heads, kv_heads = SHAPE["num_attention_heads"], SHAPE["num_key_value_heads"]
        d = getattr(config, "head_dim", None) or SHAPE["hidden_size"] // heads
        tokens, queries = len(PROMPT) + DECODE, 8 + DECODE
        for layer in range(SHAPE["num_hidden_layers"]):
            for name, shape in (("k", (kv_heads, tokens, d)), ("v", (kv_heads, tokens, d)),
                                ("q", (heads, queries, d)), ("out", (heads, queries, d)),
                                ("wo", (heads, d, SHAPE["hidden_size"]))):
                self.assertEqual(trace[f"layers.{layer}.{name}"].shape, shape)
        self.assertEqual(trace["query_positions"].tolist(), list(range(32, 45)))
        self.assertEqual((trace.model["q_heads"], trace.model["kv_heads"]), (heads, kv_heads))
        self.assertEqual(trace.document["captured_layers"], [0, 1, 2])
        self.assertEqual((trace.document["prompt_tokens"], trace.document["decode_tokens"]),
                         (len(PROMPT), DECODE))

    def check_against_model(self, trace):
        tokens = trace["tokens"].tolist()
        inputs, outputs, following = one_shot(self.folder / "model", tokens)
        self.assertEqual(tokens[:len(PROMPT)], PROMPT)
        self.assertEqual(tokens[len(PROMPT):], following[len(PROMPT) - 1:-1])
        rows = trace["query_positions"]
        for layer in range(trace.model["layers"]):
            out, weight = trace[f"layers.{layer}.out"], trace[f"layers.{layer}.wo"]
            flat = out.swapaxes(0, 1).reshape(len(rows), -1)
            self.assertLess(relative_error(flat, inputs[layer][rows]), 1e-4)
            projected = sum(head @ matrix for head, matrix in zip(out, weight))
            self.assertLess(relative_error(projected, outputs[layer][rows]), 1e-4)

    def test_replay_reproduces_every_family(self):
        for name, config in families().items():
            with self.subTest(name):
                trace = self.record(config, "--force")
                self.check_shapes(trace, config)
                self.check_against_model(trace)
                for layer in range(trace.model["layers"]):
                    out = trace[f"layers.{layer}.out"]
                    error = relative_error(replay(trace, layer, trace.spec(layer)), out)
                    self.assertLess(error, 1e-4, f"layer {layer}")

    def test_each_setting_of_the_metadata_matters(self):
        """A replay that ignores a setting must fail, or the test above proves nothing."""
        ignoring = {
            "llama": {"rope": {"scaling": None}},
            "mistral": {"attention": {"sliding_window": None}},
            "mistral attention factor": {"rope": {"attention_factor": 1.0}},
            "gemma2": {"attention": {"softcap": None}},
            "gemma2 scale": {"attention": {"scale": 0.25}},
            "gemma3_text": {"attention": {"sliding_window": None}},
            "gemma3_text theta": {"rope": {"theta": 2e4}},
            "phi3": {"rope": {"dim": 8}},
        }
        configs = families()
        for name, changes in ignoring.items():
            with self.subTest(name):
                trace = self.record(configs[name.split(" ")[0]], "--force")
                wrong = merge(trace.spec(0), changes)
                error = relative_error(replay(trace, 0, wrong), trace["layers.0.out"])
                self.assertGreater(error, 1e-3)

    def test_gemma3_overrides_name_only_what_differs(self):
        trace = self.record(families()["gemma3_text"])
        local = {"rope": {"theta": 300.0, "scaling": None}, "attention": {"sliding_window": 11}}
        self.assertEqual(trace.model["layer_overrides"], {"0": local, "2": local})
        self.assertEqual(trace.model["rope"]["scaling"], {"type": "linear", "factor": 4.0})
        self.assertAlmostEqual(trace.model["attention"]["scale"], 24 ** -0.5)

    def test_all_queries_of_chosen_layers(self):
        trace = self.record(families()["qwen2"], "--prompt-queries", "all", "--layers", "0,2",
                            "--chunk", "7")
        self.assertEqual(trace["query_positions"].tolist(), list(range(45)))
        self.assertEqual(trace.document["captured_layers"], [0, 2])
        self.assertNotIn("layers.1.k", trace.entries)
        for layer in (0, 2):
            error = relative_error(replay(trace, layer, trace.spec(layer)),
                                   trace[f"layers.{layer}.out"])
            self.assertLess(error, 1e-4)

    def test_no_decode_steps(self):
        trace = self.record(families()["llama"], "--decode", "0")
        self.assertEqual(trace["query_positions"].tolist(), list(range(32, 40)))
        self.assertEqual(trace["tokens"].tolist(), PROMPT)

    def test_decoding_goes_on_after_the_end_of_text_and_says_so(self):
        config = families()["llama"]
        trace = self.record(config)
        config.eos_token_id = int(trace["tokens"][len(PROMPT) + 1])
        build_model(config, self.folder / "model")
        code, errors = run(self.folder / "model", "--token-ids", self.ids, "--decode", DECODE,
                           "--force", "--output", self.output)
        self.assertEqual(code, 0, errors)
        self.assertRegex(errors, r"ended its text after [12] decode steps")
        again = Trace(self.output)
        self.assertRegex(again.document["source"]["note"], r"text ended after decode step [12]$")
        self.assertEqual(again["tokens"].tolist(), trace["tokens"].tolist())

    def test_half_precision_models(self):
        """The model rounds more, but what is recorded still fits together."""
        trace = self.record(families()["qwen3"], "--compute", "BF16")
        for layer in range(3):
            error = relative_error(replay(trace, layer, trace.spec(layer)),
                                   trace[f"layers.{layer}.out"])
            self.assertLess(error, 3e-2)

    def test_narrow_formats_hold_the_same_numbers(self):
        wide = self.record(families()["llama"])
        for dtype, step in (("F16", 2.0 ** -11), ("BF16", 2.0 ** -8)):
            narrow = self.record(families()["llama"], "--force", "--dtype", dtype)
            self.assertEqual(narrow.document["dtype"], dtype)
            for name in ("k", "q", "v", "wo", "out"):
                name = f"layers.1.{name}"
                self.assertEqual(narrow.entries[name]["dtype"], dtype)
                exact = wide[name]
                self.assertTrue((abs(narrow[name] - exact) <= step * abs(exact) + 1e-7).all())

    def test_the_usual_reader_agrees(self):
        try:
            from safetensors import numpy as safetensors_numpy
        except ImportError:
            self.skipTest("safetensors is not installed")
        trace = self.record(families()["phi3"])
        tensors = safetensors_numpy.load_file(str(self.output))
        self.assertEqual(set(tensors), set(trace.entries))
        for name, values in tensors.items():
            np.testing.assert_array_equal(values, trace[name])

    def test_needle(self):
        model = self.folder / "model"
        build_model(families()["llama"], model)
        save_tokenizer(model)
        text = self.folder / "prompt.txt"
        text.write_text(" ".join(f"w{token}" for token in PROMPT), encoding="utf-8")
        needle = " ".join(f"w{token}" for token in PROMPT[12:15])
        for source in (("--prompt", text), ("--token-ids", self.ids)):
            code, errors = run(model, *source, "--needle", needle, "--decode", 1, "--force",
                               "--output", self.output)
            self.assertEqual(code, 0, errors)
            trace = Trace(self.output)
            self.assertEqual(trace.document["needle"], {"begin": 12, "end": 15, "text": needle})
            self.assertEqual(trace["tokens"].tolist()[:-1], PROMPT)
        self.output.unlink()
        self.expect_failure(3, "does not hold", model, "--prompt", text, "--needle", "w0 w0 w0",
                            "--output", self.output)


@unittest.skipIf(MISSING, MISSING)
class Refusals(InFolder):
    def save_config(self, config):
        folder = self.folder / "model"
        config.save_pretrained(folder)
        return folder

    def test_other_architectures(self):
        model = self.save_config(transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1))
        self.expect_failure(2, "architecture gpt2 not supported; supported: llama, ", model,
                            "--token-ids", self.ids, "--output", self.output)

    def test_other_rope_types(self):
        model = self.save_config(transformers.LlamaConfig(
            **SHAPE, rope_scaling={"rope_type": "dynamic", "factor": 2.0}))
        self.expect_failure(2, "rope type 'dynamic' not supported", model, "--token-ids", self.ids,
                            "--output", self.output)

    def test_layers_out_of_range(self):
        model = self.save_config(transformers.LlamaConfig(**SHAPE))
        self.expect_failure(2, "no layer 3", model, "--token-ids", self.ids, "--layers", "0-3",
                            "--output", self.output)

    def test_bad_token_files(self):
        model = self.save_config(transformers.LlamaConfig(**SHAPE))
        for content, pattern in (("[1, 2", "not JSON"), ("[1, true]", "whole numbers"),
                                 ("{}", "whole numbers"), ("[]", "no tokens"),
                                 ("[1, 96]", "token 96"), ("[-1]", "token -1")):
            self.ids.write_text(content, encoding="utf-8")
            self.expect_failure(3, pattern, model, "--token-ids", self.ids,
                                "--output", self.output)

    def test_a_folder_without_a_model(self):
        self.expect_failure(3, "cannot load the configuration", self.folder, "--token-ids",
                            self.ids, "--output", self.output)

    def test_a_model_that_rotates_otherwise(self):
        model = self.folder / "model"
        build_model(families()["llama"], model)
        with mock.patch.object(record_hf, "rope_settings", lambda *_: {"rope_theta": 7e4}):
            self.expect_failure(2, "rotates otherwise", model, "--token-ids", self.ids,
                                "--output", self.output)

    def test_numbers_that_f16_cannot_hold(self):
        model = self.folder / "model"
        config = families()["llama"]
        build_model(config, model)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(model)
        with torch.no_grad():
            loaded.model.layers[1].self_attn.v_proj.weight *= 1e6
        loaded.save_pretrained(model)
        self.expect_failure(3, "layer 1, v: a number too large", model, "--token-ids", self.ids,
                            "--output", self.output)
        self.assertEqual(list(self.folder.glob(".*tmp")), [])
        code, errors = run(model, "--token-ids", self.ids, "--dtype", "BF16", "--decode", 1,
                           "--output", self.output)
        self.assertEqual(code, 0, errors)


class WithoutModels(InFolder):
    """What needs neither torch nor transformers."""

    def test_usage(self):
        ids = ("--token-ids", self.ids)
        for pattern, arguments in (
                ("required", ["m", "--output", self.output]),
                ("not allowed", ["m", "--prompt", "p", *ids, "--output", self.output]),
                ("--decode", ["m", *ids, "--decode", "-1", "--output", self.output]),
                ("--dtype", ["m", *ids, "--dtype", "F8", "--output", self.output]),
                ("no folder", ["m", *ids, "--output", self.folder / "none" / "x"]),
                ("is a folder", ["m", *ids, "--output", self.folder])):
            self.expect_failure(2, pattern, *arguments)

    def test_an_existing_file_stays(self):
        existing = self.folder / "old"
        existing.write_text("old", encoding="utf-8")
        self.expect_failure(2, "exists; --force", "m", "--token-ids", self.ids,
                            "--output", existing)
        self.assertEqual(existing.read_text(encoding="utf-8"), "old")

    def test_a_missing_prompt(self):
        self.expect_failure(3, "cannot read", "m", "--prompt", self.folder / "none",
                            "--output", self.output)

    def test_missing_packages(self):
        for package in ("torch", "transformers", "numpy"):
            with mock.patch.dict(sys.modules, {package: None}):
                self.expect_failure(4, "pip install torch transformers", "m", "--token-ids",
                                    self.ids, "--output", self.output)

    def test_layer_lists(self):
        self.assertEqual(record_hf.parse_layers(None, 3), [0, 1, 2])
        self.assertEqual(record_hf.parse_layers("8-11,0,4, 4", 12), [0, 4, 8, 9, 10, 11])
        for text in ("", "a", "1-", "-1", "3-2", "1-2-3", "0,,1", "12"):
            with self.assertRaises(record_hf.Failure, msg=text):
                record_hf.parse_layers(text, 12)

    def test_frequencies_are_those_of_the_golden_file(self):
        golden = json.loads((ROOT / "tests/golden/rope_golden.json").read_text(encoding="ascii"))
        for case in golden["cases"]:
            got = record_hf.rope_frequencies(case["rope"])
            self.assertEqual(len(got), len(case["inv_freq"]))
            for mine, theirs in zip(got, case["inv_freq"]):
                self.assertAlmostEqual(mine / theirs, 1, delta=1e-11, msg=case["name"])

    def test_differences_merge_back(self):
        base = {"a": 1, "b": {"c": 2, "d": None}, "e": {"f": 1}}
        other = {"a": 1, "b": {"c": 3, "d": {"x": 1}}, "e": None}
        changes = record_hf.difference(base, other)
        self.assertEqual(changes, {"b": {"c": 3, "d": {"x": 1}}, "e": None})
        self.assertEqual(merge(base, changes), other)


if __name__ == "__main__":
    if MISSING:
        print(f"skipping the tests on models: {MISSING}")
    unittest.main()
