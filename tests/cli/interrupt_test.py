"""Ctrl-C: the command ends soon, says so, and leaves nothing behind."""

import os
import signal
import subprocess
import time

from cli_test import INTERRUPTED, KVSIEVE, CliTest, main

# A command must notice the interrupt within this time, even on a busy machine.
PATIENCE_S = 10


class InterruptTest(CliTest):
    def start(self, *words):
        return subprocess.Popen([KVSIEVE] + [os.fspath(word) for word in words],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def wait_until_busy(self, process):
        """Waits until the process has computed for a while, so that the signal meets the work."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            if int(fields[11]) + int(fields[12]) >= 0.3 * os.sysconf("SC_CLK_TCK"):
                return
            time.sleep(0.02)
        self.fail("the command ended before it could be interrupted")

    def interrupt(self, *words):
        before = self.files()
        process = self.start(*words)
        self.wait_until_busy(process)
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        try:
            stdout, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        self.assertLess(time.monotonic() - begin, PATIENCE_S)
        self.assertEqual(process.returncode, INTERRUPTED, stderr)
        self.assertEqual(stdout, b"")
        self.assertEqual(stderr.decode().splitlines()[-1], "interrupted; nothing was written")
        self.assertEqual(self.files(), before)

    def test_run_and_train(self):
        trace = self.folder / "big.kvtrace"
        self.succeed("synth", trace, "--layers", "12", "--prompt-tokens", "30000", "--no-out",
                     "--width", "64")
        output = self.folder / "result"
        self.interrupt("run", trace, "--method", "ada-snapkv", "--output", output,
                       "--threads", "1")
        # A run's training looks up between KV heads, which small codebooks reach quickly.
        self.interrupt("run", trace, "--method", "a2ats", "--output", output, "--threads", "1",
                       "--codewords", "64")
        # `train` looks up within a KV head, too.
        self.interrupt("train", trace, "--output", output, "--codewords", "4096", "--layers", "0")

    def test_a_second_interrupt_kills(self):
        process = self.start("synth", self.folder / "big.kvtrace", "--prompt-tokens", "100000",
                             "--layers", "16")
        self.wait_until_busy(process)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        process.communicate()
        self.assertIn(process.returncode, (-signal.SIGINT, INTERRUPTED))


if __name__ == "__main__":
    main()
