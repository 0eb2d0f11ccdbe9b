"""The JSON of `kvsieve run`: its schema, and that its numbers agree with each other."""

import functools
import json
from statistics import fmean

import jsonschema

from cli_test import (CODEBOOK, EVICTION, OK, RETRIEVAL, SAMPLE, SOURCE, CliTest, main, rewrite_header,
                      run)

SCHEMA = SOURCE / "docs" / "run.schema.json"
ADAPTIVE = {"ada-snapkv", "ada-pyramid", "ada-criticalkv"}
ALL_LAYERS = [0, 4, 8, 12, 17, 21, 25, 29]
PROMPT, STEPS, HQ, HKV, D = 2009, 64, 9, 3, 64
ROW_BYTES = 2 * D * 2  # K and V of one token and KV head in F16


@functools.lru_cache(maxsize=None)
def document(*words, trace=SAMPLE):
    """The document of a run, computed once."""
    outcome = run("run", trace, "--format", "json", "--quiet", *words)
    if outcome.code != OK:
        raise AssertionError(f"{words}: {outcome.stderr}")
    return outcome.json


def eviction(method, *words):
    return document("--method", method, *words)


def retrieval(method, *words):
    if method == "streaming-llm" and "--top" not in words:
        words += ("--top", "3%")
    return document("--method", method, "--layers", "4,12", *words)


def keys_of(value):
    """Every key that occurs anywhere in a document."""
    if isinstance(value, dict):
        return set(value).union(*(keys_of(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(keys_of(item) for item in value))
    return set()


class DocumentTest(CliTest):
    def close(self, ours, theirs, what="", relative=1e-9):
        self.assertLessEqual(abs(ours - theirs), relative * max(abs(ours), abs(theirs), 1e-9),
                             f"{what}: {ours} against {theirs}")

    def is_share(self, value, what=""):
        # A head that keeps everything loses rounding errors, in either direction.
        self.assertGreaterEqual(value, -1e-6, what)
        self.assertLessEqual(value, 1 + 1e-6, what)


class SchemaTest(DocumentTest):
    @classmethod
    def setUpClass(cls):
        schema = json.loads(SCHEMA.read_text())
        validator = jsonschema.validators.validator_for(schema)
        validator.check_schema(schema)
        cls.validator = validator(schema)

    def valid(self, run_document, what):
        errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
                  for error in self.validator.iter_errors(run_document)]
        self.assertEqual(errors[:5], [], what)

    def test_every_eviction_preset(self):
        for method in EVICTION:
            self.valid(eviction(method), method)

    def test_every_retrieval_preset(self):
        for method in RETRIEVAL:
            self.valid(retrieval(method), method)

    def test_options_that_add_or_remove_fields(self):
        for words in (["ada-snapkv", "--no-bound"], ["ada-snapkv", "--granularity", "query"],
                      ["ada-snapkv", "--losses", "mass"], ["criticalkv", "--losses", "mass"],
                      ["snapkv", "--budget", "512", "--pool", "none"],
                      ["snapkv", "--budget", "1MiB"], ["snapkv", "--budget", "10"]):
            self.valid(eviction(*words), words)
        for words in (["a2ats", "--hot-buffer", "100"],
                      ["a2ats", "--placement", "cpu-attention", "--final-attention", "wrope"],
                      ["exact-topk", "--top", "0"], ["exact-topk", "--top", "100"],
                      ["a2ats", "--hot-buffer", "100", "--hot-policy", "lfu"],
                      ["a2ats", "--center-keys", "--codebook-dtype", "bf16"],
                      ["a2ats", "--retrieval-budget", "adaptive", "--mass", "95%"],
                      ["pq", "--pq-subvectors", "4", "--pq-bits", "4"],
                      ["channel-subset", "--channels", "8"]):
            self.valid(retrieval(*words), words)

    def test_a_trace_without_needle_and_decode_steps(self):
        trace = self.synth(decode_tokens=0)
        outcome = self.succeed("run", trace, "--method", "ada-snapkv", "--format", "json")
        self.valid(outcome.json, "no decode steps")
        self.assertNotIn("needle", keys_of(outcome.json))
        self.assertNotIn("evicted_mass", outcome.json["summary"])
        self.assertNotIn("evicted_mass", outcome.json["layers"][0])
        self.assertNotIn("evicted_mass", outcome.json["layers"][0]["heads"][0])
        self.assertEqual(outcome.json["steps"], [])

    def test_the_schema_refuses_what_it_should(self):
        sound = eviction("snapkv")
        for change in ({"schema": "kvsieve.run/2"}, {"family": "magic"}, {"layers": None},
                       {"summary": []}, {"trace": {}}):
            self.assertFalse(self.validator.is_valid({**sound, **change}), change)
        for field in ("schema", "tool_version", "trace", "method", "summary", "layers"):
            broken = {key: value for key, value in sound.items() if key != field}
            self.assertFalse(self.validator.is_valid(broken), field)


class HeadTest(DocumentTest):
    def test_what_every_document_says_of_itself(self):
        for found in [eviction(method) for method in EVICTION] + [
                retrieval(method) for method in RETRIEVAL]:
            self.assertEqual(found["schema"], "kvsieve.run/1")
            self.assertRegex(found["tool_version"], r"^\d+\.\d+\.\d+$")
            self.assertEqual(found["backend"], "cpu")
            trace = found["trace"]
            self.assertEqual(trace["path"], str(SAMPLE))
            self.assertEqual([trace[key] for key in ("L", "Hq", "Hkv", "d")], [30, HQ, HKV, D])
            self.assertEqual((trace["prompt_tokens"], trace["decode_steps"]), (PROMPT, STEPS))
            self.assertRegex(trace["hash"], r"^[0-9a-f]{32}$")
            self.assertEqual(found["cost"]["origin"], "modelled")

    def test_names_and_families(self):
        for method in EVICTION:
            found = eviction(method)
            self.assertEqual(found["family"], "eviction")
            name = "h2o-window" if method == "h2o" else method
            self.assertEqual(found["method"]["name"], name)
        for method in RETRIEVAL:
            found = retrieval(method)
            self.assertEqual((found["family"], found["method"]["name"]), ("retrieval", method))

    def test_parameters_are_echoed(self):
        method = eviction("ada-snapkv", "--budget", "10%", "--alpha", "0.35", "--alpha-mode",
                          "floor", "--window", "16", "--sinks", "3", "--pool", "avg:5",
                          "--granularity", "query")["method"]
        expected = {"budget": "10%", "alpha": 0.35, "alpha_mode": "floor", "window": 16,
                    "sinks": 3, "pool": "avg:5", "granularity": "query",
                    "budget_tokens": PROMPT // 10, "adaptive": True}
        self.assertEqual({key: method.get(key) for key in expected}, expected)
        method = retrieval("a2ats", "--top", "50", "--window", "32", "--sinks", "4",
                           "--wrope-distance", "1024", "--placement", "cpu-attention",
                           "--hot-buffer", "100", "--codewords", "32", "--seed", "5",
                           "--final-attention", "wrope")["method"]
        expected = {"top": "50", "window": 32, "sinks": 4, "wrope_distance": 1024,
                    "placement": "cpu-attention", "hot_buffer_tokens": 100, "seed": 5,
                    "final_attention": "wrope"}
        self.assertEqual({key: method.get(key) for key in expected}, expected)
        self.assertEqual(method["codebook"]["codewords"], 32)
        self.assertNotIn("alpha", method)
        self.assertNotIn("mass", method)
        method = retrieval("a2ats", "--retrieval-budget", "adaptive", "--alpha", "0.5", "--mass",
                           "95%", "--hot-buffer", "9", "--hot-policy", "lfu", "--codewords", "32",
                           "--center-keys", "--codebook-dtype", "bf16")["method"]
        expected = {"retrieval_budget": "adaptive", "alpha": 0.5, "mass": 0.95,
                    "hot_policy": "lfu"}
        self.assertEqual({key: method.get(key) for key in expected}, expected)
        self.assertEqual((method["codebook"]["dtype"], method["codebook"]["center_keys"]),
                         ("bf16", True))
        method = retrieval("pq", "--pq-subvectors", "4", "--pq-bits", "5")["method"]
        self.assertEqual((method["pq_subvectors"], method["pq_bits"]), (4, 5))
        self.assertEqual(retrieval("channel-subset", "--channels", "8")["method"]["channels"], 8)

    def test_the_layers_are_those_asked_for(self):
        for words, layers in (([], ALL_LAYERS), (["--layers", "12,4"], [4, 12]),
                              (["--layers", "17"], [17])):
            found = eviction("snapkv", *words)
            self.assertEqual([layer["layer"] for layer in found["layers"]], layers)


class EvictionTest(DocumentTest):
    def test_layers_sum_up_their_heads(self):
        for method in EVICTION:
            for layer in eviction(method)["layers"]:
                heads = layer["heads"]
                what = f"{method} layer {layer['layer']}"
                self.assertEqual([head["head"] for head in heads], list(range(HKV)), what)
                self.assertEqual(sum(head["budget"] for head in heads), layer["budget_total"],
                                 what)
                self.close(fmean(head["evicted_mass"] for head in heads), layer["evicted_mass"],
                           what, 1e-6)

    def test_kept_runs_are_ascending_and_as_long_as_the_budget(self):
        for method in EVICTION:
            window = eviction(method)["method"].get("window", PROMPT)
            for layer in eviction(method)["layers"]:
                for head in layer["heads"]:
                    runs = head["kept_runs"]
                    flat = [edge for pair in runs for edge in pair]
                    self.assertEqual(flat, sorted(set(flat)), method)
                    self.assertEqual(sum(end - begin for begin, end in runs), head["budget"])
                    self.assertEqual(flat[-1], PROMPT, method)
                    self.assertLessEqual(flat[-2], PROMPT - window, method)
                    self.assertGreaterEqual(flat[0], 0)

    def test_budgets(self):
        nominal = PROMPT * 20 // 100
        for method in EVICTION:
            found = eviction(method)
            totals = [layer["budget_total"] for layer in found["layers"]]
            budgets = {head["budget"] for layer in found["layers"] for head in layer["heads"]}
            if method == "full":
                self.assertEqual(budgets, {PROMPT})
                continue
            self.assertEqual(found["method"]["budget_tokens"], nominal)
            if method in ("pyramidkv", "ada-pyramid"):
                self.assertEqual(sum(totals), nominal * HKV * len(totals))
                self.assertEqual(totals, sorted(totals, reverse=True))
            elif method in ("ada-snapkv", "ada-criticalkv"):
                self.assertEqual(set(totals), {nominal * HKV})
                self.assertGreater(len(budgets), 8)
            elif method != "pyramidkv-official":
                self.assertEqual(budgets, {nominal})
            self.close(found["summary"]["kept_tokens_per_head_mean"],
                       sum(totals) / (HKV * len(totals)), method)

    def test_query_granularity_has_query_heads(self):
        found = eviction("ada-snapkv", "--granularity", "query")
        for layer in found["layers"]:
            self.assertEqual([head["head"] for head in layer["heads"]], list(range(HQ)))
            self.assertEqual(sum(head["budget"] for head in layer["heads"]),
                             HQ * (PROMPT * 20 // 100))

    def test_budgets_in_tokens_and_bytes(self):
        self.assertEqual(eviction("snapkv", "--budget", "512")["layers"][0]["budget_total"],
                         512 * HKV)
        tokens = 30 * HKV * ROW_BYTES * 300  # 300 tokens in every head of all 30 layers
        found = eviction("snapkv", "--budget", f"{tokens}B")
        self.assertEqual(found["layers"][0]["heads"][0]["budget"], 300)

    def test_summary_means_over_layers(self):
        for method in EVICTION:
            found = eviction(method)
            summary, layers = found["summary"], found["layers"]
            for name in ("evicted_mass", "l1_loss", "l1_loss_relative", "bound", "bound_head",
                         "bound_theta"):
                self.close(summary[name], fmean(layer[name] for layer in layers), name)
            for name in ("evicted_mass", "l1_loss", "l1_loss_relative"):
                self.close(summary["uniform"][name],
                           fmean(layer["uniform"][name] for layer in layers), name)

    def test_ratios_are_sums_over_sums(self):
        for method in EVICTION:
            found = eviction(method)
            ratio, layers = found["summary"]["ratio_to_uniform"], found["layers"]
            for name, improved in (("evicted_mass", "layers_improved_mass"),
                                   ("l1_loss", "layers_improved_l1")):
                ours = [layer[name] for layer in layers]
                uniform = [layer["uniform"][name] for layer in layers]
                if name in ratio:
                    self.close(ratio[name], sum(ours) / sum(uniform), method)
                self.assertEqual(ratio[improved], sum(a < b for a, b in zip(ours, uniform)))
            self.assertEqual(ratio["layers"], len(layers))

    def test_uniform_methods_equal_uniform(self):
        for method in set(EVICTION) - ADAPTIVE - {"pyramidkv", "pyramidkv-official"}:
            for layer in eviction(method)["layers"]:
                self.assertEqual(layer["evicted_mass"], layer["uniform"]["evicted_mass"], method)

    def test_shares_and_bounds(self):
        for method in EVICTION:
            for layer in eviction(method)["layers"]:
                what = f"{method} layer {layer['layer']}"
                self.is_share(layer["evicted_mass"], what)
                self.assertGreaterEqual(layer["l1_loss"], 0)
                for head in layer["heads"]:
                    self.is_share(head["evicted_mass"], what)
                order = [layer["l1_loss"], layer["bound_theta"], layer["bound_head"],
                         layer["bound"]]
                # Rounding of a layer's output, which is what is left where nothing is evicted.
                noise = 1e-6 * layer["l1_loss"] / max(layer["l1_loss_relative"], 1e-12)
                for smaller, larger in zip(order, order[1:]):
                    self.assertLessEqual(smaller, larger * (1 + 1e-6) + noise, f"{what}: {order}")

    def test_nothing_is_lost_by_keeping_everything(self):
        for words in (["full"], ["ada-snapkv", "--budget", "100%"]):
            for layer in eviction(*words)["layers"]:
                self.assertLess(abs(layer["evicted_mass"]), 1e-6)
                self.assertLess(layer["l1_loss_relative"], 1e-6)

    def test_steps(self):
        for method in ("snapkv", "ada-snapkv"):
            found = eviction(method)
            steps = found["steps"]
            self.assertEqual([step["step"] for step in steps], list(range(STEPS)))
            self.assertEqual([step["position"] for step in steps],
                             list(range(PROMPT, PROMPT + STEPS)))
            for name in ("evicted_mass", "l1_loss"):
                self.close(fmean(step[name] for step in steps), found["summary"][name], name)

    def test_bytes(self):
        for method in EVICTION:
            found = eviction(method)
            cost = found["cost"]
            kept = sum(layer["budget_total"] for layer in found["layers"])
            self.assertEqual(cost["kv_kept_bytes"], kept * ROW_BYTES)
            self.assertEqual(cost["kv_full_bytes"], 8 * HKV * PROMPT * ROW_BYTES)

    def test_needle(self):
        found = eviction("snapkv")
        needle = found["summary"]["needle"]
        kept = [head["needle_kept"] for layer in found["layers"] for head in layer["heads"]]
        begin, end = found["trace"]["needle"]["begin"], found["trace"]["needle"]["end"]
        self.assertEqual((needle["tokens"], needle["heads"]), (end - begin, len(kept)))
        self.close(needle["kept_share"], sum(kept) / (len(kept) * (end - begin)))
        for layer in found["layers"]:
            for head in layer["heads"]:
                covered = sum(max(0, min(b, end) - max(a, begin)) for a, b in head["kept_runs"])
                self.assertEqual(head["needle_kept"], covered)

    def test_what_does_not_apply_is_absent(self):
        for method in EVICTION:
            found = eviction(method)
            absent = {"recall", "captured_mass", "hot_hit_rate", "output_error", "codebook",
                      "top"}
            absent |= set() if method in ADAPTIVE else {"alpha", "alpha_mode"}
            absent |= set() if method == "random" else {"seed"}
            absent |= {"window", "budget_tokens"} if method == "full" else set()
            self.assertEqual(absent & keys_of(found), set(), method)
        bounds = {"bound", "bound_head", "bound_theta"}
        self.assertEqual(bounds & keys_of(eviction("snapkv", "--no-bound")), set())
        self.assertEqual(bounds - keys_of(eviction("snapkv")), set())

    def test_masses_alone_are_those_of_the_whole_document(self):
        whole = eviction("ada-snapkv")
        alone = eviction("ada-snapkv", "--losses", "mass")
        absent = {"l1_loss", "l1_loss_relative", "layers_improved_l1", "bound", "bound_head",
                  "bound_theta"}
        self.assertEqual(absent & keys_of(alone), set())
        self.assertEqual(absent - keys_of(whole), set())

        def without(value):
            if isinstance(value, dict):
                return {key: without(item) for key, item in value.items() if key not in absent}
            return [without(item) for item in value] if isinstance(value, list) else value

        self.assertEqual(without(whole), alone)

    def test_more_budget_loses_less(self):
        losses = [eviction("ada-snapkv", "--budget", budget)["summary"]["l1_loss"]
                  for budget in ("5%", "10%", "20%", "40%", "80%")]
        self.assertEqual(losses, sorted(losses, reverse=True))

    def test_the_seed_changes_random_alone(self):
        one, two = (eviction("random", "--seed", seed) for seed in ("1", "2"))
        self.assertNotEqual(one["layers"], two["layers"])
        one, two = (eviction("snapkv", "--layers", "4", "--seed", seed) for seed in ("1", "2"))
        self.assertEqual(one["layers"], two["layers"])


class RetrievalTest(DocumentTest):
    SHARES = ("recall", "recall_vs_wrope", "wrope_recall", "captured_mass", "retrieved_mass",
              "overlap", "hot_hit_rate", "needle_recall")

    def test_shares(self):
        for method in RETRIEVAL:
            found = retrieval(method)
            places = [found["summary"]] + found["steps"] + found["layers"]
            places += [head for layer in found["layers"] for head in layer["heads"]]
            places += [query for layer in found["layers"] for head in layer["heads"]
                       for query in head["query_heads"] + head["steps"]]
            for place in places:
                for name in self.SHARES:
                    if name in place:
                        self.is_share(place[name], f"{method} {name}")
                if "retrieved_mass" in place:
                    self.assertLessEqual(place["retrieved_mass"], place["captured_mass"] + 1e-6)
                if "union_factor" in place:
                    self.assertGreaterEqual(place["union_factor"], 1 - 1e-9)
                    self.assertLessEqual(place["union_factor"], HQ / HKV + 1e-9)

    def test_means(self):
        names = ("recall", "captured_mass", "retrieved_mass", "union_tokens", "head_output_error")
        for method in RETRIEVAL:
            found = retrieval(method)
            for layer in found["layers"]:
                self.assertEqual([head["head"] for head in layer["heads"]], list(range(HKV)))
                for name in names:
                    if name in layer:
                        self.close(layer[name], fmean(head[name] for head in layer["heads"]),
                                   f"{method} {name}")
            for name in names + ("l1_loss", "output_error", "l1_loss_relative"):
                if name in found["summary"]:
                    self.close(found["summary"][name],
                               fmean(layer[name] for layer in found["layers"]),
                               f"{method} {name}")
            for name in names + ("output_error", "l1_loss"):
                if name in found["summary"]:
                    self.close(found["summary"][name],
                               fmean(step[name] for step in found["steps"]), f"{method} {name}")

    def test_tokens(self):
        for method in RETRIEVAL:
            found = retrieval(method)
            protected = found["method"]["sinks"] + found["method"]["window"]
            for place in [found["summary"]] + found["layers"] + found["steps"]:
                self.close(place["attended_tokens"], protected + place["union_tokens"])
            for step in found["steps"]:
                i = step["position"]
                expected = 0 if method == "streaming-llm" else (i + 1) * 3 // 100
                self.assertEqual(step["top"], expected)

    def test_traffic(self):
        for method in RETRIEVAL:
            found = retrieval(method)
            group, element = HQ // HKV, 2
            for layer in found["layers"]:
                for head in layer["heads"]:
                    union, traffic = head["union_tokens"], head["pcie_per_step"]
                    if method == "streaming-llm":
                        self.assertEqual(traffic["fetch-dma"]["bytes"], 0)
                        continue
                    lists = 4 * (union + 1)
                    for fetch in ("fetch-dma", "fetch-kernel"):
                        self.close(traffic[fetch]["to_gpu_bytes"], union * ROW_BYTES)
                    self.close(traffic["fetch-dma"]["to_host_bytes"], ROW_BYTES + lists)
                    self.close(traffic["fetch-kernel"]["to_host_bytes"], ROW_BYTES)
                    self.close(traffic["cpu-attention"]["to_host_bytes"],
                               group * D * element + ROW_BYTES + lists)
                    self.close(traffic["cpu-attention"]["to_gpu_bytes"],
                               group * (D * element + 4))
            for kind in ("cpu-attention", "fetch-dma", "fetch-kernel"):
                for name in ("to_gpu_bytes", "to_host_bytes", "bytes"):
                    for layer in found["layers"]:
                        self.close(layer["pcie_per_step"][kind][name],
                                   sum(head["pcie_per_step"][kind][name]
                                       for head in layer["heads"]))
                    self.close(found["summary"]["pcie_per_step"][kind][name],
                               sum(layer["pcie_per_step"][kind][name]
                                   for layer in found["layers"]))
            self.close(found["summary"]["pcie_bytes_per_step"],
                       found["summary"]["pcie_per_step"]["fetch-dma"]["bytes"])
            self.close(found["cost"]["pcie_bytes_per_step"],
                       found["summary"]["pcie_bytes_per_step"])

    def test_index_bytes(self):
        tokens = 2 * D * 2  # K of one token and KV head, twice
        expected = {"a2ats": (2, 64 * D * 4), "vq-plain": (2, 64 * D * 4),
                    "vq-post-rope": (2, 64 * D * 4), "exact-topk": (D * 2, 0),
                    "exact-topk-wrope": (D * 2, 0), "quest": (tokens / 16, 0),
                    "pq": (1.5, 64 * D * 2), "chunk-mean": (D * 2 / 8, 0),
                    "cluster-centroid": (2, 64 * D * 2), "channel-subset": (16 * 2, 0),
                    "random-topk": (0, 0)}
        for method in RETRIEVAL:
            found = retrieval(method)
            if method == "streaming-llm":
                self.assertNotIn("index", found["cost"])
                self.assertEqual(found["summary"]["index_read_bytes_per_step"], 0)
                continue
            index = found["cost"]["index"]
            self.assertEqual((index["bytes_per_token"], index["fixed_bytes"]), expected[method],
                             method)
            # Tokens between sinks and window at the mean position.
            eligible = PROMPT + (STEPS - 1) / 2 + 1 - 64 - 8
            read = index["bytes_per_token"] * eligible + index["fixed_bytes"]
            for layer in found["layers"]:
                self.close(layer["index_read_bytes_per_step"], HKV * read, method)
                for head in layer["heads"]:
                    self.close(head["index_read_bytes_per_step"], read, method)
            self.close(index["read_bytes_per_step"], 2 * HKV * read, method)

    def test_adaptive_budgets_share_out_the_same_total(self):
        uniform = retrieval("exact-topk")
        adaptive = retrieval("exact-topk", "--retrieval-budget", "adaptive")
        self.assertNotIn("selected", uniform["summary"])
        self.close(adaptive["summary"]["selected_tokens"], uniform["summary"]["selected_tokens"])
        spread = adaptive["summary"]["selected"]
        self.assertLess(spread["p10"], spread["p90"])
        self.assertLessEqual(spread["p90"], spread["largest"])
        self.assertGreater(adaptive["summary"]["captured_mass"],
                           uniform["summary"]["captured_mass"])

    def test_a_threshold_by_mass_takes_fewer_tokens(self):
        before = 0
        for mass in ("50%", "90%", "99%"):
            summary = retrieval("exact-topk", "--top", "30%", "--mass", mass)["summary"]
            self.assertGreater(summary["selected_tokens"], before)
            before = summary["selected_tokens"]
        self.assertLess(before, retrieval("exact-topk", "--top", "30%")["summary"]["selected_tokens"])

    def test_sixteen_bit_codebooks_report_how_many_codes_stay(self):
        self.assertNotIn("agreement", keys_of(retrieval("a2ats")))
        for dtype, element in (("fp16", 2), ("bf16", 2)):
            found = retrieval("a2ats", "--codebook-dtype", dtype)
            self.assertEqual(found["cost"]["index"]["fixed_bytes"], 64 * D * element)
            for layer in found["layers"]:
                for head in layer["heads"]:
                    self.assertGreater(head["code_usage"]["agreement"], 0.9)

    def test_the_score_error_has_two_parts(self):
        for method in RETRIEVAL:
            layer = retrieval(method)["layers"][0]
            self.assertIn("wrope_score_error", layer)
            self.assertEqual("vq_score_error" in layer, method in CODEBOOK, method)
            self.assertEqual("score_error" in layer,
                             method not in ("exact-topk", "quest", "random-topk",
                                            "streaming-llm"), method)
        post = retrieval("vq-post-rope")["layers"][0]
        self.assertEqual(post["vq_score_error"], post["score_error"])
        exact = retrieval("exact-topk-wrope")["layers"][0]
        self.assertEqual(exact["wrope_score_error"], exact["score_error"])

    def test_query_aware_codes_score_unseen_queries_better_than_plain_ones(self):
        for ours, plain in zip(retrieval("a2ats")["layers"], retrieval("vq-plain")["layers"]):
            self.assertLess(ours["vq_score_error"]["mse"], 0.9 * plain["vq_score_error"]["mse"])

    def test_placement_chooses_whose_bytes_the_summary_shows(self):
        found = retrieval("exact-topk", "--placement", "cpu-attention")
        self.close(found["summary"]["pcie_bytes_per_step"],
                   found["summary"]["pcie_per_step"]["cpu-attention"]["bytes"])

    def test_a_hot_buffer_saves_traffic(self):
        cold = retrieval("exact-topk", "--placement", "fetch-kernel")
        hot = retrieval("exact-topk", "--placement", "fetch-hot-buffer", "--hot-buffer", "500")
        self.assertNotIn("hot_hit_rate", cold["summary"])
        self.assertGreater(hot["summary"]["hot_hit_rate"], 0.5)
        self.assertLess(hot["summary"]["pcie_bytes_per_step"],
                        cold["summary"]["pcie_bytes_per_step"])
        self.close(hot["summary"]["recall"], cold["summary"]["recall"])

    def test_the_oracle_finds_everything(self):
        summary = retrieval("exact-topk")["summary"]
        self.assertEqual(summary["recall"], 1)
        for method in set(RETRIEVAL) - {"exact-topk"}:
            other = retrieval(method)["summary"]
            self.assertLess(other.get("recall", 0), 1)
            self.assertLess(other["captured_mass"], summary["captured_mass"] + 1e-9, method)
        everything = retrieval("exact-topk", "--top", "100%")["summary"]
        self.assertLess(everything["l1_loss_relative"], 1e-5)
        self.assertAlmostEqual(everything["captured_mass"], 1, 5)

    def test_the_codes_approximate_windowed_rope(self):
        self.assertEqual(retrieval("exact-topk-wrope")["summary"]["recall_vs_wrope"], 1)
        codes = retrieval("a2ats")["summary"]
        self.assertLess(codes["recall_vs_wrope"], 1)
        self.assertGreater(codes["recall"], retrieval("random-topk")["summary"]["recall"])

    def test_what_does_not_apply_is_absent(self):
        for method in RETRIEVAL:
            found = retrieval(method)
            absent = {"budget", "budget_tokens", "evicted_mass", "bound", "uniform", "alpha",
                      "mass", "selected", "hot_policy"}
            if method not in CODEBOOK:
                absent |= {"codebook", "code_usage", "vq_score_error", "codes_bytes"}
            if method == "streaming-llm":
                absent |= {"recall", "recall_vs_wrope", "wrope_recall", "union_factor", "overlap",
                           "selected_tokens", "retrieval_budget"}
                self.assertNotIn("top", found["method"])
            self.assertEqual(absent & keys_of(found), set(), method)


class SlidingWindowTest(DocumentTest):
    """Layers with a sliding window are left whole and take no part in summaries."""

    def sliding(self, layers):
        trace = self.folder / "sliding.kvtrace"

        def slide(header):
            document = json.loads(header["__metadata__"]["kvsieve"])
            for layer in layers:
                document["model"]["layer_overrides"][str(layer)] = {
                    "attention": {"sliding_window": 64}}
            header["__metadata__"]["kvsieve"] = json.dumps(document)

        rewrite_header(self.synth(layers=3), trace, slide)
        return trace

    def test_the_others_alone_are_summed_up(self):
        trace = self.sliding([1])
        self.assertEqual(self.succeed("info", trace, "--format", "json")
                         .json["sliding_window_layers"], 1)
        for method, name in (("ada-snapkv", "evicted_mass"), ("exact-topk", "captured_mass")):
            words = ["run", trace, "--method", method]
            found = self.succeed(*words, "--format", "json").json
            self.assertEqual(found["layers"][1], {"layer": 1, "touched": False})
            self.close(found["summary"][name],
                       fmean(found["layers"][layer][name] for layer in (0, 2)))
            self.assertEqual(set(self.succeed(*words, "--format", "csv").rows[1].values()),
                             {"1", ""})
            self.assertIn("whole (sliding window)", self.succeed(*words).stdout)

    def test_without_another_layer_there_is_no_summary(self):
        trace = self.sliding([0, 1, 2])
        for method in ("ada-snapkv", "full", "exact-topk"):
            outcome = self.succeed("run", trace, "--method", method)
            self.assertTrue(outcome.stderr.startswith("warning: every replayed layer"))
            self.assertNotIn("kept", outcome.stdout)
            self.assertNotIn("attended", outcome.stdout)
        found = self.succeed("run", trace, "--method", "ada-snapkv", "--format", "json").json
        self.assertEqual(found["summary"], {})


if __name__ == "__main__":
    main()
