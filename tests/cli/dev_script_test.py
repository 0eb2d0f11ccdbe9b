"""The script of the two commands that newcomers start with."""

import re
import subprocess

from cli_test import SOURCE, USAGE, CliTest, main

SCRIPT = SOURCE / "dev"


class DevScriptTest(CliTest):
    def test_bash_accepts_it(self):
        subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
        self.assertTrue(SCRIPT.stat().st_mode & 0o111)

    def test_it_explains_itself(self):
        for words in ([], ["no-such-command"]):
            outcome = subprocess.run([str(SCRIPT)] + words, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, cwd="/", check=False)
            self.assertEqual(outcome.returncode, USAGE)
            self.assertEqual(outcome.stdout, "")
            named = set(re.findall(r"\./dev (\w+)", outcome.stderr))
            offered = set(re.findall(r"(?m)^  (\w+)\) ", SCRIPT.read_text()))
            self.assertEqual(named, offered)
            self.assertGreaterEqual(named, {"demo", "test"})

    def test_the_demo_uses_options_that_exist(self):
        text = SCRIPT.read_text()
        known = self.succeed("run", "--help").stdout + self.succeed("report", "--help").stdout
        for line in re.findall(r'(?m)^  "\$kvsieve" (.*)$', text):
            for option in re.findall(r"--[\w-]+", line):
                self.assertIn(option, known)


if __name__ == "__main__":
    main()
