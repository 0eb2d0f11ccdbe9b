"""`kvsieve compare`: verdicts, exit codes and every format, on files as users have them."""

import json
import random
import re
import sqlite3
import xml.etree.ElementTree as ElementTree

from cli_test import BAD_FILE, CHECK_FAILED, OK, SOURCE, USAGE, CliTest, main, run

try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = SOURCE / "docs" / "comparison.schema.json"


def timings(levels, seed, count=20, machine="m1", date="2026-11-26T15:00:00+00:00", noise=0.01):
    """A document of timings: a case a level, in us."""
    source = random.Random(seed)
    entries = []
    for name, level in levels.items():
        for repetition in range(count):
            time = level * source.lognormvariate(0, noise)
            entries.append({"name": name, "run_name": name, "run_type": "iteration",
                            "repetitions": count, "repetition_index": repetition, "threads": 1,
                            "iterations": 100, "real_time": time, "cpu_time": time,
                            "time_unit": "us"})
    return {"context": {"date": date, "host_name": "runner", "num_cpus": 2,
                        "kvsieve": {"schema": "kvsieve.bench/1", "kind": "timings",
                                    "machine": machine, "isa": "avx2"}},
            "benchmarks": entries}


def counters(sectors, registers=32, line=41, name="gather/n:64/kernel:gather/sm:80"):
    return {"context": {"kvsieve": {"schema": "kvsieve.bench/1", "kind": "counters"}},
            "benchmarks": [{"name": name, "run_type": "iteration", "iterations": 1, "real_time": 0,
                            "cpu_time": 0, "time_unit": "ns", "global_load_sectors": sectors,
                            "registers": registers,
                            "lines": [{"file": "kernels/a2ats/gather.cuh", "line": line,
                                       "global_load_sectors": sectors}]}]}


LEVELS = {"copy/n:64/d:8": 100.0, "copy/n:128/d:8": 200.0, "scan/n:64": 50.0}


class CompareTest(CliTest):
    def write(self, name, document):
        path = self.folder / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def compare(self, before, after, *words, code=OK):
        """Compares two documents and returns the outcome, which has `code`."""
        outcome = run("compare", self.write("old.json", before), self.write("new.json", after),
                      *words)
        self.assertEqual(outcome.code, code, outcome.stderr + outcome.stdout)
        return outcome


class TimingsTest(CompareTest):
    def test_equal_programs_pass(self):
        outcome = self.compare(timings(LEVELS, 1), timings(LEVELS, 2))
        self.assertIn("3 same", outcome.stdout)
        self.assertEqual(outcome.stderr, "")

    def test_a_slower_case_fails_and_is_named(self):
        outcome = self.compare(timings(LEVELS, 1), timings({**LEVELS, "scan/n:64": 60.0}, 2),
                               code=CHECK_FAILED)
        self.assert_one_error(outcome, "worst: real_time of scan/n:64")
        self.assertRegex(outcome.stdout, r"(?m)^worse +scan/n:64 +real_time")

    def test_three_percent_are_reported_only(self):
        outcome = self.compare(timings(LEVELS, 1), timings({**LEVELS, "scan/n:64": 51.5}, 2))
        self.assertRegex(outcome.stdout, r"(?m)^minor +scan/n:64")
        self.compare(timings(LEVELS, 1), timings({**LEVELS, "scan/n:64": 51.5}, 2), "--threshold",
                     "1%", code=CHECK_FAILED)

    def test_added_removed_and_renamed_cases(self):
        after = {"copy/d:8/n:64": 100.0, "copy2/n:128/d:8": 200.0, "a_new_one": 1.0}
        outcome = self.compare(timings(LEVELS, 1), timings(after, 2))
        self.assertIn("added: a_new_one", outcome.stdout)
        self.assertIn("removed: scan/n:64", outcome.stdout)
        self.assertIn("renamed: copy/n:128/d:8 to copy2/n:128/d:8", outcome.stdout)
        for word, mention in (("missing", "scan/n:64"), ("added", "a_new_one"),
                              ("renamed", "copy2/n:128/d:8"), ("any", "scan/n:64")):
            outcome = self.compare(timings(LEVELS, 1), timings(after, 2), "--fail-on", word,
                                   code=CHECK_FAILED)
            self.assert_one_error(outcome, mention)

    def test_too_few_repetitions_never_pass(self):
        outcome = self.compare(timings(LEVELS, 1, 3), timings(LEVELS, 2, 3), code=CHECK_FAILED)
        self.assert_one_error(outcome, "nothing could be judged")
        self.assertIn("at least 6 on each side needed", outcome.stderr)
        self.compare(timings(LEVELS, 1, 3), timings(LEVELS, 2, 3), "--fail-on", "none")

    def test_noise_that_leaves_it_open_passes_with_a_warning(self):
        outcome = self.compare(timings(LEVELS, 1, noise=0.3), timings(LEVELS, 2, noise=0.3))
        self.assertRegex(outcome.stderr,
                         r"^warning: \d of 3 cases inconclusive, .* first: too noisy: [^\n]*\n$")
        self.compare(timings(LEVELS, 1, noise=0.3), timings(LEVELS, 2, noise=0.3), "--fail-on",
                     "inconclusive", code=CHECK_FAILED)

    def test_a_drift_hides_no_change_far_larger_than_itself(self):
        def drifting(level):
            document = timings({"copy/n:64": level}, 1, count=16, noise=0.0)
            for number, entry in enumerate(document["benchmarks"]):
                entry["real_time"] *= 1.0 + 0.001 * number
            return document
        outcome = self.compare(drifting(100.0), drifting(572.0), code=CHECK_FAILED)
        self.assertRegex(outcome.stdout, r"(?m)^worse +copy/n:64 .*\+472")
        outcome = self.compare(drifting(100.0), drifting(110.0))
        self.assertRegex(outcome.stdout, "(?m)^inconclusive +copy/n:64 .*neighbours")

    def test_a_better_half_beside_a_steady_side_is_inconclusive(self):
        wide = timings({"copy/n:64": 100.0}, 1, count=60, noise=0.1)
        steady = timings({"copy/n:64": 100.0}, 2, count=60, noise=0.001)
        outcome = self.compare(wide, steady, "--threshold", "2%")
        self.assertRegex(outcome.stderr, "first: too noisy: the better half's change; of all")
        self.compare(steady, wide, "--threshold", "2%")

    def test_folders_are_one_file_each(self):
        for side, level in (("old", 100.0), ("new", 120.0)):
            (self.folder / side).mkdir()
            for number in range(8):
                self.write(f"{side}/{number}.json", timings({"copy/n:64": level}, number, 1))
        outcome = run("compare", self.folder / "old", self.folder / "new", "--format", "json")
        self.assertEqual(outcome.code, CHECK_FAILED)
        self.assertEqual(outcome.json["changes"][0]["timing"]["old_repetitions"], 8)

    def test_another_machine(self):
        before, after = timings(LEVELS, 1), timings(LEVELS, 2, machine="m2")
        outcome = self.compare(before, after)
        self.assertIn("OTHER MACHINE OR BUILD", outcome.stderr)
        outcome = self.compare(before, after, "--require-same-machine", code=CHECK_FAILED)
        self.assertIn("error: not the same machine or build: kvsieve.machine", outcome.stderr)

    def test_every_output_says_that_the_machine_is_another(self):
        words = (timings(LEVELS, 1), timings(LEVELS, 2, machine="m2"), "--require-same-machine")
        outcome = self.compare(*words, "--format", "json", code=CHECK_FAILED)
        self.assertFalse(outcome.json["passed"])
        outcome = self.compare(*words, "--format", "junit", code=CHECK_FAILED)
        self.assertIn('failures="1"', outcome.stdout)
        outcome = self.compare(*words, "--format", "md", code=CHECK_FAILED)
        self.assertTrue(outcome.stdout.startswith("### ❌"))
        outcome = self.compare(*words, "--format", "github", code=CHECK_FAILED)
        self.assertRegex(outcome.stdout, "(?m)^::error .*not the same machine or build")
        self.compare(*words, "--fail-on", "none", code=CHECK_FAILED)

    def test_repetitions_without_a_value_are_named(self):
        for value in ("NaN", "null", "Infinity", None):
            holes = timings(LEVELS, 2)
            lacking = 0
            for entry in holes["benchmarks"]:
                if entry["name"] == "scan/n:64" and entry["repetition_index"] in (2, 9, 10):
                    lacking += 1
                    if value is None:
                        del entry["real_time"]
                    else:
                        entry["real_time"] = "HOLE"
            self.assertEqual(lacking, 3)
            text = json.dumps(holes).replace('"HOLE"', str(value))
            for words, when in (((timings(LEVELS, 1), text), "now"),
                                ((text, timings(LEVELS, 1)), "before")):
                outcome = self.compare(*words)
                self.assertRegex(outcome.stdout, "(?m)^inconclusive +scan/n:64 .*"
                                 f"3 of 20 repetitions {when} have no value")
                self.assertIn("1 of 3 cases inconclusive, scan/n:64 first", outcome.stderr)
                outcome = self.compare(*words, "--fail-on", "inconclusive", code=CHECK_FAILED)
                self.assert_one_error(outcome, "real_time of scan/n:64")
                outcome = self.compare(*words, "--filter", "scan", code=CHECK_FAILED)
                self.assert_one_error(outcome, "nothing could be judged: real_time of scan/n:64")

    def test_huge_changes_are_short_in_every_output(self):
        before = timings({"copy/n:64": 1e-3}, 1)
        after = timings({"copy/n:64": 1e250}, 2)
        for format in ("table", "md", "junit", "github", "json"):
            outcome = self.compare(before, after, "--format", format, code=CHECK_FAILED)
            self.assertNotRegex(outcome.stdout + outcome.stderr, r"\d{30}")
            if format != "json":
                self.assertRegex(outcome.stdout, "(>|&gt;)1000x")
            self.assertIn("copy/n:64 >1000x (", outcome.stderr)
        for format in ("table", "md", "junit", "github"):
            outcome = self.compare(counters(1), counters(1e250), "--format", format,
                                   code=CHECK_FAILED)
            self.assertNotRegex(outcome.stdout + outcome.stderr, r"\d{30}")
            self.assertRegex(outcome.stdout, "(>|&gt;)1000x")

    def test_metric_and_filter(self):
        slow = timings({**LEVELS, "scan/n:64": 60.0}, 2)
        self.compare(timings(LEVELS, 1), slow, "--filter", "^copy")
        self.compare(timings(LEVELS, 1), slow, "--metric", "cpu_time", code=CHECK_FAILED)
        self.fail_with(USAGE, "no_such", "compare", self.folder / "old.json",
                       self.folder / "new.json", "--metric", "no_such")
        self.fail_with(USAGE, "no case", "compare", self.folder / "old.json",
                       self.folder / "new.json", "--filter", "nowhere")

    def test_google_benchmarks_own_files_go_by_cpu_time(self):
        before, after = timings(LEVELS, 1), timings(LEVELS, 2)
        for document in (before, after):
            del document["context"]["kvsieve"]
        for entry in after["benchmarks"]:
            entry["real_time"] *= 2
        outcome = self.compare(before, after, "--all")
        self.assertIn("cpu_time", outcome.stdout)
        self.compare(before, after, "--metric", "real_time", code=CHECK_FAILED)


class FormatTest(CompareTest):
    def setUp(self):
        super().setUp()
        self.before = timings({**LEVELS, "odd|<name>/n:1": 10.0}, 1)
        self.after = timings({**LEVELS, "scan/n:64": 60.0, "odd|<name>/n:1": 12.0}, 2)

    def test_json_follows_its_schema(self):
        if jsonschema is None:
            self.skipTest("python3-jsonschema is not installed")
        validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
        jsonschema.Draft202012Validator.check_schema(validator.schema)
        document = self.compare(self.before, self.after, "--format", "json",
                                code=CHECK_FAILED).json
        self.assertFalse(document["passed"])
        self.assertEqual(document["changes"][0]["verdict"], "worse")
        few = self.compare(timings(LEVELS, 1, 3), counters_free_of_machine(), "--fail-on", "none",
                           "--format", "json").json
        count = self.compare(counters(128), counters(256), "--format", "json",
                             code=CHECK_FAILED).json
        self.assertEqual(count["changes"][0]["lines"][0]["line"], 41)
        for one in (document, few, count):
            self.assertEqual([error.message for error in validator.iter_errors(one)], [])
        for key in ("schema", "kind", "passed", "counts", "changes", "removed"):
            broken = {name: value for name, value in document.items() if name != key}
            self.assertFalse(validator.is_valid(broken), key)
        document["changes"][0]["verdict"] = "awful"
        self.assertFalse(validator.is_valid(document))

    def test_junit_is_xml_with_a_failure_for_each_failed_case(self):
        text = self.compare(self.before, self.after, "--format", "junit", code=CHECK_FAILED).stdout
        suite = ElementTree.fromstring(text).find("testsuite")
        cases = {case.get("name"): case for case in suite.findall("testcase")}
        self.assertEqual(set(cases), set(LEVELS) | {"odd|<name>/n:1"})
        failed = {name for name, case in cases.items() if case.find("failure") is not None}
        self.assertEqual(failed, {"scan/n:64", "odd|<name>/n:1"})
        self.assertEqual(suite.get("failures"), "2")

    def test_markdown_tables_stay_tables(self):
        text = self.compare(self.before, self.after, "--format", "md", code=CHECK_FAILED).stdout
        rows = [line for line in text.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertEqual(len(re.findall(r"(?<!\\)\|", row)), 10, row)

    def test_annotations_are_escaped_and_point_at_lines(self):
        text = self.compare(counters(128), counters(256), "--format", "github",
                            code=CHECK_FAILED).stdout
        self.assertRegex(text, r"^::error file=kernels/a2ats/gather.cuh,line=41,title=gather/n%3A64"
                               r"/kernel%3Agather/sm%3A80::global_load_sectors \+100.0%25: ")
        self.assertEqual(text.count("\n"), 1)

    def test_several_outputs_at_once(self):
        paths = {name: self.folder / f"gate.{name}" for name in ("json", "markdown", "junit",
                                                                 "github")}
        words = [word for name, path in paths.items() for word in (f"--{name}", path)]
        self.compare(self.before, self.after, *words, code=CHECK_FAILED)
        self.assertFalse(json.loads(paths["json"].read_text())["passed"])
        self.assertTrue(paths["markdown"].read_text().startswith("### ❌"))
        ElementTree.fromstring(paths["junit"].read_text())
        self.assertIn("::error", paths["github"].read_text())
        self.fail_with(USAGE, "--force", "compare", self.folder / "old.json",
                       self.folder / "new.json", "--json", paths["json"])
        self.compare(self.before, self.after, *words, "--force", code=CHECK_FAILED)
        self.fail_with(USAGE, "input", "compare", self.folder / "old.json",
                       self.folder / "new.json", "--json", self.folder / "old.json", "--force")

    def test_no_report_becomes_a_result_of_a_folder(self):
        for side, level in (("old", 100.0), ("new", 100.0), ("history", 100.0)):
            (self.folder / side).mkdir()
            self.write(f"{side}/0.json", timings({"copy/n:64": level}, 1))
        old, new, history = (self.folder / side for side in ("old", "new", "history"))
        for words in ((old, new), (new, old), (old / "0.json", "--against-history", history)):
            folder = words[-1]
            for output in ("--json", "--junit", "--markdown", "--github"):
                path = folder / ".." / folder.name / "gate.json"
                self.fail_with(USAGE, "are read as results", "compare", *words, output, path)
                self.assertFalse(path.exists())
                self.succeed("compare", *words, output, folder / f"gate{output}.txt")
        # Of a program that did not know better.
        report = run("compare", old, new, "--format", "json").stdout
        self.write("old/report.json", report)
        self.fail_with(BAD_FILE, "report.json: is a report of kvsieve compare", "compare", old, new)

    def test_two_outputs_in_one_file_are_refused(self):
        old, new = self.write("old.json", self.before), self.write("new.json", self.after)
        path = self.folder / "gate.json"
        self.fail_with(USAGE, "two outputs", "compare", old, new, "--json", path, "--junit",
                       f"{self.folder}/./gate.json")
        self.assertFalse(path.exists())

    def test_names_cannot_steer_a_terminal(self):
        before = timings({"a\x1b[31m\nb": 10.0}, 1)
        after = timings({"a\x1b[31m\nb": 20.0}, 2)
        for format in ("table", "md", "junit", "github"):
            outcome = self.compare(before, after, "--format", format, code=CHECK_FAILED)
            self.assertNotIn("\x1b", outcome.stdout + outcome.stderr)


def counters_free_of_machine():
    """Timings whose context says nothing and of which one case failed."""
    document = timings(LEVELS, 2, 3)
    document["benchmarks"].append({"name": "copy/n:64/d:8", "error_occurred": True,
                                   "error_message": "no GPU"})
    del document["context"]
    return document


class CountersTest(CompareTest):
    def test_exact(self):
        self.compare(counters(128), counters(128))
        outcome = self.compare(counters(128), counters(129), code=CHECK_FAILED)
        self.assert_one_error(outcome, "at kernels/a2ats/gather.cuh:41")
        self.assertIn("kernel:gather", outcome.stderr)
        self.compare(counters(129), counters(128))
        self.compare(counters(129), counters(128), "--fail-on", "any", code=CHECK_FAILED)
        self.compare(counters(128, 32), counters(128, 33), code=CHECK_FAILED)

    def test_tolerances(self):
        self.compare(counters(1000), counters(1001), "--tolerance", "global_load_sectors=0.1%")
        self.compare(counters(1000), counters(1002), "--tolerance", "global_load_sectors=0.1%",
                     code=CHECK_FAILED)
        self.compare(counters(1000), counters(1001), "--tolerance", "registers=0.1%",
                     code=CHECK_FAILED)
        self.compare(counters(1000), counters(1001), "--tolerance", "0.01")

    def test_a_counter_without_a_number(self):
        outcome = self.compare(counters(None), counters(None))
        self.assertRegex(outcome.stdout, "(?m)^inconclusive .*global_load_sectors .*no number")
        self.compare(counters(128), counters(None), code=CHECK_FAILED)


class ModelResultsTest(CompareTest):
    def test_runs(self):
        trace = self.synth()
        for name, budget in (("a", "20%"), ("b", "20%"), ("c", "40%")):
            self.succeed("run", trace, "--method", "snapkv", "--budget", budget, "--output",
                         self.folder / f"{name}.kvrun")
        outcome = self.succeed("compare", self.folder / "a.kvrun", self.folder / "b.kvrun",
                               "--fail-on", "any")
        self.assertIn("no difference", outcome.stdout)
        outcome = run("compare", self.folder / "a.kvrun", self.folder / "c.kvrun", "--format",
                      "json")
        self.assertEqual(outcome.code, CHECK_FAILED)
        self.assertIn("method.budget", [entry["what"] for entry in outcome.json["set_up"]])
        self.assertIn("method.budget differs", outcome.stderr)
        verdicts = {(change["case"], change["metric"]): change["verdict"]
                    for change in outcome.json["changes"]}
        self.assertEqual(verdicts["summary", "evicted_mass"], "better")
        self.assertEqual(verdicts["layer 0, head 0", "budget"], "changed")

    def test_stores(self):
        stores = [self.folder / f"{name}.db" for name in "ab"]
        for store in stores:
            self.succeed("sweep", "-a", "budget=10%,20%", "-a", "method=snapkv,h2o", "-a",
                         "context=4096,8192", "-a", "model-shape=llama-3.1-8b", "-a",
                         "hardware=h100-sxm", "--store", store)
        outcome = self.succeed("compare", *stores, "--fail-on", "any")
        self.assertIn("no difference; 8 points", outcome.stdout)
        with sqlite3.connect(stores[1]) as database:
            database.execute("UPDATE rows SET metrics = json_set(metrics, '$.step_us', "
                             "1.5 * json_extract(metrics, '$.step_us')) WHERE number = 3")
            database.execute("DELETE FROM rows WHERE number = 5")
        outcome = run("compare", *stores, "--format", "json")
        self.assertEqual(outcome.code, CHECK_FAILED)
        worst = outcome.json["changes"][0]
        self.assertEqual(worst["metric"], "step_us")
        self.assertAlmostEqual(worst["relative"], 0.5)
        self.assertIn("budget=10%", worst["case"])
        self.assertEqual(len(outcome.json["removed"]), 1)
        self.succeed("compare", *stores, "--tolerance", "step_us=60%")
        self.fail_with(USAGE, "no point has a metric 'step_u'", "compare", *stores, "--metric",
                       "step_us", "--metric", "step_u")
        for store in stores:
            with sqlite3.connect(store) as database:
                database.execute("UPDATE rows SET metrics = '', error = 'no memory' "
                                 "WHERE number = 2")
        outcome = self.succeed("compare", *stores, "--tolerance", "step_us=60%")
        self.assertRegex(outcome.stderr, "1 of 7 points inconclusive, .*both sides: no memory")


class HistoryTest(CompareTest):
    def result(self, day, level=100.0, machine="m1"):
        return self.write("new.json", timings({"copy/n:64": level}, day, machine=machine,
                                              date=f"2026-11-{day:02}T12:00:00+00:00"))

    def against(self, day, *words, code=OK, **options):
        outcome = run("compare", self.result(day, **options), "--against-history",
                      self.folder / "history", *words)
        self.assertEqual(outcome.code, code, outcome.stderr)
        return outcome

    def test_a_history_grows_and_fails(self):
        first = self.against(1, "--update")
        self.assertIn("no result of this machine", first.stderr)
        for day in range(2, 8):
            self.against(day, "--update", "--history-keep", "5")
        self.assertEqual(len(list((self.folder / "history").iterdir())), 5)
        self.against(8, "--update", level=120.0, code=CHECK_FAILED)
        self.assertEqual(len(list((self.folder / "history").iterdir())), 5)
        names = sorted(path.name for path in (self.folder / "history").iterdir())
        self.assertNotIn("2026-11-08", names[-1])
        self.against(8, "--update", "--fail-on", "none", level=120.0)
        self.assertIn("2026-11-08",
                      sorted(path.name for path in (self.folder / "history").iterdir())[-1])

    def test_the_step_is_dated(self):
        for day in range(1, 9):
            self.against(day, "--update")
        for day in range(9, 17):
            self.against(day, "--update", "--fail-on", "none", level=120.0)
        outcome = self.against(17, "--format", "json", level=120.0)
        self.assertEqual(outcome.json["steps"][0]["date"], "2026-11-09T12:00:00+00:00")
        self.assertRegex(self.against(17, level=120.0).stdout,
                         r"step: real_time of copy/n:64 moved by \+(19|20|21)\.\d% at 2026-11-09")

    def test_without_a_comparable_result(self):
        self.against(1, "--update")
        self.fail_with(BAD_FILE, "none of 1 results", "compare", self.result(2, machine="m2"),
                       "--against-history", self.folder / "history")

    def test_counters_have_no_date(self):
        """And so get that of the moment in which they join."""
        history = self.folder / "history"

        def against(sectors, *words, code=OK):
            outcome = run("compare", self.write("new.json", counters(sectors)),
                          "--against-history", history, *words)
            self.assertEqual(outcome.code, code, outcome.stderr)
            return outcome

        self.assertIn("nothing is compared", against(128, "--update").stderr)
        [stored] = history.iterdir()
        document = json.loads(stored.read_text())
        self.assertRegex(document["context"].pop("date"), r"^20\d\d-.*T.*\+00:00$")
        self.assertEqual(document, counters(128))
        self.assertIn("no difference", against(128, "--update").stdout)
        self.assertEqual(len(list(history.iterdir())), 2)
        failed = against(129, "--update", code=CHECK_FAILED)
        self.assertIn("global_load_sectors of gather", failed.stderr)
        self.assertEqual(len(list(history.iterdir())), 2)
        for sectors in (129, 64, 77):  # each is the latest one, though all join within a second
            against(sectors, "--update", "--fail-on", "none")
            against(sectors, "--fail-on", "any")
        dated = json.loads(self.result(1).read_text())
        self.write("new.json", dated)
        self.assertIn("nothing is compared", run("compare", self.folder / "new.json",
                                                 "--against-history", history,
                                                 "--update").stderr)

    def test_nothing_unjudged_joins_the_history(self):
        self.against(1, "--update")
        for words in (("--filter", "copy"), ("--metric", "real_time")):
            outcome = self.against(2, "--update", *words, code=USAGE)
            self.assertIn(f"--update does not go with {words[0]}", outcome.stderr)
        for words in (("--filter", "copy"), ("--metric", "real_time")):
            self.against(2, *words)

    def test_a_failed_or_empty_first_result_is_not_stored(self):
        failed = timings({"copy/n:64": 100.0}, 1)
        failed["benchmarks"][3] = {"name": "copy/n:64", "run_type": "iteration",
                                   "error_occurred": True, "error_message": "no GPU"}
        empty = timings({"copy/n:64": 100.0}, 1, count=1)
        empty["benchmarks"][0].update(run_type="aggregate", aggregate_name="median")
        holes = timings({"copy/n:64": 100.0}, 1)
        holes["benchmarks"][3]["real_time"] = None
        zero = timings({"copy/n:64": 100.0}, 1)
        zero["benchmarks"][3]["real_time"] = 0
        untimed = timings({"copy/n:64": 100.0}, 1)
        for entry in untimed["benchmarks"]:
            del entry["real_time"]
        for document, mention in ((failed, "copy/n:64 failed: no GPU"),
                                  (empty, "copy/n:64 has no repetitions"),
                                  (holes, "copy/n:64 has no real_time in 1 of 20 repetitions"),
                                  (zero, "copy/n:64 has a real_time that is not above 0"),
                                  (untimed, "copy/n:64 has no real_time"),
                                  (counters(None), "has no global_load_sectors in 1 of 1 ")):
            self.fail_with(CHECK_FAILED, mention, "compare", self.write("new.json", document),
                           "--against-history", self.folder / "history", "--update")
            self.assertFalse((self.folder / "history").exists())


class UsageTest(CompareTest):
    def test_malformed_files_give_one_line_each(self):
        good = self.write("good.json", timings(LEVELS, 1))
        for number, (text, mention) in enumerate((
                ("", "bad"), ("{", "bad"), ("[]", "bad"), ("{}", "no benchmarks"),
                ('{"benchmarks": 1}', "benchmarks"), ('{"benchmarks": [{}]}', "name"),
                ('{"benchmarks": []}', "holds no benchmark"),
                (json.dumps(timings(LEVELS, 1))[:-200], "byte"), ("\x00\x01\x02", "bad"),
                ('{"schema": "kvsieve.run/1"', "byte"),
                ('{"schema": "kvsieve.sweep/1"}', "exported"))):
            bad = self.write(f"bad{number}.json", text)
            for words in ((good, bad), (bad, good)):
                self.fail_with(BAD_FILE, bad.name, "compare", *words)
            self.assertIn(mention, run("compare", good, bad).stderr)
        self.fail_with(BAD_FILE, "no-such-file", "compare", good, "no-such-file")
        (self.folder / "empty").mkdir()
        self.fail_with(BAD_FILE, "without .json files", "compare", good, self.folder / "empty")
        self.fail_with(BAD_FILE, "bad0.json", "compare", good, self.folder)
        torn = self.write("torn.db", "")
        torn.write_bytes(b"SQLite format 3\x00" + b"\x01" * 100)
        self.fail_with(BAD_FILE, "torn.db", "compare", torn, torn)

    def test_different_kinds(self):
        before = self.write("t.json", timings(LEVELS, 1))
        after = self.write("c.json", counters(1))
        outcome = self.fail_with(USAGE, "t.json holds timings", "compare", before, after)
        self.assertIn("c.json holds counters of kernels", outcome.stderr)

    def test_values(self):
        path = self.write("a.json", timings(LEVELS, 1))
        for words in (["--threshold", "much"], ["--threshold", "-1%"], ["--alpha", "0"],
                      ["--alpha", "1"], ["--noise", "some"], ["--fail-on", "everything"],
                      ["--tolerance", "x=y"], ["--format", "xml"]):
            self.fail_with(USAGE, words[0], "compare", path, path, *words)
        for option in ("--threshold", "--noise", "--tolerance"):
            self.fail_with(USAGE, "did you mean 5%?", "compare", path, path, option, "5")
        self.succeed("compare", path, path, "--threshold", "200%")
        self.assertEqual(self.succeed("compare", path, path, "--tolerance", "5%").stderr,
                         "warning: --tolerance does not count for timings, --threshold does\n")
        self.fail_with(USAGE, "did you mean regression?", "compare", path, path, "--fail-on",
                       "regresion")
        self.fail_with(USAGE, "regular expression", "compare", path, path, "--filter", "(")
        self.fail_with(USAGE, "two results", "compare", path)
        self.fail_with(USAGE, "one result", "compare", path, path, "--against-history", "h")
        self.fail_with(USAGE, "--update", "compare", path, path, "--update")


if __name__ == "__main__":
    main()
