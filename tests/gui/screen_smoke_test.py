"""The viewer on a real X screen: opens the bundled trace, walks every page by keyboard, moves the
budget, and ends by keyboard. Pictures go to KVSIEVE_PICTURES, where that is set."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from x_screen import Screen, changed_share

KVSIEVE = os.environ["KVSIEVE"]
SOURCE = Path(os.environ["KVSIEVE_SOURCE"])
SAMPLE = SOURCE / "traces" / "samples" / "smollm2-needle.kvtrace"
PAGES = ["overview", "heads", "head-detail", "retrieval", "timeline", "pcie", "sweep", "compare"]
SKIPPED = 77
# Share of the screen that differs at least between two pages: two that are empty differ in a line of text.
ANOTHER_PICTURE = 0.003


class SmokeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="kvsieve-screen-")
        self.screen = Screen()
        self.pictures = os.environ.get("KVSIEVE_PICTURES", self.folder.name)

    def tearDown(self):
        self.screen.close()
        self.folder.cleanup()

    def start(self, *words):
        environment = dict(self.screen.environment, HOME=self.folder.name,
                           XDG_CONFIG_HOME=self.folder.name)
        process = subprocess.Popen([KVSIEVE, "view", *map(str, words)], env=environment)
        self.addCleanup(process.kill)
        self.screen.window(process)
        return process

    def settled(self, patience_s=30):
        """The screen once it has stopped changing."""
        deadline = time.monotonic() + patience_s
        before = self.screen.pixels()
        while time.monotonic() < deadline:
            time.sleep(0.4)
            now = self.screen.pixels()
            if now == before:
                return now
            before = now
        self.fail("the screen never came to rest")

    def leave(self, process):
        self.screen.key("ctrl+q")
        self.assertEqual(process.wait(timeout=30), 0)

    def walk(self, name):
        """Every page by its number; each is another picture than the page before."""
        before = self.settled()
        for number, page in enumerate(PAGES, start=1):
            self.screen.key(f"ctrl+{number}")
            now = self.settled()
            self.screen.save(Path(self.pictures) / f"{name}-{page}.png")
            if number > 1:
                self.assertGreater(changed_share(before, now), ANOTHER_PICTURE, page)
            before = now

    def test_the_sample_by_keyboard_alone(self):
        process = self.start(SAMPLE)
        time.sleep(1.0)
        self.walk("sample")
        self.screen.key("ctrl+1")
        before = self.settled()
        # The budget slider: What-if is the last page; Tab leaves the method for the slider.
        self.screen.key(f"ctrl+{len(PAGES) + 1}", "Tab", "Tab", "Left", "Left", "Left")
        after = self.settled()
        self.screen.save(Path(self.pictures) / "sample-budget-moved.png")
        self.assertGreater(changed_share(before, after), 0.005)
        self.screen.key("bracketright", "bracketright")
        self.screen.key("ctrl+2")
        self.settled()
        self.screen.save(Path(self.pictures) / "sample-head-chosen.png")
        self.screen.key("question")
        self.settled()
        self.screen.save(Path(self.pictures) / "sample-keys.png")
        self.screen.window(process)  # the list of keys
        self.screen.key("Escape")
        self.settled()
        self.screen.window(process)
        self.leave(process)

    def test_two_runs_and_a_store(self):
        folder = Path(self.folder.name)
        for method, extra in (("snapkv", ["--budget", "20%"]), ("ada-snapkv", ["--budget", "20%"])):
            subprocess.run([KVSIEVE, "run", SAMPLE, "--method", method, *extra, "--output",
                            folder / f"{method}.kvrun", "--quiet"], check=True,
                           stdout=subprocess.DEVNULL)
        subprocess.run([KVSIEVE, "sweep", SAMPLE, "-a", "method=snapkv,ada-snapkv", "-a",
                        "budget=[5%:50%:5%]", "--store", folder / "s.db", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        process = self.start(folder / "snapkv.kvrun", folder / "ada-snapkv.kvrun", folder / "s.db")
        time.sleep(1.0)
        self.walk("runs")
        self.leave(process)

    def test_a_retrieval_run_with_measured_stages(self):
        run = Path(self.folder.name) / "a2ats.kvrun"
        subprocess.run([KVSIEVE, "run", SAMPLE, "--method", "a2ats", "--top", "3%", "--placement",
                        "cpu-attention", "--latency", "--output", run, "--quiet"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process = self.start(SAMPLE, run)
        time.sleep(1.0)
        self.walk("retrieval")
        self.leave(process)


if __name__ == "__main__":
    missing = [tool for tool in ("Xvfb", "xdotool", "xwd") if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed")
        sys.exit(SKIPPED)
    unittest.main()
