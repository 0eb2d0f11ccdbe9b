"""docs/ci.md as a new user follows it: its commands run on a fresh copy of the sample project, once
unchanged and once with a slow-down planted."""

import os
import re
import shutil
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from cli_test import BAD_FILE, CHECK_FAILED, KVSIEVE, OK, SOURCE, CliTest, main

try:
    import yaml
except ImportError:
    yaml = None

GUIDE = SOURCE / "docs" / "ci.md"
SAMPLE_PROJECT = SOURCE / "tests" / "ci_sample"
WORKFLOW = SOURCE / ".github" / "workflows" / "kvsieve-gate.yml"

FAST = "    sum += series[i];\n"
# The sum over the window from scratch for every place.
SLOW = ("    sum = 0.0;\n"
        "    for (std::size_t k = i + 1 < window ? 0 : i + 1 - window; k < i; ++k) {\n"
        "      sum += series[k];\n"
        "    }\n"
        "    sum += series[i];\n")
SUBTRACTION = "    if (i >= window) {\n      sum -= series[i - window];\n    }\n"


def commands(topic):
    """The blocks of the guide that are marked as running for a topic."""
    return re.findall(rf"<!-- runs: {topic} -->\n```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def yaml_blocks():
    return re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)


class RecipeTest(CliTest):
    def setUp(self):
        super().setUp()
        for tool in ("cmake", "git", "c++"):
            if shutil.which(tool) is None:
                self.skipTest(f"there is no {tool}")
        self.project = self.folder / "project"
        shutil.copytree(SAMPLE_PROJECT, self.project)
        self.shell("git init -q -b main && git add -A && git commit -qm 'The sample'")

    def shell(self, script, code=OK):
        """Runs a script in the project and returns what it wrote."""
        identity = {f"GIT_{who}_{what}": "sample@example.org" for who in ("AUTHOR", "COMMITTER")
                    for what in ("NAME", "EMAIL")}
        process = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.project, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500,
            env={**os.environ, **identity, "ROUNDS": "16", "MIN_TIME": "0.02",
                 "PATH": f"{Path(KVSIEVE).resolve().parent}:{os.environ['PATH']}"})
        self.assertEqual(process.returncode, code, f"{script}\n{process.stdout}")
        return process.stdout

    def plant_a_slow_down(self):
        header = self.project / "src" / "moving_average.h"
        text = header.read_text()
        self.assertIn(FAST, text)
        self.assertIn(SUBTRACTION, text)
        header.write_text(text.replace(SUBTRACTION, "").replace(FAST, SLOW))
        self.shell("git commit -qam 'A slow-down'")

    def test_the_gate_says_why_a_program_could_not_be_measured(self):
        self.assertIn("usage: ci/gate.sh OLD_PROGRAM NEW_PROGRAM", self.shell("ci/gate.sh", 1))
        self.assertIn("error: the old program (build/none) failed with exit code 127",
                      self.shell("ci/gate.sh build/none build/none", BAD_FILE))
        broken = self.folder / "broken.sh"
        broken.write_text("#!/bin/sh\necho boom\nexit 1\n")
        broken.chmod(0o755)
        report = self.shell(f"ci/gate.sh '{broken}' '{broken}'", BAD_FILE)
        self.assertIn("boom\nerror: the old program", report)

    def test_timings(self):
        self.shell("git checkout -qb change")
        build, gate = commands("timings")
        self.shell(build)
        report = self.shell(gate)
        self.assertIn("3 cases in both", report)
        self.assertEqual(self.failed_cases(), set())
        self.plant_a_slow_down()
        self.shell("cmake --build build/new")
        report = self.shell(gate, CHECK_FAILED)
        self.assertRegex(report, r"error: \d regressions?; worst: cpu_time of moving_average/n:65536")
        self.assertIn("moving_average/n:65536/window:64", self.failed_cases())
        self.assertTrue((self.project / "gate.md").read_text().startswith("### ❌"))

    def failed_cases(self):
        suite = ElementTree.parse(self.project / "gate.xml").getroot().find("testsuite")
        return {case.get("name") for case in suite.findall("testcase")
                if case.find("failure") is not None}

    def test_a_removed_case(self):
        self.shell("git checkout -qb change")
        source = self.project / "bench" / "moving_average_bench.cpp"
        source.write_text(re.sub(r"BENCHMARK\(highest_average.*\n", "", source.read_text()))
        build, gate = commands("timings")
        self.shell(build)
        self.assertIn("1 removed, highest_average/n:4096/window:16 first",
                      self.shell(gate, CHECK_FAILED))

    def test_history(self):
        self.shell("cmake -S . -B build/new -DCMAKE_BUILD_TYPE=Release && cmake --build build/new")
        [history] = commands("history")
        self.assertIn("nothing is compared", self.shell(history))
        self.assertEqual(len(list((self.project / "history").iterdir())), 1)
        self.plant_a_slow_down()
        self.shell("cmake --build build/new")
        self.shell(history, CHECK_FAILED)
        self.assertEqual(len(list((self.project / "history").iterdir())), 1)

    def test_model_results(self):
        [model] = commands("model")
        sweep = model[:model.index("kvsieve compare")]
        self.shell(sweep.replace("new.db", "baseline.db"))
        self.assertIn("no difference; 8 points", self.shell(model))
        self.shell("rm new.db")
        self.shell(model.replace("h100-sxm", "a100-sxm-80"), CHECK_FAILED)


class GuideTest(CliTest):
    def test_every_marked_block_is_run(self):
        topics = set(re.findall(r"<!-- runs: (\w+) -->", GUIDE.read_text()))
        self.assertEqual(topics, {"timings", "history", "model"})

    def test_the_pipelines_are_those_of_the_sample(self):
        github, gitlab = yaml_blocks()
        self.assertEqual(github,
                         (SAMPLE_PROJECT / ".github/workflows/performance.yml").read_text())
        self.assertTrue((SAMPLE_PROJECT / ".gitlab-ci.yml").read_text().endswith(gitlab))

    def test_links_lead_somewhere(self):
        for guide in (GUIDE, SOURCE / "docs" / "compare.md"):
            for link in re.findall(r"\]\(([^)#]+)\)", guide.read_text()):
                self.assertTrue((guide.parent / link).exists(), f"{guide.name}: {link}")

    @unittest.skipIf(yaml is None, "python3-yaml is not installed")
    def test_yaml(self):
        workflow = yaml.safe_load(WORKFLOW.read_text())
        inputs = workflow[True]["workflow_call"]["inputs"]  # YAML 1.1 reads "on" as true
        used = set(re.findall(r"inputs\.([\w-]+)", WORKFLOW.read_text()))
        self.assertEqual(used, set(inputs))
        caller = yaml.safe_load(yaml_blocks()[0])["jobs"]["gate"]
        self.assertTrue(caller["uses"].endswith(".github/workflows/kvsieve-gate.yml@main"))
        self.assertLessEqual(set(caller["with"]), set(inputs))
        required = {name for name, entry in inputs.items() if entry.get("required")}
        self.assertLessEqual(required, set(caller["with"]))
        for step in workflow["jobs"]["compare"]["steps"]:
            self.assertTrue(("run" in step) != ("uses" in step), step)
            if "run" in step:
                # What people may write into a pull request never becomes part of a script.
                self.assertNotRegex(step["run"], r"\$\{\{ *(inputs|github\.event)")
                subprocess.run(["bash", "-n"], input=re.sub(r"\$\{\{.*?\}\}", "x", step["run"]),
                               text=True, check=True)
        pipeline = yaml.safe_load((SAMPLE_PROJECT / ".gitlab-ci.yml").read_text())
        self.assertEqual(pipeline["performance"]["artifacts"]["reports"]["junit"], "gate.xml")

    @unittest.skipIf(yaml is None, "python3-yaml is not installed")
    def test_the_workflows_build_command(self):
        default = yaml.safe_load(WORKFLOW.read_text())[True]["workflow_call"]["inputs"]["build"]
        build = self.folder / "build"
        subprocess.run(["bash", "-euc", default["default"], "build", str(SAMPLE_PROJECT), str(build)],
                       check=True, stdout=subprocess.DEVNULL)
        self.assertTrue((build / "moving_average_bench").exists())


if __name__ == "__main__":
    main()
