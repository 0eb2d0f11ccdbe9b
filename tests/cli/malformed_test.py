"""Files that are no traces, runs or codebooks: exit code 3 and one line that says why."""

import json
import os
import subprocess
import unittest
from pathlib import Path

from cli_test import BAD_FILE, SAMPLE, CliTest, TensorBytes, main, rewrite_header, run

MALFORMED_FILES = os.environ.get("KVSIEVE_MALFORMED_FILES")


class TraceTest(CliTest):
    @unittest.skipUnless(MALFORMED_FILES, "KVSIEVE_MALFORMED_FILES is not set")
    def test_every_malformed_trace(self):
        subprocess.run([MALFORMED_FILES, str(self.folder)], check=True)
        cases = [line.split("\t") for line in
                 (self.folder / "expected.txt").read_text().splitlines()]
        self.assertGreaterEqual(len(cases), 70)
        for verb, words in (("check", []), ("info", []),
                            ("run", ["--method", "snapkv", "--window", "3"])):
            self.succeed(verb, self.folder / "valid.kvtrace", *words)
            for name, mention in cases:
                path = self.folder / f"{name}.kvtrace"
                if (verb, name) == ("info", "format_codebook"):
                    mention = name  # info takes it for the codebook that it claims to be
                with self.subTest(verb=verb, name=name):
                    outcome = self.fail_with(BAD_FILE, mention, verb, path, *words)
                    self.assertIn(path.name, outcome.stderr)
                    self.assertLess(len(outcome.stderr), 1000)

    def test_retrieval_and_training_refuse_them_too(self):
        path = self.folder / "cut.kvtrace"
        path.write_bytes(SAMPLE.read_bytes()[:1_000_000])
        for words in (["run", path, "--method", "exact-topk"],
                      ["train", path, "--output", self.folder / "c.kvcodebook"]):
            self.fail_with(BAD_FILE, "cut.kvtrace", *words)
        self.assertEqual(self.files(), ["cut.kvtrace"])

    def test_random_bytes(self):
        path = self.folder / "random"
        for size in (0, 1, 7, 8, 9, 100, 4096):
            path.write_bytes(bytes((index * 131 + 7) % 256 for index in range(size)))
            for verb, words in (("check", []), ("info", []), ("run", ["--method", "snapkv"]),
                                ("report", [])):
                self.fail_with(BAD_FILE, "random", verb, path, *words)


def damaged(sound):
    """Ways to damage bytes, by name."""
    middle = len(sound) // 2
    return {
        "empty": b"",
        "cut short": sound[:middle],
        "one byte short": sound[:-1],
        "first byte changed": bytes([sound[0] ^ 0xFF]) + sound[1:],
        "middle changed": sound[:middle] + bytes([sound[middle] ^ 0xFF]) + sound[middle + 1:],
    }


class RunTest(CliTest):
    def fails_as_run(self, path, mention):
        for verb in ("info", "report"):
            self.fail_with(BAD_FILE, mention, verb, path)

    def test_damaged_compressed_runs(self):
        sound = self.folder / "sound.kvrun"
        self.succeed("run", SAMPLE, "--method", "snapkv", "--layers", "4", "--output", sound)
        path = self.folder / "bad.kvrun"
        for name, content in damaged(sound.read_bytes()).items():
            if name == "middle changed":
                continue  # without a checksum this may still be a run
            with self.subTest(name=name):
                path.write_bytes(content)
                self.fails_as_run(path, "bad.kvrun")

    def test_changed_bytes_never_crash(self):
        sound = self.folder / "sound.kvrun"
        self.succeed("run", SAMPLE, "--method", "snapkv", "--layers", "4", "--output", sound)
        content = sound.read_bytes()
        path = self.folder / "bad.kvrun"
        for index in range(5, len(content), max(1, len(content) // 40)):
            path.write_bytes(content[:index] + bytes([content[index] ^ 0x55])
                             + content[index + 1:])
            outcome = run("report", path)
            self.assertIn(outcome.code, (0, BAD_FILE), outcome.stderr)
            if outcome.code == BAD_FILE:
                self.assert_one_error(outcome, "bad.kvrun")

    def test_json_that_is_no_run(self):
        document = self.succeed("run", SAMPLE, "--method", "snapkv", "--layers", "4",
                                "--format", "json").json
        path = self.folder / "bad.json"
        for content, mention in (("", "bad.json"), ("{", "bad.json"), ("[]", "bad.json"),
                                 ("null", "bad.json"), ("{}", "schema"), ("[" * 100_000, "bad"),
                                 (json.dumps({"schema": "kvsieve.run/99"}), "kvsieve.run/1"),
                                 (json.dumps({"schema": 1}), "schema")):
            path.write_text(content)
            self.fails_as_run(path, mention)
        # A run whose fields have other types than they should.
        for field in ("trace", "method", "summary", "layers", "steps"):
            for value in (None, 3, "x", [], [1], {"a": 1}):
                path.write_text(json.dumps({**document, field: value}))
                for format_ in ("md", "html", "screen"):
                    outcome = run("report", path, "--format", format_)
                    self.assertIn(outcome.code, (0, BAD_FILE),
                                  f"{field} = {value}: {outcome.stderr}")
                    if outcome.code == BAD_FILE:
                        self.assert_one_error(outcome, "bad.json")
                outcome = run("info", path)
                self.assertIn(outcome.code, (0, BAD_FILE), outcome.stderr)


class CodebookTest(CliTest):
    def setUp(self):
        super().setUp()
        self.trace = self.synth(prompt_tokens=400)
        self.sound = self.folder / "sound.kvcodebook"
        self.succeed("train", self.trace, "--output", self.sound, "--codewords", "16")
        self.path = self.folder / "bad.kvcodebook"

    def fails_as_codebook(self, mention="bad.kvcodebook"):
        self.fail_with(BAD_FILE, mention, "info", self.path)
        self.fail_with(BAD_FILE, mention, "run", self.trace, "--method", "a2ats",
                       "--codebook", self.path)

    def write_header(self, change):
        rewrite_header(self.sound, self.path, change)

    def test_damaged_bytes(self):
        for name, content in damaged(self.sound.read_bytes()).items():
            if name == "middle changed":
                continue  # another codeword is still a codebook
            with self.subTest(name=name):
                self.path.write_bytes(content)
                self.fails_as_codebook()

    def test_damaged_headers(self):
        self.write_header(lambda header: None)
        self.succeed("run", self.trace, "--method", "a2ats", "--codebook", self.path)

        def drop(key):
            return lambda header: header.pop(key)

        def metadata(**changes):
            return lambda header: header["__metadata__"].update(changes)

        def shape(key, value):
            return lambda header: header[key].update(shape=value)

        for name, change in (("no codewords", drop("layers.1.codewords")),
                             ("no factor", drop("layers.0.cholesky")),
                             ("no metadata", drop("__metadata__")),
                             ("version", metadata(version="2")),
                             ("document", metadata(kvsieve="{}")),
                             ("broken document", metadata(kvsieve="{")),
                             ("shape", shape("layers.0.codewords", [2, 8, 32])),
                             ("flat", shape("layers.0.codewords", [512]))):
            with self.subTest(name=name):
                self.write_header(change)
                self.fails_as_codebook()
        self.write_header(metadata(format="kvsieve.trace"))
        self.fail_with(BAD_FILE, "bad.kvcodebook", "run", self.trace, "--method", "a2ats",
                       "--codebook", self.path)

    def test_codewords_that_are_not_finite(self):
        nan = {"F32": b"\x00\x00\xc0\x7f", "F16": b"\x00\x7e"}
        for tensor, mention in (("codewords", "finite"), ("cholesky", "factor")):
            self.path.write_bytes(self.sound.read_bytes())
            codebook = TensorBytes(self.path)
            name = f"layers.0.{tensor}"
            codebook.overwrite(name, 0, nan[codebook.header[name]["dtype"]])
            self.fail_with(BAD_FILE, mention, "run", self.trace, "--method", "a2ats",
                           "--codebook", self.path)

    def test_codebooks_of_another_model(self):
        for shape in ({"head_dim": 32}, {"kv_heads": 4}, {"q_heads": 8}, {"layers": 3}):
            with self.subTest(shape=shape):
                other = self.synth(f"other-{'-'.join(shape)}.kvtrace", **shape)
                self.fail_with(BAD_FILE, "codebook", "run", other, "--method", "a2ats",
                               "--codebook", self.sound)

    def test_other_files_are_no_codebooks(self):
        for path in (self.trace, self.folder, Path("no-such-file")):
            self.fail_with(BAD_FILE, path.name, "run", self.trace, "--method", "a2ats",
                           "--codebook", path)


if __name__ == "__main__":
    main()
