"""Files and streams that a command writes: whole or not at all, never over what is there."""

import os
import pty
import re
import resource
import select
import signal
import subprocess
from pathlib import Path

from cli_test import BAD_FILE, KVSIEVE, OK, SAMPLE, USAGE, CliTest, main, run

SNAPKV = ["--method", "snapkv", "--layers", "4"]


class OutputFileTest(CliTest):
    def test_existing_files_are_kept_without_force(self):
        trace = self.synth()
        output = self.folder / "precious.txt"
        output.write_text("precious")
        for words in (["synth", output], ["run", trace, "--method", "snapkv", "--output", output],
                      ["train", trace, "--output", output]):
            with self.subTest(words=words[0]):
                outcome = self.fail_with(USAGE, "exists already", *words)
                self.assertIn("--force", outcome.stderr)
                self.assertEqual(output.read_text(), "precious")
        self.assertEqual(self.files(), ["precious.txt", "small.kvtrace"])

    def test_force_replaces(self):
        trace = self.synth()
        output = self.folder / "run.json"
        output.write_text("old")
        self.succeed("run", trace, "--method", "snapkv", "--output", output, "--force")
        self.assertTrue(output.read_text().startswith("{"))

    def test_reports_keep_existing_files_too(self):
        run_file = self.folder / "a.kvrun"
        self.succeed("run", SAMPLE, *SNAPKV, "--output", run_file)
        page = self.folder / "page.html"
        self.succeed("report", run_file, "--output", page)
        before = page.read_bytes()
        self.fail_with(USAGE, "--force", "report", run_file, "--output", page)
        self.assertEqual(page.read_bytes(), before)
        self.succeed("report", run_file, "--output", page, "--force")

    def test_an_existing_file_is_refused_before_the_work(self):
        output = self.folder / "run.kvrun"
        output.write_text("old")
        outcome = run("run", SAMPLE, "--method", "h2o", "--output", output)
        self.assertEqual(outcome.code, USAGE)
        # The warning of h2o comes after the replay.
        self.assert_one_error(outcome, "exists already")

    def test_an_input_is_never_replaced(self):
        trace = self.synth()
        before = trace.read_bytes()
        link = self.folder / "link.json"
        link.symlink_to(trace)
        for output in (trace, link, self.folder / "." / trace.name):
            for verb, words in (("run", ["--method", "snapkv"]), ("train", [])):
                self.fail_with(USAGE, "input", verb, trace, *words, "--output", output, "--force")
        self.assertEqual(trace.read_bytes(), before)

    def test_folders_that_cannot_be_written(self):
        trace = self.synth()
        for folder in (self.folder / "none", Path("/proc/none"), trace):
            with self.subTest(folder=folder):
                self.fail_with(BAD_FILE, "cannot create", "run", trace, "--method", "snapkv",
                               "--output", folder / "run.json")
                self.fail_with(BAD_FILE, "cannot create", "synth", folder / "t.kvtrace")

    def test_a_device_is_not_replaced(self):
        trace = self.synth()
        for verb, words in (("run", [trace, "--method", "snapkv", "--output"]), ("synth", [])):
            self.fail_with(USAGE, "not a regular file", verb, *words, "/dev/full", "--force")
        self.assertTrue(Path("/dev/full").is_char_device())

    def test_a_full_disk_leaves_nothing_behind(self):
        trace = self.synth()

        def limit():
            # Writes beyond the limit fail as on a full disk, unless the signal kills first.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

        for name, words in (("a.kvtrace", ["synth"]),
                            ("a.json", ["run", trace, "--method", "ada-snapkv", "--output"]),
                            ("a.kvcodebook", ["train", trace, "--output"])):
            with self.subTest(name=name):
                outcome = run(*words, self.folder / name, preexec_fn=limit, restore_signals=False)
                self.assertEqual(outcome.code, BAD_FILE, outcome.stderr)
                errors = [line for line in outcome.stderr.splitlines()
                          if not line.startswith("warning: ")]
                self.assertEqual(len(errors), 1)
                self.assertRegex(errors[0], rf"^error: .*{name}: write failed")
                self.assertEqual(self.files(), [trace.name])


class StandardOutputTest(CliTest):
    def test_a_full_standard_output_fails(self):
        run_file = self.folder / "a.kvrun"
        self.succeed("run", SAMPLE, *SNAPKV, "--output", run_file)
        for words in (["--help"], ["info", SAMPLE], ["check", SAMPLE], ["run", SAMPLE, *SNAPKV],
                      ["run", SAMPLE, *SNAPKV, "--format", "json"], ["report", run_file]):
            with self.subTest(words=words), open("/dev/full", "wb") as full:
                outcome = run(*words, stdout=full)
                self.assertEqual(outcome.code, BAD_FILE)
                self.assert_one_error(outcome, "standard output")

    def test_a_closed_standard_output_fails(self):
        outcome = run("info", SAMPLE, stdout=None, preexec_fn=lambda: os.close(1))
        self.assertEqual(outcome.code, BAD_FILE)
        self.assert_one_error(outcome, "standard output")

    def test_a_reader_that_went_away_is_no_error_message(self):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as pipe:
            outcome = run("run", SAMPLE, *SNAPKV, "--format", "json", stdout=pipe)
        self.assertEqual(outcome.code, -signal.SIGPIPE)
        self.assertEqual(outcome.stderr, "")


class TerminalTest(CliTest):
    def on_terminal(self, words, env=None):
        """Runs a command with standard error, or both streams, on a terminal."""
        leader, follower = pty.openpty()
        process = subprocess.Popen([KVSIEVE] + [os.fspath(word) for word in words],
                                   stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
                                   env={**os.environ, **(env or {})})
        os.close(follower)
        seen = b""
        while select.select([leader], [], [], 60)[0]:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # how Linux ends a terminal whose other side is closed
                break
            if not piece:
                break
            seen += piece
        os.close(leader)
        self.assertEqual(process.wait(), OK)
        return seen.decode()

    def test_progress_is_wiped_before_the_result(self):
        for method in ("ada-criticalkv", "quest"):
            seen = self.seen_with_progress(method)
            screen = re.sub(r"[^\n]*\r\x1b\[K", "", seen)
            self.assertNotIn("left", screen)
            self.assertNotIn("\x1b", screen)

    def seen_with_progress(self, method):
        """What a terminal shows of a run that is long enough for progress on this machine."""
        for tokens in (12000, 48000, 192000):
            trace = self.folder / f"{tokens}.kvtrace"
            if not trace.exists():
                self.succeed("synth", trace, "--layers", "4", "--prompt-tokens", str(tokens),
                             "--no-out", "--q-heads", "8", "--kv-heads", "4", "--decode-tokens",
                             "6")
            seen = self.on_terminal(["run", trace, "--method", method, "--threads", "1"])
            if "s left" in seen:
                return seen
        self.fail(f"{method} never showed progress")

    def test_quiet_has_no_progress(self):
        trace = self.synth(layers=4, prompt_tokens=12000, head_dim=64)
        seen = self.on_terminal(["run", trace, "--method", "quest", "--threads", "1", "--quiet"])
        self.assertNotIn("left", seen)

    def test_no_color_means_no_colours(self):
        run_file = self.folder / "a.kvrun"
        self.succeed("run", SAMPLE, *SNAPKV, "--output", run_file)
        for words in (["run", SAMPLE, *SNAPKV, "--quiet"], ["info", SAMPLE],
                      ["report", run_file, "--format", "screen"]):
            self.assertNotIn("\x1b[", self.on_terminal(words, {"NO_COLOR": "1"}))


if __name__ == "__main__":
    main()
