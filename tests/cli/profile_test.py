"""`kvsieve profile`: what can be seen without a GPU, from recordings of a run that nobody made."""

import json
import os
import subprocess

from cli_test import BAD_FILE, MISSING, USAGE, CliTest, main, parse_csv, run

STAGES = {  # us in the sample: the number of the stage in the task graph, from 1
    "rotate": 1, "encode": 2, "score": 3, "topk": 4, "union": 5, "down": 6, "append": 7,
    "cpu-attention": 8, "up": 9, "fetch": 10, "fetched-attention": 11, "resident-attention": 12,
    "merge": 13, "key-encoding": 3,
}
PLACED = {
    "fetch-dma": ["rotate", "encode", "score", "topk", "union", "down", "append", "fetch",
                  "fetched-attention", "resident-attention", "merge"],
    "cpu-attention": ["rotate", "encode", "score", "topk", "union", "down", "append",
                      "cpu-attention", "up", "resident-attention", "merge"],
}
LAYERS, STEPS = 2, 6
LINK_HEADER = "measure,path,direction,piece_bytes,pieces,us,gbps\n"


class ProfileTest(CliTest):
    def setUp(self):
        super().setUp()
        self.trace = self.synth(layers=LAYERS, decode_tokens=STEPS)

    def record(self, name="run.kvactivity", version=130001, placement="fetch-dma",
               schedule="serial", *words):
        path = self.folder / name
        subprocess.run([os.environ["KVSIEVE_SAMPLE_RECORDING"], self.trace, path, str(version),
                        placement, schedule, "--codewords", "16", *words], check=True)
        return path


class RecordingTest(ProfileTest):
    def test_a_recording_becomes_a_timeline(self):
        for version in (18, 28, 130001, 130401):
            with self.subTest(version=version):
                recording = self.record(version=version)
                timeline = self.folder / f"{version}.json"
                outcome = self.succeed("profile", "--from", recording, "--output", timeline)
                self.assertIn("measured on NVIDIA Sample GPU", outcome.stdout)
                trace = json.loads(timeline.read_text())
                self.assertEqual(trace["otherData"]["origin"], "measured")
                slices = [event for event in trace["traceEvents"]
                          if event["ph"] == "X" and event["cat"] == "measured"]
                stages = [event for event in slices if "step" in event["args"]]
                self.assertEqual(len(stages), LAYERS * STEPS * len(PLACED["fetch-dma"]))
                for event in stages:
                    self.assertAlmostEqual(event["args"]["busy_us"], STAGES[event["name"]])
                self.assertEqual({event["args"]["layer"] for event in stages}, {0, 1})

    def test_two_versions_say_the_same(self):
        documents = []
        for version in (28, 130001):
            document = self.succeed("profile", "--from", self.record(version=version), "--format",
                                    "json").json
            self.assertEqual(document.pop("cupti_version"), version)
            documents.append(document)
        self.assertEqual(*documents)

    def test_before_12_8_copies_have_no_pieces(self):
        pieces = {}
        for version in (22, 26):
            rows = self.succeed("profile", "--from", self.record(version=version), "--format",
                                "csv").rows
            fetch = next(row for row in rows if row["operation"] == "fetch")
            self.assertEqual(fetch["bytes"], str(LAYERS * STEPS * 4096))
            pieces[version] = int(fetch["pieces"])
        self.assertEqual(pieces, {22: LAYERS * STEPS, 26: 3 * LAYERS * STEPS})

    def test_the_document_holds_lanes_and_operations(self):
        document = self.succeed("profile", "--from", self.record(), "--format", "json").json
        self.assertEqual(document["schema"], "kvsieve.profile/1")
        self.assertEqual(document["origin"], "measured")
        self.assertEqual(document["device"], "NVIDIA Sample GPU")
        self.assertNotIn("pairing", document)
        lanes = {lane["lane"]: lane for lane in document["lanes"]}
        self.assertEqual(lanes["to-gpu"]["bytes"], LAYERS * STEPS * 4096)
        self.assertEqual(lanes["cpu"]["bytes"], 0)
        self.assertGreater(lanes["gpu"]["gap_us"], 0)
        names = [operation["name"] for operation in document["operations"]]
        self.assertIn("key-encoding", names)

    def test_files_that_are_no_recordings(self):
        recording = self.record()
        content = recording.read_bytes()
        broken = self.folder / "broken.kvactivity"
        for cut in (0, 7, 100, len(content) // 2, len(content) - 1):
            broken.write_bytes(content[:cut])
            self.fail_with(BAD_FILE, "broken.kvactivity", "profile", "--from", broken)
        self.fail_with(BAD_FILE, "expected kvsieve.activity", "profile", "--from", self.trace)
        self.fail_with(BAD_FILE, "none.kvactivity", "profile", "--from",
                       self.folder / "none.kvactivity")

    def test_outputs_are_not_replaced_unasked(self):
        recording = self.record()
        output = self.folder / "t.json"
        output.write_text("mine")
        self.fail_with(USAGE, "--force", "profile", "--from", recording, "--output", output)
        self.assertEqual(output.read_text(), "mine")
        self.fail_with(USAGE, "is an input", "profile", "--from", recording, "--output", recording,
                       "--force")
        self.succeed("profile", "--from", recording, "--output", output, "--force")


class PairingTest(ProfileTest):
    def pair(self, *words, **options):
        return self.succeed("profile", self.trace, "--from", self.record(**options), "--pair",
                            "--format", "json", "--quiet", *words).json["pairing"]

    def test_every_stage_of_every_step_and_layer_has_its_partner(self):
        for placement, names in PLACED.items():
            with self.subTest(placement=placement):
                pairing = self.pair(placement=placement)
                self.assertEqual({(pair["stage"], pair["step"], pair["layer"])
                                  for pair in pairing["pairs"]},
                                 {(name, step, layer) for name in names for step in range(STEPS)
                                  for layer in range(LAYERS)} |
                                 {("key-encoding", -1, layer) for layer in range(LAYERS)})
                self.assertEqual([unpaired["name"] for unpaired in pairing["measured_only"]],
                                 ["codeword_table"])
                modelled = {unpaired["name"] for unpaired in pairing["modelled_only"]}
                self.assertEqual(modelled,
                                 {"qkv", "output", "mlp", "logits", "sampling", "engine"})

    def test_micro_batches_pair_one_by_one(self):
        pairing = self.pair(placement="cpu-attention", schedule="overlapped")
        self.assertEqual(len(pairing["pairs"]),
                         2 * LAYERS * (STEPS * len(PLACED["cpu-attention"]) + 1))
        self.assertEqual({pair["micro_batch"] for pair in pairing["pairs"]}, {0, 1})

    def test_the_modelled_side_is_that_of_cost(self):
        pairing = self.pair("--hardware", "h100-sxm")
        self.assertEqual(pairing["hardware"], "h100-sxm")
        cost = self.succeed("run", self.trace, "--method", "a2ats", "--codewords", "16",
                            "--placement", "fetch-dma", "--hardware", "h100-sxm", "--kv-dtype",
                            "float16", "--format", "json", "--quiet").json["cost"]
        alone = {stage["stage"]: stage["us"] for stage in cost["stages"]}
        sums = {}
        for pair in pairing["pairs"]:
            if pair["step"] < 0:
                continue
            sums[pair["stage"]] = sums.get(pair["stage"], 0.0) + pair["modelled_us"] / STEPS
        for name, us in sums.items():
            self.assertAlmostEqual(us, alone[name], delta=1e-6 * alone[name], msg=name)

    def test_errors_are_those_of_the_pairs(self):
        pairing = self.pair()
        for stage in pairing["stages"]:
            errors = [pair["error"] for pair in pairing["pairs"]
                      if pair["stage"] == stage["stage"]]
            self.assertEqual(stage["n"], len(errors))
            self.assertAlmostEqual(stage["bias"], sum(errors) / len(errors))
            self.assertAlmostEqual(stage["measured_median_us"], STAGES[stage["stage"]])
        for pair in pairing["pairs"]:
            self.assertAlmostEqual(pair["error"], pair["modelled_us"] / pair["measured_us"] - 1)

    def test_the_table_lists_what_has_no_partner(self):
        text = self.succeed("profile", self.trace, "--from", self.record(), "--pair",
                            "--quiet").stdout
        self.assertRegex(text, r"(?m)^rotate +gpu +12 +1\.00 +0\.25 ")
        self.assertRegex(text, r"(?m)^codeword_table +gpu +measured +1 ")
        self.assertRegex(text, r"(?m)^mlp +gpu +modelled +12 ")

    def test_rows_are_read_by_validate_and_calibrate(self):
        rows = self.folder / "rows.csv"
        self.succeed("profile", self.trace, "--from", self.record(), "--rows", rows, "--hardware",
                     "h100-sxm", "--quiet")
        table = parse_csv(rows.read_text())
        self.assertEqual([(row["op"], row["context"], row["latency_us"]) for row in table],
                         [("decode_attention", "72", "12")] * LAYERS)
        document = self.succeed("validate", "--measured", rows, "--format", "json").json
        self.assertEqual(document["regimes"][0]["n"], LAYERS)
        self.assertEqual(document["unknown_devices"], [])

    def test_it_takes_the_trace_that_was_profiled(self):
        recording = self.record()
        self.fail_with(USAGE, "--pair needs the trace", "profile", "--from", recording, "--pair")
        self.fail_with(USAGE, "--rows needs the trace", "profile", "--from", recording, "--rows",
                       self.folder / "r.csv")
        other = self.synth("other.kvtrace", seed=1)
        self.fail_with(BAD_FILE, "recorded with another trace", "profile", other, "--from",
                       recording, "--pair")

    def test_recorded_words_that_are_no_options(self):
        recording = self.record("bad.kvactivity", 130001, "fetch-dma", "serial", "--budgt", "3")
        self.fail_with(BAD_FILE, "bad.kvactivity: the recorded options", "profile", self.trace,
                       "--from", recording, "--pair")


class LiveTest(ProfileTest):
    def test_without_a_gpu_it_says_so_once_all_else_is_right(self):
        if run("run", self.trace, "--method", "snapkv", "--backend", "cuda", "--quiet").code == 0:
            self.skipTest("this machine has a GPU")
        output = self.folder / "t.json"
        self.fail_with(MISSING, "nothing can be profiled", "profile", self.trace, "--method",
                       "a2ats", "--output", output)
        self.fail_with(MISSING, "nothing can be profiled", "profile", self.trace, "--method",
                       "ada-snapkv", "--budget", "20%")
        self.fail_with(MISSING, "nothing can be profiled", "profile", "--case", "decode")
        self.fail_with(MISSING, "link cannot be measured", "profile", "--link", "--output", output)
        self.assertEqual(self.files(), ["small.kvtrace"])

    def test_options_and_inputs_come_first(self):
        trace = self.trace
        for code, mention, words in (
                (USAGE, "no trace given", []),
                (USAGE, "no --method", [trace]),
                (USAGE, "did you mean a2ats", [trace, "--method", "a2at"]),
                (USAGE, "'abacus' is unknown",
                 [trace, "--method", "a2ats", "--hardware", "abacus"]),
                (USAGE, "--date does not apply",
                 [trace, "--method", "a2ats", "--date", "2026-01-01"]),
                (USAGE, "format", [trace, "--method", "a2ats", "--format", "xml"]),
                (USAGE, "--threads", [trace, "--method", "a2ats", "--threads", "-1"]),
                (USAGE, "is an input",
                 [trace, "--method", "a2ats", "--output", trace, "--force"]),
                (USAGE, "does not apply to --from", ["--from", "x", "--method", "a2ats"]),
                (USAGE, "--record does not apply", ["--from", "x", "--record", "y"]),
                (USAGE, "--cupti does not apply", ["--from", "x", "--cupti", "y"]),
                (USAGE, "--link needs --output", ["--link"]),
                (USAGE, "a trace does not apply", ["--link", "--output", "x", trace]),
                (USAGE, "--pair does not apply", ["--link", "--output", "x", "--pair"]),
                (USAGE, "--date is 'soon'", ["--link", "--output", "x", "--date", "soon"]),
                (USAGE, "two outputs", ["--link", "--output", self.folder / "x", "--rows",
                                        f"{self.folder}/./x"]),
                (USAGE, "is no regular expression", ["--case", "("]),
                (USAGE, "a trace does not apply to --case", [trace, "--case", "decode"]),
                (USAGE, "--from does not apply to --case", ["--case", "x", "--from", "y"]),
                (USAGE, "--repetitions does not apply", ["--link", "--output", "x",
                                                         "--repetitions", "3"]),
                (USAGE, "--repetitions is 0", ["--case", "decode", "--repetitions", "0"]),
                (USAGE, "two outputs",
                 [trace, "--method", "a2ats", "--output", self.folder / "a", "--record",
                  f"{self.folder}/./a"]),
                (BAD_FILE, "none.kvtrace",
                 [self.folder / "none.kvtrace", "--method", "a2ats"]),
                (BAD_FILE, "no/folder",
                 [trace, "--method", "a2ats", "--output", self.folder / "no/folder/t.json"])):
            with self.subTest(words=words):
                self.fail_with(code, mention, "profile", *words)


class LinkTest(CliTest):
    def measurements(self, knee=32768):
        rows = []
        for power in range(8, 25):
            size = 1 << power
            pieces = min(4096, max(1, (1 << 26) // size))
            for path, direction, us in (
                    ("dma", "to-gpu", 3.0 + size / 24e3),
                    ("dma", "to-host", 3.5 + size / 22e3),
                    ("batched-dma", "to-gpu",
                     0.5 + size / 7e3 if size < knee else 0.1 + size / 24e3)):
                rows.append(f"transfer,{path},{direction},{size},{pieces},{pieces * us!r},\n")
        path = self.folder / "link.csv"
        path.write_text(LINK_HEADER + "".join(rows) + "latency,,,,,8.25,\n"
                        "both-directions,,,,,,39.5\n")
        return path

    def test_measurements_become_a_profile(self):
        output = self.folder / "mine.json"
        outcome = self.succeed("profile", "--link", "--from", self.measurements(), "--hardware",
                               "a100-sxm-80", "--date", "2026-11-26", "--output", output,
                               "--format", "json")
        link = json.loads(output.read_text())["link"]
        self.assertEqual(link["id"], "pcie4-x16-measured")
        source = "kvsieve profile --link from link.csv, 2026-11-26"
        self.assertEqual(link["latency_us"], {"value": 8.25, "source": source, "verified": True})
        self.assertEqual(link["both_gbps"]["value"], 39.5)
        (dma,) = link["to_gpu"]["paths"]["dma"]
        self.assertAlmostEqual(dma["piece_us"]["value"], 3.0, places=4)
        self.assertAlmostEqual(dma["gbps"]["value"], 24.0, places=3)
        self.assertEqual(dma["gbps"]["source"], source)
        batched = link["to_gpu"]["paths"]["batched-dma"]
        self.assertEqual([segment["from_bytes"] for segment in batched], [0, 32768])
        self.assertFalse(link["to_gpu"]["paths"]["zero-copy"][0]["gbps"]["verified"])
        document = outcome.json
        self.assertEqual(document["schema"], "kvsieve.link/1")
        self.assertEqual(len(document["paths"]), 3)
        self.assertIn("zero-copy to-gpu: 0 sizes were measured", outcome.stderr)

    def test_the_profile_serves_every_verb(self):
        output = self.folder / "mine.json"
        self.succeed("profile", "--link", "--from", self.measurements(), "--output", output)
        self.succeed("cost", "--method", "a2ats", "--placement", "fetch-dma", "--hardware", output)
        # Measured again, it goes on being the measured one.
        again = self.folder / "again.json"
        self.succeed("profile", "--link", "--from", self.measurements(), "--hardware", output,
                     "--output", again)
        self.assertEqual(json.loads(again.read_text())["link"]["id"], "pcie4-x16-measured")

    def test_rows_are_what_was_read(self):
        rows = self.folder / "rows.csv"
        source = self.measurements()
        self.succeed("profile", "--link", "--from", source, "--rows", rows, "--output",
                     self.folder / "a.json")
        first, second = parse_csv(source.read_text()), parse_csv(rows.read_text())
        self.assertEqual(len(first), len(second))
        for one, other in zip(first, second):
            self.assertEqual({**one, "us": float(one["us"] or 0)},
                             {**other, "us": float(other["us"] or 0)})

    def test_bad_measurements_are_named(self):
        output = self.folder / "mine.json"
        path = self.folder / "bad.csv"
        path.write_text(LINK_HEADER + "transfer,dma,to-gpu,256,10,-1,\n")
        self.fail_with(BAD_FILE, "bad.csv:2: us is '-1'", "profile", "--link", "--from", path,
                       "--output", output)
        path.write_text(LINK_HEADER + "transfer,dma,to-gpu,256,10,1,\n")
        self.fail_with(BAD_FILE, "3 sizes", "profile", "--link", "--from", path, "--output",
                       output)
        self.assertEqual(self.files(), ["bad.csv"])


if __name__ == "__main__":
    main()
