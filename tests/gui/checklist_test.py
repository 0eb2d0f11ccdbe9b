"""docs/viewer.md answers every item of the viewer's checklist: with tests that exist, or a no with
its reason."""

import os
import re
import unittest
from pathlib import Path

SOURCE = Path(os.environ["KVSIEVE_SOURCE"])
ITEMS = 60


def functions():
    """Names of all Qt test functions, and of the other tests that the page may name."""
    names = set()
    for path in (SOURCE / "tests" / "gui").glob("*.cpp"):
        names |= set(re.findall(r"^\s+void (c\d\d_\w+)\(\);", path.read_text(encoding="utf-8"), re.M))
        names |= {".".join(pair) for pair in re.findall(r"^TEST(?:_[FP])?\((\w+), (\w+)\)",
                                                        path.read_text(encoding="utf-8"), re.M)}
    for path in (SOURCE / "tests" / "gui").glob("*.py"):
        names.add(path.name)
    return names


class ChecklistTest(unittest.TestCase):
    def test_every_item_has_an_answer(self):
        page = (SOURCE / "docs" / "viewer.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", page, re.M)
        self.assertEqual([int(number) for number, _, _ in rows], list(range(1, ITEMS + 1)))
        known = functions()
        for number, item, answer in rows:
            with self.subTest(item=f"{number} {item}"):
                named = re.findall(r"`([^`]+)`", answer)
                if answer.startswith("No: "):
                    self.assertGreater(len(answer), 30, "a no needs its reason")
                else:
                    self.assertTrue(named, "no test is named")
                for name in named:
                    if re.match(r"c\d\d_|[A-Z]\w+\.\w+$|\w+\.py$", name):
                        self.assertIn(name, known)

    def test_every_checklist_test_is_on_the_page(self):
        page = (SOURCE / "docs" / "viewer.md").read_text(encoding="utf-8")
        for name in sorted(functions()):
            if re.match(r"c\d\d_", name):
                self.assertIn(f"`{name}`", page)


if __name__ == "__main__":
    unittest.main()
