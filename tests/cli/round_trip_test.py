"""From one verb to the next: synth, info, check, run, report; train, run; run, info, report."""

import json
import re

from cli_test import SAMPLE, CliTest, main

SHAPE = {"layers": 3, "q_heads": 6, "kv_heads": 2, "head_dim": 32, "width": 48,
         "prompt_tokens": 500, "decode_tokens": 9, "prompt_queries": 80}


class SynthTest(CliTest):
    def test_a_synthetic_trace_through_every_verb(self):
        for dtype in ("F16", "BF16", "F32"):
            with self.subTest(dtype=dtype):
                trace = self.synth(f"{dtype}.kvtrace", dtype=dtype, **SHAPE)
                info = self.succeed("info", trace, "--format", "json").json
                self.assertEqual((info["kind"], info["dtype"]), ("trace", dtype))
                self.assertEqual([info["model"][key] for key in SHAPE if key in info["model"]],
                                 [3, 6, 2, 32, 48])
                self.assertEqual((info["prompt_tokens"], info["decode_steps"],
                                  info["prompt_queries"]), (500, 9, 80))
                self.assertEqual(info["file_bytes"], trace.stat().st_size)
                self.assertEqual(info["captured_layers"], [0, 1, 2])
                self.assertTrue(self.succeed("check", trace, "--format", "json").json["passed"])
                for method in ("ada-snapkv", "a2ats"):
                    found = self.succeed("run", trace, "--method", method, "--format", "json")
                    self.assertEqual(found.json["trace"]["hash"], info["hash"])

    def test_the_bytes_depend_on_the_options_alone(self):
        one, two, other = (self.synth(name, seed=seed) for name, seed in
                           (("one", 1), ("two", 1), ("other", 2)))
        self.assertEqual(one.read_bytes(), two.read_bytes())
        self.assertNotEqual(one.read_bytes(), other.read_bytes())

    def test_flat_heads_lose_what_they_evict(self):
        trace = self.synth(concentration_min=0, concentration_max=0)
        summary = self.succeed("run", trace, "--method", "snapkv", "--budget", "20%",
                               "--format", "json").json["summary"]
        self.assertAlmostEqual(summary["evicted_mass"], 0.8, 1)

    def test_it_prints_the_path_and_the_size(self):
        path = self.folder / "t.kvtrace"
        text = self.succeed("synth", path, "--layers", "1", "--prompt-tokens", "100").stdout
        self.assertRegex(text, rf"^{re.escape(str(path))}  [\d.]+ [KM]iB\n$")


class RunFileTest(CliTest):
    def test_a_run_file_holds_what_json_prints(self):
        for words in (["--method", "ada-snapkv"],
                      ["--method", "quest", "--layers", "4,8", "--hot-buffer", "100"]):
            files = [self.folder / "run.json", self.folder / "run.kvrun"]
            printed = [self.succeed("run", SAMPLE, *words, "--format", "json", "--output", file,
                                    "--force").json for file in files]
            self.assertEqual(printed[0], printed[1])
            self.assertEqual(json.loads(files[0].read_text()), printed[0])
            self.assertLess(files[1].stat().st_size, files[0].stat().st_size / 3)
            self.assertEqual(files[1].read_bytes()[:4], b"\x28\xb5\x2f\xfd")
            for file in files:
                info = self.succeed("info", file, "--format", "json").json
                self.assertEqual(info["kind"], "run")
                for key in ("family", "method", "trace", "summary", "tool_version"):
                    self.assertEqual(info[key], printed[0][key])

    def test_the_result_is_printed_beside_the_file(self):
        file = self.folder / "run.kvrun"
        alone = self.succeed("run", SAMPLE, "--method", "snapkv", "--format", "csv").stdout
        beside = self.succeed("run", SAMPLE, "--method", "snapkv", "--format", "csv",
                              "--output", file).stdout
        self.assertEqual(alone, beside)
        self.assertEqual(self.files(), ["run.kvrun"])

    def test_reports(self):
        runs = []
        for method in ("snapkv", "ada-snapkv", "quest"):
            runs.append(self.folder / f"{method}.kvrun")
            self.succeed("run", SAMPLE, "--method", method, "--output", runs[-1])
        for format_ in ("md", "html", "screen"):
            text = self.succeed("report", *runs, "--format", format_).stdout
            for method in ("snapkv", "ada-snapkv", "quest"):
                self.assertIn(method, text, format_)
        page = self.folder / "page.html"
        outcome = self.succeed("report", *runs, "--output", page)
        self.assertEqual(outcome.stdout, "")
        html = page.read_text()
        self.assertTrue(html.lstrip().lower().startswith("<!doctype html>"))
        # One file that needs nothing else.
        self.assertNotRegex(html, r"(src|href)=\"(https?:)?//")
        self.assertNotIn("<script src", html)
        mass = json.loads(self.succeed("run", SAMPLE, "--method", "snapkv", "--format",
                                       "json").stdout)["summary"]["l1_loss_relative"]
        self.assertIn(f"{100 * mass:.2f}%", self.succeed("report", runs[0]).stdout)


class CodebookTest(CliTest):
    def test_a_trained_codebook_serves_a_run(self):
        trace = self.synth(**SHAPE)
        codebook = self.folder / "model.kvcodebook"
        rows = self.succeed("train", trace, "--output", codebook, "--codewords", "32",
                            "--format", "csv").rows
        self.assertEqual([(row["layer"], row["kv_head"]) for row in rows],
                         [(str(layer), str(head)) for layer in range(3) for head in range(2)])
        info = self.succeed("info", codebook, "--format", "json").json
        self.assertEqual((info["kind"], info["codewords"], info["layers"]),
                         ("codebook", 32, [0, 1, 2]))
        self.assertEqual(info["calibration_traces"][0]["name"], trace.name)
        given = self.succeed("run", trace, "--method", "a2ats", "--codebook", codebook,
                             "--format", "json").json
        self.assertTrue(given["method"]["codebook"]["given"])
        self.assertTrue(given["method"]["codebook"]["in_sample"])
        # Training within the run, on the same prompt, gives the same codes.
        own = self.succeed("run", trace, "--method", "a2ats", "--codewords", "32",
                           "--format", "json").json
        self.assertFalse(own["method"]["codebook"]["given"])
        self.assertEqual(given["summary"], own["summary"])

    def test_training_on_another_trace_is_out_of_sample(self):
        one, two = self.synth("one.kvtrace", seed=1), self.synth("two.kvtrace", seed=2)
        codebook = self.folder / "model.kvcodebook"
        self.succeed("train", one, "--output", codebook, "--codewords", "16")
        method = self.succeed("run", two, "--method", "a2ats", "--codebook", codebook,
                              "--format", "json").json["method"]
        self.assertFalse(method["codebook"]["in_sample"])

    def test_training_formats_agree(self):
        trace = self.synth()
        codebook = self.folder / "c.kvcodebook"
        texts = {name: self.succeed("train", trace, "--output", codebook, "--force",
                                    "--codewords", "16", "--format", name)
                 for name in ("table", "json", "csv", "md")}
        heads = texts["json"].json["heads"]
        self.assertEqual([int(row["rows"]) for row in texts["csv"].rows],
                         [head["rows"] for head in heads])
        for head in heads:
            self.assertEqual(head["objective"], sorted(head["objective"], reverse=True))
        self.assertEqual(len(texts["table"].stdout.splitlines()), 1 + len(heads))

    def test_the_seeding_is_recorded(self):
        trace = self.synth()
        codebook = self.folder / "c.kvcodebook"
        books = {}
        for seeding in ("plus-plus", "sampled"):
            trained = self.succeed("train", trace, "--output", codebook, "--force", "--codewords",
                                   "16", "--iterations", "1", "--seeding", seeding,
                                   "--format", "json").json
            self.assertEqual(trained["seeding"], seeding)
            self.assertEqual(self.succeed("info", codebook, "--format", "json").json["seeding"],
                             seeding)
            books[seeding] = codebook.read_bytes()
        self.assertNotEqual(*books.values())

    def test_training_is_repeatable(self):
        trace = self.synth()
        one, two = self.folder / "one", self.folder / "two"
        for path in (one, two):
            self.succeed("train", trace, "--output", path, "--codewords", "16")
        self.assertEqual(one.read_bytes(), two.read_bytes())

    def test_a_plain_codebook_serves_vq_plain_alone(self):
        trace = self.synth()
        codebook = self.folder / "plain.kvcodebook"
        self.succeed("train", trace, "--output", codebook, "--kind", "plain", "--codewords", "16")
        self.succeed("run", trace, "--method", "vq-plain", "--codebook", codebook)
        self.fail_with(2, "plain", "run", trace, "--method", "a2ats", "--codebook", codebook)


if __name__ == "__main__":
    main()
