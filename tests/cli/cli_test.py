"""What the tests of the command line share: running kvsieve, a temporary folder, assertions."""

import csv
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

KVSIEVE = os.environ.get("KVSIEVE", "kvsieve")
SOURCE = Path(os.environ.get("KVSIEVE_SOURCE", Path(__file__).resolve().parents[2]))
SAMPLE = SOURCE / "traces" / "samples" / "smollm2-needle.kvtrace"

VERBS = ["run", "cost", "sweep", "train", "bench", "compare", "validate", "calibrate", "view", "report",
         "profile", "info", "check", "synth", "record"]
EVICTION = ["full", "streaming-llm", "h2o", "tova", "knorm", "snapkv", "pyramidkv",
            "pyramidkv-official", "ada-snapkv", "ada-pyramid", "criticalkv", "ada-criticalkv",
            "random"]
CODEBOOK = ["a2ats", "vq-plain", "vq-post-rope"]
RETRIEVAL = CODEBOOK + ["exact-topk", "exact-topk-wrope", "quest", "pq", "chunk-mean",
                        "cluster-centroid", "channel-subset", "random-topk", "streaming-llm"]

OK, CHECK_FAILED, USAGE, BAD_FILE, MISSING, INTERRUPTED = 0, 1, 2, 3, 4, 130


class Outcome:
    """A finished command: its exit code and what it wrote."""

    def __init__(self, process, stdout, stderr):
        self.code = process.returncode
        self.stdout = stdout.decode(errors="surrogateescape")
        self.stderr = stderr.decode(errors="surrogateescape")

    @property
    def json(self):
        return json.loads(self.stdout)

    @property
    def rows(self):
        """The CSV on standard output, one dictionary a row."""
        return parse_csv(self.stdout)


def parse_csv(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def run(*arguments, env=None, timeout=120, **options):
    """Runs kvsieve with `arguments`; `env` is added to the environment."""
    command = [KVSIEVE] + [os.fsencode(os.fspath(a)) if isinstance(a, Path) else a
                           for a in arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL,
        stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})}, **options)
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Outcome(process, stdout or b"", stderr)


def is_instrumented():
    """Whether the program is built with a sanitizer, which changes its memory and speed."""
    libraries = subprocess.run(["ldd", KVSIEVE], stdout=subprocess.PIPE, check=False).stdout
    return b"libasan" in libraries or b"libtsan" in libraries


class TensorBytes:
    """A safetensors file whose bytes a test changes in place."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            self.header = json.loads(file.read(size))
        self.data = 8 + size

    def overwrite(self, tensor, element, values):
        """Replaces bytes of `tensor`, whose elements have as many bytes as `values`."""
        begin = self.data + self.header[tensor]["data_offsets"][0]
        with open(self.path, "r+b") as file:
            file.seek(begin + element * len(values))
            file.write(values)


def rewrite_header(source, target, change):
    """Copies a safetensors file with its header passed through `change`."""
    content = Path(source).read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(target).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size:])


class CliTest(unittest.TestCase):
    """A test case with a folder of its own."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="kvsieve-test-")
        self.addCleanup(self._folder.cleanup)
        self.folder = Path(self._folder.name)

    def succeed(self, *arguments, **options):
        """Runs a command that must succeed."""
        outcome = run(*arguments, **options)
        self.assertEqual(outcome.code, OK, f"{arguments}: {outcome.stderr}")
        return outcome

    def fail_with(self, code, mention, *arguments, **options):
        """Runs a command that must fail with `code`: nothing on standard output, and one line on
        standard error that starts with "error: " and mentions `mention`."""
        outcome = run(*arguments, **options)
        self.assertEqual(outcome.code, code, f"{arguments}: {outcome.stderr}")
        self.assert_one_error(outcome, mention, arguments)
        self.assertEqual(outcome.stdout, "", arguments)
        return outcome

    def assert_one_error(self, outcome, mention, context=""):
        lines = outcome.stderr.split("\n")
        self.assertEqual(len(lines), 2, f"{context}: more than one line: {outcome.stderr!r}")
        self.assertEqual(lines[1], "", f"{context}: no line end: {outcome.stderr!r}")
        self.assertTrue(lines[0].startswith("error: "), f"{context}: {lines[0]!r}")
        self.assertIn(mention, lines[0], context)

    def synth(self, name="small.kvtrace", **options):
        """Writes a small synthetic trace and returns its path."""
        shape = {"layers": 2, "q_heads": 4, "kv_heads": 2, "head_dim": 16, "prompt_tokens": 300,
                 "decode_tokens": 6, "prompt_queries": 64, **options}
        path = self.folder / name
        words = [word for key, value in shape.items()
                 for word in ("--" + key.replace("_", "-"), str(value))]
        self.succeed("synth", path, *words)
        return path

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())


def main():
    unittest.main(verbosity=2 if sys.stdout.isatty() else 1)
