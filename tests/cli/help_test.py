"""Help and usage: what a newcomer sees."""

import re

from cli_test import EVICTION, RETRIEVAL, USAGE, VERBS, CliTest, main, run

# Options without a fixed default: the text says what happens without them.
WITHOUT_DEFAULT = {("run", name) for name in ("method", "window", "sinks", "pool", "codebook",
                                              "output", "link", "cpu", "engine", "context",
                                              "model-shape")}
WITHOUT_DEFAULT |= {("cost", name) for name in (
    "longest-over-mean", "top", "sinks", "window", "placement", "fetch-path", "schedule",
    "codewords",
    "hot-buffer", "hit-rate", "union-factor", "run-tokens", "link", "cpu", "engine", "context",
    "contexts", "batches", "timeline", "list")}
WITHOUT_DEFAULT |= {("sweep", name) for name in (
    "config", "axis", "zip", "derive", "where", "sample", "store", "cache", "explain", "pareto", "best",
    "metrics")}
WITHOUT_DEFAULT |= {("train", "output")}
WITHOUT_DEFAULT |= {("profile", name) for name in (
    "method", "window", "sinks", "pool", "codebook", "case", "from", "cupti", "date", "output",
    "record", "rows")}
WITHOUT_DEFAULT |= {(verb, name) for verb in ("validate", "calibrate") for name in (
    "measured", "engine", "engine-version", "kv-dtype", "as", "hardware")}
WITHOUT_DEFAULT |= {("validate", "report"), ("validate", "fail-above"), ("calibrate", "output"),
                    ("calibrate", "date")}
WITHOUT_DEFAULT |= {("report", name) for name in ("format", "output", "title", "png")}
WITHOUT_DEFAULT |= {("bench", name) for name in (
    "trace", "repetitions", "min-time", "against", "output-old", "output-new", "output")}
WITHOUT_DEFAULT |= {("compare", name) for name in (
    "tolerance", "metric", "filter", "fail-on", "against-history", "json", "markdown", "junit", "github")}
WITHOUT_DEFAULT |= {("view", name) for name in ("page", "export", "format", "size")}


def options_of(help_text):
    """Long option names with whether they take a value and whether a default is shown."""
    pattern = r"^  (?:-\w \[ )?--([\w-]+)(?: \])?( arg)?( \(=[^)]+\))?"
    return {name: (bool(value), bool(default))
            for name, value, default in re.findall(pattern, help_text, re.MULTILINE)}


class OverviewTest(CliTest):
    def test_help_lists_every_verb_and_exit_code(self):
        for words in (["--help"], ["-h"], ["help"]):
            outcome = self.succeed(*words)
            self.assertEqual(outcome.stderr, "")
            for verb in VERBS:
                self.assertRegex(outcome.stdout, rf"(?m)^  {verb} +\w")
            for code in ("0 ok", "2 usage", "130 interrupted"):
                self.assertIn(code, outcome.stdout)

    def test_no_arguments_show_the_overview_and_fail(self):
        outcome = run()
        self.assertEqual(outcome.code, USAGE)
        self.assertIn("Usage: kvsieve VERB", outcome.stdout + outcome.stderr)

    def test_version(self):
        outcome = self.succeed("--version")
        self.assertRegex(outcome.stdout, r"^kvsieve \d+\.\d+\.\d+\n$")
        self.assertEqual(outcome.stderr, "")

    def test_unknown_verbs_get_a_suggestion(self):
        for word, near in (("rnu", "run"), ("chekc", "check"), ("sinth", "synth"),
                           ("helpp", "help"), ("--versoin", "--version")):
            self.fail_with(USAGE, f"did you mean {near}?", word)
        self.fail_with(USAGE, "`kvsieve --help` lists the verbs", "quantise-everything")
        self.fail_with(USAGE, "did you mean run?", "help", "rnu")


class VerbHelpTest(CliTest):
    def test_both_ways_to_ask_agree(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                texts = []
                for words in (["help", verb], [verb, "--help"], [verb, "-h"]):
                    outcome = self.succeed(*words)
                    self.assertEqual(outcome.stderr, "")
                    texts.append(outcome.stdout)
                self.assertEqual(len(set(texts)), 1)
                self.assertTrue(texts[0].startswith("Usage: kvsieve"), texts[0][:80])

    def test_help_comes_before_all_other_checks(self):
        self.succeed("run", "no-such-file", "--bogus", "--help")

    def test_examples_come_before_options(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                text = self.succeed(verb, "--help").stdout
                example = text.find("Examples:\n  kvsieve")
                self.assertGreater(example, 0)
                options = re.search(r"(?m)^  (-\w \[ )?--\w", text)
                if options is not None:
                    self.assertLess(example, options.start())

    def test_examples_use_options_that_exist(self):
        for verb in VERBS:
            if verb == "record":
                continue
            text = self.succeed(verb, "--help").stdout
            known = options_of(text)
            for line in re.findall(r"(?m)^  kvsieve (.*)$", text):
                for option in re.findall(r"--([\w-]+)", line):
                    self.assertIn(option, known, f"{verb}: {line}")

    def test_every_value_shows_its_default(self):
        for verb in VERBS:
            if verb == "record":
                continue
            for name, (value, default) in options_of(self.succeed(verb, "--help").stdout).items():
                if value and (verb, name) not in WITHOUT_DEFAULT:
                    self.assertTrue(default, f"{verb} --{name} shows no default")

    def test_defaults_are_short_numbers(self):
        for verb in VERBS:
            text = self.succeed(verb, "--help").stdout
            self.assertNotRegex(text, r"\(=\d\.\d{6,}\)", verb)

    def test_run_lists_every_method(self):
        text = " ".join(self.succeed("run", "--help").stdout.split())
        for method in EVICTION + RETRIEVAL:
            self.assertIn(method, text)

    def test_lines_fit_a_terminal(self):
        for verb in [None] + VERBS:
            text = self.succeed(*([verb] if verb else []), "--help").stdout
            self.assertLessEqual(max(map(len, text.splitlines())), 100, verb)


class UsageErrorTest(CliTest):
    def test_unknown_options_get_a_suggestion(self):
        for words, near in ((["run", "t", "--budgt", "20%"], "--budget"),
                            (["run", "t", "--budgt=20%"], "--budget"),
                            (["run", "t", "--codewrds", "4"], "--codewords"),
                            (["check", "t", "--tolerence", "1"], "--tolerance"),
                            (["synth", "t", "--kv-head", "1"], "--kv-heads")):
            self.fail_with(USAGE, f"did you mean {near}?", *words)

    def test_abbreviations_are_not_guessed(self):
        self.fail_with(USAGE, "--bud", "run", "t", "--method", "snapkv", "--bud", "20%")

    def test_unknown_methods_get_a_suggestion(self):
        trace = self.synth()
        for word, near in (("snapvk", "snapkv"), ("ada-snapk", "ada-snapkv"), ("a2at", "a2ats"),
                           ("exact-top", "exact-topk")):
            self.fail_with(USAGE, f"did you mean {near}?", "run", trace, "--method", word)
        self.fail_with(USAGE, "lists the methods", "run", trace, "--method", "magic-cache-9000")

    def test_missing_arguments_are_named(self):
        for verb, words, mention in (("run", ["--method", "snapkv"], "no trace"),
                                     ("run", ["t"], "--method"),
                                     ("check", [], "no trace"), ("info", [], "no file"),
                                     ("synth", [], "no output"), ("train", ["t"], "--output"),
                                     ("report", [], "no run")):
            with self.subTest(verb=verb):
                self.fail_with(USAGE, mention, verb, *words)

    def test_empty_and_surplus_names_are_refused(self):
        trace = self.synth()
        self.fail_with(USAGE, "empty", "run", "", "--method", "snapkv")
        self.fail_with(USAGE, "empty", "run", trace, "--method", "snapkv", "--output", "")
        self.fail_with(USAGE, "too many", "run", trace, trace, "--method", "snapkv")
        self.fail_with(USAGE, "too many", "synth", self.folder / "a", self.folder / "b")

    def test_values_out_of_range_are_named(self):
        trace = self.synth()
        for words in (["--budget", "-5"], ["--budget", "20%%"], ["--budget", "1e3"],
                      ["--budget", "10parsecs"], ["--budget", ""], ["--window", "0"],
                      ["--window", "65"], ["--sinks", "-1"], ["--pool", "max:6"],
                      ["--pool", "median:3"], ["--granularity", "layer"],
                      ["--group-reduce", "sum"], ["--seed", "-1"], ["--seed", "x"],
                      ["--threads", "-1"], ["--threads", "1000000"], ["--layers", "7"],
                      ["--layers", "1-0"], ["--layers", ""], ["--layers", "0,,1"],
                      ["--format", "xml"], ["--backend", "tpu"]):
            with self.subTest(words=words):
                self.fail_with(USAGE, words[0].lstrip("-"), "run", trace, "--method", "snapkv",
                               *words)
        for words in (["--alpha", "1.01"], ["--alpha", "-0.1"], ["--alpha", "0,5"],
                      ["--alpha-mode", "best"]):
            with self.subTest(words=words):
                self.fail_with(USAGE, words[0], "run", trace, "--method", "ada-snapkv", *words)
        for words in (["--top", "0%%"], ["--top", "-1"], ["--top", ""], ["--window", "0"],
                      ["--sinks", "-1"], ["--hot-buffer", "-1"], ["--codewords", "-1"],
                      ["--iterations", "-1"], ["--placement", "cloud"],
                      ["--final-attention", "fast"], ["--wrope-distance", "-1"],
                      ["--retrieval-budget", "fair"], ["--mass", "0"], ["--mass", "101%"],
                      ["--mass", "most"], ["--codebook-dtype", "int8"],
                      ["--hot-policy", "mru"]):
            with self.subTest(words=words):
                self.fail_with(USAGE, words[0].lstrip("-"), "run", trace, "--method", "a2ats",
                               *words)
        self.fail_with(USAGE, "--alpha", "run", trace, "--method", "a2ats", "--retrieval-budget",
                       "adaptive", "--alpha", "1.5")
        for method, words in (("pq", ["--pq-subvectors", "0"]), ("pq", ["--pq-subvectors", "5"]),
                              ("pq", ["--pq-bits", "0"]), ("pq", ["--pq-bits", "13"]),
                              ("channel-subset", ["--channels", "0"]),
                              ("channel-subset", ["--channels", "1000"]),
                              ("cluster-centroid", ["--codewords", "100000"]),
                              ("chunk-mean", ["--window", "6"])):
            with self.subTest(method=method, words=words):
                self.fail_with(USAGE, words[0], "run", trace, "--method", method, *words)

    def test_synth_names_the_option(self):
        for words in (["--layers", "0"], ["--kv-heads", "3"], ["--head-dim", "15"],
                      ["--prompt-tokens", "0"], ["--prompt-tokens", "1000000000000"],
                      ["--drift", "2"], ["--concentration-min", "9"], ["--dtype", "I32"],
                      ["--seed", "-1"], ["--layers", "99999999999999999999"]):
            with self.subTest(words=words):
                outcome = self.fail_with(USAGE, words[0].split("-min")[0], "synth",
                                         self.folder / "t.kvtrace", *words)
                self.assertNotIn("defect", outcome.stderr)
        self.assertEqual(self.files(), [])

    def test_options_of_the_other_family_are_refused(self):
        trace = self.synth()
        for method, words in (("snapkv", ["--top", "3%"]), ("snapkv", ["--codewords", "4"]),
                              ("a2ats", ["--budget", "20%"]), ("quest", ["--no-bound"]),
                              ("quest", ["--losses", "mass"]),
                              ("snapkv", ["--alpha", "0.1"]),
                              ("snapkv", ["--alpha-mode", "floor"]),
                              ("quest", ["--codewords", "4"]),
                              ("exact-topk", ["--codebook", "c"]),
                              ("a2ats", ["--alpha", "0.5"]), ("a2ats", ["--channels", "4"]),
                              ("a2ats", ["--pq-bits", "4"]), ("pq", ["--codewords", "4"]),
                              ("pq", ["--center-keys"]),
                              ("cluster-centroid", ["--codebook-dtype", "bf16"]),
                              ("chunk-mean", ["--iterations", "4"]),
                              ("a2ats", ["--hot-policy", "lfu"]),
                              ("random-topk", ["--mass", "90%"]),
                              ("random-topk", ["--retrieval-budget", "adaptive"]),
                              ("snapkv", ["--mass", "90%"]),
                              ("snapkv", ["--retrieval-budget", "adaptive"])):
            with self.subTest(method=method, words=words):
                self.fail_with(USAGE, f"{words[0]} does not apply", "run", trace,
                               "--method", method, *words)

    def test_training_options_are_refused_beside_a_codebook(self):
        self.fail_with(USAGE, "--codewords does not apply", "run", self.synth(), "--method",
                       "a2ats", "--codebook", "c", "--codewords", "4")
        self.fail_with(USAGE, "--center-keys does not apply", "run", self.synth("d"), "--method",
                       "a2ats", "--codebook", "c", "--center-keys")
        self.fail_with(USAGE, "--codebook", "run", self.synth("b"), "--method", "a2ats",
                       "--codebook", "")

    def test_train_names_the_option(self):
        trace = self.synth()
        for words in (["--codewords", "-1"], ["--iterations", "0"], ["--tolerance", "nan"],
                      ["--wrope-distance", "-1"], ["--kind", "fancy"], ["--moment", "flat"],
                      ["--layers", "9"], ["--seed", "-1"], ["--seeding", "best"],
                      ["--format", "xml"]):
            with self.subTest(words=words):
                self.fail_with(USAGE, words[0].lstrip("-"), "train", trace, "--output",
                               self.folder / "c.kvcodebook", *words)
        for kind in ("plain", "post-rope"):
            self.fail_with(USAGE, "--moment does not apply", "train", trace, "--output",
                           self.folder / "c.kvcodebook", "--kind", kind, "--moment", "rope")
        self.assertEqual(self.files(), [trace.name])

    def test_tolerance_is_a_number_from_zero_on(self):
        trace = self.synth()
        for value in ("-1", "nan", "0,5", "small"):
            self.fail_with(USAGE, "--tolerance", "check", trace, f"--tolerance={value}")

    def test_formats_are_refused_before_the_work(self):
        for verb in ("check", "info"):
            self.fail_with(USAGE, "--format 'xml'", verb, "no-such-file", "--format", "xml")

    def test_repeated_options_are_refused(self):
        self.fail_with(USAGE, "--budget", "run", "t", "--method", "snapkv",
                       "--budget", "5%", "--budget", "10%")


class StreamsTest(CliTest):
    def test_warnings_go_to_standard_error(self):
        trace = self.synth()
        outcome = self.succeed("run", trace, "--method", "snapkv", "--budget", "10",
                               "--format", "json")
        self.assertTrue(outcome.stderr.startswith("warning: "), outcome.stderr)
        self.assertEqual(outcome.json["warnings"], [outcome.stderr[len("warning: "):-1]])

    def test_quiet_success_writes_nothing_to_standard_error(self):
        trace = self.synth()
        for words in (["info", trace], ["check", trace], ["--version"], ["--help"],
                      ["run", trace, "--method", "snapkv", "--budget", "100"]):
            self.assertEqual(self.succeed(*words).stderr, "", words)

    def test_hostile_names_stay_on_one_line(self):
        outcome = self.fail_with(3, "no\\nsuch\\x1b[31m", "check", "no\nsuch\x1b[31m")
        self.assertNotIn("\x1b", outcome.stderr)


if __name__ == "__main__":
    main()
