"""What a sweep loses: kill -9 at random moments, a full disk, a read-only store, two writers. Run alone it
prints a tally."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cli_test import BAD_FILE, KVSIEVE, OK, CliTest, main, parse_csv, run

KILLS = 20
# Slow enough to be hit: overlapped steps are simulated.
WORDS = ["-a", "method=a2ats", "-a", "schedule=overlapped", "-a", "model-shape=gemma-3-12b",
         "-a", "context=[1024:21000:2]"]
POINTS = (21000 - 1024) // 2 + 1


def tally(line):
    print(line, file=sys.stderr)


class CrashTest(CliTest):
    def store(self):
        return self.folder / "s.db"

    def start(self, *words, **options):
        return subprocess.Popen([KVSIEVE, "sweep", *WORDS, "--quiet", "--store",
                                 str(self.store()), *words], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, **options)

    def rows(self):
        outcome = run("sweep", "export", self.store())
        self.assertEqual(outcome.code, OK, outcome.stderr)
        return parse_csv(outcome.stdout)

    def reference(self):
        path = self.folder / "whole.db"
        self.succeed("sweep", *WORDS, "--quiet", "--store", path, timeout=600)
        return self.succeed("sweep", "export", path).stdout

    def test_kill_9_at_random_moments_loses_only_what_was_in_flight(self):
        expected = self.reference()
        generator = random.Random(7)
        counts = []
        finished = 0
        for kill in range(KILLS):
            process = self.start("--resume")
            time.sleep(generator.uniform(0.02, 0.4))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            if not self.store().exists() or self.store().stat().st_size == 0:
                counts.append(0)  # killed before the store was made
                continue
            outcome = run("sweep", "export", self.store())
            if outcome.code != OK:
                # Killed while the tables were made: nothing was finished yet.
                self.assertEqual(finished, 0, outcome.stderr)
                counts.append(0)
                continue
            rows = parse_csv(outcome.stdout)
            numbers = [row["number"] for row in rows]
            self.assertEqual(len(numbers), len(set(numbers)), f"kill {kill}: doubled rows")
            self.assertGreaterEqual(len(rows), finished, f"kill {kill}: finished rows are gone")
            finished = len(rows)
            counts.append(finished)
        self.succeed("sweep", *WORDS, "--quiet", "--store", self.store(), "--resume", timeout=600)
        self.assertEqual(self.succeed("sweep", "export", self.store()).stdout, expected)
        tally(f"kill -9: {KILLS} kills, rows after each {counts}, {POINTS} in the end, none "
              "doubled, none lost")

    def test_a_full_disk_is_said_and_keeps_what_is_finished(self):
        def limit():
            # As a full disk: writing beyond this size fails.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

        process = self.start(preexec_fn=limit)
        _, stderr = process.communicate(timeout=300)
        self.assertEqual(process.returncode, BAD_FILE, stderr)
        self.assertEqual(stderr.count(b"\n"), 1, stderr)
        self.assertTrue(stderr.startswith(b"error: "), stderr)
        rows = self.rows()
        self.assertEqual(len(rows), len({row["number"] for row in rows}))
        self.succeed("sweep", *WORDS, "--quiet", "--store", self.store(), "--resume", timeout=600)
        self.assertEqual(len(self.rows()), POINTS)
        tally(f"file size limit: {len(rows)} rows kept, {stderr.decode().strip()}")

    def test_a_small_tmpfs_that_is_full(self):
        mount = Path(tempfile.mkdtemp(prefix="kvsieve-tmpfs-"))
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(mount)], check=False,
                stderr=subprocess.DEVNULL).returncode != 0:
            mount.rmdir()
            self.skipTest("mounting a tmpfs is not allowed here; a limit on file sizes stands in")
        try:
            path = mount / "s.db"
            outcome = run("sweep", *WORDS, "--quiet", "--store", path, timeout=300)
            self.assertEqual(outcome.code, BAD_FILE, outcome.stderr)
            self.assert_one_error(outcome, "s.db")
            shutil.copy(path, self.store())
            for suffix in ("-wal",):
                if Path(str(path) + suffix).exists():
                    shutil.copy(str(path) + suffix, str(self.store()) + suffix)
            kept = len(self.rows())
            self.succeed("sweep", *WORDS, "--quiet", "--store", self.store(), "--resume",
                         timeout=600)
            self.assertEqual(len(self.rows()), POINTS)
            tally(f"full tmpfs: {kept} rows kept, {outcome.stderr.strip()}")
        finally:
            subprocess.run(["umount", str(mount)], check=False)
            mount.rmdir()

    def test_a_read_only_store_is_read_and_not_written(self):
        self.succeed("sweep", "-a", "context=1024,2048", "--quiet", "--store", self.store())
        folder = self.folder / "frozen"
        folder.mkdir()
        shutil.copy(self.store(), folder / "s.db")
        (folder / "s.db").chmod(0o444)
        folder.chmod(0o555)
        self.addCleanup(lambda: folder.chmod(0o755))

        def drop():
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)

        self.folder.chmod(0o755)
        read = subprocess.run([KVSIEVE, "sweep", "export", str(folder / "s.db")],
                              preexec_fn=drop, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
        if read.returncode == 126 or b"Permission denied" in read.stderr and not read.stdout:
            self.skipTest("another user cannot start the program from this folder")
        self.assertEqual(read.returncode, OK, read.stderr)
        self.assertEqual(len(parse_csv(read.stdout.decode())), 2)
        write = subprocess.run([KVSIEVE, "sweep", "-a", "context=1024,2048", "--resume", "--store",
                                str(folder / "s.db")], preexec_fn=drop, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, check=False)
        self.assertEqual(write.returncode, BAD_FILE, write.stderr)
        self.assertEqual(write.stderr.count(b"\n"), 1, write.stderr)
        tally(f"read-only: exported 2 rows, {write.stderr.decode().strip()}")

    def test_a_second_writer_is_refused_at_once(self):
        first = self.start("--resume")
        deadline = time.monotonic() + 60
        refused = None
        while time.monotonic() < deadline and first.poll() is None:
            if self.store().exists() and self.store().stat().st_size > 0:
                refused = run("sweep", *WORDS, "--quiet", "--store", self.store(), "--resume")
                break
            time.sleep(0.01)
        _, stderr = first.communicate(timeout=300)
        self.assertEqual(first.returncode, OK, stderr)
        rows = self.rows()
        self.assertEqual(len(rows), POINTS)
        self.assertEqual(len({row["number"] for row in rows}), POINTS)
        self.assertIsNotNone(refused, "the first writer was done before the second began")
        if refused.code == OK:
            self.skipTest("the first writer was done before the second began")
        self.assertEqual(refused.code, BAD_FILE, refused.stderr)
        self.assert_one_error(refused, "being written by another process")
        tally(f"two writers: {refused.stderr.strip()}")


if __name__ == "__main__":
    main()
