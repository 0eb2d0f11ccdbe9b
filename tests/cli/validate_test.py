"""`kvsieve validate` and `kvsieve calibrate` on the published rows that the repository keeps."""

import json
import re

from cli_test import BAD_FILE, CHECK_FAILED, SOURCE, USAGE, CliTest, main, run

ROWS = SOURCE / "tests" / "golden" / "validation"
ATTENTION = ROWS / "decode_attention_aiconfigurator.csv"
FRONTIER = ROWS / "decode_attention_frontier_a800.csv"
SERVING_SIM = ROWS / "decode_attention_llmservingsim.csv"
END_TO_END = ROWS / "e2e_llm_inference_bench.csv"
HEADER = "gpu,engine,op,batch,q_heads,kv_heads,head_dim,kv_dtype,context,m,n,k,latency_us\n"
VLLM = ["--engine", "vllm", "--engine-version", "0.14.0", "--kv-dtype", "bfloat16"]


class ValidateTest(CliTest):
    def write(self, text, name="rows.csv"):
        path = self.folder / name
        path.write_text(text, newline="")
        return path

    def validate(self, *words):
        return self.succeed("validate", "--format", "json", "--measured", *words).json

    def test_document(self):
        document = self.validate(*sorted(ROWS.glob("*.csv")))
        self.assertEqual(document["schema"], "kvsieve.validation/1")
        keys = set()
        for row in document["regimes"]:
            key = tuple(row[name] for name in ("regime", "device", "engine", "kv_dtype", "op"))
            self.assertNotIn(key, keys)
            keys.add(key)
            self.assertRegex(row["regime"], "launch|l2|hbm|gemm|end-to-end")
            self.assertGreater(row["n"], 0)
            self.assertLessEqual(row["median_error"], row["p95"])
            self.assertLessEqual(abs(row["bias"]), row["mape"] + 1e-12)
        pooled = {row["regime"]: row["n"] for row in document["regimes"] if row["device"] == "all"}
        self.assertEqual(len(pooled), 6)
        for regime, rows in pooled.items():
            self.assertEqual(rows, sum(row["n"] for row in document["regimes"]
                                       if row["regime"] == regime and row["device"] != "all"))
        self.assertEqual(document["unknown_devices"], [])

    def test_formats(self):
        rows = self.succeed("validate", "--measured", FRONTIER, "--format", "csv").rows
        self.assertEqual(rows[0]["device"], "all")
        self.assertEqual({row["regime"] for row in rows},
                         {"attention-launch", "attention-l2", "attention-hbm"})
        self.assertIn("attention-hbm", self.succeed("validate", "--measured", FRONTIER).stdout)
        self.assertIn("| attention-hbm", self.succeed("validate", "--measured", FRONTIER,
                                                      "--format", "md").stdout)

    def test_measured_may_repeat(self):
        both = self.validate(FRONTIER, "--measured", SERVING_SIM)
        self.assertEqual(both["files"], [FRONTIER.name, SERVING_SIM.name])

    def test_even_and_odd_rows_are_all_rows(self):
        counts = [sum(row["n"] for row in self.validate(FRONTIER, "--rows", rows)["regimes"]
                      if row["device"] == "all") for rows in ("all", "even", "odd")]
        self.assertEqual(counts[0], counts[1] + counts[2])
        self.assertEqual(counts[1], counts[2])

    def test_as_device(self):
        for words, device in (([], "a100-sxm-40"), (["--as", "a100-sxm-80"], "a100-sxm-80")):
            devices = {row["device"] for row in self.validate(END_TO_END, *words)["regimes"]}
            self.assertEqual(devices, {"all", device})

    def test_report_is_one_page_without_scripts(self):
        path = self.folder / "errors.html"
        self.succeed("validate", "--measured", FRONTIER, "--report", path)
        page = path.read_text(encoding="utf-8")
        self.assertEqual(page.count("<svg"), 1)
        self.assertNotIn("<script", page)
        self.assertNotRegex(page, r"(src|href)=.(https?:)?//")
        self.assertGreater(len(re.findall("<circle", page)), 100)
        self.fail_with(USAGE, "--force", "validate", "--measured", FRONTIER, "--report", path)
        self.succeed("validate", "--measured", FRONTIER, "--report", path, "--force")

    def test_limits(self):
        words = ["validate", "--measured", SERVING_SIM, "--format", "csv", "--fail-above"]
        self.succeed(*words, "attention-hbm:median:0.2", "--fail-above", "attention-hbm:mape:0.5")
        outcome = self.run_failing(CHECK_FAILED, *words, "attention-hbm:median:0.0001")
        self.assertIn("attention-hbm", outcome.stdout)
        self.assert_one_error(outcome, "median of attention-hbm is")
        outcome = self.run_failing(CHECK_FAILED, *words, "gemm-memory:p95:0.5")
        self.assert_one_error(outcome, "no row of the regime gemm-memory")
        for text in ("attention-hbm", "attention-hbm:median", "attention:median:0.2",
                     "attention-hbm:mean:0.2", "attention-hbm:median:much",
                     "attention-hbm:median:-1"):
            self.fail_with(USAGE, "--fail-above", *words, text)

    def run_failing(self, code, *words):
        outcome = run(*words)
        self.assertEqual(outcome.code, code, outcome.stderr)
        return outcome

    def test_unknown_devices_and_impossible_rows_are_said(self):
        path = self.write(HEADER + "abacus,mine,decode_attention,1,32,8,128,bf16,1024,,,,10\n"
                          "h100-sxm,mine,decode_attention,64,32,8,128,bf16,65536,,,,10\n"
                          "h100-sxm,mine,decode_attention,64,32,8,128,bf16,65536,,,,6000\n")
        outcome = self.succeed("validate", "--measured", path, "--format", "json")
        self.assertIn("'abacus' (1)", outcome.stderr)
        self.assertIn("faster than the memory", outcome.stderr)
        self.assertEqual(outcome.json["unknown_devices"], [{"gpu": "abacus", "rows": 1}])
        self.assertEqual(outcome.json["impossible_rows"], 1)
        self.assertEqual(outcome.json["impossible"][0]["line"], 3)
        self.assertEqual(outcome.json["regimes"][0]["n"], 1)

    def test_bad_files(self):
        self.fail_with(BAD_FILE, "rows.csv:1: columns", "validate", "--measured",
                       self.write("a,b\n1,2\n"))
        self.fail_with(BAD_FILE, "rows.csv:2: latency_us", "validate", "--measured",
                       self.write(HEADER + "g,e,gemm,,,,,,,1,2,3,soon\n"))
        self.fail_with(BAD_FILE, "no row to judge; rows of other devices: 'g' (1)", "validate",
                       "--measured", self.write(HEADER + "g,e,gemm,,,,,,,1,2,3,4\n"))
        self.fail_with(BAD_FILE, "no-such.csv", "validate", "--measured", "no-such.csv")
        self.fail_with(USAGE, "no measured rows", "validate")
        self.fail_with(USAGE, "rows 'half'", "validate", "--measured", FRONTIER, "--rows", "half")
        self.fail_with(USAGE, "--kv-dtype", "validate", "--measured", FRONTIER, "--kv-dtype",
                       "int3")
        self.fail_with(USAGE, "--format", "validate", "--measured", FRONTIER, "--format", "xml")


class CalibrateTest(CliTest):
    def calibrate(self, *words, output="tuned.json"):
        path = self.folder / output
        return path, self.succeed("calibrate", "--output", path, *words)

    def test_profile_is_fitted_stored_and_better(self):
        engine = ["--engine", "sglang", "--kv-dtype", "bfloat16"]
        path, outcome = self.calibrate("--measured", ATTENTION, "--hardware", "a100-sxm-80",
                                       *engine, "--rows", "even", "--date", "2026-11-26",
                                       "--format", "json")
        record = json.loads(path.read_text())["calibration"]
        self.assertEqual(record["engine"], "SGLang")
        self.assertEqual(record["engine_version"], "0.5.10")
        self.assertEqual(record["kv_dtype"], "bfloat16")
        self.assertEqual(record["date"], "2026-11-26")
        self.assertEqual(record["rows_file"], ATTENTION.name)
        self.assertRegex(record["rows_hash"], "^[0-9a-f]{32}$")
        self.assertEqual(outcome.json["attention"], record["attention"])
        for regime in ("launch", "l2", "hbm"):
            fit = record["attention"][regime]
            self.assertGreaterEqual(fit["rows"], len(fit["residuals"]))
        errors = []
        for hardware in ("a100-sxm-80", path):
            document = self.succeed("validate", "--measured", ATTENTION, *engine, "--rows", "odd",
                                    "--hardware", hardware, "--format", "json").json
            errors.append({row["regime"]: row["mape"] for row in document["regimes"]
                           if row["device"] != "all"})
        for regime, error in errors[1].items():
            self.assertLess(error, 0.8 * errors[0][regime], regime)
        self.assertEqual(self.files(), ["tuned.json"])

    def test_other_verbs_take_the_profile(self):
        path, _ = self.calibrate("--measured", SERVING_SIM, "--hardware", "rtx-4090")
        document = self.succeed("cost", "--hardware", path, "--engine", "vllm", "--format",
                                "json").json
        self.assertGreater(document["serial_us"], 0)

    def test_reuse_for_another_engine_is_refused(self):
        path, _ = self.calibrate("--measured", ATTENTION, "--hardware", "h100-sxm", *VLLM)
        for words in ([], ["--engine", "sglang"], ["--engine-version", "0.24.0"],
                      ["--engine", "vllm", "--engine-version", "0.14.0", "--kv-dtype", "fp8"]):
            self.fail_with(USAGE, "calibrated for VLLM 0.14.0 bfloat16", "validate", "--measured",
                           ATTENTION, "--hardware", path, *words)
            self.succeed("validate", "--measured", ATTENTION, "--hardware", path, *words,
                         "--any-engine")

    def test_the_choice_must_be_unique(self):
        words = ["calibrate", "--measured", ATTENTION, "--output", self.folder / "p.json",
                 "--hardware"]
        self.fail_with(USAGE, "several engines: SGLang 0.5.10, VLLM 0.14.0", *words, "a100-sxm-80")
        self.fail_with(USAGE, "several cache types: bfloat16, fp8", *words, "h100-sxm",
                       "--engine", "vllm", "--engine-version", "0.24.0")
        self.fail_with(BAD_FILE, "no such rows of rtx-4090", *words, "rtx-4090")
        self.fail_with(USAGE, "--date", *words, "h100-sxm", *VLLM, "--date", "yesterday")
        self.assertEqual(self.files(), [])

    def test_existing_profiles_and_inputs_are_kept(self):
        words = ["--measured", SERVING_SIM, "--hardware", "rtx-4090"]
        path, _ = self.calibrate(*words)
        before = path.read_bytes()
        self.fail_with(USAGE, "--force", "calibrate", "--output", path, *words, "--rows", "even")
        self.assertEqual(path.read_bytes(), before)
        copy = self.folder / "rows.csv"
        copy.write_bytes(SERVING_SIM.read_bytes())
        self.fail_with(USAGE, "is an input", "calibrate", "--measured", copy, "--output", copy,
                       "--hardware", "rtx-4090", "--force")


if __name__ == "__main__":
    main()
