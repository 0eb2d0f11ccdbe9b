"""The formats of `kvsieve run`, and what must not change its numbers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cli_test import SAMPLE, USAGE, CliTest, main, parse_csv, run

ADA = ["--method", "ada-snapkv", "--layers", "4,12", "--quiet"]
QUEST = ["--method", "quest", "--layers", "4,12", "--quiet"]
A2ATS = ["--method", "a2ats", "--layers", "4", "--codewords", "16", "--iterations", "5", "--quiet"]


def numbers_of(text):
    """The cells of a table's rows, whatever lies between them."""
    return [[cell for cell in line.replace("|", " ").split() if cell != "-"]
            for line in text.splitlines()]


class FormatTest(CliTest):
    def formats(self, words, trace=SAMPLE):
        return {name: self.succeed("run", trace, *words, "--format", name).stdout
                for name in ("table", "json", "csv", "md")}

    def test_csv_equals_json(self):
        columns = {
            tuple(ADA): {"evicted_mass": "evicted_mass", "l1_loss": "l1_loss", "bound": "bound",
                         "l1_loss_relative": "l1_loss_relative",
                         "uniform_evicted_mass": ("uniform", "evicted_mass"),
                         "uniform_l1_loss": ("uniform", "l1_loss")},
            tuple(QUEST): {"recall": "recall", "wrope_recall": "wrope_recall",
                           "captured_mass": "captured_mass", "output_error": "output_error",
                           "l1_loss_relative": "l1_loss_relative",
                           "union_tokens": "union_tokens", "overlap": "overlap",
                           "pcie_bytes": ("pcie_per_step", "fetch-dma", "bytes"),
                           "pcie_pieces": ("pcie_per_step", "fetch-dma", "pieces")}}
        for words, places in columns.items():
            texts = self.formats(words)
            rows, document = parse_csv(texts["csv"]), json.loads(texts["json"])
            self.assertEqual([int(row["layer"]) for row in rows], [4, 12])
            for row, layer in zip(rows, document["layers"]):
                for column, place in places.items():
                    value = layer
                    for key in [place] if isinstance(place, str) else place:
                        value = value[key]
                    self.assertEqual(float(row[column]), value, column)
                if "budgets" in row:
                    self.assertEqual([int(budget) for budget in row["budgets"].split()],
                                     [head["budget"] for head in layer["heads"]])

    def test_csv_follows_rfc_4180(self):
        for words in (ADA, QUEST):
            text = self.formats(words)["csv"]
            lines = text.split("\r\n")
            self.assertEqual(lines.pop(), "")
            self.assertNotIn("\n", "".join(lines))
            self.assertEqual(len({line.count(",") for line in lines}), 1)
            self.assertNotIn("%", text)
        strange = self.synth('a,"b"\n.kvtrace')
        outcome = self.succeed("check", strange, "--format", "csv")
        self.assertEqual({row["trace"] for row in outcome.rows}, {str(strange)})

    def test_values_that_do_not_exist_are_empty_in_csv(self):
        trace = self.synth(decode_tokens=0)
        row = self.succeed("run", trace, "--method", "snapkv", "--format", "csv").rows[0]
        self.assertEqual([row["layer"], row["evicted_mass"], row["bound"]], ["0", "", ""])
        rows = self.succeed("run", SAMPLE, "--method", "streaming-llm", "--top", "1%",
                            "--format", "csv").rows
        self.assertEqual({row["recall"] for row in rows}, {""})
        self.assertEqual({row["pcie_bytes"] for row in rows}, {"0"})
        table = self.succeed("run", trace, "--method", "snapkv", "--no-cost").stdout.splitlines()[-1]
        self.assertEqual(table.split()[-3:], ["-", "-", "-"])

    def test_tables_align_and_show_the_same_numbers(self):
        for words in (ADA, QUEST):
            texts = self.formats(words)
            table = texts["table"].split("\n\n")[1]
            self.assertEqual(numbers_of(table)[1:], numbers_of(texts["md"].split("\n\n")[1])[2:])
            exact = parse_csv(texts["csv"])
            header = table.splitlines()[0].split()
            self.assertEqual(header, list(exact[0]))
            for line, row in zip(numbers_of(table)[1:], exact):
                self.assertAlmostEqual(float(line[-1]) / float(row[header[-1]]), 1, 3)
            # Columns after the first end where their header ends.
            lines = table.splitlines()
            self.assertEqual({len(line) for line in lines}, {len(lines[0])})

    def test_markdown(self):
        for words in (ADA, QUEST):
            summary, table = self.formats(words)["md"].split("\n\n")
            self.assertTrue(all(line.lstrip().startswith("- ") for line in summary.splitlines()))
            lines = table.splitlines()
            self.assertRegex(lines[1], r"^\| --- \|( ---: \|)+$")
            self.assertEqual(len({line.count("|") for line in lines}), 1)
        strange = self.synth("a|b.kvtrace")
        lines = self.succeed("check", strange, "--format", "md").stdout.splitlines()
        self.assertEqual({line.replace("\\|", "").count("|") for line in lines}, {5})

    def test_the_summary_names_the_trace_and_the_method(self):
        for words, mention in ((ADA, "ada-snapkv at budget 20%"), (QUEST, "quest top 3%")):
            text = self.formats(words)["table"]
            self.assertIn("smollm2-needle.kvtrace", text)
            self.assertIn(mention, text)
        self.assertNotIn("budget", self.succeed("run", SAMPLE, "--method", "full", "--layers",
                                                "4").stdout.splitlines()[1])

    def test_several_traces_of_one_check_or_info(self):
        one, two = self.synth("one.kvtrace"), self.synth("two.kvtrace")
        for verb in ("check", "info"):
            documents = self.succeed(verb, one, two, "--format", "json").json
            self.assertEqual(len(documents), 2)
            self.assertEqual(documents[0], self.succeed(verb, one, "--format", "json").json)

    def test_file_names_that_are_no_utf8(self):
        trace = self.synth("plain.kvtrace")
        strange = Path(os.fsdecode(os.fsencode(self.folder) + b"/\xff.kvtrace"))
        trace.rename(strange)
        for words in (["info"], ["check"], ["run", "--method", "snapkv"]):
            outcome = self.succeed(words[0], strange, *words[1:], "--format", "json")
            self.assertIn("\ufffd", json.dumps(outcome.json, ensure_ascii=False))


class InvarianceTest(CliTest):
    """Things that must not change a single byte of a result."""

    def outputs(self, **options):
        return [self.succeed("run", SAMPLE, *words, "--format", name, **options).stdout
                for words, name in ((ADA, "table"), (ADA, "json"), (QUEST, "csv"),
                                    (A2ATS, "json"))]

    def test_threads(self):
        for words in (["ada-criticalkv", "--layers", "0,29"], ["h2o", "--layers", "8"],
                      A2ATS[1:], QUEST[1:]):
            words = ["run", SAMPLE, "--method", *words, "--format", "json"]
            one, two, seven = (self.succeed(*words, "--threads", threads).stdout
                               for threads in ("1", "2", "7"))
            self.assertEqual(one, two, words)
            self.assertEqual(one, seven, words)

    def test_repetition(self):
        self.assertEqual(self.outputs(), self.outputs())

    def test_decimal_commas(self):
        if shutil.which("localedef") is None:
            self.skipTest("there is no localedef")
        made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8",
                               str(self.folder / "de_DE.UTF-8")],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if made.returncode != 0:
            self.skipTest("the locale de_DE cannot be made (Debian package locales)")
        german = {"LOCPATH": str(self.folder), "LC_ALL": "de_DE.UTF-8"}
        sign = subprocess.run(
            [sys.executable, "-c", "import locale; locale.setlocale(locale.LC_ALL, ''); "
             "print(locale.localeconv()['decimal_point'])"],
            stdout=subprocess.PIPE, env={**os.environ, **german}, check=True)
        self.assertEqual(sign.stdout, b",\n")
        self.assertEqual(self.outputs(env=german), self.outputs(env={"LC_ALL": "C"}))
        self.succeed("check", SAMPLE, "--tolerance", "0.005", env=german)
        self.assertIn("(=0.05)", self.succeed("synth", "--help", env=german).stdout)

    def test_no_color(self):
        self.assertEqual(self.outputs(env={"NO_COLOR": "1"}), self.outputs())

    def test_instruction_sets_select_the_same_tokens(self):
        widest = self.succeed("run", SAMPLE, *ADA, "--format", "json").json
        for isa in ("baseline", "avx2", "avx512", "avx512bf16"):
            for words in (ADA, QUEST):
                outcome = run("run", SAMPLE, *words, "--format", "json", env={"KVSIEVE_ISA": isa})
                if outcome.code == USAGE and isa != "baseline":
                    self.assert_one_error(outcome, "KVSIEVE_ISA")
                    continue
                self.assertEqual(outcome.code, 0, outcome.stderr)
                found = outcome.json
                self.assertEqual(found["isa"], isa)
                if words is ADA:
                    for ours, theirs in zip(found["layers"], widest["layers"]):
                        self.assertEqual([head["kept_runs"] for head in ours["heads"]],
                                         [head["kept_runs"] for head in theirs["heads"]], isa)
                        self.assertAlmostEqual(ours["l1_loss"] / theirs["l1_loss"], 1, 4)

    def test_an_unknown_instruction_set_is_refused(self):
        self.fail_with(USAGE, "KVSIEVE_ISA is 'mmx'", "run", SAMPLE, *ADA,
                       env={"KVSIEVE_ISA": "mmx"})


if __name__ == "__main__":
    main()
