"""docs/run.schema.json accepts run documents and rejects broken ones."""

import copy
import json
import pathlib
import unittest

import report_samples

try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = pathlib.Path(__file__).parents[2] / "docs" / "run.schema.json"


def remove(*keys):
    def change(document):
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]
    return change


def put(value, *keys):
    def change(document):
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value
    return change


FIRST_HEAD = ("layers", 0, "heads", 0)

BROKEN_EVICTION = {
    "another schema": put("kvsieve.run/2", "schema"),
    "no schema": remove("schema"),
    "an unknown family": put("sorting", "family"),
    "no layers": remove("layers"),
    "no summary": remove("summary"),
    "warnings that are no list": put("late", "warnings"),
    "modelled captures": put("modelled", "origin"),
    "a captured cost": put("captured", "cost", "origin"),
    "a share above one": put(1.01, "layers", 0, "evicted_mass"),
    "a negative share": put(-0.1, "layers", 0, "evicted_mass"),
    "a negative loss": put(-1.0, "summary", "l1_loss"),
    "a loss that is no number": put("2.5", "summary", "l1_loss"),
    "a null loss": put(None, "summary", "l1_loss"),
    "half of the losses": remove("summary", "l1_loss_relative"),
    "losses without uniform ones": remove("layers", 0, "uniform"),
    "a misspelt loss": put(0.1, "layers", 0, "evicted_mas"),
    "a misspelt head field": put(0.1, *FIRST_HEAD, "budgets"),
    "a head without budget": remove(*FIRST_HEAD, "budget"),
    "a budget that is no integer": put(20.5, *FIRST_HEAD, "budget"),
    "a layer without heads": put([], "layers", 0, "heads"),
    "a run of three numbers": put([[0, 4, 8]], *FIRST_HEAD, "kept_runs"),
    "a run of one number": put([[4]], *FIRST_HEAD, "kept_runs"),
    "a negative run": put([[-4, 8]], *FIRST_HEAD, "kept_runs"),
    "a touched layer that says so": put(True, "layers", 0, "touched"),
    "a whole layer with losses": put(False, "layers", 0, "touched"),
    "a bound without the tighter ones": remove("summary", "bound_theta"),
    "an unknown scorer": put("guess", "method", "scorer"),
    "an adaptive method without alpha": remove("method", "alpha"),
    "a method without budget": remove("method", "budget"),
    "an even pool": put("max:4", "method", "pool"),
    "a step without position": remove("steps", 0, "position"),
    "a step with recall": put(0.5, "steps", 0, "recall"),
    "a trace without prompt": put(0, "trace", "prompt_tokens"),
    "a trace of another dtype": put("F64", "trace", "dtype"),
    "a trace hash in capitals": put("ABCDEF" * 5 + "AB", "trace", "hash"),
    "a layer captured twice": put([0, 0], "trace", "captured_layers"),
    "a needle without text": remove("trace", "needle", "text"),
    "kept bytes missing": remove("cost", "kv_kept_bytes"),
    "negative bytes": put(-1, "cost", "kv_full_bytes"),
}

BROKEN_RETRIEVAL = {
    "no captured mass": remove("summary", "captured_mass"),
    "recall above one": put(1.5, "summary", "recall"),
    "traffic without pieces": remove("layers", 0, "pcie_per_step", "fetch-dma", "pieces"),
    "one placement": remove("layers", 0, "pcie_per_step", "cpu-attention"),
    "a third placement": put({}, "layers", 0, "pcie_per_step", "magic"),
    "a layer without its loss": remove("layers", 0, "output_error"),
    "a head without query heads": put([], *FIRST_HEAD, "query_heads"),
    "a head with a budget": put(20, *FIRST_HEAD, "budget"),
    "a step without K": remove("steps", 0, "top"),
    "negative dead codes": put(-1, *FIRST_HEAD, "code_usage", "dead_codes"),
    "no placement": remove("method", "placement"),
    "an unknown placement": put("teleport", "method", "placement"),
    "no top": remove("method", "top"),
    "a codebook without size": remove("method", "codebook", "codewords"),
    "no window": put(0, "method", "window"),
    "an eviction summary": put({"kept_tokens_per_head_mean": 20.0}, "summary"),
    "kept tokens": put(20.0, "summary", "kept_tokens_per_head_mean"),
}


@unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
class RunSchema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def document(self, name):
        path = report_samples.folder() / (name + ".json")
        return json.loads(path.read_text(encoding="utf-8"))

    def test_schema_is_valid(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_every_definition_is_used(self):
        text = SCHEMA.read_text(encoding="utf-8")
        for name in self.schema["$defs"]:
            self.assertIn(f'"#/$defs/{name}"', text)

    def test_documents_are_valid(self):
        paths = sorted(report_samples.folder().glob("*.json"))
        self.assertGreater(len(paths), 10)
        for path in paths:
            if path.stem == "eviction_hostile" or path.stem.endswith("_large"):
                continue
            with self.subTest(path.stem):
                document = json.loads(path.read_text(encoding="utf-8"))
                errors = [f"{list(e.absolute_path)}: {e.message[:200]}"
                          for e in self.validator.iter_errors(document)]
                self.assertEqual(errors, [])

    def check_broken(self, name, changes):
        valid = self.document(name)
        for what, change in changes.items():
            with self.subTest(what):
                broken = copy.deepcopy(valid)
                change(broken)
                self.assertFalse(self.validator.is_valid(broken))

    def test_broken_eviction_runs_are_rejected(self):
        self.check_broken("eviction", BROKEN_EVICTION)

    def test_broken_retrieval_runs_are_rejected(self):
        self.check_broken("retrieval", BROKEN_RETRIEVAL)

    def test_new_parameters_are_accepted(self):
        for name in ("eviction", "retrieval"):
            document = self.document(name)
            document["method"]["new_parameter"] = 1
            document["trace"]["new_field"] = "x"
            document["cost"]["new_bytes"] = 2
            document["new_part"] = {}
            self.assertTrue(self.validator.is_valid(document))


if __name__ == "__main__":
    unittest.main()
