"""`kvsieve cost`, and the cost that `kvsieve run` fills in."""

import json

import jsonschema

from cli_test import BAD_FILE, SAMPLE, SOURCE, USAGE, CliTest, main, run

SCHEMA = json.loads((SOURCE / "docs" / "cost.schema.json").read_text())
METHODS = ["full", "snapkv", "ada-snapkv", "a2ats", "quest", "exact-topk", "streaming-llm",
           "shadowkv", "magicpig"]
PLACEMENTS = ["cpu-attention", "fetch-dma", "fetch-kernel", "fetch-hot-buffer"]


def cost(*words):
    outcome = run("cost", "--format", "json", *words)
    assert outcome.code == 0, outcome.stderr
    document = outcome.json
    jsonschema.validate(document, SCHEMA)
    return document


class DocumentTest(CliTest):
    def test_every_method_keeps_the_schema(self):
        for method in METHODS:
            with self.subTest(method=method):
                document = cost("--method", method, "--batch", "4")
                self.assertEqual(document["method"]["name"], method)
                total = sum(stage["us"] for stage in document["stages"])
                self.assertAlmostEqual(total / document["serial_us"], 1.0)
                memory = document["memory"]["gpu"]
                self.assertEqual(sum(item["bytes"] for item in memory["items"]),
                                 memory["total_bytes"])
                for item in memory["items"]:
                    self.assertEqual(item["bytes"], item["fixed_bytes"] + 4 * item["sequence_bytes"])

    def test_placements_and_schedules(self):
        for placement in PLACEMENTS:
            for schedule in ("serial", "overlapped"):
                with self.subTest(placement=placement, schedule=schedule):
                    document = cost("--method", "a2ats", "--placement", placement, "--schedule",
                                    schedule, "--batch", "8", "--hot-buffer", "4096")
                    self.assertLessEqual(document["step_us"], document["serial_us"] * (1 + 1e-9))
                    self.assertLessEqual(document["exposed_transfer_us"], document["step_us"])
                    moved = sum(stage.get("bytes", 0) for stage in document["stages"])
                    self.assertAlmostEqual(moved, sum(document["pcie_per_step"].values()))

    def test_the_largest_batch_fits_and_one_more_does_not(self):
        document = cost("--batch", "max", "--context", "16384")
        self.assertTrue(document["memory"]["fits"])
        self.assertEqual(document["batch"], document["memory"]["largest_batch"])
        outcome = run("cost", "--batch", str(document["batch"] + 1), "--context", "16384",
                      "--format", "json")
        self.assertFalse(outcome.json["memory"]["fits"])
        self.assertIn("does not fit", outcome.stderr)

    def test_measured_regimes_carry_their_error(self):
        stages = {stage["stage"]: stage for stage in cost("--batch", "8")["stages"]}
        self.assertEqual(stages["attention"]["regime"], "attention-hbm")
        self.assertGreater(stages["attention"]["error"]["n"], 100)
        self.assertGreater(stages["attention"]["error"]["median_error"], 0)
        self.assertNotIn("error", stages["sampling"])  # nobody measured it
        document = cost("--batch", "8")
        self.assertLess(document["error_band"]["low_us"], document["step_us"])
        self.assertGreater(document["error_band"]["high_us"], document["step_us"])
        self.assertGreater(document["error_band"]["covered_share"], 0.9)

    def test_hardware_of_a_users_own(self):
        path = self.folder / "mine.json"
        path.write_text(json.dumps({
            "id": "mine", "base": "a100-sxm-80",
            "gpu": {"memory_gbps": {"value": 4078, "source": "a guess", "verified": False}}}))
        faster = cost("--hardware", str(path), "--batch", "8")
        self.assertEqual(faster["hardware"]["id"], "mine")
        self.assertLess(faster["step_us"], 0.6 * cost("--batch", "8")["step_us"])
        link = cost("--method", "a2ats", "--placement", "fetch-kernel", "--link", "c2c-grace")
        self.assertEqual(link["hardware"]["link"], "c2c-grace")
        self.assertLess(link["step_us"],
                        cost("--method", "a2ats", "--placement", "fetch-kernel")["step_us"])


class ExplainTest(CliTest):
    def test_every_stage_has_terms_with_formula_inputs_and_source(self):
        words = ("--method", "a2ats", "--batch", "4")
        terms = self.succeed("cost", *words, "--explain", "--format", "json").json
        for term in terms:
            self.assertEqual(set(term), {"name", "value", "unit", "formula", "inputs", "source"})
            for field in ("name", "unit", "formula", "inputs", "source"):
                self.assertTrue(term[field], term)
        names = " ".join(term["name"] for term in terms)
        for stage in cost(*words)["stages"]:
            self.assertIn(f" {stage['stage']}:", names)
        self.assertAlmostEqual(terms[-1]["value"], cost(*words)["step_us"])
        text = self.succeed("cost", *words, "--explain").stdout
        self.assertIn("formula", text)
        self.assertIn("not verified", text)


class BreakEvenTest(CliTest):
    WORDS = ("--method", "a2ats", "--break-even", "--contexts", "4096,131072", "--batches", "1,2")

    def test_the_map(self):
        document = self.succeed("cost", *self.WORDS, "--format", "json").json
        self.assertEqual(document["origin"], "modelled")
        self.assertEqual([(p["context"], p["batch"]) for p in document["points"]],
                         [(4096, 1), (4096, 2), (131072, 1), (131072, 2)])
        for point in document["points"]:
            self.assertAlmostEqual(
                point["same_batch"],
                point["method_tokens_per_second"] / point["full_tokens_per_second"])
        rows = self.succeed("cost", *self.WORDS, "--format", "csv").rows
        self.assertEqual(len(rows), 4)
        table = self.succeed("cost", *self.WORDS).stdout
        self.assertIn("pays from context", table)
        self.assertIn("all modelled", table)

    def test_bad_lists_are_named(self):
        for text in ("0", "x", "1,,2", "1,", "-4", ""):
            self.fail_with(USAGE, "--contexts", "cost", "--break-even", "--contexts", text)


class TimelineTest(CliTest):
    def test_a_trace_that_perfetto_opens(self):
        path = self.folder / "step.json"
        words = ("cost", "--method", "a2ats", "--schedule", "overlapped", "--batch", "4",
                 "--timeline", path, "--steps", "3")
        self.succeed(*words)
        document = json.loads(path.read_text())
        events = [event for event in document["traceEvents"] if event["ph"] == "X"]
        self.assertGreater(len(events), 3 * 32 * 2 * 10)
        self.assertEqual(document["otherData"]["origin"], "modelled")
        self.fail_with(USAGE, "--force", *words)
        self.succeed(*words, "--force")


class RunCostTest(CliTest):
    def test_a_run_is_costed_with_what_it_kept(self):
        words = ("run", SAMPLE, "--method", "ada-snapkv", "--budget", "20%", "--format", "json")
        document = self.succeed(*words).json["cost"]
        jsonschema.validate(document, SCHEMA)
        self.assertEqual(document["load"], "captured")
        self.assertEqual(document["context"], 2009)
        self.assertEqual(len(document["steps_us"]), 64)
        self.assertIn("kv_kept_bytes", document)  # the ledger of the replayed layers stays
        bare = self.succeed(*words, "--no-cost").json["cost"]
        self.assertNotIn("step_us", bare)

    def test_a_retrieval_run_follows_its_steps(self):
        words = ("run", SAMPLE, "--method", "a2ats", "--top", "3%", "--layers", "0,29",
                 "--placement", "fetch-kernel", "--format", "json", "--batch", "4")
        serial = self.succeed(*words).json["cost"]
        jsonschema.validate(serial, SCHEMA)
        self.assertEqual(serial["batch"], 4)
        self.assertGreater(len(set(serial["steps_us"])), 32)
        self.assertGreater(serial["pcie_per_step"]["to_gpu_bytes"], 0)
        path = {stage["stage"]: stage["us"] for stage in serial["critical_path"]}
        self.assertAlmostEqual(sum(path.values()) / serial["step_us"], 1.0, places=6)
        overlapped = self.succeed(*words, "--schedule", "overlapped").json["cost"]
        self.assertEqual(overlapped["method"]["schedule"], "overlapped")

    def test_shares_apply_to_other_contexts_and_models(self):
        words = ("run", SAMPLE, "--method", "snapkv", "--budget", "20%", "--format", "json",
                 "--model-shape", "llama-3.1-8b", "--context", "65536", "--hardware", "h100-sxm")
        document = self.succeed(*words).json["cost"]
        self.assertEqual(document["model"]["id"], "llama-3.1-8b")
        attention = {s["stage"]: s["us"] for s in document["stages"]}["attention"]
        full = {s["stage"]: s["us"] for s in cost("--context", "65536", "--hardware",
                                                  "h100-sxm")["stages"]}["attention"]
        self.assertLess(attention, 0.4 * full)
        self.assertGreater(attention, 0.1 * full)

    def test_the_table_ends_with_the_cost(self):
        text = self.succeed("run", SAMPLE, "--method", "snapkv", "--budget", "20%").stdout
        self.assertIn("Cost: ", text)
        self.assertIn("all modelled", text)


class ErrorTest(CliTest):
    def test_usage(self):
        for mention, words in (
                ("did you mean", ("--hardware", "a100-sxm-8O")),
                ("unknown", ("--method", "magic")),
                ("--budget does not apply", ("--method", "a2ats", "--budget", "20%")),
                ("--top does not apply", ("--method", "snapkv", "--top", "3%")),
                ("--codewords does not apply", ("--method", "quest", "--codewords", "64")),
                ("--batch is '0'", ("--batch", "0")),
                ("--batch is 'many'", ("--batch", "many")),
                ("--context is 0", ("--context", "0")),
                ("--gpu-share is 2", ("--gpu-share", "2")),
                ("--hit-rate is 3", ("--method", "a2ats", "--hit-rate", "3")),
                ("MLA", ("--model-shape", "deepseek-v2-lite")),
                ("not calibrated", ("--engine", "vllm")),
                ("does not fit", ("--model-shape", "llama-3.1-70b", "--batch", "max")),
                ("--list 'gpus' is unknown", ("--list", "gpus")),
                ("--format 'xml' is unknown", ("--format", "xml"))):
            with self.subTest(words=words):
                self.fail_with(USAGE, mention, "cost", *words)

    def test_bad_profiles_are_named(self):
        path = self.folder / "bad.json"
        path.write_text('{"id": "bad", "base": "a100-sxm-80", "gpu": {"sms": {"value": -1, '
                        '"source": "x", "verified": false}}}')
        self.fail_with(BAD_FILE, "bad.json", "cost", "--hardware", path)
        path.write_text("{")
        self.fail_with(BAD_FILE, "bad.json", "cost", "--hardware", path)
        self.fail_with(BAD_FILE, "none.json", "cost", "--hardware", self.folder / "none.json")

    def test_lists_name_sources(self):
        for what, some in (("hardware", "h100-sxm"), ("links", "pcie5-x16"),
                           ("cpus", "epyc-7742"), ("models", "llama-3.1-8b")):
            rows = self.succeed("cost", "--list", what, "--format", "csv").rows
            self.assertIn(some, [row["id"] for row in rows])
            for row in rows:
                self.assertTrue(row["source"], row)


if __name__ == "__main__":
    main()
