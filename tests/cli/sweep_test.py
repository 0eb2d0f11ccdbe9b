"""`kvsieve sweep`, its parts merge, export and best, and kvsieve-mpi."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

from cli_test import (BAD_FILE, INTERRUPTED, KVSIEVE, OK, SAMPLE, USAGE, CHECK_FAILED, CliTest, main,
                      parse_csv, run)

# 5,000 points: 5 x 4 x 5 x 5 x 10.
COST_AXES = ("-a", "method=full,snapkv,a2ats,quest,shadowkv",
             "-a", "hardware=a100-sxm-80,h100-sxm,gh200,rtx-4090",
             "-a", "model-shape=llama-3.1-8b,qwen2.5-7b,gemma-2-9b,llama-2-7b,smollm2-135m",
             "-a", "context[pow2]=[12:16]", "-a", "batch=1,2,4,8,16,32,64,128,256,max")
COST_POINTS = 5000
TRACE_AXES = ("-a", "method=snapkv,ada-snapkv", "-a", "budget=10%,20%", "-a", "layers=0,12")


class SweepCase(CliTest):
    def sweep(self, store, *words, **options):
        return self.succeed("sweep", *words, "--store", self.folder / store, "--quiet", **options)

    def exported(self, store, form="csv"):
        return self.succeed("sweep", "export", self.folder / store, "--format", form).stdout


class PointsTest(SweepCase):
    def test_dry_run_counts_and_numbers_the_points(self):
        text = self.succeed("sweep", *COST_AXES, "--dry-run").stdout
        self.assertIn(f"{COST_POINTS} points of {COST_POINTS}", text)
        self.assertIn("#0 method=full hardware=a100-sxm-80", text)
        text = self.succeed("sweep", "-a", "context=1024,2048", "-a", "batch=1,2", "--zip",
                            "context,batch", "--dry-run").stdout
        self.assertIn("2 points of 2", text)

    def test_conditions_over_options_choose_points(self):
        text = self.succeed("sweep", "-a", "context=1024,2048,4096", "--where", "context>=2048",
                            "--dry-run").stdout
        self.assertIn("2 points of 3", text)

    def test_a_file_may_hold_the_options(self):
        path = self.folder / "sweep.ini"
        path.write_text("# what to vary\naxis=context=1024,2048\naxis=batch=1,2,4\nwhere=batch<4\n")
        self.assertIn("4 points of 6", self.succeed("sweep", "--config", path, "--dry-run").stdout)
        # The command line adds axes and conditions.
        self.assertIn("2 points of 6", self.succeed("sweep", "--config", path, "--where",
                                                    "context>1024", "--dry-run").stdout)
        path.write_text("axis\n")
        self.fail_with(BAD_FILE, "sweep.ini:1", "sweep", "--config", path, "--dry-run")

    def test_samples_are_drawn_from_a_seed(self):
        words = ("sweep", *COST_AXES, "--sample", "7", "--dry-run")
        self.assertEqual(self.succeed(*words).stdout, self.succeed(*words).stdout)
        self.assertNotEqual(self.succeed(*words).stdout,
                            self.succeed(*words, "--seed", "1").stdout)

    def test_a_point_is_explained(self):
        text = self.succeed("sweep", "-a", "method=full,a2ats", "--explain", "1").stdout
        self.assertIn("#1 method=a2ats", text)
        self.assertIn("formula", text)
        text = self.succeed("sweep", SAMPLE, "-a", "method=a2ats", "-a", "schedule=overlapped",
                            "--explain", "0").stdout
        self.assertIn("schedule overlapped", text)


class RowsTest(SweepCase):
    def test_rows_are_what_run_and_cost_say(self):
        self.sweep("cost.db", "-a", "method=a2ats", "-a", "context=32768,65536", "-a", "batch=max")
        rows = parse_csv(self.exported("cost.db"))
        self.assertEqual(len(rows), 2)
        for row in rows:
            document = self.succeed("cost", "--method", "a2ats", "--context", row["context"],
                                    "--batch", "max", "--format", "json").json
            self.assertEqual(float(row["step_us"]), document["step_us"])
            self.assertEqual(float(row["tokens_per_second"]), document["tokens_per_second"])
        self.sweep("trace.db", SAMPLE, "-a", "method=ada-snapkv", "-a", "budget=10%,20%")
        for row in parse_csv(self.exported("trace.db")):
            document = self.succeed("run", SAMPLE, "--method", "ada-snapkv", "--budget",
                                    row["budget"], "--format", "json").json
            for name in ("evicted_mass", "l1_loss", "l1_loss_relative"):
                self.assertEqual(float(row[name]), document["summary"][name], name)
            self.assertEqual(float(row["step_us"]), document["cost"]["step_us"])
            self.assertEqual(row["loss_context"], "2009")

    def test_points_that_fail_have_an_error_and_stop_nothing(self):
        outcome = self.sweep("s.db", "-a", "method=full,a2ats", "-a", "codewords=4096")
        self.assertIn("1 of 2 points failed", outcome.stderr)
        rows = {row["method"]: row for row in parse_csv(self.exported("s.db"))}
        self.assertIn("does not apply", rows["full"]["error"])
        self.assertEqual(rows["full"]["step_us"], "")
        self.assertEqual(rows["a2ats"]["error"], "")

    def test_the_store_is_a_database_that_anyone_reads(self):
        self.sweep("s.db", "-a", "context=1024,2048")
        self.assertEqual([name for name in self.files() if name.startswith("s.db")], ["s.db"])
        with sqlite3.connect(self.folder / "s.db") as database:
            count = database.execute("select count(*) from rows").fetchone()[0]
        self.assertEqual(count, 2)


class IdentityTest(SweepCase):
    """One process, four shards and a merge, and MPI give the same bytes."""

    @classmethod
    def setUpClass(cls):
        cls.mpirun = shutil.which("mpirun")
        beside = os.path.join(os.path.dirname(KVSIEVE), "..", "mpi", "kvsieve-mpi")
        cls.has_mpi = cls.mpirun is not None and os.path.exists(beside)

    def mpi(self, ranks, *words):
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1",
                       "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
        process = subprocess.run(
            [self.mpirun, "--oversubscribe", "-n", str(ranks), KVSIEVE, "sweep", "--mpi",
             *map(str, words)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
            check=False)
        self.assertEqual(process.returncode, OK, process.stderr.decode())

    def test_five_thousand_points(self):
        self.sweep("one.db", *COST_AXES)
        expected = self.exported("one.db")
        self.assertEqual(len(parse_csv(expected)), COST_POINTS)
        for shard in range(4):
            self.sweep(f"part-{shard}.db", *COST_AXES, "--shard", f"{shard}/4")
        # In any order.
        self.succeed("sweep", "merge", *(self.folder / f"part-{s}.db" for s in (2, 0, 3, 1)),
                     "--store", self.folder / "merged.db")
        self.assertEqual(self.exported("merged.db"), expected)
        self.assertEqual(self.exported("merged.db", "json"), self.exported("one.db", "json"))
        self.sweep("threads.db", *COST_AXES, "--threads", "1")
        self.assertEqual(self.exported("threads.db"), expected)
        if not self.has_mpi:
            self.skipTest("no mpirun or no kvsieve-mpi: the other ways agree")
        self.mpi(4, *COST_AXES, "--store", self.folder / "mpi.db", "--quiet", "--threads", "1")
        self.assertEqual(self.exported("mpi.db"), expected)

    def test_traces(self):
        words = (SAMPLE, *TRACE_AXES)
        self.sweep("one.db", *words)
        expected = self.exported("one.db")
        for shard in range(2):
            self.sweep(f"part-{shard}.db", *words, "--shard", f"{shard}/2")
        self.succeed("sweep", "merge", self.folder / "part-1.db", self.folder / "part-0.db",
                     "--store", self.folder / "merged.db")
        self.assertEqual(self.exported("merged.db"), expected)
        for _ in range(2):  # the second time from the cache
            self.sweep("cached.db", *words, "--cache", self.folder / "cache")
            self.assertEqual(self.exported("cached.db"), expected)
            (self.folder / "cached.db").unlink()
        if self.has_mpi:
            self.mpi(3, *words, "--store", self.folder / "mpi.db", "--quiet", "--threads", "1")
            self.assertEqual(self.exported("mpi.db"), expected)

    def test_without_mpi_it_says_what_is_missing(self):
        if self.has_mpi:
            self.skipTest("kvsieve-mpi is there")
        self.fail_with(4, "kvsieve-mpi is not part of this build", "sweep", "--mpi", *COST_AXES)


class ResumeTest(SweepCase):
    WORDS = (SAMPLE, "-a", "method=snapkv,ada-snapkv", "-a", "alpha=0.2", "-a",
             "budget=[5%:40%:5%]")

    def test_an_existing_store_is_not_replaced(self):
        self.sweep("s.db", "-a", "context=1024")
        self.fail_with(USAGE, "--resume", "sweep", "-a", "context=1024", "--store",
                       self.folder / "s.db")

    def test_resume_adds_what_is_missing_only(self):
        self.sweep("s.db", "-a", "context=1024,2048", "--shard", "0/2")
        before = self.exported("s.db")
        self.sweep("s.db", "-a", "context=1024,2048", "--resume")
        after = self.exported("s.db")
        self.assertEqual(after.splitlines()[1], before.splitlines()[1])
        self.assertEqual(len(parse_csv(after)), 2)

    def test_another_sweep_is_refused(self):
        self.sweep("s.db", "-a", "context=1024")
        outcome = run("sweep", "-a", "context=2048", "--store", self.folder / "s.db", "--resume")
        self.assertEqual(outcome.code, USAGE)
        self.assertIn("--force", outcome.stderr)

    def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(self):
        words = ["-a", "context=[1024:200000:2]", "-a", "method=a2ats", "-a",
                 "schedule=overlapped", "--store", str(self.folder / "s.db")]
        process = subprocess.Popen([KVSIEVE, "sweep", *words, "--quiet"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not (self.folder / "s.db").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        if process.returncode == OK:
            self.skipTest("the sweep was faster than the signal")
        self.assertEqual(process.returncode, INTERRUPTED, stderr)
        self.assertIn(b"--resume", stderr)
        before = len(parse_csv(self.exported("s.db")))
        self.succeed("sweep", *words, "--quiet", "--resume", timeout=300)
        rows = parse_csv(self.exported("s.db"))
        self.assertGreater(len(rows), before)
        self.assertEqual([int(row["number"]) for row in rows], list(range(len(rows))))


class ResultsTest(SweepCase):
    def test_the_front_and_the_best(self):
        self.sweep("s.db", SAMPLE, "-a", "method=snapkv,ada-snapkv", "-a", "budget=5%,20%,50%")
        words = ("sweep", SAMPLE, "-a", "method=snapkv,ada-snapkv", "-a", "budget=5%,20%,50%",
                 "--store", self.folder / "s.db", "--resume", "--quiet", "--format", "csv")
        rows = parse_csv(self.exported("s.db"))
        front = self.succeed(*words, "--pareto", "tokens_per_second,l1_loss_relative").rows
        self.assertGreater(len(front), 0)
        for row in rows:
            beaten = any(float(o["tokens_per_second"]) >= float(row["tokens_per_second"]) and
                         float(o["l1_loss_relative"]) <= float(row["l1_loss_relative"]) and
                         (o["tokens_per_second"], o["l1_loss_relative"]) !=
                         (row["tokens_per_second"], row["l1_loss_relative"]) for o in rows)
            self.assertEqual(row["number"] in [r["point"] for r in front], not beaten)
        best = self.succeed("sweep", "best", self.folder / "s.db", "--by", "l1_loss_relative",
                            "--where", "kept_tokens_per_head_mean<500").stdout.strip()
        self.assertRegex(best, r"^kvsieve run .*--method (ada-)?snapkv --budget 20%$")
        document = self.succeed(*best.split()[1:], "--format", "json").json
        lowest = min(float(row["l1_loss_relative"]) for row in rows if row["budget"] == "20%")
        self.assertEqual(document["summary"]["l1_loss_relative"], lowest)
        self.fail_with(CHECK_FAILED, "no row meets", "sweep", "best", self.folder / "s.db", "--by",
                       "l1_loss_relative", "--where", "l1_loss_relative<0")

    def test_a_report_draws_the_front(self):
        self.sweep("s.db", SAMPLE, "-a", "method=snapkv,ada-snapkv", "-a", "budget=5%,20%,50%")
        words = ("sweep", "report", self.folder / "s.db", "--pareto",
                 "tokens_per_second,l1_loss_relative")
        html = self.folder / "s.html"
        self.succeed(*words, "--output", html)
        text = html.read_text()
        self.assertIn("<svg", text)
        self.assertIn("ada-snapkv", text)
        self.assertNotIn("<script", text)
        markdown = self.succeed(*words, "--format", "md").stdout
        front = self.succeed("sweep", SAMPLE, "-a", "method=snapkv,ada-snapkv", "-a",
                             "budget=5%,20%,50%", "--store", self.folder / "s.db", "--resume",
                             "--quiet", "--format", "csv", "--pareto",
                             "tokens_per_second,l1_loss_relative").rows
        for row in front:
            self.assertRegex(markdown, rf"(?m)^\| {row['point']} \|")
        self.fail_with(USAGE, "not two metrics", "sweep", "report", self.folder / "s.db",
                       "--pareto", "tokens_per_second")

    def test_conditions_over_metrics_choose_rows(self):
        self.sweep("s.db", "-a", "context[pow2]=[10:17]")
        rows = self.succeed("sweep", "-a", "context[pow2]=[10:17]", "--store",
                            self.folder / "s.db", "--resume", "--quiet", "--where", "tpot_ms<12",
                            "--format", "csv").rows
        everything = parse_csv(self.exported("s.db"))
        self.assertEqual(len(rows), sum(float(row["tpot_ms"]) < 12 for row in everything))
        self.assertLess(len(rows), len(everything))


class ErrorTest(SweepCase):
    def test_usage(self):
        for mention, words in (
                ("at least one axis", ()),
                ("did you mean budget?", ("-a", "budgt=5%")),
                ("backend", ("-a", "backend=cpu,simt")),
                ("--store is missing", ("-a", "context=1024")),
                ("--shard '4/4'", ("-a", "context=1024", "--shard", "4/4", "--dry-run")),
                ("twice", ("-a", "context=1024", "-a", "context=2048", "--dry-run")),
                ("--derive", ("-a", "context=1024", "--derive", "batch", "--dry-run")),
                ("no such point", ("-a", "context=1024", "--explain", "9"))):
            with self.subTest(words=words):
                self.fail_with(USAGE, mention, "sweep", *words)
        self.fail_with(BAD_FILE, "none.kvtrace", "sweep", self.folder / "none.kvtrace", "-a",
                       "budget=5%", "--dry-run")
        self.fail_with(BAD_FILE, "none.db", "sweep", "export", self.folder / "none.db")
        text = self.folder / "text.db"
        text.write_text("no database")
        self.fail_with(BAD_FILE, "text.db", "sweep", "export", text)

    def test_exports_are_documents(self):
        self.sweep("s.db", "-a", "context=1024,2048")
        document = json.loads(self.exported("s.db", "json"))
        self.assertEqual(document["schema"], "kvsieve.sweep/1")
        output = self.folder / "out.csv"
        self.succeed("sweep", "export", self.folder / "s.db", "--output", output)
        self.assertEqual(output.read_bytes().decode(), self.exported("s.db"))
        self.fail_with(USAGE, "--force", "sweep", "export", self.folder / "s.db", "--output",
                       output)


if __name__ == "__main__":
    main()
