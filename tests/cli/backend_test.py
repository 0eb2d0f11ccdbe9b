"""`kvsieve run --backend`: the device kernels choose what the cpu backend chooses."""

import functools
import tempfile
from pathlib import Path

from cli_test import MISSING, OK, SAMPLE, USAGE, CliTest, main, run

# Both backends compute in fp32 but add in different orders.
RELATIVE = 2e-4
# Bounds and losses of heads that evict next to nothing are rounding errors.
ABSOLUTE = 2e-6

RUNS = {
    "ada-snapkv": ("--method", "ada-snapkv", "--budget", "20%"),
    "floor": ("--method", "ada-snapkv", "--budget", "10%", "--alpha-mode", "floor", "--sinks", "4",
              "--layers", "0,12"),
    "query heads": ("--method", "ada-snapkv", "--budget", "10%", "--granularity", "query",
                    "--layers", "4,17"),
    "critical": ("--method", "ada-criticalkv", "--budget", "10%", "--layers", "8,12"),
    "h2o": ("--method", "h2o", "--budget", "20%", "--layers", "0,21"),
    "tova": ("--method", "tova", "--budget", "20%", "--layers", "25"),
    "knorm": ("--method", "knorm", "--budget", "40%", "--no-bound", "--layers", "29"),
    "pyramid": ("--method", "ada-pyramid", "--budget", "64", "--layers", "0,29"),
}


# One layer, few codewords and few tokens a step keep the executor's share short; the sample's 64
# steps are decoded on the cpu only.
RETRIEVAL = ("--method", "a2ats", "--codewords", "64", "--top", "4%")
RETRIEVAL_RUNS = {
    "cpu-attention": ("--placement", "cpu-attention"),
    "fetch-dma": ("--placement", "fetch-dma", "--schedule", "overlapped"),
    "fetch-kernel": ("--placement", "fetch-kernel", "--selection", "scores"),
    "fetch-hot-buffer": ("--placement", "fetch-hot-buffer", "--hot-buffer", "64", "--hot-policy",
                         "lfu"),
}


@functools.lru_cache(maxsize=None)
def retrieval(trace, backend, name):
    words = (() if backend == "cpu" and name == "replay" else
             ("--backend", backend, *RETRIEVAL_RUNS[name],
              *(("--latency",) if backend == "cpu" else ())))
    outcome = run("run", trace, "--format", "json", "--quiet", *RETRIEVAL, *words, timeout=500)
    if outcome.code != OK:
        raise AssertionError(f"{name} on {backend}: {outcome.stderr}")
    return outcome.json


def retrieved(run_document):
    """What follows from the tokens that each head retrieved at each step."""
    return [(head["head"], step["union_tokens"], step["recall"], step["captured_mass"])
            for layer in run_document["layers"] for head in layer["heads"]
            for step in head["steps"]]


@functools.lru_cache(maxsize=None)
def document(backend, name):
    outcome = run("run", SAMPLE, "--format", "json", "--quiet", "--backend", backend, *RUNS[name],
                  timeout=500)
    if outcome.code != OK:
        raise AssertionError(f"{name} on {backend}: {outcome.stderr}")
    return outcome.json


def choices(run_document):
    return [(layer["layer"], [(head["budget"], head["kept_runs"]) for head in layer["heads"]])
            for layer in run_document["layers"]]


def numbers(value, path=""):
    """(path, number) of every figure that is not a choice."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in ("kept_runs", "method", "trace"):
                yield from numbers(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, f"{path}[{index}]")
    elif isinstance(value, float):
        yield path, value


class SimtTest(CliTest):
    def test_budgets_and_kept_tokens_are_those_of_the_cpu(self):
        for name in RUNS:
            with self.subTest(run=name):
                self.assertEqual(choices(document("simt", name)), choices(document("cpu", name)))

    def test_figures_are_those_of_the_cpu_within_rounding(self):
        for name in RUNS:
            with self.subTest(run=name):
                ours = dict(numbers(document("simt", name)))
                theirs = dict(numbers(document("cpu", name)))
                self.assertEqual(ours.keys(), theirs.keys())
                for path, value in theirs.items():
                    self.assertLessEqual(abs(ours[path] - value),
                                         RELATIVE * abs(value) + ABSOLUTE,
                                         f"{path}: {ours[path]} against {value}")

    def test_the_document_names_the_backend(self):
        self.assertEqual(document("simt", "tova")["backend"], "simt")

    def test_only_the_methods_with_codes_have_decode_steps(self):
        outcome = self.fail_with(MISSING, "the method exact-topk has no decode step", "run", SAMPLE,
                                 "--method", "exact-topk", "--backend", "simt")
        self.assertEqual(outcome.stdout, "")

    def test_a_head_size_without_a_kernel_is_named_with_those_that_have_one(self):
        trace = self.synth(head_dim=48)
        outcome = self.fail_with(USAGE, "head size 48", "run", trace, "--method", "snapkv",
                                 "--backend", "simt")
        self.assertIn("64, 80, 96, 128, 256", outcome.stderr)


class DecodeStepTest(CliTest):
    """A2ATS's decode steps on the cpu and simt backends, in every placement."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="kvsieve-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.trace = str(Path(folder.name) / "decode.kvtrace")
        outcome = run("synth", cls.trace, "--layers", "1", "--q-heads", "6", "--kv-heads", "2",
                      "--head-dim", "64", "--prompt-tokens", "300", "--decode-tokens", "6",
                      "--prompt-queries", "64")
        assert outcome.code == OK, outcome.stderr

    def test_backends_retrieve_what_the_replay_retrieves(self):
        expected = retrieved(retrieval(self.trace, "cpu", "replay"))
        for name in RETRIEVAL_RUNS:
            for backend in ("cpu", "simt"):
                with self.subTest(run=name, backend=backend):
                    found = retrieval(self.trace, backend, name)
                    self.assertEqual(found["backend"], backend)
                    self.assertEqual(retrieved(found), expected)
                    # The trace's F16 rounds queries, keys, values and partial results.
                    self.assertLess(found["decode"]["output_deviation"], 2e-2)

    def test_the_executor_counts_what_the_ledger_says_and_measures_no_time(self):
        for name in RETRIEVAL_RUNS:
            with self.subTest(run=name):
                found = retrieval(self.trace, "simt", name)
                decode = found["decode"]
                self.assertNotIn("latency", decode)
                counted, ledger = dict(decode["bus_per_step"]), dict(decode["ledger_per_step"])
                self.assertEqual(counted.pop("origin"), "counted")
                self.assertEqual(ledger.pop("origin"), "modelled")
                self.assertEqual(counted, ledger)
                self.assertAlmostEqual(counted["to_gpu_bytes"] + counted["to_host_bytes"],
                                       found["summary"]["pcie_bytes_per_step"], places=3)

    def test_the_cpu_measures_its_stages_and_moves_nothing(self):
        decode = retrieval(self.trace, "cpu", "cpu-attention")["decode"]
        self.assertNotIn("bus_per_step", decode)
        self.assertEqual(decode["latency"]["origin"], "measured")
        stages = {stage["stage"]: stage["mean_us"] for stage in decode["latency"]["stages"]}
        self.assertEqual(set(stages), {"rotate", "encode", "topk", "append", "cpu-attention",
                                       "resident-attention", "merge"})
        self.assertLessEqual(sum(stages.values()), decode["latency"]["step_us"] * 1.0001)

    def test_overlapped_steps_decode_two_sequences(self):
        self.assertEqual(retrieval(self.trace, "simt", "fetch-dma")["decode"]["sequences"], 2)
        self.assertEqual(retrieval(self.trace, "simt", "cpu-attention")["decode"]["sequences"], 1)

    def test_the_table_shows_the_stages(self):
        text = self.succeed("run", SAMPLE, *RETRIEVAL, "--layers", "12", "--latency", "--placement",
                            "cpu-attention").stdout
        for word in ("decode steps on cpu, serial", "us a step (measured)", "cpu-attention",
                     "of the replay's"):
            self.assertIn(word, text)

    def test_options_that_do_not_fit_are_named(self):
        words = ("run", SAMPLE, "--method", "a2ats")
        self.fail_with(USAGE, "needs a hot buffer", *words, "--placement", "fetch-hot-buffer")
        self.fail_with(USAGE, "--schedule does not apply without decode steps or their cost",
                       *words, "--schedule", "overlapped", "--no-cost")
        self.fail_with(USAGE, "--selection 'all' is unknown", *words, "--selection", "all")
        self.fail_with(USAGE, "--placement 'fetch' is unknown", *words, "--placement", "fetch")
        self.fail_with(USAGE, "--latency does not apply to the method snapkv", "run", SAMPLE,
                       "--method", "snapkv", "--latency")


class CudaTest(CliTest):
    def test_without_a_gpu_the_backend_says_so(self):
        backends = run("info", "--kernels", "--format", "json").json["backends"]
        cuda = next(backend for backend in backends if backend["name"] == "cuda")
        if "unavailable" not in cuda:
            self.skipTest("there is a GPU")
        outcome = self.fail_with(MISSING, cuda["unavailable"], "run", SAMPLE, "--method", "snapkv",
                                 "--backend", "cuda")
        self.assertIn("--backend simt", outcome.stderr)


class KernelsTest(CliTest):
    def test_lists_backends_and_supported_shapes(self):
        found = self.succeed("info", "--kernels", "--format", "json").json
        self.assertEqual([backend["name"] for backend in found["backends"]],
                         ["cpu", "simt", "cuda"])
        operations = {operation["name"]: operation for operation in found["operations"]}
        self.assertEqual(operations["window_scores"]["head_dims"], [64, 80, 96, 128, 256])
        self.assertEqual(operations["ragged_decode"]["dtypes"], ["F16", "BF16", "F32"])
        table = self.succeed("info", "--kernels").stdout
        for name in operations:
            self.assertIn(name, table)

    def test_takes_no_file(self):
        self.fail_with(USAGE, "takes no file", "info", "--kernels", SAMPLE)


if __name__ == "__main__":
    main()
