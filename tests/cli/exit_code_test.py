"""Every exit code by a real case."""

import os
import shutil
from pathlib import Path

from cli_test import (BAD_FILE, CHECK_FAILED, KVSIEVE, MISSING, SAMPLE, CliTest, TensorBytes,
                      main, run)

F16_NAN = b"\x00\x7e"
F16_INFINITY = b"\x00\x7c"


def recorder():
    """The recorder that `kvsieve record` would start, or None."""
    folder = Path(KVSIEVE).resolve().parent
    for candidate in (folder / "kvsieve-record", folder / "../record/kvsieve-record"):
        if candidate.exists():
            return candidate
    return shutil.which("kvsieve-record")


class CheckTest(CliTest):
    def test_the_bundled_trace_passes(self):
        outcome = self.succeed("check", SAMPLE, "--format", "json")
        self.assertTrue(outcome.json["passed"])
        errors = [layer["output_error"] for layer in outcome.json["layers"]]
        self.assertEqual(len(errors), 8)
        self.assertLess(max(errors), 1e-3)

    def test_a_tighter_tolerance_fails(self):
        outcome = run("check", SAMPLE, "--tolerance", "1e-5")
        self.assertEqual(outcome.code, CHECK_FAILED)
        self.assertEqual(outcome.stdout.count("FAILED"), 8)
        self.assertEqual(outcome.stderr, "")

    def test_values_that_are_not_finite_fail_in_their_layer_alone(self):
        for tensor in ("k", "v", "q", "wo", "out"):
            for value in (F16_NAN, F16_INFINITY):
                with self.subTest(tensor=tensor, value=value):
                    trace = self.synth(f"{tensor}-{value.hex()}.kvtrace")
                    TensorBytes(trace).overwrite(f"layers.1.{tensor}", 37, value)
                    outcome = run("check", trace, "--format", "json")
                    self.assertEqual(outcome.code, CHECK_FAILED, outcome.stderr)
                    sound, broken = outcome.json["layers"]
                    self.assertTrue(sound["passed"])
                    self.assertFalse(broken["passed"])
                    self.assertIn(tensor, broken["nonfinite"][0])
                    self.assertFalse(outcome.json["passed"])

    def test_a_wrong_output_fails(self):
        trace = self.synth()
        bytes_ = TensorBytes(trace)
        for element in range(200):
            bytes_.overwrite("layers.0.out", element, b"\x00\x48")  # 8.0
        outcome = run("check", trace, "--format", "csv")
        self.assertEqual(outcome.code, CHECK_FAILED)
        self.assertEqual([row["verdict"] for row in outcome.rows], ["FAILED", "ok"])

    def test_one_bad_trace_of_two_fails(self):
        good, bad = self.synth("good.kvtrace"), self.synth("bad.kvtrace")
        TensorBytes(bad).overwrite("layers.0.k", 0, F16_NAN)
        outcome = run("check", good, bad, "--format", "json")
        self.assertEqual(outcome.code, CHECK_FAILED)
        self.assertEqual([trace["passed"] for trace in outcome.json], [True, False])

    def test_a_trace_without_output_says_so(self):
        path = self.folder / "bare.kvtrace"
        self.succeed("synth", path, "--no-out", "--layers", "1", "--prompt-tokens", "200")
        outcome = self.succeed("check", path, "--format", "csv")
        self.assertEqual(outcome.rows[0]["output_error"], "")
        self.assertIn("no captured output", outcome.rows[0]["verdict"])
        layer = self.succeed("check", path, "--format", "json").json["layers"][0]
        self.assertNotIn("output_error", layer)


class BadFileTest(CliTest):
    def test_missing_files_and_folders(self):
        for words in (["info", "no-such-file"], ["check", "no-such-file"],
                      ["run", "no-such-file", "--method", "snapkv"],
                      ["train", "no-such-file", "--output", self.folder / "c.kvcodebook"],
                      ["report", "no-such-file"]):
            self.fail_with(BAD_FILE, "no-such-file", *words)
        self.fail_with(BAD_FILE, "regular file", "info", self.folder)
        self.fail_with(BAD_FILE, "regular file", "run", self.folder, "--method", "snapkv")

    def test_values_that_are_not_finite_stop_a_replay(self):
        trace = self.synth()
        TensorBytes(trace).overwrite("layers.1.v", 37, F16_NAN)
        for method in ("ada-snapkv", "exact-topk"):
            with self.subTest(method=method):
                outcome = run("run", trace, "--method", method, "--output", self.folder / "o.json")
                self.assertEqual(outcome.code, BAD_FILE, outcome.stdout)
                self.assert_one_error(outcome, "finite")
                self.assertEqual(self.files(), [trace.name])

    def test_retrieval_needs_decode_steps(self):
        trace = self.synth(decode_tokens=0)
        self.fail_with(BAD_FILE, "decode", "run", trace, "--method", "exact-topk")


class MissingCapabilityTest(CliTest):
    def test_record_without_a_recorder(self):
        if recorder() is not None:
            self.skipTest("the recorder is built")
        self.fail_with(MISSING, "./dev recorder", "record", "model.gguf")

    def test_record_starts_the_recorder(self):
        if recorder() is None:
            self.skipTest("the recorder is not built")
        self.assertIn("kvsieve-record", self.succeed("record", "--help").stdout)
        outcome = run("record", self.folder / "no.gguf", "--prompt", SAMPLE, "--output",
                      self.folder / "o.kvtrace")
        self.assertEqual((outcome.code, outcome.stdout), (BAD_FILE, ""))
        self.assertIn("no.gguf", outcome.stderr)
        self.assertEqual(self.files(), [])

    def test_the_recorder_is_looked_for_beside_the_program_and_on_the_path(self):
        tools = self.folder / "tools"
        tools.mkdir()
        fake = tools / "kvsieve-record"
        fake.write_text("#!/bin/sh\necho fake \"$@\"\nexit 3\n")
        fake.chmod(0o755)
        if recorder() is None:
            path = f"{tools}:{os.environ['PATH']}"
            outcome = run("record", "a", "b c", env={"PATH": path})
            self.assertEqual((outcome.code, outcome.stdout), (3, "fake a b c\n"))


if __name__ == "__main__":
    main()
