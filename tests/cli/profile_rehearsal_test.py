"""`kvsieve profile` as it would run on a GPU: the whole program on the PTX executor, with a stub of
CUPTI that hears what the CUDA runtime is asked for. The times are made up (tests/profile/
rehearsed_gpu.h): they follow from the bytes, so that a test can foresee them, and say nothing of any
hardware."""

import json

from cli_test import CliTest, main, parse_csv

LAYERS, STEPS, KV_HEADS, HEAD_DIM = 2, 3, 2, 64
# Of the made-up GPU, in us and bytes a us.
PIECE, LINK, HOST_STAGE = 0.3, 20e3, 7.0
PLACED = {
    "cpu-attention": {"rotate", "encode", "score", "topk", "union", "down", "append",
                      "cpu-attention", "up", "resident-attention", "merge"},
    "fetch-dma": {"rotate", "encode", "score", "topk", "union", "down", "append", "fetch",
                  "fetched-attention", "resident-attention", "merge"},
    "fetch-kernel": {"rotate", "encode", "score", "topk", "union", "down", "append", "fetch",
                     "fetched-attention", "resident-attention", "merge"},
    "fetch-hot-buffer": {"rotate", "encode", "score", "topk", "union", "down", "append", "fetch",
                         "fetched-attention", "resident-attention", "merge"},
}
DENSE = {"qkv", "output", "mlp", "logits", "sampling", "engine"}  # that no run executes


class RehearsalTest(CliTest):
    def setUp(self):
        super().setUp()
        self.trace = self.synth(layers=LAYERS, decode_tokens=STEPS, kv_heads=KV_HEADS,
                                head_dim=HEAD_DIM)

    def profile(self, *words):
        outcome = self.succeed("profile", *words, "--format", "json", "--quiet")
        self.assertEqual(outcome.stderr, "")
        document = outcome.json
        # Whoever meets these numbers elsewhere is told.
        self.assertEqual(document["device"], "Rehearsed GPU, made-up times")
        self.assertEqual(document["notes"], [])
        self.assertEqual(document["clock_shift_us"], 0)
        return document

    def operations(self, document):
        return {(one["name"], one["lane"]): one for one in document["operations"]}

    def paired(self, document):
        return {(pair["stage"], pair["step"], pair["layer"], pair["micro_batch"])
                for pair in document["pairing"]["pairs"]}

    def names(self, document, side):
        return {one["name"] for one in document["pairing"][side]}


class RetrievalTest(RehearsalTest):
    def test_every_stage_is_recorded_and_has_its_partner(self):
        for placement, stages in PLACED.items():
            with self.subTest(placement=placement):
                slots = ["--hot-buffer", "64"] if placement == "fetch-hot-buffer" else []
                document = self.profile(self.trace, "--method", "a2ats", "--codewords", "16",
                                        "--placement", placement, *slots, "--pair")
                prompt = {("key-encoding", -1, layer, 0) for layer in range(LAYERS)}
                self.assertEqual(self.paired(document), prompt | {
                    (stage, step, layer, 0) for stage in stages for step in range(STEPS)
                    for layer in range(LAYERS)})
                self.assertEqual(self.names(document, "modelled_only"), DENSE)

    def test_micro_batches_run_beside_each_other(self):
        document = self.profile(self.trace, "--method", "vq-plain", "--codewords", "16",
                                "--placement", "cpu-attention", "--schedule", "overlapped",
                                "--pair")
        steps = {key for key in self.paired(document) if key[1] >= 0}
        self.assertEqual(len(steps), 2 * STEPS * LAYERS * len(PLACED["cpu-attention"]))
        self.assertEqual({key for key in self.paired(document) if key[1] < 0},
                         {("key-encoding", -1, layer, batch) for layer in range(LAYERS)
                          for batch in range(2)})

    def test_copies_are_those_of_the_ledger(self):
        document = self.profile(self.trace, "--method", "a2ats", "--codewords", "16",
                                "--placement", "fetch-dma", "--pair")
        replay = self.succeed("run", self.trace, "--method", "a2ats", "--codewords", "16",
                              "--placement", "fetch-dma", "--backend", "simt", "--no-cost",
                              "--format", "json", "--quiet").json
        counted = replay["decode"]["bus_per_step"]
        operations = self.operations(document)
        fetch, down = operations["fetch", "to-gpu"], operations["down", "to-host"]
        self.assertAlmostEqual(fetch["bytes"], counted["to_gpu_bytes"] * STEPS)
        # A message a layer and step, and the pieces of the batches.
        self.assertAlmostEqual(fetch["pieces"] + down["pieces"], counted["copies"] * STEPS)
        self.assertAlmostEqual(fetch["us"], PIECE * fetch["pieces"] + fetch["bytes"] / LINK,
                               delta=1e-3 * STEPS * LAYERS)
        for pair in document["pairing"]["pairs"]:
            if pair["stage"] == "fetch":
                # The model takes the loads as shares of a context that lacks the new token.
                self.assertAlmostEqual(pair["measured_bytes"] / pair["modelled_bytes"], 1,
                                       delta=1 / 250)

    def test_the_hosts_stages_are_its_own(self):
        document = self.profile(self.trace, "--method", "a2ats", "--codewords", "16",
                                "--placement", "cpu-attention")
        for stage in ("append", "cpu-attention"):
            one = self.operations(document)[stage, "cpu"]
            self.assertEqual((one["operations"], one["activities"]), (STEPS * LAYERS, 0))
            self.assertAlmostEqual(one["median_us"], HOST_STAGE)

    def test_a_recording_says_the_same_elsewhere(self):
        recording, timeline = self.folder / "run.kvactivity", self.folder / "step.json"
        for words in (["a2ats", "--codewords", "16", "--placement", "fetch-dma"],
                      ["ada-snapkv", "--budget", "20%"]):
            with self.subTest(words=words):
                live = self.profile(self.trace, "--method", *words, "--pair", "--record",
                                    recording, "--output", timeline, "--force")
                elsewhere = self.profile(self.trace, "--from", recording, "--pair")
                self.assertEqual(elsewhere, live)
                trace = json.loads(timeline.read_text())
                self.assertEqual(trace["otherData"]["origin"], "measured")
                self.assertIn("made-up", trace["otherData"]["device"])
                operations = [event for event in trace["traceEvents"]
                              if event["ph"] == "X" and event["cat"] == "measured"]
                self.assertEqual(len(operations),
                                 sum(one["operations"] for one in live["operations"]))


class EvictionTest(RehearsalTest):
    def test_compression_and_decode_steps_have_their_partners(self):
        for method, budget, stages in (
                ("ada-snapkv", "20%", {"window-scores", "allocation", "selection", "compaction"}),
                ("snapkv", "64", {"window-scores", "selection", "compaction"}),
                ("criticalkv", "20%", {"window-scores", "selection", "compaction"}),
                ("streaming-llm", "20%", {"selection", "compaction"}),
                ("full", "100%", {"selection", "compaction"})):
            for granularity in ("kv", "query"):
                with self.subTest(method=method, granularity=granularity):
                    document = self.profile(self.trace, "--method", method, "--budget", budget,
                                            "--granularity", granularity, "--pair")
                    self.assertEqual(self.paired(document), {
                        (stage, -1, layer, 0) for stage in stages for layer in range(LAYERS)} | {
                        ("attention", step, layer, 0) for step in range(STEPS)
                        for layer in range(LAYERS)})
                    self.assertEqual(self.names(document, "modelled_only"), DENSE)

    def test_stages_hold_nothing_but_kernels(self):
        document = self.profile(self.trace, "--method", "ada-snapkv", "--budget", "20%", "--pair")
        for stage in document["pairing"]["stages"]:
            self.assertEqual(stage["measured_bytes"], 0, stage["stage"])
        # The uniform twin selects, too.
        twin = [one for one in document["pairing"]["measured_only"] if one["name"] == "selection"]
        self.assertEqual([one["operations"] for one in twin], [LAYERS])

    def test_fewer_tokens_take_less(self):
        def attention(budget):
            document = self.profile(self.trace, "--method", "snapkv", "--budget", budget, "--pair")
            return next((stage["measured_median_us"], stage["modelled_median_us"])
                        for stage in document["pairing"]["stages"]
                        if stage["stage"] == "attention")
        few, many = attention("40"), attention("100%")
        self.assertLess(few[0], many[0])
        self.assertLess(few[1], many[1])

    def rows(self, *words):
        rows = self.folder / "rows.csv"
        self.succeed("profile", self.trace, *words, "--rows", rows, "--hardware", "h100-sxm",
                     "--force", "--quiet")
        return rows

    def test_rows_feed_validate_and_calibrate(self):
        rows = self.rows("--method", "full", "--budget", "100%")
        table = parse_csv(rows.read_text())
        self.assertEqual([row["context"] for row in table],
                         [str(300 + step + 1) for step in range(STEPS) for _ in range(LAYERS)])
        self.assertEqual({(row["op"], row["kv_heads"], row["kv_dtype"]) for row in table},
                         {("decode_attention", str(KV_HEADS), "float16")})
        document = self.succeed("validate", "--measured", rows, "--format", "json").json
        self.assertEqual(sum(regime["n"] for regime in document["regimes"]
                             if regime["device"] == "h100-sxm"), LAYERS * STEPS)
        tuned = self.folder / "tuned.json"
        self.succeed("calibrate", "--measured", rows, "--hardware", "h100-sxm", "--engine",
                     "kvsieve", "--output", tuned)
        record = json.loads(tuned.read_text())["calibration"]
        self.assertEqual(record["engine"].lower(), "kvsieve")

    def test_heads_of_different_lengths_are_no_rows(self):
        self.assertEqual(parse_csv(self.rows("--method", "ada-snapkv", "--budget", "20%")
                                   .read_text()), [])
        self.assertEqual(len(parse_csv(self.rows("--method", "snapkv", "--budget", "20%")
                                       .read_text())), LAYERS * STEPS)


class LinkTest(RehearsalTest):
    def test_the_made_up_link_is_found_again(self):
        output, rows = self.folder / "mine.json", self.folder / "link.csv"
        outcome = self.succeed("profile", "--link", "--hardware", "h100-sxm", "--output", output,
                               "--rows", rows, "--format", "json", "--quiet", timeout=600)
        paths = {(one["path"], one["direction"]): one for one in outcome.json["paths"]}
        self.assertEqual(set(paths), {("dma", "to-gpu"), ("dma", "to-host"),
                                      ("batched-dma", "to-gpu"), ("batched-dma", "to-host"),
                                      ("zero-copy", "to-gpu")})
        for path in ("batched-dma", "dma"):
            for direction in ("to-gpu", "to-host"):
                # Small copies take as long as their calls.
                last = paths[path, direction]["segments"][-1]
                self.assertAlmostEqual(last["piece_us"], PIECE, delta=0.01)
                self.assertAlmostEqual(last["gbps"], LINK / 1e3, delta=0.01)
        # Rows are written to the GPU's memory, too, which takes its time.
        self.assertAlmostEqual(paths["zero-copy", "to-gpu"]["segments"][-1]["gbps"], LINK / 1e3,
                               delta=1)
        link = json.loads(output.read_text())["link"]
        self.assertTrue(link["to_host"]["paths"]["batched-dma"][-1]["gbps"]["verified"])
        self.assertEqual(len(parse_csv(rows.read_text())), 4 * 17 + 9 + 2)


class CasesTest(RehearsalTest):
    def test_cases_are_recorded_under_their_names(self):
        document = self.profile("--case", "^merge_partial", "--repetitions", "3")
        (case,) = [one for one in document["operations"]
                   if one["name"].startswith("merge_partial/")]
        self.assertEqual((case["operations"], case["lane"]), (3, "gpu"))
        # The one that warms up stands alone.
        self.assertEqual(self.operations(document)["merge_partial", "gpu"]["operations"], 1)


if __name__ == "__main__":
    main()
