#!/usr/bin/env python3
"""End-to-end tests of kvsieve-record.

KVSIEVE_RECORD names the program. Most tests run on small random models that they write; those of
RealModel run when KVSIEVE_TEST_GGUF names a GGUF file.
"""
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import numpy as np
    from tiny_gguf import decode_tokens, encode, write_tiny_gguf
    from trace_reader import TraceReader
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    print("skipped: numpy is not installed (Debian: python3-numpy)")
    sys.exit(77)

PROGRAM = os.environ.get("KVSIEVE_RECORD", "kvsieve-record")
REAL_MODEL = os.environ.get("KVSIEVE_TEST_GGUF", "")

NEEDLE = "the spare key hangs behind the green clock"
PROMPT = ("It was a quiet evening by the harbour. " * 5 + "As nobody else knew, " + NEEDLE + ". " +
          "The boats came in one by one. " * 3 + "Where is the key?")
PROMPT_TOKENS = 1 + len(PROMPT)
EXACT = 2e-5  # fp32 tensors of short prompts, where llama.cpp's fp32 angles are still exact


def llama3_factors(dim, theta, factor, low, high, context):
    plain = theta ** (-np.arange(0, dim, 2) / dim)
    kept = np.clip((context * plain / (2 * np.pi) - low) / (high - low), 0.0, 1.0)
    return 1.0 / (kept + (1.0 - kept) / factor)


class RecorderTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.prompt = self.folder / "prompt.txt"
        self.prompt.write_text(PROMPT + "\n")
        self.model = self.folder / "model.gguf"
        self.trace = self.folder / "out.kvtrace"

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                              timeout=300, check=False)

    def arguments(self, *more, model=None, prompt=None):
        return [model or self.model, "--prompt", prompt or self.prompt, "--output", self.trace,
                "--decode", 6, "--threads", 1, *more]

    def record(self, *more, **files):
        done = self.run_program(*self.arguments(*more, **files))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "")
        return TraceReader(self.trace)

    def assert_refuses(self, code, message, *more, **files):
        done = self.run_program(*self.arguments(*more, **files))
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(message, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assert_nothing_written()

    def assert_nothing_written(self):
        self.assertEqual([path.name for path in self.folder.glob("out.kvtrace*")], [])

    def assert_replays(self, trace, tolerance):
        for layer in trace.header["captured_layers"]:
            self.assertLess(trace.replay_error(layer), tolerance, f"layer {layer}")


class Architectures(RecorderTest):
    """Each supported architecture: the trace replays the model's own attention outputs."""

    def check(self, architecture, prompt=PROMPT, **options):
        weights = write_tiny_gguf(self.model, architecture, **options)
        self.prompt.write_text(prompt)
        trace = self.record("--dtype", "F32", "--prompt-queries", "all")
        self.assertEqual(trace.model["architecture"], architecture)
        self.assert_replays(trace, EXACT)
        return trace, weights

    def test_llama(self):
        trace, _ = self.check("llama")
        self.assertEqual(trace.model["rope"], {"pairing": "interleaved", "theta": 10000.0,
                                               "dim": 32, "scaling": None,
                                               "attention_factor": 1.0})
        self.assertEqual(trace.model["layer_overrides"], {})

    def test_llama_with_linear_scaling(self):
        trace, _ = self.check("llama", metadata={".rope.scaling.type": "linear",
                                                 ".rope.scaling.factor": 4.0})
        self.assertEqual(trace.model["rope"]["scaling"], {"type": "linear", "factor": 4.0})

    def test_llama_with_llama3_scaling(self):
        factors = llama3_factors(32, 500000.0, 8.0, 1.0, 4.0, 128)
        trace, _ = self.check("llama", tensors={"rope_freqs.weight": factors},
                              **{"rope.freq_base": 500000.0})
        scaling = trace.model["rope"]["scaling"]
        self.assertEqual(scaling["type"], "llama3")
        self.assertEqual(scaling["original_max_position_embeddings"], 128)

    def test_yarn(self):
        metadata = {".rope.scaling.type": "yarn", ".rope.scaling.factor": 4.0,
                    ".rope.scaling.original_context_length": 64}
        for architecture in ("llama", "qwen3"):
            with self.subTest(architecture):
                self.trace.unlink(missing_ok=True)
                trace, _ = self.check(architecture, metadata=metadata)
                self.assertEqual(trace.model["rope"]["scaling"]["type"], "yarn")
                self.assertAlmostEqual(trace.model["rope"]["attention_factor"],
                                       0.1 * np.log(4.0) + 1.0, 6)

    def test_qwen2(self):
        trace, _ = self.check("qwen2", **{"attention.key_length": 24,
                                          "attention.value_length": 24,
                                          "rope.dimension_count": 24})
        self.assertEqual(trace.model["rope"]["pairing"], "half")

    def test_qwen3(self):
        trace, _ = self.check("qwen3")
        self.assertEqual(trace.model["rope"]["pairing"], "half")

    def test_gemma3(self):
        metadata = {".attention.sliding_window": 16,
                    ".attention.sliding_window_pattern": [True, False, True, False],
                    ".rope.scaling.type": "linear", ".rope.scaling.factor": 8.0}
        trace, _ = self.check("gemma3", metadata=metadata, **{"rope.freq_base": 1000000.0})
        self.assertEqual(set(trace.model["layer_overrides"]), {"0", "2"})
        local = trace.layer_spec(0)
        self.assertEqual(local["attention"]["sliding_window"], 16)
        self.assertEqual(local["rope"]["theta"], 10000.0)
        self.assertIsNone(local["rope"]["scaling"])
        self.assertEqual(trace.layer_spec(1)["rope"]["theta"], 1000000.0)
        self.assertIsNone(trace.layer_spec(1)["attention"]["sliding_window"])

    def test_gemma3_with_a_period(self):
        metadata = {".attention.sliding_window": 16, ".attention.sliding_window_pattern": 3}
        trace, _ = self.check("gemma3", metadata=metadata)
        self.assertEqual(set(trace.model["layer_overrides"]), {"0", "1", "3"})

    def test_first_layer_follows_from_the_weights(self):
        trace, weights = self.check("llama")
        embedded = weights["token_embd.weight"][trace.tensor("tokens")].astype(np.float64)
        normed = embedded / np.sqrt((embedded ** 2).mean(axis=1, keepdims=True) + 1e-6)
        normed *= weights["blk.0.attn_norm.weight"]
        for part, heads in (("q", 4), ("k", 2), ("v", 2)):
            expected = normed @ weights[f"blk.0.attn_{part}.weight"].T
            expected = expected.reshape(-1, heads, 32).transpose(1, 0, 2)
            np.testing.assert_allclose(trace.tensor(f"layers.0.{part}"), expected, atol=1e-4)

    def test_output_projection(self):
        trace, weights = self.check("llama")
        for layer in range(4):
            stored = weights[f"blk.{layer}.attn_output.weight"]  # [D, Hq d]
            np.testing.assert_array_equal(trace.tensor(f"layers.{layer}.wo"),
                                          stored.T.reshape(4, 32, 96))


class TraceContents(RecorderTest):
    def setUp(self):
        super().setUp()
        write_tiny_gguf(self.model, "llama")

    def test_shapes_positions_and_tokens(self):
        trace = self.record("--layers", "1,3", "--prompt-queries", 20, "--note", "a note")
        total = PROMPT_TOKENS + 6
        header = trace.header
        self.assertEqual(trace.metadata["format"], "kvsieve.trace")
        self.assertEqual(header["captured_layers"], [1, 3])
        self.assertEqual((header["prompt_tokens"], header["decode_tokens"]), (PROMPT_TOKENS, 6))
        self.assertEqual(header["dtype"], "F16")
        self.assertIsNone(header["needle"])
        self.assertEqual(header["source"]["tool"], "kvsieve-record")
        self.assertEqual(header["source"]["note"], "a note")
        self.assertEqual(header["source"]["prompt_sha256"],
                         hashlib.sha256(self.prompt.read_bytes()).hexdigest())
        parts = {"k": (2, total, 32), "v": (2, total, 32), "q": (4, 26, 32), "wo": (4, 32, 96),
                 "out": (4, 26, 32)}
        self.assertEqual(trace.names(), {"query_positions", "tokens"} |
                         {f"layers.{layer}.{part}" for layer in (1, 3) for part in parts})
        for layer in (1, 3):
            for part, shape in parts.items():
                self.assertEqual(trace.tensor(f"layers.{layer}.{part}").shape, shape)
                self.assertEqual(trace.dtype(f"layers.{layer}.{part}"), "F16")
        np.testing.assert_array_equal(trace.tensor("query_positions"),
                                      np.arange(PROMPT_TOKENS - 20, total))
        self.assertEqual(trace.tensor("tokens")[:PROMPT_TOKENS].tolist(), encode(PROMPT))
        self.assert_replays(trace, 5e-3)

    def test_model_shape(self):
        model = self.record().model
        self.assertEqual({key: model[key] for key in ("name", "layers", "q_heads", "kv_heads",
                                                      "head_dim", "width")},
                         {"name": "tiny llama", "layers": 4, "q_heads": 4, "kv_heads": 2,
                          "head_dim": 32, "width": 96})
        self.assertAlmostEqual(model["attention"]["scale"], 32 ** -0.5)

    def test_several_micro_batches(self):
        long_prompt = PROMPT * 4
        self.prompt.write_text(long_prompt)
        self.assertGreater(len(long_prompt), 1024)
        # The captured queries begin inside the second of three micro-batches.
        trace = self.record("--dtype", "F32", "--prompt-queries", 700)
        self.assertEqual(trace.tensor("tokens")[:1 + len(long_prompt)].tolist(),
                         encode(long_prompt))
        self.assert_replays(trace, 1e-4)

    def test_micro_batches_do_not_change_layer_0(self):
        # In layer 0, keys and values depend on the token alone.
        self.prompt.write_text(PROMPT * 4)
        trace = self.record("--dtype", "F32", "--layers", 0)
        tokens = trace.tensor("tokens")
        keys = trace.tensor("layers.0.k")
        for token in set(tokens.tolist()):
            rows = keys[:, tokens == token]
            np.testing.assert_allclose(rows, np.broadcast_to(rows[:, :1], rows.shape), atol=1e-5)

    def test_needle(self):
        needle = self.record("--needle", NEEDLE).header["needle"]
        begin = 1 + PROMPT.index(NEEDLE)
        self.assertEqual(needle, {"begin": begin, "end": begin + len(NEEDLE), "text": NEEDLE})

    def test_needle_of_multibyte_characters(self):
        self.prompt.write_text("Un café noir, s'il vous plaît. " + PROMPT, encoding="utf-8")
        needle = self.record("--needle", "é noir").header["needle"]
        self.assertEqual((needle["begin"], needle["end"]), (1 + 6, 1 + 6 + 7))

    def test_repeated_needle_marks_the_first(self):
        done = self.run_program(*self.arguments("--needle", "by the harbour"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("more than once", done.stderr)
        needle = TraceReader(self.trace).header["needle"]
        self.assertEqual(needle["begin"], 1 + PROMPT.index("by the harbour"))

    def test_more_queries_than_the_prompt_has(self):
        trace = self.record("--prompt-queries", 100000)
        self.assertEqual(trace.tensor("query_positions")[0], 0)

    def test_decode_only_and_prompt_only(self):
        trace = self.record("--prompt-queries", 0)
        self.assertEqual(len(trace.tensor("query_positions")), 6)
        self.trace.unlink()
        done = self.run_program(self.model, "--prompt", self.prompt, "--output", self.trace,
                                "--decode", 0, "--prompt-queries", 3, "--threads", 1)
        self.assertEqual(done.returncode, 0, done.stderr)
        trace = TraceReader(self.trace)
        self.assertEqual(trace.header["decode_tokens"], 0)
        self.assertEqual(trace.tensor("query_positions").tolist(),
                         [PROMPT_TOKENS - 3, PROMPT_TOKENS - 2, PROMPT_TOKENS - 1])
        self.assert_replays(trace, 5e-3)

    def test_bfloat(self):
        trace = self.record("--dtype", "BF16")
        self.assertEqual(trace.dtype("layers.0.k"), "BF16")
        self.assert_replays(trace, 2e-2)

    def test_decoding_goes_on_past_the_end_of_generation(self):
        # Blocks that add nothing, positive embeddings and one positive row of output weights: the
        # most likely token is always the end-of-generation one.
        weights = write_tiny_gguf(self.model, "llama")
        tensors = {f"blk.{layer}.{part}.weight": 0.0 * weights[f"blk.{layer}.{part}.weight"]
                   for layer in range(4) for part in ("attn_output", "ffn_down")}
        tensors["token_embd.weight"] = np.abs(weights["token_embd.weight"])
        tensors["output.weight"] = np.zeros_like(weights["token_embd.weight"])
        tensors["output.weight"][2] = 1.0
        write_tiny_gguf(self.model, "llama", tensors=tensors)
        trace = self.record()
        self.assertEqual(trace.tensor("tokens")[-6:].tolist(), [2] * 6)

    def test_chat_template(self):
        template = "{% for m in messages %}<|im_start|>{{ m.role }}<|im_end|>{% endfor %}"
        write_tiny_gguf(self.model, "llama", metadata={"tokenizer.chat_template": template})
        trace = self.record("--chat", "--needle", NEEDLE)
        text = decode_tokens(trace.tensor("tokens")[:-6].tolist())
        self.assertTrue(text.startswith("<|im_start|>user\n" + PROMPT[:10]), text[:40])
        self.assertTrue(text.endswith("<|im_start|>assistant\n"), text[-40:])
        needle = trace.header["needle"]
        self.assertEqual(text[needle["begin"] - 1:needle["end"] - 1], NEEDLE)


class Refusals(RecorderTest):
    def setUp(self):
        super().setUp()
        write_tiny_gguf(self.model, "llama")

    def test_help_and_version(self):
        done = self.run_program("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertLess(done.stdout.index("Examples:"), done.stdout.index("--decode"))
        self.assertIn("64", done.stdout)
        done = self.run_program("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^kvsieve-record \d+\.\d+\.\d+ \(llama\.cpp .+\)\n$")

    def test_usage(self):
        for message, arguments in {
            "no number from 0 on": ["--decode", "-1"],
            "--prompt-queries": ["--prompt-queries", "most"],
            "0 to 3": ["--layers", "0,4"],
            "supported: F16, BF16, F32": ["--dtype", "F64"],
            "--threads": ["--threads", "0"],
            "unrecognised option": ["--no-such-option"],
            "does not contain": ["--needle", "no such text"],
        }.items():
            with self.subTest(message):
                replaced = [str(item) for item in self.arguments()]
                if arguments[0] in replaced:
                    at = replaced.index(arguments[0])
                    del replaced[at:at + 2]
                done = self.run_program(*replaced, *arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(message, done.stderr)
                self.assert_nothing_written()

    def test_missing_arguments(self):
        for arguments in ([], [self.model], [self.model, "--prompt", self.prompt],
                          ["--prompt", self.prompt, "--output", self.trace]):
            done = self.run_program(*arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("is missing", done.stderr)

    def test_context_too_small(self):
        self.assert_refuses(2, f"need {PROMPT_TOKENS + 6}", "--context", PROMPT_TOKENS + 5)

    def test_missing_and_malformed_files(self):
        self.assert_refuses(3, "no such file", model=self.folder / "none.gguf")
        self.assert_refuses(3, "cannot read the prompt", prompt=self.folder / "none.txt")
        self.assert_refuses(3, "cannot read the prompt", prompt=self.folder)
        self.assert_refuses(3, "not a sound GGUF", model=self.prompt)
        self.prompt.write_text("\n")
        self.assert_refuses(3, "the prompt is empty")

    def test_truncated_model(self):
        data = self.model.read_bytes()
        for share in (0.01, 0.2, 0.9):
            self.model.write_bytes(data[:int(len(data) * share)])
            self.assert_refuses(3, str(self.model))

    def test_unsupported_models(self):
        write_tiny_gguf(self.model, "gptneox")
        self.assert_refuses(4, "'gptneox' is not supported; supported: llama, gemma3")
        factors = np.linspace(1.0, 9.0, 16) ** 2
        write_tiny_gguf(self.model, "llama", tensors={"rope_freqs.weight": factors})
        self.assert_refuses(4, "rope_freqs.weight")
        write_tiny_gguf(self.model, "llama", metadata={".rope.scaling.type": "longrope"})
        self.assert_refuses(4, "longrope")
        write_tiny_gguf(self.model, "llama", metadata={"split.count": 3})
        self.assert_refuses(4, "split")
        write_tiny_gguf(self.model, "qwen3", **{"rope.dimension_count": 16})
        self.assert_refuses(4, "RoPE on 16 of 32")
        write_tiny_gguf(self.model, "llama",
                        metadata={".attention.head_count_kv": [2, 2, 1, 2]})
        self.assert_refuses(4, "differs from layer to layer")

    def test_contradictory_models(self):
        write_tiny_gguf(self.model, "llama", metadata={"tokenizer.ggml.model": "no_vocab",
                                                         ".vocab_size": 260})
        self.assert_refuses(3, "no tokenizer")
        write_tiny_gguf(self.model, "llama", **{"block_count": 0})
        self.assert_refuses(3, "block_count")

    def test_chat_without_template(self):
        self.assert_refuses(4, "chat template", "--chat")

    def test_existing_output(self):
        self.record()
        before = self.trace.read_bytes()
        done = self.run_program(*self.arguments("--note", "another"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("--force", done.stderr)
        self.assertEqual(self.trace.read_bytes(), before)
        trace = self.record("--note", "another", "--force")
        self.assertEqual(trace.header["source"]["note"], "another")

    def test_output_folder_must_exist(self):
        done = self.run_program(self.model, "--prompt", self.prompt, "--output",
                                self.folder / "none" / "out.kvtrace")
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_interrupt_leaves_nothing(self):
        arguments = [str(item) for item in self.arguments()]
        arguments[arguments.index("--decode") + 1] = "200000"
        with subprocess.Popen([PROGRAM, *arguments], stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 60
            while not list(self.folder.glob("out.kvtrace*")) and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.3)
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            _, messages = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn("interrupted", messages)
        self.assert_nothing_written()


@unittest.skipUnless(REAL_MODEL, "KVSIEVE_TEST_GGUF names no GGUF model")
class RealModel(RecorderTest):
    """What small random models cannot show: quantised weights and a tokenizer of whole words."""

    def setUp(self):
        super().setUp()
        self.model = pathlib.Path(REAL_MODEL)

    def test_records_and_replays(self):
        done = self.run_program(*self.arguments("--needle", NEEDLE, "--prompt-queries", 16))
        self.assertEqual(done.returncode, 0, done.stderr)
        trace = TraceReader(self.trace)
        header, model = trace.header, trace.model
        total = header["prompt_tokens"] + 6
        queries = min(16, header["prompt_tokens"]) + 6
        self.assertEqual(header["captured_layers"], list(range(model["layers"])))
        np.testing.assert_array_equal(trace.tensor("query_positions"),
                                      np.arange(total - queries, total))
        self.assertEqual(trace.tensor("tokens").shape, (total,))
        heads, kv_heads, size = model["q_heads"], model["kv_heads"], model["head_dim"]
        for layer in header["captured_layers"]:
            for part, shape in {"k": (kv_heads, total, size), "v": (kv_heads, total, size),
                                "q": (heads, queries, size), "out": (heads, queries, size),
                                "wo": (heads, size, model["width"])}.items():
                values = trace.tensor(f"layers.{layer}.{part}")
                self.assertEqual(values.shape, shape)
                self.assertTrue(np.isfinite(values).all())
        self.assert_replays(trace, 5e-3)

    def test_needle_covers_few_tokens(self):
        needle = self.record("--layers", 0, "--needle", NEEDLE).header["needle"]
        self.assertGreater(needle["begin"], 20)
        self.assertIn(needle["end"] - needle["begin"], range(6, 20))

    def test_layer_0_depends_on_the_token_alone(self):
        trace = self.record("--layers", 0, "--dtype", "F32")
        tokens, values = trace.tensor("tokens"), trace.tensor("layers.0.v").astype(np.float64)
        repeated = max(set(tokens.tolist()), key=tokens.tolist().count)
        rows = values[:, tokens == repeated]
        self.assertGreater(rows.shape[1], 2)
        # llama.cpp multiplies one row by another kernel than many, with its own rounding.
        error = np.abs(rows - rows[:, :1]).max() / np.abs(rows).max()
        self.assertLess(error, 2e-2)


if __name__ == "__main__":
    unittest.main()
