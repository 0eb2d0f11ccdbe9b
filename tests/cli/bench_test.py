"""`kvsieve bench`: cases, formats, files, and measuring beside another program."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from cli_test import (BAD_FILE, INTERRUPTED, KVSIEVE, MISSING, OK, USAGE, CliTest, main, parse_csv,
                      run)

PLANTED = os.environ["KVSIEVE_PLANTED"]
# A case of microseconds.
TINY = "^append_tokens/paged:0/n:1024/"
NAME = "append_tokens/paged:0/n:1024/threads:1"
QUICK = ["--filter", TINY, "--min-time", "0.001", "--roofline", "no"]
ITERATION_KEYS = ["name", "family_index", "per_family_instance_index", "run_name", "run_type",
                  "repetitions", "repetition_index", "threads", "iterations", "real_time",
                  "cpu_time", "time_unit"]


def iterations(document):
    return [entry for entry in document["benchmarks"] if entry["run_type"] == "iteration"]


class CasesTest(CliTest):
    def test_list_names_each_case_once(self):
        names = self.succeed("bench", "--list").stdout.splitlines()
        self.assertEqual(names, sorted(set(names)))
        for operation in ("adakv", "ragged_decode", "sparse_decode", "retrieve_tokens", "kmeans",
                          "replay", "cost_point", "simulate"):
            self.assertTrue(any(name.startswith(operation + "/") for name in names), operation)
        for name in names:
            self.assertRegex(name, r"^\w+(/\w+:[\w.-]+)+$")

    def test_list_keeps_to_the_filter(self):
        names = self.succeed("bench", "--list", "--filter", TINY).stdout
        self.assertEqual(names, NAME + "\n")

    def test_a_filter_without_match_is_refused(self):
        self.fail_with(USAGE, "`kvsieve bench --list` names them all", "bench", "--filter", "xyz")
        self.fail_with(USAGE, "no regular expression", "bench", "--filter", "(")

    def test_threads_are_in_the_names(self):
        names = self.succeed("bench", "--list", "--threads", "2", "--filter", "^adakv/").stdout
        self.assertTrue(all(name.endswith("/threads:2") for name in names.splitlines()))

    def test_values_out_of_range_are_refused(self):
        for option, value, mention in (
                ("--threads", "0", "--threads is 0"), ("--repetitions", "0", "--repetitions is 0"),
                ("--min-time", "0", "--min-time is 0"), ("--backend", "simt", "--backend 'simt'"),
                ("--roofline", "maybe", "supported: yes, no"), ("--format", "md", "--format 'md'"),
                ("--pin", "first", "no list of processors"), ("--pin", "1023", "processor 1023")):
            with self.subTest(option=option, value=value):
                self.fail_with(USAGE, mention, "bench", "--filter", TINY, option, value)

    def test_options_of_another_mode_are_refused(self):
        self.fail_with(USAGE, "--output-old has no meaning", "bench", *QUICK, "--output-old", "a")
        self.fail_with(USAGE, "--threads has no meaning with --counters", "bench", "--counters",
                       "--threads", "2")


class FormatTest(CliTest):
    def test_json_is_google_benchmarks(self):
        outcome = self.succeed("bench", *QUICK, "--format", "json", "--repetitions", "3")
        document = outcome.json
        self.assertEqual(list(document), ["context", "benchmarks"])
        context = document["context"]
        for key in ("date", "host_name", "executable", "num_cpus", "mhz_per_cpu", "caches",
                    "load_avg", "library_build_type"):
            self.assertIn(key, context)
        own = context["kvsieve"]
        self.assertEqual((own["schema"], own["kind"]), ("kvsieve.bench/1", "timings"))
        for key in ("tool_version", "backend", "machine", "isa", "compiler", "build_type", "flags",
                    "load", "options", "rooflines", "noise"):
            self.assertIn(key, own)
        self.assertEqual(own["rooflines"], [])
        for index, entry in enumerate(iterations(document)):
            self.assertEqual(list(entry)[:len(ITERATION_KEYS)], ITERATION_KEYS)
            self.assertEqual(entry["name"], NAME)
            self.assertEqual((entry["repetitions"], entry["repetition_index"]), (3, index))
            self.assertGreater(entry["real_time"], 0.0)
            for key in ("bytes", "bytes_per_second"):
                self.assertGreater(entry[key], 0.0)
            self.assertNotIn("share_of_bandwidth", entry)
        aggregates = [entry["aggregate_name"] for entry in document["benchmarks"]
                      if entry["run_type"] == "aggregate"]
        self.assertEqual(aggregates, ["mean", "median", "stddev", "cv"])

    def test_the_roofline_gives_shares_and_the_model_a_time(self):
        document = self.succeed("bench", "--filter", "^sparse_decode/dtype:f32/d:64/n:1024/",
                                "--min-time", "0.001", "--format", "json").json
        limits, = document["context"]["kvsieve"]["rooflines"]
        self.assertEqual(limits["threads"], 1)
        entry, = iterations(document)
        for share, rate, limit in (
                ("share_of_bandwidth", "bytes_per_second", "read_bytes_per_second"),
                ("share_of_peak", "flops_per_second", "flops_per_second")):
            self.assertAlmostEqual(entry[share] * limits[limit] / entry[rate], 1.0, places=6)
        self.assertGreater(entry["modelled_us"], 0.0)

    def test_csv_has_plain_numbers(self):
        rows = self.succeed("bench", *QUICK, "--format", "csv", "--repetitions", "2").rows
        self.assertEqual([row["repetition"] or row["aggregate"] for row in rows],
                         ["0", "1", "mean", "median", "stddev", "cv"])
        for row in rows:
            self.assertEqual(row["name"], NAME)
            self.assertGreaterEqual(float(row["real_time_us"]), 0.0)

    def test_the_table_has_a_row_a_case(self):
        lines = self.succeed("bench", *QUICK).stdout.splitlines()
        self.assertEqual(lines[0].split()[:2], ["case", "time_us"])
        self.assertEqual(lines[1].split()[0], NAME)
        self.assertEqual(len(lines), 2)


class OutputTest(CliTest):
    def test_a_file_appears_whole(self):
        path = self.folder / "result.json"
        outcome = self.succeed("bench", *QUICK, "--output", path)
        self.assertIn(NAME, outcome.stdout)
        self.assertEqual(len(iterations(json.loads(path.read_text()))), 1)
        self.assertEqual(self.files(), ["result.json"])

    def test_an_ending_sets_the_format(self):
        path = self.folder / "result.csv"
        self.succeed("bench", *QUICK, "--output", path)
        self.assertEqual(len(parse_csv(path.read_bytes().decode())), 1)

    def test_an_existing_file_is_kept_without_force(self):
        path = self.folder / "result.json"
        path.write_text("old")
        self.fail_with(USAGE, "--force", "bench", *QUICK, "--output", path)
        self.assertEqual(path.read_text(), "old")
        self.succeed("bench", *QUICK, "--output", path, "--force")
        self.assertNotEqual(path.read_text(), "old")

    def test_a_failing_case_writes_nothing(self):
        path = self.folder / "result.json"
        self.fail_with(BAD_FILE, "no-such.kvtrace", "bench", "--filter", "^replay/.*first",
                       "--trace", "no-such.kvtrace", "--output", path, "--roofline", "no")
        self.assertEqual(self.files(), [])

    def test_an_interrupt_writes_nothing(self):
        path = self.folder / "result.json"
        process = subprocess.Popen(
            [KVSIEVE, "bench", "--filter", TINY, "--roofline", "no", "--min-time", "0.05",
             "--repetitions", "1000", "--output", path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED)
        self.assertIn(b"interrupted", stderr)
        self.assertEqual(self.files(), [])


class MissingTest(CliTest):
    def test_cuda_needs_a_gpu(self):
        outcome = run("bench", "--backend", "cuda", "--list")
        if outcome.code == OK:
            self.skipTest("this machine has a GPU")
        self.fail_with(MISSING, "the backend cuda cannot run", "bench", "--backend", "cuda")


    def test_counters_hand_over(self):
        if (Path(KVSIEVE).parent / "../bench/counters/kvsieve-counters").exists():
            names = self.succeed("bench", "--counters", "--list").stdout.splitlines()
            self.assertTrue(any(name.startswith("ragged_decode/") for name in names))
            return
        self.fail_with(MISSING, "kvsieve-counters is not part of this build", "bench", "--counters")
        other = self.folder / "kvsieve-counters"
        other.write_text('#!/bin/sh\necho "$@"\n')
        other.chmod(0o755)
        outcome = self.succeed("bench", "--counters", "--filter", "^a", "--output", "o.json",
                               "--arch", "90", "--force",
                               env={"PATH": f"{self.folder}:{os.environ['PATH']}"})
        self.assertEqual(outcome.stdout,
                         "--format json --filter ^a --arch 90 --output o.json --force\n")


class AgainstTest(CliTest):
    """Both sides are the program of planted work: `bench --against` runs it in turns."""

    def wrap(self, name, *words):
        """A script that starts a program with further arguments in front."""
        path = self.folder / name
        path.write_text('#!/bin/sh\nexec {} "$@"\n'.format(" ".join(words)))
        path.chmod(0o755)
        return path

    def planted(self, name, work):
        return self.wrap(name, PLANTED, work)

    def against(self, old, new_work, *words):
        """Runs the comparison from the planted program as the new side."""
        process = subprocess.run(
            [PLANTED, new_work, "bench", "--against", str(old), "--output-old",
             str(self.folder / "old.json"), "--output-new", str(self.folder / "new.json"),
             "--min-time", "0.002", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=300, check=False)
        return process

    def documents(self):
        return [json.loads((self.folder / f"{side}.json").read_text()) for side in ("old", "new")]

    def test_both_sides_get_as_many_repetitions(self):
        outcome = self.against(self.planted("old.sh", "20,a/n:1,b/n:1"), "20,a/n:1,b/n:1",
                               "--repetitions", "4")
        self.assertEqual(outcome.returncode, OK, outcome.stderr)
        self.assertEqual(outcome.stdout, f"kvsieve compare {self.folder}/old.json "
                                         f"{self.folder}/new.json\n")
        programs = [self.folder / "old.sh", f"{PLANTED} 20,a/n:1,b/n:1"]
        for program, document in zip(programs, self.documents()):
            self.assertEqual(document["context"]["executable"], str(program))
            own = document["context"]["kvsieve"]
            self.assertEqual((own["schema"], own["kind"]), ("kvsieve.bench/1", "timings"))
            self.assertEqual(own["options"]["repetitions"], 4)
            self.assertEqual(own["interleaved"]["blocks"], 2)
            entries = iterations(document)
            self.assertEqual([entry["name"] for entry in entries], ["a/n:1"] * 4 + ["b/n:1"] * 4)
            self.assertEqual([entry["repetition_index"] for entry in entries], [0, 1, 2, 3] * 2)
            self.assertTrue(all(entry["repetitions"] == 4 for entry in entries))

    def test_more_is_measured_where_times_scatter(self):
        coin = self.folder / "old.sh"
        coin.write_text(f"#!/bin/bash\nexec {PLANTED} $((20 + RANDOM % 20)) \"$@\"\n")
        coin.chmod(0o755)
        for words, counts in (((), [40, 40]), (("--repetitions", "4"), [4, 4])):
            outcome = self.against(coin, "30", *words, "--force")
            self.assertEqual(outcome.returncode, OK, outcome.stderr)
            if "disturbed" not in outcome.stderr:
                self.assertEqual([len(iterations(document)) for document in self.documents()],
                                 counts)

    def test_the_order_is_abba(self):
        log = self.folder / "log"
        scripts = []
        for side in ("old", "new"):
            path = self.folder / f"{side}.sh"
            path.write_text("#!/bin/sh\ncase \"$*\" in *--format*) echo {} >> {};; esac\n"
                            "exec {} {} \"$@\"\n".format(side, log, PLANTED,
                                                       "5" if side == "old" else ""))
            path.chmod(0o755)
            scripts.append(path)
        # The new side is whatever program runs the comparison: argv[0] is its script.
        process = subprocess.run(
            ["bash", "-c", f"exec -a {scripts[1]} {PLANTED} 5 bench --against {scripts[0]} "
             f"--output-old {self.folder}/old.json --output-new {self.folder}/new.json "
             "--min-time 0.001 --repetitions 8"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=300, check=False)
        self.assertEqual(process.returncode, OK, process.stderr)
        # The first one finds out how long an iteration takes.
        order = log.read_text().split()[1:]
        self.assertGreaterEqual(len(order), 16)
        for begin in range(0, len(order), 4):
            self.assertIn(order[begin:begin + 4], (["old", "new", "new", "old"],
                                                   ["new", "old", "old", "new"]))

    def test_cases_of_one_side_are_named_and_measured(self):
        outcome = self.against(self.planted("old.sh", "5,both/n:1,gone/n:1"),
                               "5,both/n:1,fresh/n:1", "--repetitions", "2")
        self.assertEqual(outcome.returncode, OK, outcome.stderr)
        self.assertIn("only the other program has: gone/n:1", outcome.stderr)
        self.assertIn("only this program has: fresh/n:1", outcome.stderr)
        names = [{entry["name"] for entry in iterations(document)}
                 for document in self.documents()]
        self.assertEqual(names, [{"both/n:1", "gone/n:1"}, {"both/n:1", "fresh/n:1"}])

    def test_a_longer_spin_takes_longer(self):
        outcome = self.against(self.planted("old.sh", "20"), "60", "--repetitions", "4")
        self.assertEqual(outcome.returncode, OK, outcome.stderr)
        times = [min(entry["real_time"] for entry in iterations(document))
                 for document in self.documents()]
        self.assertGreater(times[1], 2.0 * times[0])

    def test_bad_programs_are_named(self):
        words = ["--output-old", self.folder / "a.json", "--output-new", self.folder / "b.json",
                 "--filter", TINY, "--repetitions", "2"]
        self.fail_with(BAD_FILE, "/no/such/kvsieve: cannot start it", "bench", "--against",
                       "/no/such/kvsieve", *words)
        self.fail_with(BAD_FILE, "`bench --list` failed (exit 9): sorry", "bench", "--against",
                       self.wrap("bad.sh", "sh -c 'echo sorry >&2; exit 9'"), *words)
        self.fail_with(BAD_FILE, "printed no timings", "bench", "--against",
                       self.wrap("chatty.sh", f"echo {NAME}; exit 0;"), *words)
        self.fail_with(BAD_FILE, "printed no timings", "bench", "--against", self.printing(
            {"context": {}, "benchmarks": [{"run_name": NAME, "real_time": "x"}] * 2}), *words)
        self.assertFalse((self.folder / "a.json").exists())

    def printing(self, document):
        """A program that has the tiny case and prints a document for it."""
        path = self.folder / "printing.sh"
        path.write_text(f"#!/bin/sh\ncase \"$*\" in *--list*) echo {NAME};; "
                        f"*) echo '{json.dumps(document)}';; esac\n")
        path.chmod(0o755)
        return path

    def test_any_program_with_google_benchmarks_json_will_do(self):
        entry = {"name": NAME, "run_name": NAME, "run_type": "iteration", "real_time": 2.0,
                 "cpu_time": 2.0, "time_unit": "us", "iterations": 1}
        other = self.printing({"context": {}, "benchmarks": [entry] * 3})
        old, new = self.folder / "a.json", self.folder / "b.json"
        self.succeed("bench", "--against", other, "--output-old", old, "--output-new", new,
                     "--filter", TINY, "--repetitions", "2", "--min-time", "0.001")
        self.assertEqual([entry["real_time"] for entry in iterations(json.loads(old.read_text()))],
                         [2.0, 2.0])
        self.assertEqual(len(iterations(json.loads(new.read_text()))), 2)

    def test_files_are_asked_for(self):
        self.fail_with(USAGE, "--against needs --output-old FILE", "bench", "--against", KVSIEVE)
        path = self.folder / "a.json"
        for other in (path, f"{self.folder}/./a.json"):
            self.fail_with(USAGE, "two outputs", "bench", "--against", KVSIEVE, "--output-old",
                           path, "--output-new", other)
        for words in (("--list",), ("--arch", "80")):
            self.fail_with(USAGE, f"{words[0]} has no meaning with --against", "bench", "--against",
                           KVSIEVE, "--output-old", path, "--output-new", self.folder / "b.json",
                           *words)
        self.fail_with(USAGE, "even number", "bench", "--against", KVSIEVE, "--output-old", path,
                       "--output-new", self.folder / "b.json", "--repetitions", "3")

    def test_nothing_to_compare_is_refused(self):
        outcome = self.against(self.planted("old.sh", "5"), "5", "--filter", "xyz")
        self.assertEqual(outcome.returncode, USAGE)
        self.assertIn("matches no case of either program", outcome.stderr)


if __name__ == "__main__":
    main()
